use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;
use crate::history::HistoryEvent;

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + second.seconds()
}

fn step(state: &str, execution: &str, from: i64, to: i64) -> RecordedStep {
    RecordedStep {
        entered: at(from),
        began: at(from),
        ended: at(to),
        state: state.to_owned(),
        operation: String::new(),
        execution: execution.to_owned(),
        outcome: "ok".to_owned(),
        retry_count: 0,
    }
}

fn of_steps(started: Timestamp, steps: &[RecordedStep], decided: Decided) -> CriticalPath {
    measure(&Observed {
        started,
        steps,
        histories: &[],
        decided,
        until: at(1_000_000),
    })
}

/// Durations: timeline, validation, residual, rebuild, references, approval, restore, rotate, cutover.
fn run(d: [i64; 9]) -> (Vec<RecordedStep>, Timestamp) {
    let [
        timeline,
        validation,
        residual,
        rebuild,
        references,
        approval,
        restore,
        rotate,
        cutover,
    ] = d;
    let mut steps = vec![
        step("Merge timeline", "r", 0, timeline),
        step("Judge set", "r-speculative", 0, validation),
        step("Create stacks", "r", 0, rebuild),
        step("Inventory sibling", "r", 0, references),
    ];
    // The residual walk follows the Parallel; its length is what counts.
    let prepared = timeline.max(validation).max(rebuild).max(references);
    steps.push(step("Judge set", "r-walk-1", prepared, prepared + residual));
    let mut now = prepared + residual;
    for (state, length) in [
        ("Await approval", approval),
        ("Restore data", restore),
        ("Rotate credentials", rotate),
        ("Shift traffic", cutover),
    ] {
        steps.push(step(state, "r", now, now + length));
        now += length;
    }
    (steps, at(0))
}

/// The longest path through the stages as a graph, by trying every path.
fn brute_force(d: [i64; 9]) -> i64 {
    let [
        timeline,
        validation,
        residual,
        rebuild,
        references,
        approval,
        restore,
        rotate,
        cutover,
    ] = d;
    let edges: [(usize, usize, i64); 9] = [
        (0, 1, timeline),
        (1, 2, residual),
        (0, 2, validation),
        (0, 2, rebuild),
        (0, 2, references),
        (2, 3, approval),
        (3, 4, restore),
        (4, 5, rotate),
        (5, 6, cutover),
    ];
    fn longest(from: usize, edges: &[(usize, usize, i64)]) -> i64 {
        edges
            .iter()
            .filter(|(a, _, _)| *a == from)
            .map(|(_, b, w)| w + longest(*b, edges))
            .max()
            .unwrap_or(0)
    }
    longest(0, &edges)
}

proptest! {
    #[test]
    fn the_corrected_formula_is_the_longest_path(d in prop::array::uniform9(0_i64..10_000), seed in any::<u64>()) {
        let (mut steps, started) = run(d);
        let by = usize::try_from(seed % 9).unwrap();
        steps.rotate_left(by);
        let path = of_steps(started, &steps, None);
        prop_assert!((path.corrected - brute_force(d) as f64).abs() < 1e-6);
        prop_assert!(path.slack.values().all(|slack| *slack >= 0.0));
        prop_assert!(path.slack.values().any(|slack| *slack == 0.0));
    }

    #[test]
    fn shortening_a_branch_with_slack_saves_nothing(d in prop::array::uniform9(1_i64..10_000)) {
        let (steps, started) = run(d);
        let path = of_steps(started, &steps, None);
        for (stage, slack) in &path.slack {
            let saved = what_if_shorter(&path, *stage, 1.0);
            prop_assert!((-1e-6..=1.0 + 1e-6).contains(&saved));
            if *slack > 0.0 {
                prop_assert!(saved.abs() < 1e-6, "{stage:?}");
            }
        }
        prop_assert!((what_if_shorter(&path, Stage::Approval, 1.0) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn waiting_for_people_ends_with_their_decision() {
    let steps = [
        step("Prepare decision", "r", 10, 11),
        step("Await approval", "r", 11, 12),
    ];
    let path = of_steps(at(0), &steps, Some(at(100)));
    let approval = &path.stages[&Stage::Approval];
    assert_eq!(
        (approval.from, approval.to, approval.seconds),
        (at(10), at(100), 90.0)
    );
    assert_eq!(approval.seconds_of(BarKind::People), 89.0);
}

#[test]
fn a_run_without_steps_has_no_critical_path() {
    let path = of_steps(at(0), &[], None);
    assert_eq!((path.measured, path.corrected, path.binding), (0.0, 0.0, None));
}

/// `type state|resource|error previous second`, ids from 1 in order.
fn history(execution: &str, ended: Option<i64>, events: &[(&str, &str, i64, i64)]) -> ExecutionHistory {
    let events = events
        .iter()
        .enumerate()
        .map(|(index, (kind, text, previous, second))| {
            let text = |wanted: bool| wanted.then(|| (*text).to_owned());
            HistoryEvent {
                id: i64::try_from(index).unwrap() + 1,
                previous: *previous,
                at: at(*second),
                kind: (*kind).to_owned(),
                state: text(kind.contains("State")),
                resource: text(kind.ends_with("Scheduled")),
                error: text(kind.ends_with("Failed")),
            }
        });
    ExecutionHistory {
        execution: execution.to_owned(),
        status: "RUNNING".to_owned(),
        started: at(0),
        ended: ended.map(at),
        events: events.collect(),
    }
}

fn of_history(history: &ExecutionHistory, steps: &[RecordedStep], until: i64) -> CriticalPath {
    measure(&Observed {
        started: at(0),
        steps,
        histories: std::slice::from_ref(history),
        decided: None,
        until: at(until),
    })
}

fn lengths(bars: &[Bar]) -> Vec<(BarKind, f64)> {
    bars.iter().map(|bar| (bar.kind, bar.seconds())).collect()
}

#[test]
fn retries_waits_and_passing_on_have_bars_of_their_own() {
    let rebuild = history(
        "r",
        None,
        &[
            ("TaskStateEntered", "Rebuild infrastructure", 0, 0),
            ("TaskScheduled", "lambda:invoke", 1, 1),
            ("TaskFailed", "Recovery.Transient", 2, 3),
            ("TaskScheduled", "lambda:invoke", 3, 7),
            ("TaskSucceeded", "", 4, 10),
            ("TaskStateExited", "Rebuild infrastructure", 5, 10),
            ("TaskStateEntered", "Create stacks", 6, 10),
            ("TaskScheduled", "lambda:invoke", 7, 10),
            ("TaskSucceeded", "", 8, 11),
            ("TaskStateExited", "Create stacks", 9, 11),
            ("WaitStateEntered", "Wait for stacks", 10, 11),
            ("WaitStateExited", "Wait for stacks", 11, 21),
            ("TaskStateEntered", "Create stacks", 12, 21),
            ("TaskScheduled", "lambda:invoke", 13, 21),
            ("TaskSucceeded", "", 14, 22),
            ("TaskStateExited", "Create stacks", 15, 22),
        ],
    );
    // What the function recorded of a visit that the history shows too is not counted twice.
    let steps = [step("Create stacks", "r", 10, 11)];
    let path = of_history(&rebuild, &steps, 50);
    let time = &path.stages[&Stage::Rebuild];
    assert_eq!(
        lengths(&time.bars),
        [
            (BarKind::Orchestration, 1.0),
            (BarKind::Work, 2.0),
            (BarKind::Throttled, 4.0),
            (BarKind::Work, 4.0),
            (BarKind::Events, 10.0),
            (BarKind::Work, 1.0),
        ]
    );
    let states: Vec<_> = time
        .states
        .iter()
        .map(|state| (state.state.as_str(), state.visits, state.failed_attempts))
        .collect();
    assert_eq!(
        states,
        [("Rebuild infrastructure", 1, 1), ("Create stacks", 2, 0)]
    );
    assert_eq!(path.measured, 22.0);
}

#[test]
fn branches_that_interleave_keep_their_own_attempts() {
    let both = history(
        "r",
        None,
        &[
            ("ParallelStateEntered", "Prepare", 0, 0),
            ("ParallelStateStarted", "", 1, 0),
            ("TaskStateEntered", "Establish timeline", 2, 0),
            ("TaskStateEntered", "Find references", 2, 0),
            ("TaskScheduled", "lambda:invoke", 3, 0),
            ("TaskScheduled", "lambda:invoke", 4, 0),
            ("TaskSucceeded", "", 5, 4),
            ("TaskStateExited", "Establish timeline", 7, 4),
            ("TaskSucceeded", "", 6, 9),
            ("TaskStateExited", "Find references", 9, 9),
        ],
    );
    let path = of_history(&both, &[], 50);
    assert_eq!(path.stages[&Stage::Timeline].seconds, 4.0);
    assert_eq!(path.stages[&Stage::References].seconds, 9.0);
    assert_eq!(path.binding, Some(Stage::References));
    assert_eq!(path.slack[&Stage::Timeline], 5.0);
}

#[test]
fn a_broken_off_execution_waits_for_the_person_who_redrives_it() {
    let redriven = history(
        "r",
        None,
        &[
            ("TaskStateEntered", "Restore data", 0, 0),
            ("TaskScheduled", "lambda:invoke", 1, 0),
            ("TaskFailed", "Recovery.Defect", 2, 5),
            ("ExecutionFailed", "", 3, 5),
            ("ExecutionRedriven", "", 4, 65),
            ("TaskScheduled", "lambda:invoke", 5, 65),
            ("TaskSucceeded", "", 6, 70),
            ("TaskStateExited", "Restore data", 7, 70),
        ],
    );
    let time = &of_history(&redriven, &[], 100).stages[&Stage::Restore];
    assert_eq!(
        lengths(&time.bars),
        [
            (BarKind::Work, 5.0),
            (BarKind::People, 60.0),
            (BarKind::Work, 5.0)
        ]
    );
}

#[test]
fn a_stuck_run_waits_for_people_until_now_in_the_stage_that_it_interrupted() {
    let stuck = history(
        "r",
        None,
        &[
            ("TaskStateEntered", "Rotate credentials", 0, 0),
            ("TaskScheduled", "lambda:invoke", 1, 0),
            ("TaskFailed", "Recovery.PolicyRefused", 2, 5),
            ("TaskStateExited", "Rotate credentials", 3, 5),
            ("TaskStateEntered", "Await operator", 4, 5),
            ("TaskScheduled", "lambda:invoke.waitForTaskToken", 5, 5),
        ],
    );
    let path = of_history(&stuck, &[], 95);
    let time = &path.stages[&Stage::Rotate];
    assert_eq!(
        lengths(&time.bars),
        [(BarKind::Work, 5.0), (BarKind::People, 90.0)]
    );
    assert_eq!(path.measured, 95.0);
}

#[test]
fn a_stage_that_ran_twice_is_not_as_long_as_what_lay_between() {
    let steps = [
        step("Restore data", "r", 0, 10),
        step("Rotate credentials", "r", 10, 20),
        step("Plan cutover", "r-cutover-1", 20, 30),
        step("Restore data", "r", 40, 45),
        step("Rotate credentials", "r", 45, 46),
        step("Plan cutover", "r-cutover-2", 46, 50),
    ];
    let path = of_steps(at(0), &steps, None);
    let seconds = |stage| path.stages[&stage].seconds;
    assert_eq!(
        (
            seconds(Stage::Restore),
            seconds(Stage::Rotate),
            seconds(Stage::Cutover)
        ),
        (15.0, 11.0, 14.0)
    );
    assert_eq!(path.orchestration, 10.0);
}

fn kinds() -> impl Strategy<Value = BarKind> {
    prop::sample::select(vec![
        BarKind::Work,
        BarKind::People,
        BarKind::Throttled,
        BarKind::Events,
    ])
}

proptest! {
    #[test]
    fn bars_neither_overlap_nor_leave_a_gap(
        from in 0_i64..50,
        length in 0_i64..100,
        spans in prop::collection::vec((0_i64..150, 0_i64..60, kinds()), 0..20),
    ) {
        let spans: Vec<Bar> = spans
            .into_iter()
            .map(|(from, length, kind)| Bar { from: at(from), to: at(from + length), kind })
            .collect();
        let (from, to) = (at(from), at(from + length));
        let bars = partition(from, to, &spans, Some(BarKind::Orchestration));
        prop_assert_eq!(bars.first().map_or(to, |bar| bar.from), from);
        prop_assert_eq!(bars.last().map_or(from, |bar| bar.to), to);
        prop_assert!(bars.windows(2).all(|pair| pair[0].to == pair[1].from && pair[0].kind != pair[1].kind));
        // At every second, by brute force, the bar is the most important thing that goes on.
        for second in 0..220 {
            let (now, next) = (at(second), at(second + 1));
            let wanted = (from <= now && next <= to).then(|| {
                spans
                    .iter()
                    .filter(|span| span.from <= now && next <= span.to)
                    .map(|span| span.kind)
                    .min()
                    .unwrap_or(BarKind::Orchestration)
            });
            let found = bars.iter().find(|bar| bar.from <= now && next <= bar.to).map(|bar| bar.kind);
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn the_bars_of_a_stage_are_as_long_as_the_stage(d in prop::array::uniform9(0_i64..10_000)) {
        let (steps, started) = run(d);
        let path = of_steps(started, &steps, None);
        for time in path.stages.values() {
            let sum: f64 = time.bars.iter().map(Bar::seconds).sum();
            prop_assert!((sum - time.seconds).abs() < 1e-6);
            for state in &time.states {
                prop_assert!(state.seconds() <= time.to.duration_since(time.from).as_secs_f64() + 1e-6);
            }
        }
    }

    #[test]
    fn half_of_a_stage_never_saves_more_than_that(d in prop::array::uniform9(0_i64..10_000)) {
        let (steps, started) = run(d);
        for what_if in of_steps(started, &steps, None).what_ifs {
            prop_assert!((-1e-6..=what_if.shorter + 1e-6).contains(&what_if.saves));
        }
    }
}
