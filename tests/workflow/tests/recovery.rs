//! The real state machines, the real function binaries, the real SDK on the wire, IAM policies enforced.
// The future of a whole drill nests deeper than the default limit.
#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, reason = "the functions below are parts of tests")]

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_sfn::types::ExecutionStatus;
use blackstart_aws::ledger::Ledger;
use blackstart_cli::drill::Play;
use blackstart_cli::drill::play::{Answer, DrillFailed, Ended, Proposal, Stage, Trigger, finding};
use blackstart_core::approval::vote::{Ballot, Choice};
use blackstart_core::artifact::Digest;
use blackstart_core::ledger::Key;
use blackstart_core::report::trend::RunDurations;
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::run::{Conclusion, RunId};
use blackstart_core::validation::Verdict;
use blackstart_local::accounts::RECOVERY;
use blackstart_local::organisation::plan::PLAN_KEY;
use blackstart_local::outside::{self, End};
use blackstart_local::project::Project;
use blackstart_local::standin::DATA_KEY;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// One local AWS at a time: two cores do not carry more.
static MACHINE: Mutex<()> = Mutex::const_new(());

async fn stage(play: Play) -> Stage {
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    Stage::set(&project, play.scenario(), &mut |_| {}).await.unwrap()
}

fn approve(_: &Proposal) -> Option<Answer> {
    let rationale = "The newest clean set before the boundary; the evidence agrees.".to_owned();
    Some(Answer {
        choice: Choice::Approve,
        rationale,
    })
}

fn refuse(_: &Proposal) -> Option<Answer> {
    Some(Answer {
        choice: Choice::Refuse,
        rationale: "The console logins are not explained yet.".to_owned(),
    })
}

fn by_hand() -> Trigger {
    Trigger::Input(json!({"workload": "orders", "requested_by": "the test"}))
}

async fn ends_as_it_must(stage: &Stage, play: Play, ended: &Ended) {
    let (conclusion, end) = play.expected();
    let report = ended.report.as_ref().unwrap();
    assert_eq!(report.conclusion, Some(conclusion), "{}", report.reason);
    assert_eq!(ended.status, ExecutionStatus::Succeeded, "{}", ended.output);
    for check in outside::checks(&stage.local, &stage.organisation, end)
        .await
        .unwrap()
    {
        assert!(check.holds, "{}: {}", check.what, check.seen);
    }
    for check in stage.evidence_checks(&report.run.run, end).await.unwrap() {
        assert!(check.holds, "{}: {}", check.what, check.seen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_starts_a_recovery_that_ends_with_the_old_account_shut_out() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::Incident).await;
    let execution = stage.start(&Trigger::Finding(finding("f-1"))).await.unwrap();
    let ended = stage.follow(&execution, &mut approve, &mut |_| {}).await.unwrap();
    ends_as_it_must(&stage, Play::Incident, &ended).await;

    let report = ended.report.unwrap();
    let boundary = report.boundary.unwrap().boundary.unwrap();
    assert_eq!(boundary.best.to_string(), "2023-07-10T11:54:33Z");
    let considered = report.selection.unwrap().considered;
    assert!(
        considered
            .iter()
            .any(|set| set.eligible && set.verdict == Some(Verdict::Tainted))
    );
    let total = report.critical_path;
    assert!(total.orchestration < total.measured / 2.0, "{total:?}");

    let again = stage.start(&Trigger::Finding(finding("f-1"))).await.unwrap();
    let attached = stage.follow(&again, &mut approve, &mut |_| {}).await.unwrap();
    assert_eq!(
        attached.output["outcome"], "attached",
        "a finding that was handled opens no second run"
    );
    stage.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cutover_that_is_killed_between_write_and_journal_ends_where_no_crash_would_have_ended() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::Crash).await;
    let execution = stage.start(&by_hand()).await.unwrap();
    let ended = stage.follow(&execution, &mut approve, &mut |_| {}).await.unwrap();
    assert!(stage.local.ministack().crash_has_happened());
    ends_as_it_must(&stage, Play::Crash, &ended).await;
    stage.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_clean_set_nothing_is_proposed_and_nothing_changes() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::NoCleanPoint).await;
    let execution = stage.start(&by_hand()).await.unwrap();
    let never = &mut |_: &Proposal| -> Option<Answer> { unreachable!("nothing is put before the approvers") };
    let ended = stage.follow(&execution, never, &mut |_| {}).await.unwrap();
    ends_as_it_must(&stage, Play::NoCleanPoint, &ended).await;
    stage.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_team_opens_the_vault_for_the_approved_digest_or_nothing_is_restored() {
    let _alone = MACHINE.lock().await;
    for play in [Play::TeamRefused, Play::ApprovalTeam] {
        let stage = stage(play).await;
        let execution = stage.start(&by_hand()).await.unwrap();
        let ended = stage.follow(&execution, &mut approve, &mut |_| {}).await.unwrap();
        ends_as_it_must(&stage, play, &ended).await;
        let check = stage.team_check(&ended);
        assert!(check.holds, "{}: {}", check.what, check.seen);
        stage.local.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_decides_in_time_the_run_expires_and_nothing_past_the_gate_happened() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::Expired).await;
    let execution = stage.start(&by_hand()).await.unwrap();
    let mut looks = 0;
    let silent = &mut |_: &Proposal| {
        looks += 1;
        None
    };
    let ended = stage.follow(&execution, silent, &mut |_| {}).await.unwrap();
    ends_as_it_must(&stage, Play::Expired, &ended).await;
    let gate = ended.report.as_ref().unwrap().gate.as_ref().unwrap();
    let late = Ballot {
        digest: gate.digest.clone(),
        decision: Choice::Approve,
        rationale: "It was late, and we would have said yes.".to_owned(),
    };
    let identity = "arn:aws:iam::111111111111:user/ada";
    let answer = stage.vote_as(identity, &execution.run, &late).await;
    assert!(matches!(answer, Err(DrillFailed::Vote { .. })), "{answer:?}");
    assert!(looks > 0, "the gate was open, and nobody spoke");
    stage.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_evidence_changes_the_choice_and_keeps_the_verdicts() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::LateEvidence).await;
    let execution = stage.start(&by_hand()).await.unwrap();
    let ended = stage.follow(&execution, &mut approve, &mut |_| {}).await.unwrap();
    ends_as_it_must(&stage, Play::LateEvidence, &ended).await;
    assert_eq!(ended.late.len(), 3, "a package, and one more after each finding");
    for check in stage.late_checks(&ended.late, ended.report.as_ref().unwrap()) {
        assert!(check.holds, "{}: {}", check.what, check.seen);
    }
    stage.local.stop().await;
}

/// What an execution that opens no run gives back.
async fn turned_away(stage: &Stage, trigger: Trigger) -> Value {
    let execution = stage.start(&trigger).await.unwrap();
    let ended = stage.follow(&execution, &mut approve, &mut |_| {}).await.unwrap();
    assert!(ended.report.is_none());
    ended.output
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time_and_a_refusal_is_final() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::Refused).await;

    let unplanned = turned_away(&stage, Trigger::Input(json!({"workload": "billing"}))).await;
    assert!(
        unplanned["reason"]
            .as_str()
            .unwrap()
            .contains("plans/billing.json"),
        "{unplanned}"
    );
    let unreadable = turned_away(
        &stage,
        Trigger::Input(json!({"workload": "orders", "force": true})),
    )
    .await;
    assert_eq!(unreadable["outcome"], "rejected", "{unreadable}");
    let mut sample = finding("f-sample");
    sample["service"]["additionalInfo"]["sample"] = json!(true);
    let sample = turned_away(&stage, Trigger::Finding(sample)).await;
    assert!(sample["reason"].as_str().unwrap().contains("sample"), "{sample}");

    let started = async || stage.start(&by_hand()).await.unwrap();
    let (one, other) = tokio::join!(started(), started());
    let followed = async |execution| stage.follow(&execution, &mut refuse, &mut |_| {}).await;
    let (first, second) = tokio::join!(followed(one), followed(other));
    let ended = [first.unwrap(), second.unwrap()];
    let recovered: Vec<_> = ended.iter().filter(|ended| ended.report.is_some()).collect();
    let attached: Vec<_> = ended
        .iter()
        .filter(|ended| ended.output["outcome"] == "attached")
        .collect();
    assert_eq!(
        (recovered.len(), attached.len()),
        (1, 1),
        "two starts at once are one run and one clear answer"
    );
    ends_as_it_must(&stage, Play::Refused, recovered[0]).await;

    let report = recovered[0].report.as_ref().unwrap();
    assert_eq!(report.conclusion, Some(Conclusion::Refused));
    let gate = report.gate.as_ref().unwrap();
    for (person, digest) in [
        ("grace", gate.digest.clone()),
        ("grace", Digest::of(b"another")),
        ("mallory", gate.digest.clone()),
    ] {
        let identity = format!("arn:aws:iam::111111111111:user/{person}");
        let rationale = "Changing my mind, or somebody else's, long enough.".to_owned();
        let ballot = Ballot {
            digest,
            decision: Choice::Approve,
            rationale,
        };
        let answer = stage.vote_as(&identity, &report.run.run, &ballot).await;
        assert!(
            matches!(answer, Err(DrillFailed::Vote { .. })),
            "{person}: {answer:?}"
        );
    }
    stage.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_report_shows_the_trend_that_the_first_run_left_in_the_ledger() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::Refused).await;
    let mut reports = Vec::new();
    for _ in 0..2 {
        let execution = stage.start(&by_hand()).await.unwrap();
        let ended = stage.follow(&execution, &mut refuse, &mut |_| {}).await.unwrap();
        ends_as_it_must(&stage, Play::Refused, &ended).await;
        reports.push((
            ended.report.unwrap(),
            stage.artifact_files(&execution.run).await.unwrap(),
        ));
    }
    let [(first, first_files), (second, second_files)] = &reports[..] else {
        unreachable!("two runs were played")
    };
    let measured = RunDurations::of(&first.run, Conclusion::Refused, &first.critical_path);
    assert_eq!(first.earlier, []);
    assert_eq!(second.earlier, [measured]);
    let shows_a_trend = |files: &BTreeMap<String, Vec<u8>>| {
        let page = String::from_utf8(files["report.html"].clone()).unwrap();
        page.contains("Trend over 2 runs")
    };
    assert!(!shows_a_trend(first_files));
    assert!(shows_a_trend(second_files));
    stage.local.stop().await;
}

/// How many restored resources a stack took, by the ledger: each with its proof.
async fn adopted(stage: &Stage, run: &RunId) -> usize {
    let config = stage.local.root_of(RECOVERY);
    let table = stage.deployed.output("LedgerTable").unwrap();
    let record = Ledger::new(&config, table.to_owned())
        .get::<RestoreRecord>(&Key::restore(run))
        .await
        .unwrap();
    let jobs = record.map(|found| found.document.jobs).unwrap_or_default();
    jobs.values()
        .filter(|job| {
            job.adopted
                .as_ref()
                .is_some_and(|proof| proof.ends_with("in sync"))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_old_account_that_no_one_maps_stops_before_the_approvers_are_asked() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::Incident).await;
    let mut plan = serde_json::to_value(&stage.ready.plan).unwrap();
    for resource in plan["resources"].as_array_mut().unwrap() {
        // Without a word about encryption the copy would be encrypted as the old one was.
        resource["metadata"] = json!({});
    }
    aws_sdk_s3::Client::new(&stage.local.root_of(RECOVERY))
        .put_object()
        .bucket(stage.deployed.output("PlanBucket").unwrap())
        .key(PLAN_KEY)
        .body(plan.to_string().into_bytes().into())
        .send()
        .await
        .unwrap();
    let execution = stage.start(&by_hand()).await.unwrap();
    let never = &mut |_: &Proposal| -> Option<Answer> { unreachable!("nothing is put before the approvers") };
    let ended = stage.follow(&execution, never, &mut |_| {}).await.unwrap();
    let report = ended.report.unwrap();
    assert_eq!(report.conclusion, Some(Conclusion::Failed), "{}", report.reason);
    for part in [
        "restores.orders-data.metadata.KMSKey",
        "restores.orders-table.metadata.kmsMasterKeyArn",
        DATA_KEY,
        "`restore.identifiers`",
    ] {
        assert!(report.reason.contains(part), "{}", report.reason);
    }
    for check in outside::checks(&stage.local, &stage.organisation, End::Untouched)
        .await
        .unwrap()
    {
        assert!(check.holds, "{}: {}", check.what, check.seen);
    }
    stage.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_leaves_nothing_behind_however_it_ends() {
    let _alone = MACHINE.lock().await;
    let stage = stage(Play::Incident).await;
    let before = outside::rebuilt(&stage.local).await.unwrap();
    let drill = || Trigger::Input(json!({"workload": "orders", "requested_by": "the test", "mode": "drill"}));
    for (answer, conclusion) in [
        (refuse as fn(&Proposal) -> Option<Answer>, Conclusion::Refused),
        (approve, Conclusion::Rehearsed),
    ] {
        let execution = stage.start(&drill()).await.unwrap();
        let mut built = Vec::new();
        let ended = stage
            .follow(
                &execution,
                &mut |proposal| {
                    built = proposal
                        .package
                        .stacks
                        .iter()
                        .map(|stack| stack.name.clone())
                        .collect();
                    answer(proposal)
                },
                &mut |_| {},
            )
            .await
            .unwrap();
        let report = ended.report.unwrap();
        assert_eq!(report.conclusion, Some(conclusion), "{}", report.reason);
        assert!(report.reason.contains("was removed"), "{}", report.reason);
        assert_eq!(built.len(), 2);
        assert_eq!(report.restore.is_some(), conclusion == Conclusion::Rehearsed);
        assert_eq!(
            adopted(&stage, &execution.run).await,
            if conclusion == Conclusion::Rehearsed { 2 } else { 0 },
            "bucket and table were the workload's before they were removed"
        );
        assert_eq!(outside::rebuilt(&stage.local).await.unwrap(), before);
        for check in outside::checks(&stage.local, &stage.organisation, End::Untouched)
            .await
            .unwrap()
        {
            assert!(check.holds, "{}: {}", check.what, check.seen);
        }
    }
    stage.local.stop().await;
}
