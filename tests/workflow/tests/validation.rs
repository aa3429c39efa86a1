//! The validation machine as it is deployed, by itself: its real definition, the real function, real events through the real rule,
//! bus and policies, and access points that are read by alias.
#![recursion_limit = "256"]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the functions below are parts of tests"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_sdk_sfn::types::ExecutionStatus;
use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::histories::Histories;
use blackstart_aws::ledger::Ledger;
use blackstart_cli::drill::Play;
use blackstart_cli::drill::play::Stage;
use blackstart_core::history::{self, Visit, WAITS_FOR_JOBS};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Layer, Plan};
use blackstart_core::run::RunId;
use blackstart_core::validation::{SetVerdict, Verdict};
use blackstart_local::accounts::{RECOVERY, VALIDATION};
use blackstart_local::leaks;
use blackstart_local::project::Project;
use blackstart_local::standin::{Fault, Operation};
use serde_json::{Value, json};

/// What one walk came to.
struct Walked {
    /// The newest clean set, if there is one.
    found: Option<String>,
    /// What was said of each set.
    verdicts: BTreeMap<String, SetVerdict>,
    /// The waits for trials.
    waits: Vec<Visit>,
}

impl Walked {
    fn worst(&self) -> BTreeMap<String, Verdict> {
        let said = self.verdicts.iter();
        said.map(|(set, said)| (set.clone(), said.verdict)).collect()
    }

    fn reasons(&self, layer: Layer) -> String {
        let said = self.verdicts.values().filter_map(|said| said.layers.get(&layer));
        said.flat_map(|said| said.reasons.clone())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The waits that ran their time.
    fn full(&self) -> usize {
        let ran_out = |visit: &&Visit| visit.attempts.iter().any(|attempt| attempt.error.is_some());
        self.waits.iter().filter(ran_out).count()
    }
}

/// Runs the machine over a plan that differs from the drill's, so that no verdict of another run is taken over.
async fn walk(stage: &Stage, number: u64, change: impl FnOnce(&mut Value)) -> Walked {
    let config = stage.local.root_of(RECOVERY);
    let output = |name: &str| stage.deployed.output(name).unwrap().to_owned();
    let run = RunId::try_from(format!("orders-{number:012x}")).unwrap();
    let mut plan = serde_json::to_value(&stage.ready.plan).unwrap();
    // The settings of a bucket cannot be seen through an access point.
    plan["validation"]["layers"] = json!(["malware_scan", "trial_restore", "content_scan", "invariants"]);
    change(&mut plan);
    let plan: Plan = serde_json::from_value(plan).unwrap();
    let artifacts = ArtifactStore::new(&config, output("ArtifactBucket"));
    for rules in &plan.validation.yara_rules {
        let (_, text) = artifacts.adopt(&output("PlanBucket"), &rules.key).await.unwrap();
        let path = blackstart_core::plan::ValidationPlan::frozen_rules(rules);
        artifacts.put(&run, &path, "text/plain", text).await.unwrap();
    }
    let plan = artifacts.put_json(&run, "plan.json", &plan).await.unwrap();
    let sfn = aws_sdk_sfn::Client::new(&config);
    let execution = sfn
        .start_execution()
        .state_machine_arn(output("ValidationStateMachine"))
        .input(json!({"run": run, "plan": plan}).to_string())
        .send()
        .await
        .unwrap()
        .execution_arn;
    let ended = loop {
        let described = sfn
            .describe_execution()
            .execution_arn(&execution)
            .send()
            .await
            .unwrap();
        if described.status != ExecutionStatus::Running {
            break described;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(ended.status, ExecutionStatus::Succeeded, "{ended:?}");
    let answer: Value = serde_json::from_str(ended.output.as_deref().unwrap()).unwrap();
    let ledger = Ledger::new(&config, output("LedgerTable"));
    let verdicts = ledger
        .query::<SetVerdict>(&Key::run_partition(&run), Key::SET_VERDICT_PREFIX)
        .await
        .unwrap();
    let history = Histories::new(&config).of(&execution).await.unwrap();
    let visits = history::observe(&[history], &[]);
    Walked {
        found: answer["found"].as_str().map(str::to_owned),
        verdicts: verdicts
            .into_iter()
            .map(|(_, item)| (item.document.set.clone(), item.document))
            .collect(),
        waits: visits
            .into_iter()
            .filter(|visit| visit.state == WAITS_FOR_JOBS)
            .collect(),
    }
}

/// What the function that hears events has said of them.
async fn heard(stage: &Stage) -> Vec<String> {
    let messages = leaks::log_messages(&stage.local).await.unwrap();
    let of_intake = messages
        .into_iter()
        .filter(|(group, _)| group.ends_with("-intake"));
    of_intake
        .map(|(_, message)| message)
        .filter(|message| message.contains("an event of AWS Backup"))
        .collect()
}

/// Nothing that a trial made is left in the validation account.
async fn nothing_is_left(stage: &Stage) {
    assert_eq!(
        stage.local.standin().control().access_points(),
        Vec::<String>::new()
    );
    let s3 = aws_sdk_s3::Client::new(&stage.local.root_of(VALIDATION));
    let buckets = s3
        .list_buckets()
        .send()
        .await
        .unwrap()
        .buckets
        .unwrap_or_default();
    let left: Vec<String> = buckets
        .into_iter()
        .filter_map(|bucket| bucket.name)
        .filter(|name| name.starts_with("blackstart-trial-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// Kinds of the jobs that were started in the validation account for buckets since there were so many.
fn jobs_for_buckets(stage: &Stage, since: usize) -> Vec<&'static str> {
    let jobs = stage.local.standin().control().started_jobs(VALIDATION);
    let new = jobs.into_iter().skip(since);
    new.filter(|job| job.point.contains("data"))
        .map(|job| job.kind)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_bring_looks_forward_and_change_nothing_and_access_points_spare_restores() {
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let stage = Stage::set(&project, Play::Incident.scenario(), &mut |_| {})
        .await
        .unwrap();
    let control = stage.local.standin().control().clone();
    let percent =
        |percent: u64| move |plan: &mut Value| plan["validation"]["max_changed_percent"] = json!(percent);

    // Every job's end is told, twice; a restore's beginning too, in its own form.
    let with_events = walk(&stage, 1, percent(41)).await;
    assert!(with_events.found.is_some());
    assert!(
        with_events.waits.len() > with_events.full(),
        "{:#?}",
        with_events.waits
    );
    let told = heard(&stage).await;
    assert!(told.iter().any(|message| message.contains("Woken")), "{told:?}");
    nothing_is_left(&stage).await;

    // No event comes, and jobs go on only when they are looked at.
    control.tell_of_jobs(false);
    let without = walk(&stage, 2, percent(42)).await;
    assert!(without.full() > 0, "some wait ran its time: {:#?}", without.waits);
    assert_eq!(without.found, with_events.found);
    assert_eq!(without.worst(), with_events.worst());
    nothing_is_left(&stage).await;
    control.tell_of_jobs(true);

    // Buckets are read through access points.
    let before = control.started_jobs(VALIDATION).len();
    let by_access_point = walk(&stage, 3, |plan| {
        plan["validation"]["trial"] = json!("access_point");
    })
    .await;
    assert_eq!(by_access_point.found, with_events.found);
    assert_eq!(by_access_point.worst(), with_events.worst());
    let reasons = by_access_point.reasons(Layer::TrialRestore);
    assert!(reasons.contains("it was not restored"), "{reasons}");
    let jobs = jobs_for_buckets(&stage, before);
    assert!(
        jobs.contains(&"access point") && !jobs.contains(&"restore"),
        "{jobs:?}: {reasons}"
    );
    nothing_is_left(&stage).await;

    // One of them fails, one answer is lost: a restore takes the place of the one, the other is found again.
    control.disturb(Operation::CreateBackupAccessPoint, Fault::JobFails);
    control.disturb(Operation::CreateBackupAccessPoint, Fault::AnsweredAfterTheFact);
    let disturbed = walk(&stage, 4, |plan| {
        plan["validation"]["trial"] = json!("access_point");
        plan["validation"]["max_changed_percent"] = json!(43);
    })
    .await;
    assert_eq!(disturbed.found, with_events.found);
    assert_eq!(disturbed.worst(), with_events.worst());
    let reasons = disturbed.reasons(Layer::TrialRestore);
    assert!(
        reasons.contains("no access point could be used: it is FAILED"),
        "{reasons}"
    );
    nothing_is_left(&stage).await;

    let check = leaks::check(&stage.local).await.unwrap();
    assert!(check.holds, "{}: {}", check.what, check.seen);
    stage.local.stop().await;
}
