use std::sync::PoisonError;

use blackstart_aws::records::memory::Fault;
use blackstart_core::approval::outer::{OuterState, TeamSession, comment};

use super::*;
use crate::Answer;
use crate::fakes::{Scene, TEAM as TEAM_ARN, TOKEN, later, prepared, prepared_with_team, run};

/// Approved by two people, and the team is about to be asked.
async fn approved_scene() -> Scene {
    let scene = prepared_with_team().await;
    scene.ask(TOKEN, 0).await.unwrap();
    for person in ["bob", "cy"] {
        assert_eq!(scene.vote(person, "approve").await.0, 200);
    }
    scene
}

fn says(scene: &Scene, access: Access) {
    *scene
        .deps
        .vaults
        .access
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = access;
}

fn session(scene: &Scene, status: &str, code: Option<&str>, execution: Option<&str>, vault: &str) -> Access {
    Access {
        vault: Some(vault.to_owned()),
        source: Some("arn:aws:backup:us-east-1:222222222222:backup-vault:vault".to_owned()),
        session: Some(TeamSession {
            arn: "arn:session".to_owned(),
            status: status.to_owned(),
            code: code.map(str::to_owned),
            execution: execution.map(str::to_owned),
            comment: Some(comment(&run(), &scene.digest)),
            team: Some(TEAM_ARN.to_owned()),
            completed: None,
            approvals: 2,
        }),
    }
}

async fn team(scene: &Scene, operation: &str, minutes: i64) -> TeamDecision {
    let answer = scene.of_team(operation, later(minutes)).await.unwrap();
    let Answer::Team(decision) = answer else {
        panic!("{answer:?}")
    };
    decision
}

/// How the state machine tells decisions apart.
fn tag(decision: &TeamDecision) -> String {
    let written = serde_json::to_value(decision).unwrap();
    written["team"].as_str().unwrap().to_owned()
}

async fn kinds(scene: &Scene) -> Vec<Kind> {
    scene
        .evidence()
        .await
        .links
        .iter()
        .map(|link| link.event.kind)
        .filter(|kind| matches!(kind, Kind::TeamAsked | Kind::TeamDecided))
        .collect()
}

#[tokio::test]
async fn the_team_is_asked_once_about_the_approved_digest_and_opens_the_vault() {
    let scene = approved_scene().await;
    assert_eq!(
        team(&scene, "ask_team", 2).await,
        TeamDecision::Waiting { wait_seconds: 5 }
    );
    assert!(matches!(
        team(&scene, "ask_team", 3).await,
        TeamDecision::Waiting { .. }
    ));
    let asked = scene.deps.vaults.asked.lock().unwrap().clone();
    assert!(
        asked.iter().all(|asked| asked.contains(scene.digest.as_str())),
        "{asked:?}"
    );
    assert_eq!(asked[0], asked[1], "a repeat is the same request");

    assert!(matches!(
        team(&scene, "poll_team", 4).await,
        TeamDecision::Waiting { .. }
    ));
    says(&scene, session(&scene, "PENDING", None, None, "CREATING"));
    assert!(matches!(
        team(&scene, "poll_team", 5).await,
        TeamDecision::Waiting { .. }
    ));
    says(
        &scene,
        session(&scene, "APPROVED", None, Some("EXECUTED"), "CREATING"),
    );
    assert!(matches!(
        team(&scene, "poll_team", 6).await,
        TeamDecision::Waiting { .. }
    ));
    says(
        &scene,
        session(&scene, "APPROVED", None, Some("EXECUTED"), "AVAILABLE"),
    );
    assert_eq!(team(&scene, "poll_team", 7).await, TeamDecision::Open {});
    // Decided once, whatever AWS says later.
    says(
        &scene,
        session(&scene, "FAILED", Some("REJECTED"), None, "FAILED"),
    );
    assert_eq!(team(&scene, "poll_team", 8).await, TeamDecision::Open {});
    assert_eq!(kinds(&scene).await, [Kind::TeamAsked, Kind::TeamDecided]);
}

#[tokio::test]
async fn every_other_end_is_itself_and_final() {
    for (status, code, execution, vault, wanted) in [
        ("FAILED", Some("REJECTED"), None, "CREATING", "refused"),
        ("FAILED", Some("EXPIRED"), None, "CREATING", "expired"),
        (
            "FAILED",
            Some("CONFIGURATION_CHANGED"),
            None,
            "CREATING",
            "failed",
        ),
        ("CANCELLED", None, None, "CREATING", "failed"),
        ("APPROVED", None, Some("FAILED"), "CREATING", "failed"),
        ("APPROVED", None, Some("EXECUTED"), "FAILED", "failed"),
    ] {
        let scene = approved_scene().await;
        team(&scene, "ask_team", 2).await;
        says(&scene, session(&scene, status, code, execution, vault));
        let end = team(&scene, "poll_team", 3).await;
        assert_eq!(tag(&end), wanted, "{status} {code:?}");
        says(
            &scene,
            session(&scene, "APPROVED", None, Some("EXECUTED"), "AVAILABLE"),
        );
        assert_eq!(team(&scene, "poll_team", 4).await, end, "what is decided stays");
        assert_eq!(
            team(&scene, "ask_team", 5).await,
            end,
            "and nobody is asked again"
        );
        assert_eq!(scene.deps.vaults.asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn silence_expires_by_the_plan_and_late_evidence_voids() {
    let scene = approved_scene().await;
    team(&scene, "ask_team", 2).await;
    assert!(matches!(
        team(&scene, "poll_team", 32).await,
        TeamDecision::Waiting { .. }
    ));
    assert!(matches!(
        team(&scene, "poll_team", 33).await,
        TeamDecision::Expired { .. }
    ));

    let scene = approved_scene().await;
    team(&scene, "ask_team", 2).await;
    says(
        &scene,
        session(&scene, "APPROVED", None, Some("EXECUTED"), "AVAILABLE"),
    );
    scene.move_boundary().await;
    assert_eq!(team(&scene, "poll_team", 3).await, TeamDecision::Void {});
}

#[tokio::test]
async fn nobody_is_asked_about_what_is_not_approved() {
    let scene = prepared_with_team().await;
    assert!(matches!(
        scene.of_team("ask_team", later(1)).await,
        Err(ApprovalError::NoGate(_))
    ));
    scene.ask(TOKEN, 0).await.unwrap();
    assert!(matches!(
        scene.of_team("ask_team", later(1)).await,
        Err(ApprovalError::NotApproved(_))
    ));
    assert!(scene.deps.vaults.asked.lock().unwrap().is_empty());

    let without = prepared().await;
    without.ask(TOKEN, 0).await.unwrap();
    for person in ["bob", "cy"] {
        without.vote(person, "approve").await;
    }
    assert!(matches!(
        without.of_team("ask_team", later(2)).await,
        Err(ApprovalError::NoTeam(_))
    ));
}

#[tokio::test]
async fn a_request_that_may_not_have_arrived_is_repeated() {
    let scene = approved_scene().await;
    *scene.deps.vaults.unreachable.lock().unwrap() = true;
    assert!(matches!(
        scene.of_team("ask_team", later(2)).await,
        Err(ApprovalError::Port(_))
    ));
    let key = Key::outer_gate(&run(), &scene.digest);
    let intent: OuterRecord = scene.deps.records.get(&key).await.unwrap().unwrap().document;
    assert_eq!(
        intent.state,
        OuterState::Asked {},
        "the intent comes before the request"
    );
    *scene.deps.vaults.unreachable.lock().unwrap() = false;
    assert!(matches!(
        team(&scene, "ask_team", 3).await,
        TeamDecision::Waiting { .. }
    ));
    assert_eq!(scene.deps.vaults.asked.lock().unwrap().len(), 1);
}

/// Whoever writes down what the team decided may die before its evidence is there; the next look makes up for it.
#[tokio::test]
async fn what_the_team_decided_is_in_the_evidence_whatever_is_cut_off() {
    for fault in [Fault::Fails, Fault::AnswerLost, Fault::MadeTwice] {
        for call in 0..16 {
            let scene = approved_scene().await;
            team(&scene, "ask_team", 2).await;
            says(
                &scene,
                session(&scene, "APPROVED", None, Some("EXECUTED"), "AVAILABLE"),
            );
            let script = (0..=call).map(|n| if n == call { fault } else { Fault::None });
            scene.deps.records.suffer(script);
            let first = scene.of_team("poll_team", later(3)).await;
            scene.deps.records.suffer([]);
            if first.is_err() {
                assert_eq!(team(&scene, "poll_team", 4).await, TeamDecision::Open {});
            }
            assert_eq!(
                kinds(&scene).await,
                [Kind::TeamAsked, Kind::TeamDecided],
                "{fault:?} at {call}"
            );
        }
    }
}
