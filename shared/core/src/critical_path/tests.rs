use proptest::prelude::*;

use super::*;
use crate::history::script::{at, running};

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

/// What each stage takes, in the order of [`Stage`].
type Durations = [i64; 9];

fn t(d: &Durations, stage: Stage) -> i64 {
    d[stage as usize]
}

fn run(d: &Durations) -> Vec<RecordedStep> {
    let branches = [
        ("Merge timeline", Stage::Timeline),
        ("Judge set", Stage::Validation),
        ("Create stacks", Stage::Rebuild),
        ("Inventory sibling", Stage::References),
    ];
    let mut steps: Vec<RecordedStep> = branches
        .iter()
        .map(|(state, stage)| step(state, "r", 0, t(d, *stage)))
        .collect();
    // The residual walk follows the Parallel; its length is what counts.
    let mut now = branches.iter().map(|(_, stage)| t(d, *stage)).max().unwrap();
    for (state, execution, stage) in [
        ("Judge set", "r-walk-1", Stage::ResidualValidation),
        ("Await approval", "r", Stage::Approval),
        ("Restore data", "r", Stage::Restore),
        ("Rotate credentials", "r", Stage::Rotate),
        ("Shift traffic", "r", Stage::Cutover),
    ] {
        steps.push(step(state, execution, now, now + t(d, stage)));
        now += t(d, stage);
    }
    steps
}

/// The longest path through the stages as a graph, by trying every path.
fn brute_force(d: &Durations) -> i64 {
    let edges = [
        (0, 1, Stage::Timeline),
        (1, 2, Stage::ResidualValidation),
        (0, 2, Stage::Validation),
        (0, 2, Stage::Rebuild),
        (0, 2, Stage::References),
        (2, 3, Stage::Approval),
        (3, 4, Stage::Restore),
        (4, 5, Stage::Rotate),
        (5, 6, Stage::Cutover),
    ];
    fn longest(from: i32, edges: &[(i32, i32, Stage)], d: &Durations) -> i64 {
        edges
            .iter()
            .filter(|(a, ..)| *a == from)
            .map(|(_, b, stage)| t(d, *stage) + longest(*b, edges, d))
            .max()
            .unwrap_or(0)
    }
    longest(0, &edges, d)
}

proptest! {
    #[test]
    fn the_corrected_formula_is_the_longest_path(d in prop::array::uniform9(0_i64..10_000), seed in 0_usize..9) {
        let mut steps = run(&d);
        steps.rotate_left(seed);
        let path = of_steps(at(0), &steps, None);
        prop_assert_eq!(path.corrected, brute_force(&d) as f64);
        prop_assert_eq!(path.sequential, d.iter().sum::<i64>() as f64);
        prop_assert_eq!(path.slack[&path.binding.unwrap()], 0.0);
        // A branch can take as much longer as it has slack, and no second more.
        for (stage, slack) in &path.slack {
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds, and few")]
            let slack = *slack as i64;
            let mut longer = d;
            longer[*stage as usize] += slack;
            prop_assert_eq!(brute_force(&longer), brute_force(&d), "{:?}", stage);
            longer[*stage as usize] += 1;
            prop_assert_eq!(brute_force(&longer), brute_force(&d) + 1, "{:?}", stage);
        }
    }

    #[test]
    fn what_a_shorter_stage_saves_is_what_the_longest_path_loses(
        d in prop::array::uniform9(0_i64..10_000),
        less in 0_i64..12_000,
    ) {
        let path = of_steps(at(0), &run(&d), None);
        for stage in Stage::iter() {
            let mut shorter = d;
            shorter[stage as usize] = (t(&d, stage) - less).max(0);
            let saved = (brute_force(&d) - brute_force(&shorter)) as f64;
            prop_assert_eq!(what_if_shorter(&path, stage, less as f64), saved, "{:?}", stage);
        }
        for what_if in &path.what_ifs {
            prop_assert_eq!(what_if.saves, what_if_shorter(&path, what_if.stage, what_if.shorter));
        }
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
    let rebuild = running(
        "r",
        "
         0 enters Rebuild infrastructure
         1 calls
         3 fails Recovery.Transient
         7 calls
         10 answers
         10 leaves Rebuild infrastructure
         10 enters Create stacks
         10 calls
         11 answers
         11 leaves Create stacks
         11 waits Wait for stacks
         21 wakes Wait for stacks
         21 enters Create stacks
         21 calls
         22 answers
         22 leaves Create stacks
        ",
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
    let both = running(
        "r",
        "
         0 forks Prepare
         0 enters Establish timeline
         0 enters Find references < 1
         0 calls < 2
         0 calls < 3
         4 answers < 4
         4 leaves Establish timeline
         9 answers < 5
         9 leaves Find references
        ",
    );
    let path = of_history(&both, &[], 50);
    assert_eq!(path.stages[&Stage::Timeline].seconds, 4.0);
    assert_eq!(path.stages[&Stage::References].seconds, 9.0);
    assert_eq!(path.binding, Some(Stage::References));
    assert_eq!(path.slack[&Stage::Timeline], 5.0);
}

/// Work until second 5, a person until second 65, work until second 70.
fn broken_off_and_redriven() -> [(BarKind, f64); 3] {
    [
        (BarKind::Work, 5.0),
        (BarKind::People, 60.0),
        (BarKind::Work, 5.0),
    ]
}

#[test]
fn a_broken_off_execution_waits_for_the_person_who_redrives_it() {
    let redriven = running(
        "r",
        "
         0 enters Restore data
         0 calls
         5 fails Recovery.Defect
         5 breaks-off
         65 is-redriven
         65 calls
         70 answers
         70 leaves Restore data
        ",
    );
    let time = &of_history(&redriven, &[], 100).stages[&Stage::Restore];
    assert_eq!(lengths(&time.bars), broken_off_and_redriven());
}

#[test]
fn a_task_that_was_aborted_in_its_work_does_not_work_until_it_is_redriven() {
    for entered_anew in ["", "65 enters Restore data"] {
        let aborted = running(
            "r",
            &format!(
                "
                 0 enters Restore data
                 0 calls
                 5 is-aborted
                 65 is-redriven
                 {entered_anew}
                 65 calls
                 70 answers
                 70 leaves Restore data
                "
            ),
        );
        let path = of_history(&aborted, &[], 100);
        let time = &path.stages[&Stage::Restore];
        assert_eq!(lengths(&time.bars), broken_off_and_redriven(), "{entered_anew}");
        assert_eq!(path.measured, 70.0, "{entered_anew}");
    }
}

#[test]
fn every_branch_that_was_open_waits_for_the_person_who_redrives() {
    let both = running(
        "r",
        "
         0 forks Prepare
         0 enters Merge timeline
         0 enters Find references < 1
         0 calls < 2
         0 calls < 3
         4 answers < 4
         4 leaves Merge timeline
         4 enters Merge timeline
         5 is-aborted
         65 is-redriven
         65 enters Merge timeline
         65 enters Find references
         70 leaves Merge timeline
         70 leaves Find references
        ",
    );
    let path = of_history(&both, &[], 100);
    for stage in [Stage::Timeline, Stage::References] {
        assert_eq!(path.stages[&stage].seconds_of(BarKind::People), 60.0, "{stage:?}");
    }
}

#[test]
fn a_stuck_run_waits_for_people_until_now_in_the_stage_that_it_interrupted() {
    let stuck = running(
        "r",
        "
         0 enters Rotate credentials
         0 calls
         5 fails Recovery.PolicyRefused
         5 leaves Rotate credentials
         5 enters Await operator
         5 asks
        ",
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
        let path = of_steps(at(0), &run(&d), None);
        for time in path.stages.values() {
            let sum: f64 = time.bars.iter().map(Bar::seconds).sum();
            prop_assert!((sum - time.seconds).abs() < 1e-6);
            for state in &time.states {
                prop_assert!(state.seconds() <= time.to.duration_since(time.from).as_secs_f64() + 1e-6);
            }
        }
    }
}

/// The gate that the report knows is the last one; where a second one was asked, it decided during the cutover.
#[test]
fn a_second_gate_waits_within_the_cutover_and_leaves_the_first_alone() {
    let recovery = running(
        "r",
        "0 enters Prepare decision
        0 calls
        1 answers
        1 leaves Prepare decision
        1 enters Await approval
        1 asks
        3 answers
        3 leaves Await approval",
    );
    let cutover = running(
        "r-cutover",
        "4 enters Plan cutover
        4 calls
        5 answers
        5 leaves Plan cutover
        5 enters Await second approval
        5 asks
        25 answers
        25 leaves Await second approval",
    );
    let path = measure(&Observed {
        started: at(0),
        steps: &[],
        histories: &[recovery, cutover],
        decided: Some(at(25)),
        until: at(100),
    });
    let of = |stage: Stage| &path.stages[&stage];
    assert_eq!(of(Stage::Approval).seconds, 3.0);
    assert_eq!(of(Stage::Cutover).seconds, 21.0);
    assert_eq!(of(Stage::Cutover).seconds_of(BarKind::People), 20.0);
}
