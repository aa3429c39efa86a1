//! Removing what a drill restored.

use blackstart_aws::records::Records as _;
use blackstart_core::ledger::Key;
use blackstart_core::run::RunRecord;
use serde_json::json;

use super::world::Lost;
use super::*;

impl Bench {
    /// A bench whose run is known to the ledger.
    pub(super) async fn of_mode(mode: &str) -> Self {
        let bench = Self::new();
        let run = RunId::try_from("orders-0123456789ab".to_owned()).unwrap();
        let record: RunRecord = serde_json::from_value(json!({
            "run": run, "workload": "orders", "mode": mode, "plan": bench.deps.run.world().package.plan,
            "trigger": {"kind": "manual", "requested_by": "ada"},
            "execution": "e", "started": "2026-01-31T08:00:00Z", "conclusion": null
        }))
        .unwrap();
        bench
            .deps
            .records
            .put_new(&Key::run(&run), &record)
            .await
            .unwrap();
        bench
    }

    /// Cleans up as the state machine does, until it is done; returns what was left alone.
    pub(super) async fn clean_up(&self) -> Vec<String> {
        for _ in 0..12 {
            match self.ask("clean_up").await {
                Ok(Output::Removed(removed)) if removed.progress == Progress::Done => return removed.left,
                Ok(_) => {}
                Err(error) => assert_eq!(error.name(), ErrorName::Transient, "{error}"),
            }
        }
        panic!("never done");
    }

    pub(super) fn there(&self) -> Vec<String> {
        self.deps.run.world().there.keys().cloned().collect()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_drill_removes_its_copies_and_nothing_else_whichever_call_fails() {
    for tagged in [true, false] {
        for lost in [Lost::Request, Lost::Answer] {
            for n in 1..=24 {
                let bench = Bench::of_mode("drill").await;
                bench.ask("start").await.unwrap();
                let bystander = ("orders-restored-2".to_owned(), None);
                bench.deps.run.world().there.extend([bystander]);
                complete(bench.deps.run);
                // The run may end before any poll has seen that the jobs are complete.
                if tagged {
                    bench.ask("poll").await.unwrap();
                }
                bench.deps.run.world().calls = 0;
                bench.deps.run.world().fail = Some((n, lost));
                assert!(bench.clean_up().await.is_empty(), "call {n}");
                assert_eq!(bench.there(), ["orders-restored-2"], "call {n}");
                assert!(bench.clean_up().await.is_empty(), "a repeat finds nothing to do");
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_took_the_place_of_a_copy_stays_and_is_named() {
    let bench = Bench::of_mode("drill").await;
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    bench.ask("poll").await.unwrap();
    bench
        .deps
        .run
        .world()
        .there
        .insert("orders-restored".to_owned(), None);
    let left = bench.clean_up().await;
    assert_eq!(bench.there(), ["orders-restored"]);
    assert!(left[0].contains("orders-restored"), "{left:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn clean_up_waits_for_jobs_at_work_and_refuses_a_run_in_earnest() {
    let bench = Bench::of_mode("drill").await;
    assert!(bench.clean_up().await.is_empty(), "nothing was restored");
    bench.ask("start").await.unwrap();
    let Output::Removed(removed) = bench.ask("clean_up").await.unwrap() else {
        panic!("another answer");
    };
    assert_eq!(removed.progress, Progress::Running);

    let bench = Bench::of_mode("incident").await;
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    let error = bench.ask("clean_up").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert_eq!(bench.there(), ["orders-data-restored", "orders-restored"]);
}
