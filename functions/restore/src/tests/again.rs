//! What recovery points remember, what functions say, and jobs that are followed by others.

use std::collections::BTreeMap;

use blackstart_core::artifact::canonical_digest;
use blackstart_core::plan::{Invariant, Plan, ResourceType};
use blackstart_core::validation::ContentManifest;
use blackstart_core::validation::check_function::{Called, figures};
use serde_json::json;

use super::world::{Lost, manifest};
use super::*;

/// Ends every job that is at work.
fn end(fake: &Fake, state: &RestoreState) {
    for (_, _, job) in fake.world().jobs.values_mut() {
        if job.state == RestoreState::Running {
            job.state = state.clone();
            job.message = Some("capacity".to_owned());
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_is_started_while_one_key_of_the_old_account_is_unmapped() {
    let bench = Bench::new();
    let key = "arn:aws:kms:eu-central-1:222222222222:key/0b5c2fb7-1c1e-4a5c-9b1a-0f8b0e6f2c11";
    bench.deps.run.world().remembered = BTreeMap::from([
        ("EncryptionType".to_owned(), "SSE-KMS".to_owned()),
        ("KMSKey".to_owned(), key.to_owned()),
    ]);
    let error = bench.ask("start").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    let text = error.to_string();
    assert!(
        text.contains("restores.orders-data.metadata.KMSKey") && text.contains(key),
        "{text}"
    );
    assert!(
        text.contains("restores.orders-table.metadata.KMSKey"),
        "all of them are named: {text}"
    );
    assert!(bench.started().is_empty());
    assert_eq!(bench.deps.records.count("RESTORE"), 0);

    bench.deps.run.world().plan = |plan| {
        plan.restore.identifiers.insert(
            "arn:aws:kms:eu-central-1:222222222222:key/0b5c2fb7-1c1e-4a5c-9b1a-0f8b0e6f2c11".to_owned(),
            "arn:aws:kms:eu-central-1:333333333333:key/1c6d30c8-2d2f-4b6d-8c2b-1f9c1f703d22".to_owned(),
        );
    };
    bench.ask("start").await.unwrap();
    assert_eq!(bench.started(), BOTH);
    for told in &bench.deps.run.world().told {
        assert_eq!(
            told["KMSKey"],
            "arn:aws:kms:eu-central-1:333333333333:key/1c6d30c8-2d2f-4b6d-8c2b-1f9c1f703d22"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_repeat_tells_a_job_what_the_first_request_told_it() {
    let bench = Bench::new();
    // The first start breaks off between the two jobs.
    bench.deps.records.fail([false, false, true]);
    bench.ask("start").await.unwrap_err();
    bench.deps.run.world().remembered = BTreeMap::from([("Later".to_owned(), "x".to_owned())]);
    bench.ask("start").await.unwrap();
    assert!(
        bench
            .deps
            .run
            .world()
            .told
            .iter()
            .all(|told| !told.contains_key("Later"))
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_job_is_followed_by_another_after_an_operators_word_and_only_then() {
    for state in [RestoreState::Failed, RestoreState::Aborted] {
        let bench = Bench::new();
        bench.ask("start").await.unwrap();
        end(bench.deps.run, &state);
        assert!(matches!(bench.ask("poll").await, Err(RestoreError::Failed(_))));
        bench.ask("start").await.unwrap();
        assert_eq!(bench.started().len(), 2, "a redrive alone starts nothing");

        bench.ask_again("start", 1).await.unwrap();
        bench.ask_again("start", 1).await.unwrap();
        assert_eq!(
            bench.started().len(),
            4,
            "one more for each, however often it is asked for"
        );
        complete_running(bench.deps.run);
        assert_eq!(progress(&bench.ask("poll").await.unwrap()), Progress::Done);
        bench.ask("verify").await.unwrap();
        bench.ask_again("start", 2).await.unwrap();
        assert_eq!(bench.started().len(), 4, "what is restored is not restored again");
    }
}

fn complete_running(fake: &Fake) {
    let mut world = fake.world();
    let World { jobs, there, .. } = &mut *world;
    for (_, name, job) in jobs.values_mut() {
        if job.state == RestoreState::Running {
            job.state = RestoreState::Completed;
            there.entry(name.clone()).or_insert(None);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn whichever_call_of_a_second_attempt_fails_there_are_never_two_copies() {
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..=14 {
            let bench = Bench::new();
            bench.ask("start").await.unwrap();
            end(bench.deps.run, &RestoreState::Failed);
            bench.deps.run.world().calls = 0;
            bench.deps.run.world().fail = Some((n, lost));
            for _ in 0..4 {
                match bench.ask_again("start", 1).await {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error.name(), ErrorName::Transient, "call {n}: {error}"),
                }
            }
            let running = bench
                .deps
                .run
                .world()
                .jobs
                .values()
                .filter(|job| job.2.state == RestoreState::Running)
                .count();
            assert_eq!((running, bench.started().len()), (2, 4), "call {n}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_failed_job_left_behind_is_not_restored_over() {
    let bench = Bench::new();
    bench.ask("start").await.unwrap();
    end(bench.deps.run, &RestoreState::Failed);
    bench
        .deps
        .run
        .world()
        .there
        .insert("orders-restored".to_owned(), None);
    let error = bench.ask_again("start", 1).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error
            .to_string()
            .contains("left something behind as `orders-restored`"),
        "{error}"
    );
    bench.deps.run.world().there.clear();
    bench.ask_again("start", 1).await.unwrap();
    assert_eq!(bench.started().len(), 4);
}

#[tokio::test(flavor = "current_thread")]
async fn the_functions_of_the_trial_judge_the_copy_that_stays() {
    let asked_about_the_table = |plan: &mut Plan| {
        plan.validation.invariants.push(Invariant::Function {
            resource: "orders-table".to_owned(),
            function: "blackstart-check-orders".to_owned(),
            timeout_seconds: 10,
        });
    };
    for (answer, passes) in [
        (r#"{"verdict": "clean"}"#, true),
        (
            r#"{"verdict": "tainted", "reasons": ["rows are missing"]}"#,
            false,
        ),
        ("{}", false),
    ] {
        let bench = Bench::new();
        bench.deps.run.world().plan = asked_about_the_table;
        bench.deps.run.world().function = Called::Returned(answer.as_bytes().to_vec());
        bench.ask("start").await.unwrap();
        complete(bench.deps.run);
        assert_eq!(bench.ask("verify").await.is_ok(), passes, "{answer}");
        let asked = bench.deps.run.world().asked.clone();
        assert_eq!(asked[0].name, "orders-restored");
        assert_eq!(
            asked[0].arn,
            "arn:aws:dynamodb:eu-central-1:333333333333:table/orders-restored"
        );
    }
}

/// A plan whose table is a database.
fn with_a_database(plan: &mut Plan) {
    let resource = plan.resources.get_mut(1).unwrap();
    resource.resource_type = ResourceType::Ebs;
    plan.validation
        .invariants
        .retain(|invariant| invariant.resource() != "orders-table");
    plan.validation.invariants.push(Invariant::Function {
        resource: "orders-table".to_owned(),
        function: "blackstart-check-orders".to_owned(),
        timeout_seconds: 10,
    });
    resource_metadata(plan);
}

fn resource_metadata(plan: &mut Plan) {
    let resource = plan.resources.get_mut(1).unwrap();
    resource
        .metadata
        .insert("availabilityZone".to_owned(), "eu-central-1a".to_owned());
}

#[tokio::test(flavor = "current_thread")]
async fn what_cannot_be_read_from_outside_is_compared_by_what_its_function_counts() {
    let answer = |figures: &serde_json::Value| {
        let said = json!({"verdict": "clean", "figures": figures});
        Called::Returned(said.to_string().into_bytes())
    };
    let (twelve, nothing) = (json!({"rows": 12}), json!({}));
    for (counted, found, same) in [
        (&twelve, &twelve, true),
        (&twelve, &json!({"rows": 11}), false),
        // Two empty manifests are equal, and prove nothing.
        (&nothing, &nothing, false),
    ] {
        let bench = Bench::new();
        {
            let mut world = bench.deps.run.world();
            world.plan = with_a_database;
            world.function = answer(found);
            let validated = ContentManifest {
                resource: "orders-table".to_owned(),
                entries: figures("blackstart-check-orders", &answer(counted)),
            };
            world
                .content
                .insert("orders-restored".to_owned(), manifest("orders-table", &[]));
            let mut changed = world.package.clone();
            changed.set.points.get_mut("orders-table").unwrap().resource_type = ResourceType::Ebs;
            let planned = changed.restores.get_mut(1).unwrap();
            planned.resource_type = ResourceType::Ebs;
            planned.metadata = BTreeMap::from([
                ("availabilityZone".to_owned(), "eu-central-1a".to_owned()),
                ("encrypted".to_owned(), "true".to_owned()),
            ]);
            planned.manifest = canonical_digest(&validated).unwrap();
            world.package = changed;
        }
        bench.ask("start").await.unwrap();
        complete(bench.deps.run);
        let incomplete = bench.ask("poll").await.unwrap_err();
        assert!(
            incomplete.to_string().contains("does not say what it made"),
            "{incomplete}"
        );
        let volume = "arn:aws:ec2:eu-central-1:333333333333:volume/vol-0123456789abcdef0";
        for (_, name, job) in bench.deps.run.world().jobs.values_mut() {
            if name == "orders-restored" {
                job.created = Some(volume.to_owned());
            }
        }
        assert_eq!(bench.ask("verify").await.is_ok(), same, "{found}");
        assert_eq!(bench.deps.run.world().asked[0].arn, volume);
        if same {
            assert_eq!(bench.deps.run.world().kept[0].resources[1].arn, volume);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_aws_backup_adds_to_a_completed_job_is_evidence() {
    let bench = Bench::new();
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    for (_, name, job) in bench.deps.run.world().jobs.values_mut() {
        if name == "orders-restored" {
            job.message = Some("3 objects were skipped".to_owned());
        }
    }
    bench.ask("poll").await.unwrap();
    let run = RunId::try_from("orders-0123456789ab".to_owned()).unwrap();
    let bundle = blackstart_aws::evidence::bundle(&bench.deps.records, &run).await;
    let text = serde_json::to_string(&bundle.unwrap()).unwrap();
    assert!(text.contains("3 objects were skipped"), "{text}");
    assert_eq!(text.matches("remark").count(), 1);
}

/// A drill whose table is a volume: AWS chooses its id.
async fn a_drill_with_a_volume() -> Bench {
    let bench = Bench::of_mode("drill").await;
    let mut world = bench.deps.run.world();
    world.plan = with_a_database;
    let points = &mut world.package.set.points;
    points.get_mut("orders-table").unwrap().resource_type = ResourceType::Ebs;
    let planned = world.package.restores.get_mut(1).unwrap();
    planned.resource_type = ResourceType::Ebs;
    planned.metadata = BTreeMap::from([
        ("availabilityZone".to_owned(), "eu-central-1a".to_owned()),
        ("encrypted".to_owned(), "true".to_owned()),
    ]);
    drop(world);
    bench
}

#[tokio::test(flavor = "current_thread")]
async fn a_copy_whose_id_no_poll_has_noted_is_removed_all_the_same() {
    let bench = a_drill_with_a_volume().await;
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    for (_, name, job) in bench.deps.run.world().jobs.values_mut() {
        if name == "orders-restored" {
            job.created = Some("arn:aws:ec2:eu-central-1:333333333333:volume/vol-1".to_owned());
        }
    }
    assert_eq!(bench.clean_up().await, Vec::<String>::new());
    assert!(bench.there().is_empty(), "{:?}", bench.there());
}

#[tokio::test(flavor = "current_thread")]
async fn a_copy_of_which_no_job_is_known_is_never_called_gone() {
    for n in 1..=30 {
        let bench = a_drill_with_a_volume().await;
        bench.deps.run.world().fail = Some((n, Lost::Answer));
        // The call by which the job of the volume is started, and whose answer is lost.
        if bench.ask("start").await.is_ok() || bench.started() != BOTH {
            continue;
        }
        complete(bench.deps.run);
        let left = bench.clean_up().await;
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(
            left[0].contains("orders-restored") && left[0].contains("no restore job"),
            "{left:?}"
        );
        return;
    }
    panic!("no call starts the second job");
}

#[tokio::test(flavor = "current_thread")]
async fn one_copy_that_is_not_removed_keeps_nobody_from_removing_the_others() {
    let bench = Bench::of_mode("drill").await;
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    bench.ask("poll").await.unwrap();
    bench.deps.run.world().unremovable = vec!["orders-data-restored".to_owned()];
    let left = bench.clean_up().await;
    assert!(left.len() == 1 && left[0].contains("it is protected"), "{left:?}");
    assert_eq!(bench.there(), ["orders-data-restored"]);
}
