//! How many events of history a cutover makes: an execution of more than 25,000 fails.

use serde_json::Value;

use crate::repository;

/// The quota of AWS Step Functions for one execution.
const QUOTA: usize = 25_000;
/// The largest cutover that is provided for: documents, each with up to two steps, in so many accounts.
const REFERENCES: usize = 5_000;
const ACCOUNTS: usize = 200;
/// Steps that one task does at least: a task takes up steps for 150 seconds, and the slowest kind is allowed one a
/// second.
const STEPS_OF_A_TASK: usize = 100;
/// How often the states that wait are entered at most: `$polls >= 120`.
const POLLS: usize = 121;

fn states() -> Value {
    let text = repository::text("infra/statemachine/cutover.asl.json");
    serde_json::from_str::<Value>(&text).unwrap()["States"].take()
}

/// Events of one pass through these states, without retries: a task is entered, scheduled, started, succeeds and is
/// left; a Map begins and succeeds besides being entered and left; everything else is entered and left.
fn events(states: &Value, path: &[&str]) -> usize {
    let of = |name: &&str| match states[*name]["Type"].as_str() {
        Some("Task") => 5,
        Some("Map") => 4,
        Some("Choice" | "Pass" | "Wait") => 2,
        other => panic!("`{name}` is {other:?}"),
    };
    path.iter().map(of).sum()
}

/// Events of a Map over all accounts, each with its share of the steps.
fn map(states: &Value, map: &str, task: &str, choice: &str, end: &str) -> usize {
    let inner = &states[map]["ItemProcessor"]["States"];
    let tasks = (REFERENCES / ACCOUNTS).div_ceil(STEPS_OF_A_TASK);
    // An iteration begins and succeeds.
    let one = 2 + tasks * events(inner, &[task, choice]) + events(inner, &[end]);
    events(states, &[map]) + ACCOUNTS * one
}

#[test]
fn the_largest_cutover_and_its_undoing_stay_within_the_quota() {
    let states = states();
    let to_the_shift = events(
        &states,
        &[
            "Plan cutover",
            "Precheck",
            "Is this a drill?",
            "Is the plan approved, too?",
            "Contain",
            "Prepare traffic",
        ],
    );
    let expand = map(
        &states,
        "Expand",
        "Expand in account",
        "Is expand complete?",
        "Expand complete",
    );
    let contract = map(
        &states,
        "Contract",
        "Contract in account",
        "Is contract complete?",
        "Contract complete",
    );
    let healthy = POLLS
        * events(
            &states,
            &["Probe", "Is the new environment healthy?", "Wait for health"],
        );
    let in_sync = POLLS
        * events(
            &states,
            &[
                "Await sync",
                "Has the change reached all servers?",
                "Wait for sync",
            ],
        );
    let rest = events(
        &states,
        &[
            "Verify expanded",
            "Shift traffic",
            "Wait for old answers",
            "Probe old is shut out",
            "Cutover complete",
        ],
    );
    let forward = to_the_shift + expand + healthy + in_sync + rest + contract;
    // Every step of both phases is undone, and the failures before were answered with three resumptions each.
    let round = events(
        &states,
        &["Next", "What follows from the journal?", "Revert step"],
    );
    let back = (2 * REFERENCES).div_ceil(STEPS_OF_A_TASK) * round;
    let worst = 2 * forward + back;
    assert!(worst < QUOTA, "{forward} forward, {back} back: {worst} events");
    // One task per step, as it once was, would not do.
    assert!(2 * REFERENCES * round > QUOTA);
}

#[test]
fn accounts_run_side_by_side_within_what_an_inline_map_allows() {
    let states = states();
    for map in ["Expand", "Contract"] {
        let lanes = states[map]["MaxConcurrency"].as_u64().unwrap();
        assert!((1..=40).contains(&lanes), "{map}: {lanes}");
        assert_eq!(states[map]["ItemProcessor"]["ProcessorConfig"]["Mode"], "INLINE");
    }
}
