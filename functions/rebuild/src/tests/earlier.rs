//! What an earlier run left stands in the way: it is removed where nothing is lost by that, and named where not.

use super::*;

const EARLIER: &str = "orders-0123456789ac";

fn earlier(workload: &str, conclusion: Option<&str>) -> RunRecord {
    serde_json::from_value(json!({
        "run": EARLIER, "workload": workload, "mode": "incident", "plan": artifact(),
        "trigger": {"kind": "manual", "requested_by": "ada"},
        "execution": "f", "started": "2026-01-30T08:00:00Z", "conclusion": conclusion
    }))
    .unwrap()
}

/// An account with the stacks of an earlier run, each in this state.
async fn left_by(record: Option<RunRecord>, restored: bool, status: &'static str) -> Fake {
    let fake = fake();
    until_done(&fake, &advance()).await;
    {
        let mut world = fake.world();
        world.created.clear();
        world.proposed.clear();
        world.earlier = record.map(|record| (record, restored));
        for stack in world.stacks.values_mut() {
            stack.new.tags.insert(
                blackstart_core::rebuild::request::RUN_TAG.to_owned(),
                EARLIER.to_owned(),
            );
            stack.new.change_set = format!("blackstart-{EARLIER}");
            stack.status = status;
        }
    }
    fake
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_run_left_that_was_refused_is_removed_first_and_built_anew() {
    for status in ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"] {
        let fake = left_by(Some(earlier("orders", Some("refused"))), false, status).await;
        let before: BTreeSet<String> = fake
            .world()
            .stacks
            .values()
            .map(|stack| stack.id.clone())
            .collect();
        until_done(&fake, &advance()).await;
        let world = fake.world();
        assert!(
            world.deleted[0].contains("orders-app"),
            "highest wave first: {:?}",
            world.deleted
        );
        assert_eq!(world.created, ["orders-foundation", "orders-app"], "{status}");
        assert!(world.stacks.values().all(|stack| !before.contains(&stack.id)));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_while_it_is_removed_changes_nothing_in_the_end() {
    for (n, lost) in every_loss(49) {
        let fake = left_by(Some(earlier("orders", Some("expired"))), false, "CREATE_COMPLETE").await;
        fake.lose(n, lost);
        until_done(&fake, &advance()).await;
        let world = fake.world();
        assert_eq!(world.created, ["orders-foundation", "orders-app"], "call {n}");
        let runs: BTreeSet<&String> = world.stacks.values().map(|stack| &stack.new.change_set).collect();
        assert_eq!(
            runs,
            BTreeSet::from([&format!("blackstart-{}", run())]),
            "call {n}"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_needed_or_not_understood_stays_and_is_named() {
    for (record, restored, status, why) in [
        (None, false, "CREATE_COMPLETE", "is not in the ledger"),
        (
            Some(earlier("orders", None)),
            false,
            "CREATE_COMPLETE",
            "has not ended",
        ),
        (
            Some(earlier("orders", Some("refused"))),
            true,
            "CREATE_COMPLETE",
            "restore data",
        ),
        (
            Some(earlier("orders", Some("recovered"))),
            true,
            "CREATE_COMPLETE",
            "past the gate",
        ),
        (
            Some(earlier("billing", Some("refused"))),
            false,
            "CREATE_COMPLETE",
            "the workload `billing`",
        ),
        (
            Some(earlier("orders", Some("refused"))),
            false,
            "UPDATE_COMPLETE",
            "UPDATE_COMPLETE",
        ),
        (
            Some(earlier("orders", Some("refused"))),
            false,
            "DELETE_FAILED",
            "DELETE_FAILED",
        ),
    ] {
        let fake = left_by(record, restored, status).await;
        let error = ask(&fake, advance()).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::PreconditionChanged);
        assert!(error.to_string().contains(why), "{error}");
        let world = fake.world();
        assert!(world.deleted.is_empty() && world.proposed.is_empty(), "{why}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_clean_up_removes_nothing_of_another_run() {
    let fake = left_by(Some(earlier("orders", Some("refused"))), false, "CREATE_COMPLETE").await;
    until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
    assert!(fake.world().deleted.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_set_that_would_do_more_than_the_template_is_not_executed() {
    let fake = fake();
    fake.world().surprise = Some(Change {
        action: "Add".to_owned(),
        logical_id: "Backdoor".to_owned(),
        resource_type: "AWS::IAM::User".to_owned(),
        replacement: String::new(),
    });
    ask(&fake, advance()).await.unwrap();
    let error = ask(&fake, advance()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error.to_string().contains("`Backdoor` (AWS::IAM::User)"),
        "{error}"
    );
    assert!(fake.world().created.is_empty());
    until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
    assert!(
        fake.world().stacks.is_empty(),
        "the name that waited is removed, too"
    );
}
