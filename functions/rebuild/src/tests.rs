//! The stage against an account in memory: repeated, failing at every call, tampered with, not isolated.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_aws::faults::{every_loss, task};
use blackstart_aws::records::Records as _;
use blackstart_aws::records::memory::MemoryRecords;
use blackstart_core::artifact::Digest;
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::ledger::Key;
use blackstart_core::rebuild::CheckStatus;
use blackstart_core::rebuild::change_set::Change;
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::Progress;
use blackstart_core::task::rebuild::{Advanced, Checked, Operation, Rebuilt};
use serde_json::json;

use self::fake::{Fake, artifact, fake, fake_of};
use self::proof::proven;
use crate::{Deps, Output, RebuildError, handle};

mod earlier;
mod fake;
mod proof;

const OLD: &str = "999999999999";

fn run() -> RunId {
    RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
}

async fn ask(fake: &Fake, input: Operation) -> Result<Output, RebuildError> {
    ask_about(fake, input, "drill", false).await
}

async fn ask_about(
    fake: &Fake,
    input: Operation,
    mode: &str,
    restoring: bool,
) -> Result<Output, RebuildError> {
    let records = MemoryRecords::default();
    let record: RunRecord = serde_json::from_value(json!({
        "run": run(), "workload": "orders", "mode": mode, "plan": artifact(),
        "trigger": {"kind": "manual", "requested_by": "ada"},
        "execution": "e", "started": "2026-01-31T08:00:00Z", "conclusion": null
    }))
    .unwrap();
    records.put_new(&Key::run(&run()), &record).await.unwrap();
    let earlier = fake.world().earlier.clone();
    if let Some((record, restored)) = earlier {
        let run = record.run.clone();
        records.put_new(&Key::run(&run), &record).await.unwrap();
        if restored {
            let restores = RestoreRecord::intend(&Digest::of(b"package"), &[]);
            records.put_new(&Key::restore(&run), &restores).await.unwrap();
        }
    }
    if restoring {
        let restores = RestoreRecord::intend(&Digest::of(b"package"), &[]);
        records.put_new(&Key::restore(&run()), &restores).await.unwrap();
    }
    let deps = Deps {
        documents: fake,
        records,
        builders: fake,
    };
    handle(task(&run(), input), &deps).await
}

fn advance() -> Operation {
    Operation::Advance { plan: artifact() }
}

/// Lets time pass: what is in progress ends.
fn settle(fake: &Fake) {
    let mut world = fake.world();
    world
        .stacks
        .retain(|_, stack| stack.status != "DELETE_IN_PROGRESS");
    for stack in world.stacks.values_mut() {
        if stack.status == "CREATE_IN_PROGRESS" {
            stack.status = "CREATE_COMPLETE";
        }
    }
}

/// Repeats an operation as the state machine does, until it is done. Transient failures are tried again.
async fn until_done(fake: &Fake, operation: &Operation) {
    for _ in 0..20 {
        match ask(fake, operation.clone()).await {
            Ok(Output::Advanced(Advanced {
                progress: Progress::Done,
                ..
            })) => return,
            Ok(_) => settle(fake),
            Err(error) => assert_eq!(error.name(), ErrorName::Transient, "{error}"),
        }
    }
    panic!("never done");
}

#[tokio::test(flavor = "current_thread")]
async fn a_plan_is_built_wave_by_wave_proven_isolated_and_removed_again() {
    let fake = fake();
    let checked = ask(&fake, Operation::Check { plan: artifact() }).await.unwrap();
    assert_eq!(checked, Output::Checked(Checked { templates: 2 }));
    assert!(fake.world().created.is_empty());

    ask(&fake, advance()).await.unwrap();
    assert_eq!(fake.world().proposed, ["orders-foundation"]);
    assert!(
        fake.world().created.is_empty(),
        "a change set is looked at before it is executed"
    );
    ask(&fake, advance()).await.unwrap();
    ask(&fake, advance()).await.unwrap();
    assert_eq!(fake.world().created, ["orders-foundation"]);
    until_done(&fake, &advance()).await;
    assert_eq!(fake.world().created, ["orders-foundation", "orders-app"]);

    let rebuilt = proven(&fake).await;
    assert!(rebuilt.isolated, "{:?}", fake.world().kept);
    let document = fake.world().kept[0].clone();
    let names: Vec<_> = document.stacks.iter().map(|stack| stack.name.as_str()).collect();
    assert_eq!(names, ["orders-foundation", "orders-app"]);
    assert_eq!(document.stacks[1].outputs["Name"], "orders-app");

    until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
    assert!(fake.world().stacks.is_empty());
    let app_first = fake
        .world()
        .deleted
        .first()
        .is_some_and(|id| id.contains("orders-app"));
    assert!(app_first);
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_changes_nothing_in_the_end() {
    for (n, lost) in every_loss(39) {
        let fake = fake();
        fake.lose(n, lost);
        until_done(&fake, &advance()).await;
        assert_eq!(
            fake.world().created,
            ["orders-foundation", "orders-app"],
            "call {n}"
        );
        until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
        assert!(fake.world().stacks.is_empty(), "call {n}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_stacks_of_a_run_in_earnest_go_only_if_it_restored_nothing() {
    let fake = fake();
    until_done(&fake, &advance()).await;
    let clean_up = || Operation::CleanUp { plan: artifact() };
    let error = ask_about(&fake, clean_up(), "incident", true).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(fake.world().deleted.is_empty());
    ask_about(&fake, clean_up(), "incident", false).await.unwrap();
    assert_eq!(fake.world().deleted.len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_tampered_template_stops_before_anything_is_created() {
    let fake = fake();
    fake.world()
        .templates
        .get_mut("orders/app.json")
        .unwrap()
        .push(b'\n');
    for operation in [Operation::Check { plan: artifact() }, advance()] {
        let error = ask(&fake, operation).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::PolicyRefused);
        assert!(error.to_string().contains("orders-app: the template"), "{error}");
    }
    assert!(fake.world().created.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_template_that_names_the_old_account_is_never_built_even_if_the_plan_wants_it() {
    let fake = fake_of(
        &json!({ "Resources": { "Queue": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": OLD } } } }),
    );
    let error = ask(&fake, advance()).await.unwrap_err();
    assert!(
        error.to_string().contains("Resources.Queue.Properties.QueueName"),
        "{error}"
    );
    assert!(fake.world().created.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_stack_says_why_and_somebody_elses_stack_is_left_alone() {
    let fake = fake();
    ask(&fake, advance()).await.unwrap();
    fake.world().stacks.get_mut("orders-foundation").unwrap().status = "ROLLBACK_COMPLETE";
    let error = ask(&fake, advance()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error
            .to_string()
            .contains("a queue of that name was deleted recently"),
        "{error}"
    );

    fake.world()
        .stacks
        .get_mut("orders-foundation")
        .unwrap()
        .new
        .tags
        .clear();
    let error = ask(&fake, advance()).await.unwrap_err();
    assert!(error.to_string().contains("is not this run's"), "{error}");
    until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
    assert!(fake.world().deleted.is_empty());
}
