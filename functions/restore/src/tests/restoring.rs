//! Starting, watching and comparing.

use blackstart_aws::ledger::Versioned;
use blackstart_aws::records::Records as _;
use blackstart_core::evidence::Link;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{CheckWaiver, WaivableCheck};
use blackstart_core::rebuild::CheckStatus;
use blackstart_core::rebuild::isolation::StackResource;
use blackstart_core::validation::Verdict;

use super::world::{Lost, manifest};
use super::*;

#[tokio::test(flavor = "current_thread")]
async fn the_approved_set_is_restored_and_compared() {
    let bench = Bench::new();
    bench.ask("start").await.unwrap();
    assert_eq!(bench.started(), BOTH);
    assert_eq!(progress(&bench.ask("poll").await.unwrap()), Progress::Running);
    assert!(matches!(
        bench.ask("verify").await,
        Err(RestoreError::Unfinished(_))
    ));
    complete(bench.deps.run);
    assert_eq!(progress(&bench.ask("poll").await.unwrap()), Progress::Done);
    bench.ask("verify").await.unwrap();
    let kept = bench.deps.run.world().kept[0].clone();
    assert_eq!(kept.resources.len(), 2);
    assert_eq!(kept.resources[0].entries, 2);
    assert_eq!(kept.resources[0].arn, "arn:aws:s3:::orders-data-restored");
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_ends_where_no_failure_would() {
    let total = {
        let bench = Bench::new();
        bench.ask("start").await.unwrap();
        complete(bench.deps.run);
        bench.ask("verify").await.unwrap();
        bench.deps.run.world().calls
    };
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..=total {
            let bench = Bench::new();
            bench.deps.run.world().fail = Some((n, lost));
            bench.insist("start").await.unwrap();
            assert_eq!(bench.started(), BOTH, "call {n}");
            complete(bench.deps.run);
            bench.insist("verify").await.unwrap();
            assert_eq!(bench.deps.run.world().kept.last().unwrap().resources.len(), 2);
        }
    }
    for n in 0..8 {
        let bench = Bench::new();
        bench.deps.records.fail((0..=n).map(|i| i == n));
        bench.insist("start").await.unwrap();
        bench.insist("start").await.unwrap();
        assert_eq!(bench.started(), BOTH, "ledger call {n}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn another_point_than_the_approved_one_is_never_restored() {
    let bench = Bench::new();
    bench.deps.run.world().package.restores[0]
        .recovery_point
        .push_str("-newer");
    let error = bench.ask("start").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(error.to_string().contains("restores.orders-data"), "{error}");
    assert!(bench.started().is_empty());
    assert_eq!(bench.deps.records.count("RESTORE"), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_proven_to_be_isolated_gets_no_data() {
    for status in [CheckStatus::Fail, CheckStatus::Unknown] {
        let bench = Bench::new();
        bench.deps.run.world().isolation = status;
        assert_eq!(
            bench.ask("start").await.unwrap_err().name(),
            ErrorName::PolicyRefused
        );
        assert!(bench.started().is_empty());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_lapsed_approval_begins_nothing_but_carries_through_what_began_in_time() {
    let bench = Bench::new();
    bench.deps.run.world().in_time = false;
    assert_eq!(
        bench.ask("start").await.unwrap_err().name(),
        ErrorName::PolicyRefused
    );
    assert!(bench.started().is_empty());

    let bench = Bench::new();
    // The call after the first job's start is lost: one of two jobs is started when the approval lapses.
    bench.deps.records.fail([false, false, true]);
    bench.ask("start").await.unwrap_err();
    assert_eq!(bench.started().len(), 1);
    bench.deps.run.world().in_time = false;
    bench.ask("start").await.unwrap();
    assert_eq!(bench.started(), BOTH);
}

#[tokio::test(flavor = "current_thread")]
async fn restored_content_that_differs_is_refused_with_the_difference() {
    let bench = Bench::new();
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    let tampered = manifest("orders-data", &["a"]);
    bench
        .deps
        .run
        .world()
        .content
        .insert("orders-data-restored".to_owned(), tampered);
    let error = bench.ask("verify").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(
        error
            .to_string()
            .contains("orders-data: its content has the digest"),
        "{error}"
    );
    assert!(bench.deps.run.world().kept.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_job_and_a_broken_invariant_stop() {
    let bench = Bench::new();
    assert!(matches!(
        bench.ask("poll").await,
        Err(RestoreError::NotStarted(_))
    ));
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    bench.deps.run.world().invariants = Verdict::Tainted;
    assert_eq!(
        bench.ask("verify").await.unwrap_err().name(),
        ErrorName::PolicyRefused
    );
    for (_, _, job) in bench.deps.run.world().jobs.values_mut() {
        job.state = RestoreState::Failed;
        job.message = Some("access denied".to_owned());
    }
    let error = bench.ask("poll").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error.to_string().contains("orders-data") && error.to_string().contains("orders-table"),
        "{error}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn what_aws_backup_says_of_a_completed_job_is_in_the_evidence() {
    let bench = Bench::new();
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    for (_, _, job) in bench.deps.run.world().jobs.values_mut() {
        job.message = Some("2 objects were skipped".to_owned());
    }
    bench.ask("poll").await.unwrap();
    let run = RunId::try_from("orders-0123456789ab".to_owned()).unwrap();
    let last: Versioned<Link> = bench
        .deps
        .records
        .last(&Key::run_partition(&run), Key::EVIDENCE_PREFIX)
        .await
        .unwrap()
        .unwrap();
    let told = serde_json::to_string(&last.document).unwrap();
    assert!(told.contains("2 objects were skipped"), "{told}");
}

/// A role of the rebuilt stack.
fn role() -> StackResource {
    StackResource {
        logical_id: "Role".to_owned(),
        resource_type: "AWS::IAM::Role".to_owned(),
        physical_id: Some("orders-app".to_owned()),
        status: "CREATE_COMPLETE".to_owned(),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn stacks_that_were_changed_after_the_decision_get_no_data() {
    for drift in ["MODIFIED", "DELETED", "UNSUPPORTED", "UNKNOWN"] {
        let bench = Bench::new();
        bench.deps.run.world().workload.resources = vec![role()];
        bench.deps.run.world().workload.drift = drift;
        let error = bench.ask("start").await.unwrap_err();
        assert_eq!(error.name(), ErrorName::PreconditionChanged);
        let text = error.to_string();
        assert!(
            text.contains("not what was approved any more")
                && text.contains("`app/Role`")
                && text.contains("AWS::IAM::Role"),
            "{text}"
        );
        assert!(bench.started().is_empty());
        assert_eq!(bench.deps.records.count("RESTORE"), 0);

        // Whoever changed it has changed it back.
        bench.deps.run.world().workload.drift = "IN_SYNC";
        bench.ask("start").await.unwrap();
        assert_eq!(bench.started(), BOTH);
        // What began is carried through: by then the restore itself changes the stacks.
        bench.deps.run.world().workload.drift = drift;
        bench.ask("start").await.unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_approvers_let_pass_is_let_pass_now_too() {
    let waived = |drift| {
        let bench = Bench::new();
        let mut world = bench.deps.run.world();
        world.workload.resources = vec![role()];
        world.workload.drift = drift;
        world.package.check_waivers = vec![CheckWaiver {
            check: WaivableCheck::Drift,
            subject: "app/Role".to_owned(),
            reason: "CloudFormation cannot compare it; looked at by hand".to_owned(),
            by: "ada".to_owned(),
        }];
        drop(world);
        bench
    };
    let bench = waived("UNSUPPORTED");
    bench.ask("start").await.unwrap();
    assert_eq!(bench.started(), BOTH);

    let error = waived("MODIFIED").ask("start").await.unwrap_err();
    assert_eq!(
        error.name(),
        ErrorName::PreconditionChanged,
        "a difference is never waived"
    );
}
