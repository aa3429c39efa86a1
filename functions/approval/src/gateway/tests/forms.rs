//! What a browser sends, and what it is told.

use serde_json::json;

use super::site::{decision_path, key_of, site, votes_path};

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
    type Case<'a> = (&'a str, Vec<(&'a str, String)>, Vec<(&'a str, &'a str)>, u64);
    let cases: Vec<Case<'_>> = vec![
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
async fn a_vote_on_a_void_package_is_answered_by_a_page_that_says_so() {
    let site = site().await;
    let bob = site.token("bob");
    let key = key_of(&site, &bob).await;
    site.scene.move_boundary().await;
    let digest = site.scene.digest.to_string();
    let fields = [
        ("digest", digest.as_str()),
        ("decision", "approve"),
        ("rationale", "compared+the+manifests"),
        ("form_key", &key),
    ];
    let answer = site.form(&bob, &fields, &[]).await;
    let html = answer["body"].as_str().unwrap();
    assert_eq!(answer["statusCode"], 409, "{html}");
    assert!(html.contains("<h1>orders: this package is void</h1>"));
    assert!(html.contains("Your vote was not taken: late evidence moved the event boundary"));
    assert!(!html.contains("<textarea"));
    assert_eq!(
        site.unchanged(),
        (0, 1),
        "no vote, and the state machine goes on to make a new package"
    );
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
