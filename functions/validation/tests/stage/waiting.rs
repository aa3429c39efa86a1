//! Waits for trials: events that are lost, repeated, early, late or made up change nothing but the moment of a look.

use std::collections::BTreeMap;

use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::task::Progress;
use blackstart_core::task::validation::{NextRound, Operation};
use blackstart_core::validation::{SetVerdict, wait};
use proptest::prelude::*;
use validation::Answer;

use super::fake::World;
use super::machine::{
    Wakes, artifact, ask, ask_at, at, run, set_boundary, verdict, wait_for, walk_with, world,
};

/// What happens while a state waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum During {
    /// No event comes: the wait runs its time.
    Nothing,
    /// One event about a job of the set.
    One,
    /// The same event twice.
    Twice,
    /// An event about a job that nobody started.
    Strange,
    /// One event before the token is stored, and none after.
    Early,
    /// An event about a job of another set, or of this one after it has ended.
    Late,
    /// The wait itself fails: the machine does without it.
    Fails,
}

const ALL: [During; 7] = [
    During::Nothing,
    During::One,
    During::Twice,
    During::Strange,
    During::Early,
    During::Late,
    During::Fails,
];

/// Plays a script over and over, one word to each wait.
struct Script {
    words: Vec<During>,
    next: usize,
    waits: usize,
}

impl Script {
    fn of(words: Vec<During>) -> Self {
        Self {
            words,
            next: 0,
            waits: 0,
        }
    }
}

impl Wakes for Script {
    async fn wait(&mut self, world: &World, set: &str, minute: i64) {
        let word = self.words[self.next % self.words.len()];
        self.next += 1;
        self.waits += 1;
        let known = world.known_jobs();
        if word == During::Early {
            for job in &known {
                world.event(job);
            }
        }
        if word == During::Fails {
            world.fail_next_call();
        }
        wait_for(world, set, 0, minute).await;
        let known = world.known_jobs();
        match word {
            During::One => drop(known.first().map(|job| world.event(job))),
            During::Twice => known.iter().for_each(|job| {
                world.event(job);
                assert!(!world.event(job), "a second event ends nothing");
            }),
            During::Strange => assert!(!world.event("a-job-that-nobody-started")),
            During::Late => drop(known.last().map(|job| world.event(job))),
            During::Nothing | During::Early | During::Fails => {}
        }
        world.wait_is_over();
    }
}

fn all_verdicts(world: &World) -> BTreeMap<String, SetVerdict> {
    world
        .sets_with_verdict(&run())
        .into_iter()
        .map(|set| {
            let mut said = verdict(world, &set).unwrap();
            // The moment of the look is all that an event may change.
            said.at = at(0);
            (set, said)
        })
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn script() -> impl Strategy<Value = Vec<During>> {
    proptest::collection::vec((0..ALL.len()).prop_map(|i| ALL[i]), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any order, loss and repetition of events: the same choice, the same verdicts, nothing left behind.
    #[test]
    fn events_change_no_verdict(words in script()) {
        let play = |words: Vec<During>| {
            let world = world();
            set_boundary(&world, at(10 * 1440));
            let mut script = Script::of(words);
            let walked = runtime().block_on(walk_with(&world, &mut 0, &mut script));
            (walked, all_verdicts(&world), world, script)
        };
        let (expected, verdicts, _, _) = play(vec![During::Nothing]);
        let (walked, said, world, script) = play(words);
        prop_assert_eq!(walked.found, expected.found);
        prop_assert_eq!(said, verdicts);
        let state = world.0.lock().unwrap();
        prop_assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
        prop_assert_eq!(state.ever_created, 8);
        // Each wait is followed by one look, as each pause between two polls is.
        prop_assert!(script.waits <= 4 * 3, "{} waits", script.waits);
    }
}

/// The set that is tried first, with its trial started.
async fn started(world: &World) -> String {
    set_boundary(world, at(10 * 1440));
    let plan = artifact("plan");
    let Answer::Candidates(found) = ask(world, Operation::Candidates { plan: plan.clone() }, 0).await else {
        panic!("no candidates");
    };
    let sets = found.sets;
    let next = Operation::Next {
        plan: plan.clone(),
        sets: sets.clone(),
    };
    let Answer::Next(NextRound::Validate { sets: round }) = ask(world, next, 1).await else {
        panic!("nothing to validate");
    };
    let set = round[0].clone();
    let start = Operation::Start {
        plan,
        sets,
        set: set.clone(),
    };
    ask(world, start, 1).await;
    set
}

#[tokio::test(flavor = "current_thread")]
async fn an_event_ends_the_wait_and_the_look_decides() {
    let world = world();
    let set = started(&world).await;
    let poll = Operation::Poll {
        plan: artifact("plan"),
        set: set.clone(),
    };
    // The scan has ended by now; the restores take three looks.
    ask(&world, poll.clone(), 1).await;
    world.let_jobs_take_longer();
    wait_for(&world, &set, 0, 1).await;
    assert!(world.waits(), "nothing has ended: the state waits");
    let job = world.known_jobs().remove(0);
    assert!(world.event(&job));
    let Answer::Trial(trial) = ask(&world, poll, 2).await else {
        panic!("no answer");
    };
    assert_eq!(trial.progress, Progress::Running, "whatever the event said");
}

/// The race: a job ends after the look and before the token is stored. No event will come for it.
#[tokio::test(flavor = "current_thread")]
async fn a_job_that_ended_before_its_token_was_stored_ends_the_wait() {
    let world = world();
    let set = started(&world).await;
    world.let_jobs_end();
    wait_for(&world, &set, 0, 1).await;
    assert!(
        !world.waits(),
        "the function saw the end and ended the wait itself"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn after_too_many_events_only_the_interval_counts() {
    let world = world();
    let set = started(&world).await;
    wait_for(&world, &set, wait::MOST_WAKES, 1).await;
    assert!(world.known_jobs().iter().all(|job| !world.event(job)));
    assert!(world.waits());
}

#[tokio::test(flavor = "current_thread")]
async fn a_wait_for_a_set_without_a_trial_is_refused() {
    let world = world();
    let wait = Operation::Wait {
        plan: artifact("plan"),
        set: "never-started".to_owned(),
        woken: 0,
        token: blackstart_core::task::approval::TaskToken::new("t".to_owned()),
    };
    let error = ask_at(&world, wait, 1).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::InvalidInput);
}
