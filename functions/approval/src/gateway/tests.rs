mod browser;
mod forms;
mod site;
mod tokens;

use blackstart_aws::records::memory::Fault;
use blackstart_aws::tokens::Wait;
use blackstart_core::approval::gate::GateState;
use blackstart_core::artifact::Digest;
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::evidence::{Kind, verify};
use blackstart_core::task::approval::TaskToken;
use blackstart_core::task::cutover::Question;
use serde_json::{Value, json};

use crate::Answer;
use crate::fakes::{Scene, TOKEN, arn, asked, event, later, now, prepared, run};
use crate::gateway::serve;

fn votes_path() -> String {
    format!("/runs/{}/votes", run())
}

async fn kinds(scene: &Scene) -> Vec<Kind> {
    let bundle = scene.evidence().await;
    verify(&bundle).unwrap();
    bundle.links.iter().map(|link| link.event.kind).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn a_quorum_opens_the_gate_once_and_leaves_no_token_behind() {
    let scene = asked().await;
    let (status, body) = scene.vote("bob", "approve").await;
    assert_eq!(
        (status, &body["state"], &body["approvals"], &body["needed"]),
        (200, &json!("open"), &json!(1), &json!(2))
    );
    assert!(scene.deps.callbacks.taken().is_empty());
    let (status, body) = scene.vote("cy", "approve").await;
    assert_eq!((status, &body["state"]), (200, &json!("approved")), "{body}");

    assert_eq!(
        scene.deps.callbacks.taken(),
        [json!({"decision": "approved", "digest": scene.digest, "at": later(1)})]
    );
    let gate = scene.gate().await;
    assert_eq!(
        gate.state,
        GateState::Approved {
            at: later(1),
            by: vec!["bob".into(), "cy".into()]
        }
    );
    assert_eq!(gate.answered, Some(later(1)));
    assert_eq!(
        kinds(&scene).await,
        [
            Kind::PackagePrepared,
            Kind::GateOpened,
            Kind::VoteTaken,
            Kind::VoteTaken,
            Kind::GateDecided,
            Kind::GateAnswered
        ]
    );
    let notices = scene.deps.notices.0.lock().unwrap().join("\n");
    assert!(notices.contains(run().as_str()) && notices.contains(scene.digest.short()));
    assert!(
        notices.contains(&format!("https://gate.example/runs/{}\n", run())),
        "{notices}"
    );
    for written in [
        scene.deps.records.dump(),
        notices,
        format!("{:?}", scene.deps.artifacts),
    ] {
        assert!(!written.contains(TOKEN));
    }
    assert_eq!(scene.deps.records.count("TOKEN#"), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn voters_that_race_are_heard_once() {
    for people in [["bob", "cy", "dee"], ["dee", "bob", "cy"], ["cy", "dee", "bob"]] {
        let scene = asked().await;
        let [a, b, c] = people;
        let ((a, _), (b, _), (c, _)) = tokio::join!(
            scene.vote(a, "approve"),
            scene.vote(b, "approve"),
            scene.vote(c, "approve")
        );
        assert!(
            [a, b, c].iter().all(|status| matches!(status, 200 | 409)),
            "{a} {b} {c}"
        );
        assert_eq!(scene.deps.callbacks.taken().len(), 1);
        assert_eq!(scene.deps.records.count("TOKEN#"), 0);
        let decided = kinds(&scene)
            .await
            .iter()
            .filter(|kind| **kind == Kind::GateDecided)
            .count();
        assert_eq!(decided, 1);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_race_of_approval_and_refusal_has_one_outcome() {
    let scene = asked().await;
    scene.vote("bob", "approve").await;
    let (_, _) = tokio::join!(scene.vote("cy", "approve"), scene.vote("dee", "refuse"));
    let state: &str = (&scene.gate().await.state).into();
    let taken = scene.deps.callbacks.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0]["decision"], state);
}

const FAULTS: [Fault; 3] = [Fault::Fails, Fault::AnswerLost, Fault::MadeTwice];

/// This fault at one call of the ledger.
fn at_call(call: usize, fault: Fault) -> impl Iterator<Item = Fault> {
    (0..=call).map(move |n| if n == call { fault } else { Fault::None })
}

#[tokio::test(flavor = "current_thread")]
async fn a_fault_at_any_call_is_healed_by_repeating_the_vote() {
    for fault in FAULTS {
        let mut crashes = 0;
        for call in 0..48 {
            let scene = asked().await;
            scene.vote("bob", "approve").await;
            scene.deps.records.suffer(at_call(call, fault));
            let (status, first) = scene.vote("cy", "approve").await;
            scene.deps.records.suffer([]);
            crashes += u32::from(status == 503);
            assert!(matches!(status, 200 | 503), "{fault:?} at {call}: {first}");
            if status == 200 && scene.deps.callbacks.taken().is_empty() {
                let message = first["message"].as_str().unwrap();
                assert!(!message.contains("goes on"), "{fault:?} at {call}: {message}");
            }
            // Beyond the time after which a sender counts as dead.
            let (status, body) = scene.vote_at("cy", "approve", later(5)).await;
            assert_eq!(
                (status, &body["state"]),
                (200, &json!("approved")),
                "{fault:?} at {call}: {body}"
            );
            let message = body["message"].as_str().unwrap();
            assert!(
                message.contains("the run goes on") || message.contains("it has heard it"),
                "{fault:?} at {call}: {message}"
            );
            assert_eq!(scene.deps.callbacks.taken().len(), 1, "{fault:?} at {call}");
            assert_eq!(scene.deps.records.count("TOKEN#"), 0, "{fault:?} at {call}");
            let kinds = kinds(&scene).await;
            let times = |kind: Kind| kinds.iter().filter(|k| **k == kind).count();
            assert_eq!(times(Kind::VoteTaken), 2, "{fault:?} at {call}");
            assert_eq!(times(Kind::GateDecided), 1, "{fault:?} at {call}");
            assert!(times(Kind::GateAnswered) <= 1, "{fault:?} at {call}");
        }
        assert!(crashes > 10 || fault == Fault::MadeTwice, "{fault:?}: {crashes}");
    }
}

/// Who voted and was cut off may never come back; what the others decide counts that vote all the same.
#[tokio::test(flavor = "current_thread")]
async fn a_vote_that_is_counted_is_in_the_evidence_whoever_was_cut_off() {
    for fault in FAULTS {
        for call in 0..24 {
            let scene = asked().await;
            scene.deps.records.suffer(at_call(call, fault));
            scene.vote("bob", "approve").await;
            scene.deps.records.suffer([]);
            for person in ["cy", "dee"] {
                scene.vote_at(person, "approve", later(5)).await;
            }
            let GateState::Approved { by, .. } = scene.gate().await.state else {
                panic!("{fault:?} at {call}")
            };
            let links = scene.evidence().await.links;
            let voted: Vec<&str> = links
                .iter()
                .filter(|link| link.event.kind == Kind::VoteTaken)
                .map(|link| link.event.facts["person"].as_str())
                .collect();
            for person in by {
                assert!(voted.contains(&person.as_str()), "{fault:?} at {call}: {person}");
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_unreachable_state_machine_is_told_later() {
    let scene = asked().await;
    scene.vote("bob", "approve").await;
    *scene.deps.callbacks.unreachable.lock().unwrap() = true;
    assert_eq!(scene.vote("cy", "approve").await.0, 503);
    assert!(matches!(scene.gate().await.state, GateState::Approved { .. }));
    *scene.deps.callbacks.unreachable.lock().unwrap() = false;
    assert_eq!(scene.vote("cy", "approve").await.0, 200);
    assert_eq!(scene.deps.callbacks.taken().len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_refusal_is_final() {
    let scene = asked().await;
    let (status, body) = scene.vote("dee", "refuse").await;
    assert_eq!((status, &body["state"]), (200, &json!("refused")));
    for person in ["bob", "cy"] {
        let (status, body) = scene.vote(person, "approve").await;
        assert_eq!((status, &body["reason"]), (409, &json!("decided")));
    }
    assert_eq!(scene.deps.callbacks.taken()[0]["decision"], "refused");
    assert_eq!(scene.deps.callbacks.taken().len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn late_evidence_voids_the_package() {
    let scene = asked().await;
    scene.vote("bob", "approve").await;
    scene.move_boundary().await;
    let (_, look) = scene
        .send(&arn("cy"), "GET", &format!("/runs/{}", run()), "", later(1))
        .await;
    assert_eq!(look["boundary_moved"], true);
    for _ in 0..2 {
        let (status, body) = scene.vote("cy", "approve").await;
        assert_eq!((status, &body["reason"]), (409, &json!("void")), "{body}");
    }
    assert_eq!(
        scene.deps.records.count("VOTE#"),
        1,
        "nobody votes on what is void"
    );
    assert_eq!(scene.deps.callbacks.taken().len(), 1);
    assert_eq!(scene.deps.callbacks.taken()[0]["decision"], "void");
}

#[tokio::test(flavor = "current_thread")]
async fn the_finished_plan_is_put_before_the_same_people_by_the_same_rules() {
    let mut scene = asked().await;
    let first = scene.digest.clone();
    let early = scene.prepare_second(&first, later(30)).await.unwrap_err();
    assert_eq!(early.name(), ErrorName::PolicyRefused, "{early}");
    scene.vote("bob", "approve").await;
    scene.vote("cy", "approve").await;
    assert!(
        scene
            .prepare_second(&Digest::of(b"other"), later(30))
            .await
            .is_err()
    );
    let Answer::Prepared(second) = scene.prepare_second(&first, later(30)).await.unwrap() else {
        panic!("a package is prepared")
    };
    assert_eq!(second.wait_seconds, 60 * 60);
    assert_ne!(second.digest, first);
    (scene.digest, scene.package) = (second.digest.clone(), second.package);
    scene.ask_at("second-token", 0, later(30)).await.unwrap();

    // Votes on the first package are not votes on the second.
    let (status, body) = scene.vote_at("bob", "approve", later(31)).await;
    assert_eq!((status, &body["approvals"]), (200, &json!(1)));
    let path = format!("/runs/{}", run());
    let (_, look) = scene.send(&arn("dee"), "GET", &path, "", later(31)).await;
    assert_eq!(look["digest"], json!(second.digest));
    assert_eq!(look["package"]["finished"]["follows"], json!(first));
    assert_eq!(look["cutover"]["schema"], "blackstart.cutover/1");
    assert_eq!(scene.vote_at("ada", "approve", later(32)).await.0, 403);
    let (_, body) = scene.vote_at("dee", "approve", later(32)).await;
    assert_eq!(body["state"], "approved");
    assert_eq!(scene.deps.callbacks.taken().len(), 2);
    assert_eq!(scene.deps.callbacks.taken()[1]["digest"], json!(second.digest));
}

#[tokio::test(flavor = "current_thread")]
async fn an_expired_gate_never_opens_again() {
    let scene = asked().await;
    scene.vote("bob", "approve").await;
    scene.deps.callbacks.stop();
    scene.expire(later(61)).await.unwrap();
    scene.expire(later(62)).await.unwrap();
    assert_eq!(scene.gate().await.state, GateState::Expired { at: later(61) });
    for at in [later(1), later(63)] {
        let (status, _) = scene.vote_at("cy", "approve", at).await;
        assert!(matches!(status, 409 | 410), "{status}");
    }
    assert!(scene.deps.callbacks.taken().is_empty());
    assert_eq!(scene.deps.records.count("TOKEN#"), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn an_approval_that_was_not_heard_in_time_opens_nothing() {
    let scene = asked().await;
    *scene.deps.callbacks.unreachable.lock().unwrap() = true;
    scene.vote("bob", "approve").await;
    assert_eq!(scene.vote("cy", "approve").await.0, 503);
    scene.expire(later(61)).await.unwrap();
    assert!(matches!(scene.gate().await.state, GateState::Expired { .. }));
}

#[tokio::test(flavor = "current_thread")]
async fn a_retried_wait_answers_its_own_token() {
    let scene = asked().await;
    scene.deps.callbacks.stop();
    scene.ask("second-token", 1).await.unwrap();
    scene.vote("bob", "approve").await;
    assert_eq!(scene.vote("cy", "approve").await.0, 200);
    assert_eq!(scene.deps.callbacks.taken().len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn each_bad_request_has_its_answer_changes_nothing_and_is_recorded() {
    let scene = asked().await;
    let other_run = "/runs/orders-000000000000/votes".to_owned();
    let ballot = |digest: &Digest, rationale: &str| {
        json!({"digest": digest, "decision": "approve", "rationale": rationale}).to_string()
    };
    let good = ballot(&scene.digest, "compared the manifests");
    let unknown_field = good.replacen('{', r#"{"person":"cy","#, 1);
    let cases: Vec<(&str, String, &str, String, u64, &str)> = vec![
        ("bob", other_run, "POST", good.clone(), 404, "unknown_run"),
        (
            "bob",
            "/runs/../votes".into(),
            "POST",
            good.clone(),
            404,
            "unknown_run",
        ),
        ("bob", "/".into(), "GET", String::new(), 404, "no_such_path"),
        ("bob", votes_path(), "GET", String::new(), 405, "wrong_method"),
        (
            "bob",
            format!("/runs/{}", run()),
            "DELETE",
            String::new(),
            405,
            "wrong_method",
        ),
        (
            "mallory",
            votes_path(),
            "POST",
            good.clone(),
            403,
            "not_on_roster",
        ),
        ("ada", votes_path(), "POST", good.clone(), 403, "requester"),
        (
            "bob",
            votes_path(),
            "POST",
            ballot(&Digest::of(b"other"), "compared them"),
            409,
            "other_digest",
        ),
        (
            "bob",
            votes_path(),
            "POST",
            ballot(&scene.digest, "  "),
            400,
            "rationale",
        ),
        (
            "bob",
            votes_path(),
            "POST",
            ballot(&scene.digest, &"x".repeat(5_000)),
            400,
            "rationale",
        ),
        (
            "bob",
            votes_path(),
            "POST",
            ballot(&scene.digest, &"x".repeat(100_000)),
            413,
            "too_large",
        ),
        ("bob", votes_path(), "POST", unknown_field, 400, "malformed"),
        ("bob", votes_path(), "POST", "approve".into(), 400, "malformed"),
        (
            "bob",
            votes_path(),
            "POST",
            format!("{good}{good}"),
            400,
            "malformed",
        ),
        (
            "bob",
            votes_path(),
            "POST",
            good.replace("\"approve\"", "\"maybe\""),
            400,
            "malformed",
        ),
        (
            "bob",
            format!("/runs/{}/operator", run()),
            "POST",
            r#"{"question":"x","choice":"resume","rationale":"fixed the role"}"#.into(),
            409,
            "nobody_waits",
        ),
    ];
    let gate = scene.gate().await;
    for (person, path, method, body, status, reason) in cases {
        let attempts = scene.deps.records.count("EVIDENCE#") + scene.deps.records.count("2026-");
        let (found, answer) = scene.send(&arn(person), method, &path, &body, later(1)).await;
        assert_eq!(
            (found, answer["reason"].as_str().unwrap()),
            (status, reason),
            "{person} {method} {path}: {answer}"
        );
        assert!(!answer["message"].as_str().unwrap().is_empty());
        let after = scene.deps.records.count("EVIDENCE#") + scene.deps.records.count("2026-");
        assert_eq!(after, attempts + 1, "{reason} is recorded");
    }
    let (status, answer) = scene.vote_at("bob", "approve", later(61)).await;
    assert_eq!((status, &answer["reason"]), (410, &json!("expired")));
    assert_eq!(scene.deps.records.count("VOTE#"), 0);
    assert!(scene.deps.callbacks.taken().is_empty());
    assert_eq!(gate.opened, scene.gate().await.opened);
    verify(&scene.evidence().await).unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn only_iam_says_who_calls() {
    let scene = asked().await;
    let body = json!({"digest": scene.digest, "decision": "approve", "rationale": "compared the manifests"});
    let mut forged = event(&arn("bob"), "POST", &votes_path(), &body.to_string());
    forged["requestContext"]
        .as_object_mut()
        .unwrap()
        .remove("authorizer");
    forged["headers"]["x-amzn-user-arn"] = json!(arn("bob"));
    forged["userArn"] = json!(arn("bob"));
    for authorizer in [
        json!(null),
        json!({"jwt": {"claims": {"sub": arn("bob")}}}),
        json!({"iam": {"userArn": ""}}),
    ] {
        forged["requestContext"]["authorizer"] = authorizer;
        let answer = serve(forged.clone(), &scene.deps, now()).await;
        assert_eq!(answer["statusCode"], 401);
    }
    for event in [json!({}), json!(null), json!({"version": "1.0"})] {
        assert_eq!(serve(event, &scene.deps, now()).await["statusCode"], 400);
    }
    assert_eq!(scene.deps.records.count("VOTE#"), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn one_person_has_one_vote_and_cannot_change_it() {
    let scene = asked().await;
    scene.vote("bob", "approve").await;
    let (status, body) = scene.vote("bob", "refuse").await;
    assert_eq!((status, &body["reason"]), (409, &json!("voted_already")));
    let (status, body) = scene.vote("bob", "approve").await;
    assert_eq!(
        (status, &body["approvals"]),
        (200, &json!(1)),
        "a repeat is harmless"
    );
    assert_eq!(scene.deps.records.count("VOTE#"), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn looking_changes_nothing() {
    let scene = asked().await;
    scene.vote("bob", "approve").await;
    let before = scene.deps.records.dump();
    let path = format!("/runs/{}", run());
    let (status, body) = scene.send(&arn("cy"), "GET", &path, "", later(2)).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&body["digest"], &body["you"]),
        (&json!(scene.digest), &json!("cy"))
    );
    assert_eq!(body["may_vote"], json!(["bob", "cy", "dee"]));
    assert_eq!(body["votes"][0]["person"], "bob");
    assert_eq!(
        scene.send(&arn("mallory"), "GET", &path, "", later(2)).await.0,
        403
    );
    assert_eq!(scene.deps.records.dump(), before);
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_is_voted_on_before_it_is_asked() {
    let scene = prepared().await;
    let (status, body) = scene.vote("bob", "approve").await;
    assert_eq!((status, &body["reason"]), (404, &json!("nothing_to_decide")));
}

#[tokio::test(flavor = "current_thread")]
async fn one_operator_is_heard() {
    let scene = asked().await;
    scene.deps.callbacks.wait("operator-token");
    let token = TaskToken::new("operator-token".into());
    scene
        .deps
        .tokens()
        .seal(&run(), Wait::Operator, "1", &token, now())
        .await
        .unwrap();
    let path = format!("/runs/{}/operator", run());
    let answer = |choice: &str| {
        json!({"question": Question::of_attempt("1"), "choice": choice, "rationale": "looked at the journal"})
            .to_string()
    };
    let (resume, revert) = (answer("resume"), answer("revert"));
    let (bob, cy) = (arn("bob"), arn("cy"));
    let ((a, _), (b, _)) = tokio::join!(
        scene.send(&bob, "POST", &path, &resume, later(1)),
        scene.send(&cy, "POST", &path, &revert, later(1)),
    );
    let mut statuses = [a, b];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(scene.deps.callbacks.taken().len(), 1);
    assert!(kinds(&scene).await.contains(&Kind::OperatorAnswered));
    assert_eq!(
        scene
            .send(&arn("mallory"), "POST", &path, &resume, later(9))
            .await
            .0,
        403
    );
}

/// Whoever answers what was asked yesterday has not read what is open today.
#[tokio::test(flavor = "current_thread")]
async fn an_answer_to_an_earlier_question_is_no_answer_to_this_one() {
    let scene = asked().await;
    let path = format!("/runs/{}/operator", run());
    let nobody = scene.send(&arn("bob"), "GET", &path, "", later(1)).await;
    assert_eq!((nobody.0, &nobody.1["reason"]), (409, &json!("nobody_waits")));
    scene.deps.callbacks.wait("second-token");
    for (attempt, token) in [("1", "first-token"), ("2", "second-token")] {
        let token = TaskToken::new(token.into());
        let tokens = scene.deps.tokens();
        tokens
            .seal(&run(), Wait::Operator, attempt, &token, now())
            .await
            .unwrap();
    }
    let answer = |question: &Value| {
        json!({"question": question, "choice": "revert", "rationale": "looked at the journal"}).to_string()
    };
    let earlier = answer(&json!(Question::of_attempt("1")));
    let (status, refused) = scene.send(&arn("bob"), "POST", &path, &earlier, later(1)).await;
    assert_eq!((status, &refused["reason"]), (409, &json!("other_question")));
    assert!(scene.deps.callbacks.taken().is_empty());
    assert!(!kinds(&scene).await.contains(&Kind::OperatorAnswered));

    let (_, asked) = scene.send(&arn("bob"), "GET", &path, "", later(2)).await;
    let now_asked = answer(&asked["question"]);
    let (status, _) = scene.send(&arn("bob"), "POST", &path, &now_asked, later(2)).await;
    assert_eq!((status, scene.deps.callbacks.taken().len()), (200, 1));
}

/// The reply to the first answer is lost after Step Functions took it: a second person cannot add another one.
#[tokio::test(flavor = "current_thread")]
async fn a_question_has_one_answer_even_when_its_delivery_is_not_known() {
    let scene = asked().await;
    scene.deps.callbacks.wait("operator-token");
    let token = TaskToken::new("operator-token".into());
    let tokens = scene.deps.tokens();
    tokens
        .seal(&run(), Wait::Operator, "1", &token, now())
        .await
        .unwrap();
    let path = format!("/runs/{}/operator", run());
    let answer = |choice: &str| {
        json!({"question": Question::of_attempt("1"), "choice": choice, "rationale": "looked at the journal"})
            .to_string()
    };
    let unreachable = |is| *scene.deps.callbacks.unreachable.lock().unwrap() = is;
    unreachable(true);
    let (status, _) = scene
        .send(&arn("bob"), "POST", &path, &answer("resume"), later(1))
        .await;
    unreachable(false);
    assert_eq!(status, 503);
    let (status, refused) = scene
        .send(&arn("cy"), "POST", &path, &answer("revert"), later(2))
        .await;
    assert_eq!((status, &refused["reason"]), (409, &json!("answered")));
    assert!(refused["message"].as_str().unwrap().contains("bob"), "{refused}");
    let taken = scene.deps.callbacks.taken();
    assert_eq!(taken.len(), 1);
    assert!(format!("{taken:?}").contains("resume"), "{taken:?}");
    let answered = kinds(&scene).await;
    let answers = answered
        .iter()
        .filter(|kind| **kind == Kind::OperatorAnswered)
        .count();
    assert_eq!(answers, 1);
}

/// Whatever is cut off: an operator's answer that took effect is in the evidence, and it takes effect once.
#[tokio::test(flavor = "current_thread")]
async fn an_operators_answer_that_took_effect_is_in_the_evidence() {
    let path = format!("/runs/{}/operator", run());
    let resume = json!({"question": Question::of_attempt("1"), "choice": "resume", "rationale": "looked at the journal"}).to_string();
    for fault in FAULTS {
        for call in 0..16 {
            let scene = asked().await;
            scene.deps.callbacks.wait("operator-token");
            let token = TaskToken::new("operator-token".into());
            let tokens = scene.deps.tokens();
            tokens
                .seal(&run(), Wait::Operator, "1", &token, now())
                .await
                .unwrap();
            scene.deps.records.suffer(at_call(call, fault));
            scene.send(&arn("bob"), "POST", &path, &resume, later(1)).await;
            scene.deps.records.suffer([]);
            let answered = |kinds: Vec<Kind>| kinds.contains(&Kind::OperatorAnswered);
            if !scene.deps.callbacks.taken().is_empty() {
                assert!(answered(kinds(&scene).await), "{fault:?} at {call}");
            }
            scene.send(&arn("bob"), "POST", &path, &resume, later(5)).await;
            assert_eq!(scene.deps.callbacks.taken().len(), 1, "{fault:?} at {call}");
            assert!(answered(kinds(&scene).await), "{fault:?} at {call}");
        }
    }
}
