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

/// Seconds that people take in the runs below.
const PEOPLE_TAKE: i64 = 600;

/// Where in the main history a state calls its function for the first time.
fn first_call(recording: &Recording, state: &str) -> usize {
    let events = &main_history(recording).events;
    let entered = events
        .iter()
        .position(|event| event.kind == "TaskStateEntered" && event.state.as_deref() == Some(state));
    let call = entered.unwrap() + 1;
    assert_eq!(events[call].kind, "TaskScheduled", "{state}");
    call
}

/// Everything later than `after` comes `by` later.
fn delay(recording: &mut Recording, after: Timestamp, by: SignedDuration) {
    let late = |at: &mut Timestamp| {
        if *at > after {
            *at += by;
        }
    };
    late(&mut recording.until);
    recording.decided.iter_mut().for_each(late);
    for history in &mut recording.histories {
        late(&mut history.started);
        history.ended.iter_mut().for_each(late);
        history.events.iter_mut().for_each(|event| late(&mut event.at));
    }
    for step in &mut recording.steps {
        late(&mut step.entered);
        late(&mut step.began);
        late(&mut step.ended);
    }
}

/// Puts events behind the one at `place` of the main history; each has a state, a resource or an error.
fn insert(recording: &mut Recording, place: usize, new: &[(Timestamp, &str, &str)]) {
    let main = main_history(recording).execution.clone();
    let mut histories = recording.histories.iter_mut();
    let history = histories.find(|history| history.execution == main).unwrap();
    let first = history.events[place].id;
    let count = i64::try_from(new.len()).unwrap();
    for event in &mut history.events[place + 1..] {
        event.id += count;
        event.previous += count;
    }
    let new = (first + 1..).zip(new).map(|(id, (at, kind, text))| {
        let text = |wanted: bool| (wanted && !text.is_empty()).then(|| (*text).to_owned());
        HistoryEvent {
            id,
            previous: id - 1,
            at: *at,
            kind: (*kind).to_owned(),
            state: text(kind.contains("State")),
            resource: text(kind.ends_with("Scheduled")),
            error: text(kind.ends_with("Failed") || kind.ends_with("TimedOut")),
        }
    });
    history.events.splice(place + 1..place + 1, new);
}

/// The instant half-way through the first call of a state, and that instant after people took their time.
fn interrupted(recording: &Recording, call: usize) -> (Timestamp, Timestamp) {
    let events = &main_history(recording).events;
    let (begun, answered) = (events[call].at, events[call + 1].at);
    let half = begun + answered.duration_since(begun) / 2;
    (half, half + SignedDuration::from_secs(PEOPLE_TAKE))
}

const FUNCTION: &str = "lambda:arn:aws:states:::lambda:invoke";
const TOKEN: &str = "lambda:arn:aws:states:::lambda:invoke.waitForTaskToken";

/// The recovered run, as if somebody had aborted it half-way through a task and redriven it.
///
/// No local AWS redrives. The shape is that of the Step Functions documentation (*Restarting state machine executions
/// with redrive*, `HistoryEventType`): `ExecutionAborted`, then `ExecutionRedriven` in the same history, then the
/// unsuccessful task is scheduled again; what had succeeded is not run again.
fn redriven() -> Recording {
    let mut recording = recording("recovered");
    let call = first_call(&recording, "Rotate credentials");
    let begun = main_history(&recording).events[call].at;
    let (aborted, again) = interrupted(&recording, call);
    delay(&mut recording, begun, again.duration_since(begun));
    insert(
        &mut recording,
        call,
        &[
            (aborted, "ExecutionAborted", ""),
            (again, "ExecutionRedriven", ""),
            (again, "TaskScheduled", FUNCTION),
        ],
    );
    recording
}

#[test]
fn a_recovery_that_was_aborted_and_redriven() {
    let recording = redriven();
    assert_adds_up("redriven", &recording);
    let report = report(&recording, Some(Conclusion::Recovered), "");
    assert_eq!(
        people(&report, Stage::Rotate),
        people_took(),
        "the time until the redrive is one of waiting for people"
    );
    insta::assert_json_snapshot!("redriven", read(&report));
}

fn people_took() -> f64 {
    f64::from(i32::try_from(PEOPLE_TAKE).unwrap())
}

/// The refused run, as if nobody had voted: the wait times out, which the machine catches, and the gate is closed.
fn expired() -> Recording {
    let mut recording = recording("refused");
    let call = first_call(&recording, "Await approval");
    let begun = main_history(&recording).events[call].at;
    let end = begun + SignedDuration::from_secs(PEOPLE_TAKE);
    let voted = main_history(&recording).events[call + 1].at;
    delay(&mut recording, begun, end.duration_since(voted));
    let main = main_history(&recording).execution.clone();
    let mut histories = recording.histories.iter_mut();
    let history = histories.find(|history| history.execution == main).unwrap();
    for (event, (kind, state)) in history.events[call + 1..].iter_mut().zip([
        ("TaskTimedOut", None),
        ("TaskStateExited", Some("Await approval")),
        ("TaskStateEntered", Some("Close gate")),
        ("TaskStateExited", Some("Close gate")),
    ]) {
        kind.clone_into(&mut event.kind);
        event.state = state.map(str::to_owned);
        event.error = (kind == "TaskTimedOut").then(|| "States.Timeout".to_owned());
    }
    recording
}

#[test]
fn a_recovery_on_which_nobody_decided_in_time() {
    let recording = expired();
    assert_adds_up("expired", &recording);
    let report = report(&recording, Some(Conclusion::Expired), "nobody decided in time");
    // To the millisecond: the wait begins when the state is entered.
    assert!((people(&report, Stage::Approval) - people_took()).abs() < 0.01);
    assert!(!report.critical_path.stages.contains_key(&Stage::Restore));
    insta::assert_json_snapshot!("expired", read(&report));
}

/// The recovered run, as if the restore had been refused at first: `Report stuck`, `Await operator`, and again.
fn resumed() -> Recording {
    let mut recording = recording("recovered");
    let call = first_call(&recording, "Restore data");
    let begun = main_history(&recording).events[call].at;
    let (refused, answered) = interrupted(&recording, call);
    delay(&mut recording, begun, answered.duration_since(begun));
    insert(
        &mut recording,
        call,
        &[
            (refused, "TaskFailed", "Recovery.PreconditionChanged"),
            (refused, "TaskStateExited", "Restore data"),
            (refused, "TaskStateEntered", "Report stuck"),
            (refused, "TaskScheduled", FUNCTION),
            (refused, "TaskSucceeded", ""),
            (refused, "TaskStateExited", "Report stuck"),
            (refused, "TaskStateEntered", "Await operator"),
            (refused, "TaskScheduled", TOKEN),
            (answered, "TaskSucceeded", ""),
            (answered, "TaskStateExited", "Await operator"),
            (answered, "TaskStateEntered", "Restore data"),
            (answered, "TaskScheduled", FUNCTION),
        ],
    );
    recording
}

#[test]
fn a_recovery_that_waits_for_an_operator_and_goes_on() {
    let whole = resumed();
    let (_, answered) = interrupted(&recording("recovered"), first_call(&whole, "Restore data"));
    let stuck = whole.as_of(answered - SignedDuration::from_secs(PEOPLE_TAKE / 2));
    assert_adds_up("stuck", &stuck);
    let then = report(
        &stuck,
        None,
        "Recovery.PreconditionChanged: starting the restore found nothing",
    );
    assert_eq!(then.standing, Standing::Stuck);
    assert_eq!(people(&then, Stage::Restore), people_took() / 2.0);
    insta::assert_json_snapshot!("stuck", read(&then));

    assert_adds_up("resumed", &whole);
    let end = report(&whole, Some(Conclusion::Recovered), "");
    assert_eq!(
        people(&end, Stage::Restore),
        people_took(),
        "the wait belongs to the stage that it interrupted"
    );
    insta::assert_json_snapshot!("resumed", read(&end));
}
