//! Who calls: tokens of an issuer, good and bad, and how people come by them.

use blackstart_core::approval::gate::GateState;
use blackstart_core::approval::sign_in::BadToken;
use blackstart_local::issuer;
use serde_json::{Value, json};

use super::site::{clock, decision_path, site, votes_path};
use crate::fakes::{arn, event};
use crate::gateway::serve;

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
        ("malformed", "x".to_owned(), BadToken::Unverified),
        ("three dots", "e30.e30.e30".to_owned(), BadToken::Unverified),
        ("no signature", format!("{head}."), BadToken::Unverified),
        (
            "alg none",
            format!("{}.", unsigned.rsplit_once('.').unwrap().0),
            BadToken::Unverified,
        ),
        ("alg none, signed", unsigned, BadToken::Unverified),
        (
            "alg HS256",
            signed(json!({"alg": "HS256", "kid": "1"})),
            BadToken::Unverified,
        ),
        (
            "unknown key",
            signed(json!({"alg": "ES256", "kid": "2"})),
            BadToken::Unverified,
        ),
        ("another's signature", other.token(&good), BadToken::Unverified),
        (
            "signature of another token",
            format!(
                "{}.{signature}",
                with("sub", json!("ada")).rsplit_once('.').unwrap().0
            ),
            BadToken::Unverified,
        ),
        (
            "other issuer",
            with("iss", json!("https://elsewhere.example")),
            BadToken::OtherIssuer,
        ),
        (
            "other audience",
            with("aud", json!("elsewhere")),
            BadToken::OtherAudience,
        ),
        ("expired", with("exp", json!(now - 61)), BadToken::Expired),
        ("old", with("iat", json!(now - 3661)), BadToken::Expired),
        ("from the future", with("iat", json!(now + 61)), BadToken::NotYet),
        ("not yet", with("nbf", json!(now + 61)), BadToken::NotYet),
        ("no subject", with("sub", json!("")), BadToken::Nobody),
        (
            "claims of the wrong kind",
            with("exp", json!("soon")),
            BadToken::Unverified,
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
            assert_eq!(said["message"], why.to_string(), "{name}");
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
        site.send("GET", &code_of_another, "", std::slice::from_ref(&cookie), &page)
            .await["statusCode"],
        401
    );

    let answer = site
        .send("GET", back, "", std::slice::from_ref(&cookie), &page)
        .await;
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
