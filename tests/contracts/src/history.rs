//! How many events of history an execution makes: one of more than 25,000 fails.

use blackstart_core::validation::trial::PATIENCE;
use blackstart_core::validation::wait;
use jiff::{SignedDuration, Timestamp};
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
    states_of("cutover")
}

fn states_of(machine: &str) -> Value {
    let text = repository::text(&format!("infra/statemachine/{machine}.asl.json"));
    serde_json::from_str::<Value>(&text).unwrap()["States"].take()
}

/// Events of one pass through these states, without retries: a task is entered, scheduled, started, succeeds and is
/// left; a Map begins and succeeds besides being entered and left; everything else is entered and left.
fn events(states: &Value, path: &[&str]) -> usize {
    let of = |name: &&str| match states[*name]["Type"].as_str() {
        // One that waits for a token was also submitted.
        Some("Task") if states[*name]["Resource"].as_str().unwrap().ends_with("Token") => 6,
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

/// A trial of a day, and as many side by side as the machine takes up at once: each is looked at when it is due, and as often
/// as events may ask for besides.
#[test]
fn a_day_of_trials_stays_within_the_quota() {
    let states = states_of("validation");
    let trials = &states["Validate sets"];
    let inner = &trials["ItemProcessor"]["States"];
    let started: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (mut now, mut looks) = (started, 0_usize);
    while now.duration_since(started) <= PATIENCE {
        let wait = wait::seconds_to_next_look(Some(started), now);
        now += SignedDuration::from_secs(i64::from(wait));
        looks += 1;
    }
    looks += usize::try_from(wait::MOST_WAKES).unwrap();
    let look = events(inner, &["Wait for trial", "Await trial", "Has the trial ended?"]);
    let around = events(
        inner,
        &[
            "Start trial",
            "Has the trial ended?",
            "Judge set",
            "Clean up trial",
        ],
    );
    let at_once = usize::try_from(trials["MaxConcurrency"].as_u64().unwrap()).unwrap();
    // An iteration begins and succeeds.
    let worst = at_once * (2 + looks * look + around);
    assert!(
        worst < QUOTA,
        "{looks} looks at each of {at_once}: {worst} events"
    );
    // A look every thirty seconds would not do even for one.
    assert!(2 * 24 * 60 * look > QUOTA);

    let given = inner["Has the trial ended?"]["Choices"][1]["Condition"]
        .as_str()
        .unwrap();
    let limit: usize = given
        .split(">= ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        limit > looks,
        "{given} breaks off before the trial's patience ends"
    );
}
