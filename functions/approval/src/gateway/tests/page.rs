//! The page as people meet it: a real browser, real tokens of an issuer, and the gateway behind an HTTP API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use blackstart_aws::sign_in::{Issuer, Settings};
use blackstart_core::approval::gate::GateState;
use blackstart_core::artifact::Digest;
use blackstart_local::browser::{Browser, DESKTOP, ENTER, PHONE, TAB};
use blackstart_local::front::{Front, Handler};
use blackstart_local::issuer::{self, CLIENT};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fakes::{Scene, arn, asked_with, event, later, run};
use crate::gateway::serve;

struct Site {
    scene: Arc<Scene>,
    issuer: issuer::Issuer,
    front: Front,
}

fn clock() -> Timestamp {
    later(1)
}

/// The gate of a run that is before its approvers; everybody on the roster can also sign in.
async fn site() -> Site {
    let people = ["ada", "bob", "cy", "dee", "mallory"];
    let issuer = issuer::Issuer::start(&people, clock).await.unwrap();
    let (listener, origin) = Front::listen().await.unwrap();
    let settings = Settings {
        issuer: issuer.identifier(),
        client: CLIENT.to_owned(),
        origin,
    };
    let mut scene = asked_with(&|person| match person {
        "dee" => "https://elsewhere.example#dee".to_owned(),
        person => format!("{}#{person}", issuer.identifier()),
    })
    .await;
    scene.deps.issuer = Some(Issuer::new(&SdkConfig::builder().build(), settings));
    let scene = Arc::new(scene);
    let served = scene.clone();
    let handler: Handler = Arc::new(move |event| {
        let scene = served.clone();
        Box::pin(async move { serve(event, &scene.deps, clock()).await })
    });
    let front = Front::start(listener, handler).unwrap();
    Site { scene, issuer, front }
}

impl Site {
    fn token(&self, person: &str) -> String {
        self.issuer.token(&self.issuer.claims(person, clock()))
    }

    /// An event of the HTTP API, which knows nobody, with these cookies and headers.
    async fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        cookies: &[String],
        headers: &[(&str, &str)],
    ) -> Value {
        let mut event = event("nobody", method, path, body);
        event["requestContext"]
            .as_object_mut()
            .unwrap()
            .remove("authorizer");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        event["rawPath"] = json!(path);
        event["rawQueryString"] = json!(query);
        let request =
            Digest::of(format!("{method} {path} {query} {body} {cookies:?} {headers:?}").as_bytes());
        event["requestContext"]["requestId"] = json!(request);
        event["cookies"] = json!(cookies);
        event["headers"] = headers.iter().map(|(name, value)| (*name, *value)).collect();
        serve(event, &self.scene.deps, clock()).await
    }

    /// A form that the page of this person would send.
    async fn form(&self, token: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Value {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let headers = [
            &[
                ("content-type", "application/x-www-form-urlencoded"),
                ("accept", "text/html,*/*"),
            ],
            headers,
        ]
        .concat();
        let cookies = [format!("blackstart={token}")];
        self.send("POST", &votes_path(), &body.join("&"), &cookies, &headers)
            .await
    }

    fn attempts(&self) -> usize {
        self.scene.deps.records.count("EVIDENCE#") + self.scene.deps.records.count("2026-")
    }

    fn unchanged(&self) -> (usize, usize) {
        (
            self.scene.deps.records.count("VOTE#"),
            self.scene.deps.callbacks.taken().len(),
        )
    }
}

fn votes_path() -> String {
    format!("/runs/{}/votes", run())
}

fn decision_path() -> String {
    format!("/runs/{}", run())
}

/// What the page of this session carries in its forms.
async fn key_of(site: &Site, token: &str) -> String {
    let page = site
        .send(
            "GET",
            &decision_path(),
            "",
            &[format!("blackstart={token}")],
            &[("accept", "text/html")],
        )
        .await;
    assert_eq!(page["statusCode"], 200, "{page}");
    let html = page["body"].as_str().unwrap().to_owned();
    html.split("name=\"form_key\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_say_nothing_about_who_calls_are_turned_away_and_recorded() {
    let site = site().await;
    let good = site.issuer.claims("bob", clock());
    let now = clock().as_second();
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        site.issuer.token(&claims)
    };
    let signed = |header: Value| site.issuer.sign(&header, &good);
    let token = site.token("bob");
    let (head, signature) = token.rsplit_once('.').unwrap();
    let other = issuer::Issuer::start(&[], clock).await.unwrap();
    let unsigned = signed(json!({"alg": "none"}));
    let cases = [
        ("malformed", "x".to_owned(), "unverified"),
        ("three dots", "e30.e30.e30".to_owned(), "unverified"),
        ("no signature", format!("{head}."), "unverified"),
        (
            "alg none",
            format!("{}.", unsigned.rsplit_once('.').unwrap().0),
            "unverified",
        ),
        ("alg none, signed", unsigned, "unverified"),
        (
            "alg HS256",
            signed(json!({"alg": "HS256", "kid": "1"})),
            "unverified",
        ),
        (
            "unknown key",
            signed(json!({"alg": "ES256", "kid": "2"})),
            "unverified",
        ),
        ("another's signature", other.token(&good), "unverified"),
        (
            "signature of another token",
            format!(
                "{}.{signature}",
                with("sub", json!("ada")).rsplit_once('.').unwrap().0
            ),
            "unverified",
        ),
        (
            "other issuer",
            with("iss", json!("https://elsewhere.example")),
            "other_issuer",
        ),
        (
            "other audience",
            with("aud", json!("elsewhere")),
            "other_audience",
        ),
        ("expired", with("exp", json!(now - 61)), "expired"),
        ("old", with("iat", json!(now - 3661)), "expired"),
        ("from the future", with("iat", json!(now + 61)), "not_yet"),
        ("not yet", with("nbf", json!(now + 61)), "not_yet"),
        ("no subject", with("sub", json!("")), "nobody"),
        (
            "claims of the wrong kind",
            with("exp", json!("soon")),
            "unverified",
        ),
    ];
    let body =
        json!({"digest": site.scene.digest, "decision": "approve", "rationale": "compared the manifests"});
    for (name, token, why) in cases {
        for by_cookie in [false, true] {
            let attempts = site.attempts();
            let bearer = format!("Bearer {token}");
            let cookies = [format!("blackstart={token}")];
            let answer = if by_cookie {
                site.send("POST", &votes_path(), &body.to_string(), &cookies, &[])
                    .await
            } else {
                site.send(
                    "POST",
                    &votes_path(),
                    &body.to_string(),
                    &[],
                    &[("authorization", &bearer)],
                )
                .await
            };
            let said: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&answer["statusCode"], &said["reason"]),
                (&json!(401), &json!("token")),
                "{name}: {answer}"
            );
            let sentence = said["message"].as_str().unwrap();
            assert!(
                !sentence.is_empty() && !sentence.contains(&token[..8.min(token.len())]),
                "{why}: {sentence}"
            );
            assert_eq!(site.attempts(), attempts + 1, "{name} is recorded");
        }
    }
    assert_eq!(site.unchanged(), (0, 0));
    // What is one minute off is a clock, not an attack.
    for near in [with("exp", json!(now - 60)), with("iat", json!(now + 60))] {
        let bearer = format!("Bearer {near}");
        let answer = site
            .send("GET", &decision_path(), "", &[], &[("authorization", &bearer)])
            .await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_is_one_person_whichever_way_he_comes() {
    let site = site().await;
    let body =
        json!({"digest": site.scene.digest, "decision": "approve", "rationale": "compared the manifests"});
    let vote = async |person: &str| {
        let bearer = format!("Bearer {}", site.token(person));
        let answer = site
            .send(
                "POST",
                &votes_path(),
                &body.to_string(),
                &[],
                &[("authorization", &bearer)],
            )
            .await;
        let said: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (
            answer["statusCode"].as_u64().unwrap(),
            said["reason"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(vote("bob").await, (200, String::new()));
    // The same person, signed by IAM.
    assert_eq!(site.scene.vote("bob", "refuse").await.0, 409);
    assert_eq!(vote("ada").await, (403, "requester".to_owned()));
    assert_eq!(vote("mallory").await, (403, "not_on_roster".to_owned()));
    assert_eq!(
        vote("dee").await,
        (403, "not_on_roster".to_owned()),
        "a subject counts within its issuer only"
    );
    assert_eq!(site.unchanged(), (1, 0));
    // IAM's word is not overruled by a token that somebody adds.
    let mut event = event(&arn("cy"), "POST", &votes_path(), &body.to_string());
    event["headers"] = json!({"authorization": format!("Bearer {}", site.token("bob"))});
    assert_eq!(serve(event, &site.scene.deps, clock()).await["statusCode"], 200);
    assert!(matches!(site.scene.gate().await.state, GateState::Approved { by, .. } if by == ["bob", "cy"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pages_own_form_votes_for_a_session() {
    let site = site().await;
    let (bob, cy) = (site.token("bob"), site.token("cy"));
    let (key, foreign) = (key_of(&site, &bob).await, key_of(&site, &cy).await);
    let digest = site.scene.digest.to_string();
    let long = "x".repeat(100_000);
    let (good, short, reason) = (
        "compared+the+manifests",
        "no",
        "%3C/textarea%3E%3Cscript%3Ealert(1)%3C/script%3E",
    );
    let fields = |rationale: &'static str| {
        [
            ("digest", digest.as_str()),
            ("decision", "approve"),
            ("rationale", rationale),
        ]
    };
    let with = |rationale, more: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let all = fields(rationale).into_iter().chain(more.iter().copied());
        all.map(|(name, value)| (name, value.to_owned())).collect()
    };
    let own = |rationale| with(rationale, &[("form_key", &key)]);
    let mut too_long = own(good);
    too_long[2].1 = long;
    let mut other_digest = own(good);
    other_digest[0].1 = "0".repeat(64);
    let mut no_digest = own(good);
    no_digest[0].1 = "abc".to_owned();
    let mut maybe = own(good);
    maybe[1].1 = "maybe".to_owned();
    let cases: Vec<(&str, Vec<(&str, String)>, Vec<(&str, &str)>, u64)> = vec![
        ("no key", with(good, &[]), vec![], 400),
        (
            "another session's key",
            with(good, &[("form_key", &foreign)]),
            vec![],
            403,
        ),
        ("empty key", with(good, &[("form_key", "")]), vec![], 403),
        (
            "another site",
            own(good),
            vec![("sec-fetch-site", "cross-site")],
            403,
        ),
        (
            "a sibling site",
            own(good),
            vec![("sec-fetch-site", "same-site")],
            403,
        ),
        (
            "unknown field",
            with(good, &[("form_key", &key), ("person", "cy")]),
            vec![],
            400,
        ),
        (
            "a field twice",
            with(good, &[("form_key", &key), ("decision", "refuse")]),
            vec![],
            400,
        ),
        ("short rationale", own(short), vec![], 400),
        (
            "hostile rationale",
            with("%3Cscript%3E", &[("form_key", &key)]),
            vec![],
            400,
        ),
        ("100 KB", too_long, vec![], 413),
        ("other digest", other_digest, vec![], 409),
        ("no digest", no_digest, vec![], 400),
        ("neither", maybe, vec![], 400),
        ("not UTF-8", own("%FF%FE"), vec![], 400),
    ];
    for (name, fields, headers, status) in cases {
        let attempts = site.attempts();
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = site.form(&bob, &fields, &headers).await;
        let html = answer["body"].as_str().unwrap();
        assert_eq!(answer["statusCode"], status, "{name}: {html}");
        assert!(
            html.starts_with("<!DOCTYPE html>") && !html.contains("<script"),
            "{name}"
        );
        assert_eq!(site.attempts(), attempts + 1, "{name} is recorded");
        if name == "hostile rationale" {
            assert!(
                html.contains("&lt;script&gt;</textarea>"),
                "what was typed comes back"
            );
            assert!(html.contains("Your vote was not taken: the rationale has 8 characters"));
        }
    }
    let json =
        json!({"digest": digest, "decision": "approve", "rationale": "compared the manifests"}).to_string();
    let cookies = [format!("blackstart={bob}")];
    let by_json = site
        .send(
            "POST",
            &votes_path(),
            &json,
            &cookies,
            &[("content-type", "application/json")],
        )
        .await;
    assert_eq!(by_json["statusCode"], 415);
    let operator = site
        .send(
            "POST",
            &format!("{}/operator", decision_path()),
            "{}",
            &cookies,
            &[],
        )
        .await;
    assert_eq!(operator["statusCode"], 415);
    assert_eq!(site.unchanged(), (0, 0));

    let fields: Vec<(&str, String)> = own(reason);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    for _ in 0..2 {
        let answer = site
            .form(&bob, &fields, &[("sec-fetch-site", "same-origin")])
            .await;
        assert_eq!(answer["statusCode"], 303, "{answer}");
        assert_eq!(
            answer["headers"]["location"],
            format!("{}#votes", decision_path())
        );
    }
    assert_eq!(site.unchanged(), (1, 0), "a form that is sent twice is one vote");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_browser_forbids_what_the_page_does_not_need() {
    let site = site().await;
    let token = [format!("blackstart={}", site.token("bob"))];
    let none: &[String] = &[];
    let before = site.scene.deps.records.dump();
    for (path, cookies, status) in [
        (decision_path(), &token[..], 200),
        (decision_path(), none, 401),
        ("/runs/orders-000000000000".to_owned(), &token[..], 404),
        ("/".to_owned(), none, 404),
        (votes_path(), &token[..], 405),
        (format!("/sign-in?to={}", decision_path()), none, 303),
        ("/signed-in?state=x&code=y".to_owned(), none, 400),
    ] {
        let answer = site
            .send("GET", &path, "", cookies, &[("accept", "text/html")])
            .await;
        assert_eq!(answer["statusCode"], status, "{path}");
        let headers = &answer["headers"];
        let policy = headers["content-security-policy"].as_str().unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
    }
    assert_eq!(
        site.scene.deps.records.dump(),
        before,
        "whoever only looks leaves nothing behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_belongs_to_the_browser_that_began_it() {
    let site = site().await;
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let begun = site.send("GET", "/sign-in?to=//evil.example", "", &[], &[]).await;
    let cookie = begun["cookies"][0]
        .as_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(begun["cookies"][0].as_str().unwrap().contains(attribute));
    }
    let address = begun["headers"]["location"].as_str().unwrap();
    assert!(address.contains("code_challenge_method=S256") && !address.contains("verifier"));
    let back = http.get(format!("{address}&subject=bob")).send().await.unwrap();
    let back = back.headers()["location"].to_str().unwrap().to_owned();
    let back = back.strip_prefix(&site.front.origin()).unwrap();

    let other = site.send("GET", "/sign-in", "", &[], &[]).await;
    let other = other["cookies"][0]
        .as_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let page = [("accept", "text/html")];
    for cookies in [vec![], vec![other], vec!["blackstart-sign-in=x".to_owned()]] {
        assert_eq!(
            site.send("GET", back, "", &cookies, &page).await["statusCode"],
            400
        );
    }
    let code_of_another = back.replace("code=", "code=x");
    assert_eq!(
        site.send("GET", &code_of_another, "", &[cookie.clone()], &page)
            .await["statusCode"],
        401
    );

    let answer = site.send("GET", back, "", &[cookie.clone()], &page).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let session = answer["cookies"][0].as_str().unwrap();
    assert!(
        session.starts_with("blackstart=ey")
            && session.contains("SameSite=Strict")
            && session.contains("HttpOnly")
    );
    assert!(
        answer["body"].as_str().unwrap().contains("content=\"0;url=/\""),
        "nobody is sent elsewhere"
    );
    assert!(answer["cookies"][1].as_str().unwrap().contains("Max-Age=0"));
    // A code works once.
    assert_eq!(
        site.send("GET", back, "", &[cookie], &page).await["statusCode"],
        401
    );
}

/// Waits until a script says so.
async fn until(browser: &Browser, what: &str) {
    for _ in 0..200 {
        if browser
            .script(&format!("return document.readyState === 'complete' && ({what})"))
            .await
            .unwrap()
            == json!(true)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}, at {}", browser.address().await.unwrap());
}

async fn focus_on(browser: &Browser, what: &str) {
    for _ in 0..120 {
        browser.keys(&TAB.to_string()).await.unwrap();
        if browser
            .script(&format!("return document.activeElement.matches('{what}')"))
            .await
            .unwrap()
            == json!(true)
        {
            return;
        }
    }
    panic!("the keyboard never reaches `{what}`");
}

fn pictures() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap().with_file_name("gate-pictures");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_reads_and_votes_with_the_keyboard_alone() {
    let site = site().await;
    let browser = Browser::start().await.unwrap_or_else(|error| panic!("{error}"));
    let origin = site.front.origin();
    browser.resize(DESKTOP).await.unwrap();
    browser
        .open(&format!("{origin}{}", decision_path()))
        .await
        .unwrap();
    focus_on(&browser, "a[href^=\"/sign-in\"]").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, "document.title === 'Who are you?'").await;
    focus_on(&browser, "#bob").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, &format!("location.pathname === '{}'", decision_path())).await;
    assert_eq!(browser.title().await.unwrap(), "orders: a decision is needed");

    // Text from logs is text: it made no elements, ran nothing and did not even try to.
    let made = "return document.scripts.length + document.images.length \
                + [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length";
    assert_eq!(browser.script(made).await.unwrap(), json!(0));
    let shown = "return document.body.innerText.includes(\"<script>document.title='owned'</script>\")";
    browser
        .script("document.querySelectorAll('details').forEach(d => d.open = true)")
        .await
        .unwrap();
    assert_eq!(browser.script(shown).await.unwrap(), json!(true));
    let complaints = browser.complaints().await.unwrap();
    assert!(
        complaints
            .iter()
            .all(|line| !line.contains("Content Security Policy")),
        "{complaints:?}"
    );
    // The style sheet is applied, so its hash is the one in the policy.
    assert_eq!(
        browser
            .script("return getComputedStyle(document.querySelector('button')).fontWeight")
            .await
            .unwrap(),
        json!("600")
    );
    // And the policy holds: what is planted from outside is not run.
    browser
        .script("const s = document.createElement('script'); s.textContent = \"document.title='owned'\"; document.body.append(s)")
        .await
        .unwrap();
    assert_eq!(browser.title().await.unwrap(), "orders: a decision is needed");
    assert!(
        browser
            .complaints()
            .await
            .unwrap()
            .iter()
            .any(|line| line.contains("Content Security Policy"))
    );

    for (size, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        browser.resize(size).await.unwrap();
        for dark in [false, true] {
            browser.prefer_dark(dark).await.unwrap();
            let width = browser
                .script("return document.documentElement.scrollWidth")
                .await
                .unwrap();
            let picture = pictures().join(format!("{name}{}.png", if dark { "-dark" } else { "" }));
            browser.picture(&picture).await.unwrap();
            assert!(
                width.as_u64().unwrap() <= u64::from(size.width),
                "{name}: {width} is wider than the screen"
            );
        }
    }

    browser
        .open(&format!("{origin}{}", decision_path()))
        .await
        .unwrap();
    focus_on(&browser, "textarea").await;
    browser
        .keys("Compared the manifests with the orders of that day.")
        .await
        .unwrap();
    focus_on(&browser, "button[value=approve]").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, "document.body.innerText.includes('1 of 2 approvals')").await;
    assert_eq!(site.unchanged(), (1, 0));

    let path = decision_path();
    let page = browser.script("return document.body.innerText").await.unwrap();
    let page = page.as_str().unwrap();
    assert!(
        page.contains("You have voted on this package") && page.contains("Compared the manifests"),
        "{path}: {page}"
    );
    focus_on(&browser, "form[action=\"/sign-out\"] button").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, "document.title === 'Signed out'").await;
    browser.open(&format!("{origin}{path}")).await.unwrap();
    until(&browser, "document.body.innerText.includes('Sign in first')").await;
    browser.stop().await.unwrap();
}
