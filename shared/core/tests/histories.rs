//! The reports of recorded runs: what people read of their time. Where the recordings come from is said in
//! `histories/README.md`.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read its data has failed"
)]

use std::collections::BTreeMap;

use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::chart::axis::duration;
use blackstart_core::critical_path::{Bar, BarKind, Recording, Stage, StateTime, measure};
use blackstart_core::history::{ExecutionHistory, HistoryEvent};
use blackstart_core::plan::Targets;
use blackstart_core::report::{self, Facts, Report, Standing, State};
use blackstart_core::run::{Conclusion, Mode, RunId, RunRecord, Trigger, WorkloadName};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What is lost between two clocks that count nanoseconds as fractions of a second.
const NOTHING: f64 = 1e-6;

fn recording(name: &str) -> Recording {
    let file = format!("{}/tests/histories/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The history of the recovery machine: it starts the others.
fn main_history(recording: &Recording) -> &ExecutionHistory {
    let first = recording.histories.iter().min_by_key(|history| history.started);
    first.unwrap()
}

/// The report of a run, of whose documents only the times are known.
fn report(recording: &Recording, conclusion: Option<Conclusion>, reason: &str) -> Report {
    let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
    let execution = main_history(recording).execution.clone();
    let run = RunRecord {
        run: RunId::of_execution(&workload, &execution),
        workload,
        mode: Mode::Incident,
        plan: ArtifactRef {
            bucket: "artifacts".to_owned(),
            key: "plan".to_owned(),
            version: None,
            sha256: Digest::of(b""),
            bytes: 0,
        },
        trigger: Trigger::Manual {
            requested_by: "ada".to_owned(),
            boundary: None,
        },
        execution,
        started: recording.started,
        conclusion,
    };
    let standing = match conclusion {
        Some(_) => Standing::Concluded,
        None => Standing::of(&recording.histories, &run.execution),
    };
    let state = State {
        standing,
        conclusion,
        reason: reason.to_owned(),
        now: recording.until,
    };
    let facts = Facts {
        steps: recording.steps.clone(),
        histories: recording.histories.clone(),
        ..Facts::default()
    };
    let mut report = report::build(run, Targets::default(), state, facts);
    // What the gate's record would have said.
    report.critical_path = measure(&recording.observed());
    report
}

/// Bars lie one after the other, within the time that is theirs.
fn assert_in_order(bars: &[Bar], from: Timestamp, to: Timestamp, what: &str) {
    assert!(bars.iter().all(|bar| bar.from < bar.to), "{what}: an empty bar");
    assert!(
        bars.windows(2).all(|pair| pair[0].to <= pair[1].from),
        "{what}: two bars overlap"
    );
    assert!(
        bars.first().is_none_or(|bar| bar.from >= from) && bars.last().is_none_or(|bar| bar.to <= to),
        "{what}: a bar leaves its stage"
    );
}

/// What must hold of every measurement, whatever happened.
fn assert_adds_up(name: &str, recording: &Recording) {
    let path = measure(&recording.observed());
    for (stage, time) in &path.stages {
        let what = format!("{name}, {stage:?}");
        assert_in_order(&time.bars, time.from, time.to, &what);
        let bars: f64 = time.bars.iter().map(Bar::seconds).sum();
        assert!(
            (bars - time.seconds).abs() < NOTHING,
            "{what}: {bars} and {}",
            time.seconds
        );
        for state in &time.states {
            assert_in_order(
                &state.bars,
                time.from,
                time.to,
                &format!("{what}, {}", state.state),
            );
        }
    }
    let whole = recording.until.duration_since(recording.started).as_secs_f64();
    assert!(
        path.corrected <= path.measured + NOTHING,
        "{name}: the formula exceeds what was measured"
    );
    assert!(
        path.measured <= whole + NOTHING,
        "{name}: more was measured than time passed"
    );
    assert!(
        path.corrected <= path.sequential + NOTHING,
        "{name}: in parallel is longer than in sequence"
    );
    assert!(
        (path.corrected + path.orchestration - path.measured).abs() < NOTHING,
        "{name}"
    );
    assert!(
        (path.measured + path.saved - path.sequential).abs() < NOTHING,
        "{name}"
    );
    if let Some(binding) = path.binding {
        assert_eq!(path.slack[&binding], 0.0, "{name}: what binds has slack");
    }

    let mut shuffled = recording.clone();
    shuffled.histories.reverse();
    shuffled.steps.reverse();
    for history in &mut shuffled.histories {
        history.events.reverse();
    }
    assert_eq!(
        measure(&shuffled.observed()),
        path,
        "{name}: the order of what was read matters"
    );
}

/// Milliseconds: more does not belong into a golden file.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

fn by_kind(bars: &[Bar]) -> BTreeMap<&'static str, f64> {
    let mut sums = BTreeMap::<&'static str, f64>::new();
    for bar in bars {
        *sums.entry(bar.kind.words()).or_default() += bar.seconds();
    }
    sums.into_iter().map(|(kind, sum)| (kind, rounded(sum))).collect()
}

fn in_words(state: &StateTime) -> String {
    format!(
        "{}: {} visits, {} failed attempts, {}",
        state.state,
        state.visits,
        state.failed_attempts,
        duration(state.seconds())
    )
}

/// What people read of a report's time.
fn read(report: &Report) -> Value {
    let path = &report.critical_path;
    let stages: BTreeMap<&str, Value> = path
        .stages
        .iter()
        .map(|(stage, time)| {
            let states: Vec<String> = time.states.iter().map(in_words).collect();
            let told = json!({
                "seconds": rounded(time.seconds),
                "of": by_kind(&time.bars),
                "slack": path.slack.get(stage).map(|slack| rounded(*slack)),
                "states": states,
            });
            (stage.words(), told)
        })
        .collect();
    json!({
        "standing": report.standing,
        "conclusion": report.conclusion,
        "measured": rounded(path.measured),
        "corrected": rounded(path.corrected),
        "orchestration": rounded(path.orchestration),
        "sequential": rounded(path.sequential),
        "saved": rounded(path.saved),
        "binding": path.binding,
        "stages": stages,
        "what_ifs": path.what_ifs.iter().map(|what_if| (what_if.stage.words(), rounded(what_if.saves))).collect::<BTreeMap<_, _>>(),
        "summary": report::summary(report).lines().collect::<Vec<_>>(),
    })
}

fn people(report: &Report, stage: Stage) -> f64 {
    let time = report.critical_path.stages.get(&stage);
    time.map_or(0.0, |time| time.seconds_of(BarKind::People))
}

#[test]
fn a_recovery_from_the_finding_to_the_cutover() {
    let recording = recording("recovered");
    assert_adds_up("recovered", &recording);
    let report = report(&recording, Some(Conclusion::Recovered), "");
    assert!(report.critical_path.stages.contains_key(&Stage::Cutover));
    assert!(report.critical_path.saved > 0.0, "parallel stages save nothing");
    insta::assert_json_snapshot!("recovered", read(&report));
}

#[test]
fn a_recovery_that_an_approver_refused() {
    let recording = recording("refused");
    assert_adds_up("refused", &recording);
    let report = report(
        &recording,
        Some(Conclusion::Refused),
        "an approver refused the decision package",
    );
    assert!(people(&report, Stage::Approval) > 0.0);
    assert!(!report.critical_path.stages.contains_key(&Stage::Restore));
    insta::assert_json_snapshot!("refused", read(&report));
}

#[test]
fn a_recovery_that_failed_before_its_gate() {
    let recording = recording("failed");
    assert_adds_up("failed", &recording);
    let report = report(
        &recording,
        Some(Conclusion::Failed),
        "Recovery.InvalidInput: the payload is no task",
    );
    assert_eq!(report.critical_path.binding, Some(Stage::Validation));
    let rebuild = &report.critical_path.stages[&Stage::Rebuild];
    assert!(rebuild.seconds_of(BarKind::Events) > 0.0);
    assert!(!report.critical_path.stages.contains_key(&Stage::Restore));
    insta::assert_json_snapshot!("failed", read(&report));
}

/// Seconds that the person took who redrove the run of [`redriven`].
const REDRIVEN_AFTER: i64 = 600;
/// The state in which it was aborted.
const ABORTED_IN: &str = "Rotate credentials";

/// The recovered run, as if somebody had aborted it half-way through a task and redriven it ten minutes later.
///
/// No local AWS redrives. The shape is that of the Step Functions documentation (*Restarting state machine executions
/// with redrive*, `HistoryEventType`): `ExecutionAborted`, then `ExecutionRedriven` in the same history, then the
/// unsuccessful task is scheduled again; what had succeeded is not run again.
fn redriven() -> Recording {
    let mut recording = recording("recovered");
    let main = main_history(&recording).execution.clone();
    let history = recording
        .histories
        .iter()
        .find(|history| history.execution == main)
        .unwrap();
    let entered = history
        .events
        .iter()
        .position(|event| event.kind == "TaskStateEntered" && event.state.as_deref() == Some(ABORTED_IN));
    let scheduled = entered.unwrap() + 1;
    let [first, answer] = &history.events[scheduled..scheduled + 2] else {
        panic!("the task has no answer");
    };
    assert_eq!(
        (first.kind.as_str(), answer.kind.as_str()),
        ("TaskScheduled", "TaskSucceeded")
    );
    let begun = first.at;
    let aborted = begun + answer.at.duration_since(begun) / 2;
    let again = aborted + SignedDuration::from_secs(REDRIVEN_AFTER);
    // All that came after the task was scheduled comes that much later.
    let later = again.duration_since(begun);
    let resource = first.resource.clone();

    for history in &mut recording.histories {
        if history.started > begun {
            history.started += later;
        }
        history.ended = history
            .ended
            .map(|ended| if ended > begun { ended + later } else { ended });
        for event in history.events.iter_mut().filter(|event| event.at > begun) {
            event.at += later;
        }
        if history.execution == main {
            let id = history.events[scheduled].id;
            for event in &mut history.events[scheduled + 1..] {
                event.id += 3;
                event.previous += 3;
            }
            let new = |id, previous, at, kind: &str| HistoryEvent {
                id,
                previous,
                at,
                kind: kind.to_owned(),
                state: None,
                resource: None,
                error: None,
            };
            let mut rescheduled = new(id + 3, id + 2, again, "TaskScheduled");
            rescheduled.resource.clone_from(&resource);
            history.events.splice(
                scheduled + 1..scheduled + 1,
                [
                    new(id + 1, id, aborted, "ExecutionAborted"),
                    new(id + 2, id + 1, again, "ExecutionRedriven"),
                    rescheduled,
                ],
            );
        }
    }
    for step in &mut recording.steps {
        let times = if step.entered > begun {
            [
                Some(&mut step.entered),
                Some(&mut step.began),
                Some(&mut step.ended),
            ]
        } else if step.ended > begun && step.state == ABORTED_IN {
            [None, Some(&mut step.began), Some(&mut step.ended)]
        } else {
            continue;
        };
        times.into_iter().flatten().for_each(|at| *at += later);
    }
    recording.until += later;
    recording
}

#[test]
fn a_recovery_that_was_aborted_and_redriven() {
    let recording = redriven();
    assert_adds_up("redriven", &recording);
    let report = report(&recording, Some(Conclusion::Recovered), "");
    let seconds = f64::from(i32::try_from(REDRIVEN_AFTER).unwrap());
    assert_eq!(
        people(&report, Stage::Rotate),
        seconds,
        "the time until the redrive is one of waiting for people"
    );
    insta::assert_json_snapshot!("redriven", read(&report));
}
