//! Documents that executors change, and everything that can go wrong.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::artifact::{ArtifactRef, Digest};
use crate::journal::{Command, Direction, Entry, Event, Journal, Step, StepKind, StepState};
use crate::task::Failure;
use crate::task::cutover::OperatorChoice;
use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Before,
    After,
    Third,
}

/// What happens to one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    Refused,
    ReplyLostAfterEffect,
    ReplyLostBeforeEffect,
    CrashBeforeEffect,
    CrashAfterEffect,
    /// Turned away before any effect, and tried again by the state machine.
    Throttled,
    /// The service takes the same request twice.
    TakenTwice,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Works),
        1 => Just(Fate::Refused),
        1 => Just(Fate::ReplyLostAfterEffect),
        1 => Just(Fate::ReplyLostBeforeEffect),
        1 => Just(Fate::CrashBeforeEffect),
        1 => Just(Fate::CrashAfterEffect),
        1 => Just(Fate::Throttled),
        1 => Just(Fate::TakenTwice),
    ]
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    steps: usize,
    /// Fates of the writes, in order; after that everything works.
    fates: Vec<Fate>,
    /// Fates of the undos, in order; after that everything works.
    undo_fails: Vec<bool>,
    /// Before which turn somebody else changes which document.
    edit: Option<(usize, usize)>,
    /// Which of the two executors has the turn; after that they alternate.
    turns: Vec<bool>,
    second_executor: bool,
}

pub(super) fn scenario() -> impl Strategy<Value = Scenario> {
    (
        1usize..7,
        prop::collection::vec(fate(), 0..16),
        prop::collection::vec(any::<bool>(), 0..4),
        prop::option::weighted(0.3, (0usize..30, 0usize..7)),
        prop::collection::vec(any::<bool>(), 0..40),
        any::<bool>(),
    )
        .prop_map(
            |(steps, fates, undo_fails, edit, turns, second_executor)| Scenario {
                steps,
                fates,
                undo_fails,
                edit,
                turns,
                second_executor,
            },
        )
}

/// Steps of all kinds; at least one of each from four steps on.
pub(super) fn steps(count: usize) -> Vec<Step> {
    let kinds = [StepKind::Expand, StepKind::Prepare, StepKind::Traffic];
    (0..count)
        .map(|i| Step {
            id: format!("s{i}"),
            kind: if i + 1 == count {
                StepKind::Contract
            } else {
                kinds.get(i).copied().unwrap_or(StepKind::Contract)
            },
        })
        .collect()
}

pub(super) fn digest(value: Value) -> Digest {
    Digest::of(format!("{value:?}").as_bytes())
}

fn artifact() -> ArtifactRef {
    ArtifactRef {
        bucket: "b".to_owned(),
        key: "k".to_owned(),
        version: None,
        sha256: Digest::of(b"plan"),
        bytes: 4,
    }
}

pub(super) fn opened() -> Event {
    Event::Opened {
        package: Digest::of(b"package"),
        cutover: artifact(),
    }
}

pub(super) fn resume(id: &str) -> Event {
    Event::Operator {
        id: id.to_owned(),
        choice: OperatorChoice::Resume {
            person: "op".to_owned(),
            rationale: "the cause is removed".to_owned(),
        },
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Idle,
    /// Holds the lease and has recorded the intent; the write is next.
    Writing(usize),
    /// Has to ask what to do.
    Asking(&'static str),
    /// Does what the journal says.
    Following,
    Ended(Command),
}

struct World {
    steps: Vec<Step>,
    live: Vec<Value>,
    leases: Vec<Option<usize>>,
    log: Vec<Entry>,
    fates: std::vec::IntoIter<Fate>,
    undo_fails: std::vec::IntoIter<bool>,
    needs_undo: fn(StepState) -> bool,
    asked: usize,
    edited: Option<usize>,
}

impl World {
    fn journal(&self) -> Journal {
        Journal::replay(&self.steps, &self.log).expect("what was recorded can be replayed")
    }

    /// Appends, as the ledger does: only what can follow.
    fn append(&mut self, event: Event) -> bool {
        let mut journal = self.journal();
        let legal = journal.record(&event).is_ok();
        if legal {
            self.log.push(Entry {
                sequence: self.log.len() as u64 + 1,
                at: Timestamp::UNIX_EPOCH,
                by: "executor".to_owned(),
                spent: crate::cutover::rate::Spent::default(),
                event,
            });
        }
        legal
    }

    fn id(&self, i: usize) -> String {
        self.steps[i].id.clone()
    }

    fn crash(&mut self, who: usize) {
        for lease in &mut self.leases {
            if *lease == Some(who) {
                *lease = None;
            }
        }
    }

    fn write(&mut self, i: usize, value: Value) -> Result<(), TestCaseError> {
        prop_assert_ne!(self.live[i], Value::Third, "a third state was overwritten");
        prop_assert!(
            self.log
                .iter()
                .any(|e| matches!(&e.event, Event::Intent { step, .. } if *step == self.steps[i].id)),
            "a write without an intent"
        );
        self.live[i] = value;
        Ok(())
    }

    /// One executor does one thing.
    fn turn(&mut self, who: usize, at: At) -> Result<At, TestCaseError> {
        match at {
            At::Idle => self.forward(who),
            At::Writing(i) => self.finish_write(who, i),
            At::Asking(error) => self.ask(error),
            At::Following => self.follow(),
            At::Ended(command) => Ok(At::Ended(command)),
        }
    }

    fn forward(&mut self, who: usize) -> Result<At, TestCaseError> {
        let journal = self.journal();
        if journal.direction() == Some(Direction::Back) {
            return Ok(At::Asking("Recovery.Transient"));
        }
        let open = (0..self.steps.len())
            .find(|i| matches!(journal.state(&self.id(*i)), s if !matches!(s, StepState::Applied | StepState::Verified | StepState::Contracted)));
        let Some(i) = open else {
            return self.verify(&journal);
        };
        if self.leases[i].is_some_and(|holder| holder != who) {
            return Ok(At::Idle);
        }
        let step = self.id(i);
        match self.live[i] {
            Value::Third => {
                self.append(Event::Conflict {
                    step,
                    observed: digest(Value::Third),
                });
                Ok(At::Asking("Recovery.PreconditionChanged"))
            }
            Value::After => {
                self.append(Event::Applied { step });
                Ok(At::Idle)
            }
            Value::Before => {
                let intent = Event::Intent {
                    step,
                    before: digest(Value::Before),
                    after: digest(Value::After),
                };
                if !self.append(intent) {
                    return Ok(At::Asking("Recovery.Transient"));
                }
                self.leases[i] = Some(who);
                Ok(At::Writing(i))
            }
        }
    }

    fn verify(&mut self, journal: &Journal) -> Result<At, TestCaseError> {
        for i in 0..self.steps.len() {
            let step = self.id(i);
            if self.live[i] != Value::After {
                self.append(Event::Conflict {
                    step,
                    observed: digest(self.live[i]),
                });
                return Ok(At::Asking("Recovery.PreconditionChanged"));
            }
            if journal.state(&step) == StepState::Applied {
                self.append(Event::Verified { step });
                return Ok(At::Idle);
            }
        }
        Ok(At::Ended(Command::Resume))
    }

    fn finish_write(&mut self, who: usize, i: usize) -> Result<At, TestCaseError> {
        let step = self.id(i);
        let fate = self.fates.next().unwrap_or(Fate::Works);
        let at = match fate {
            Fate::Works | Fate::TakenTwice => {
                self.write(i, Value::After)?;
                if fate == Fate::TakenTwice {
                    self.write(i, Value::After)?;
                }
                self.append(Event::Applied { step });
                At::Idle
            }
            Fate::Refused => {
                self.append(Event::Refused {
                    step,
                    reason: "no".to_owned(),
                });
                At::Asking("Recovery.PolicyRefused")
            }
            Fate::ReplyLostAfterEffect | Fate::ReplyLostBeforeEffect => {
                if fate == Fate::ReplyLostAfterEffect {
                    self.write(i, Value::After)?;
                }
                self.append(Event::OutcomeUnknown {
                    step,
                    reason: "timeout".to_owned(),
                });
                At::Asking("Recovery.OutcomeUnknown")
            }
            Fate::CrashAfterEffect => {
                self.write(i, Value::After)?;
                At::Asking("Runtime.ExitError")
            }
            Fate::CrashBeforeEffect => At::Asking("Runtime.ExitError"),
            Fate::Throttled => At::Asking("Recovery.Transient"),
        };
        self.crash(who);
        Ok(at)
    }

    fn ask(&mut self, error: &'static str) -> Result<At, TestCaseError> {
        self.asked += 1;
        let failure = Failure {
            error: error.to_owned(),
            cause: String::new(),
        };
        self.append(Event::Failed {
            id: self.asked.to_string(),
            failure,
        });
        self.follow()
    }

    /// Does what the journal says, one thing at a time.
    fn follow(&mut self) -> Result<At, TestCaseError> {
        match self.journal().next_by(self.needs_undo) {
            Command::Resume => Ok(At::Idle),
            Command::Decide(direction) => {
                self.append(Event::Direction { direction });
                Ok(At::Following)
            }
            Command::Revert(step) => {
                self.revert(&step)?;
                Ok(At::Following)
            }
            Command::CallOperator { .. } => {
                self.operator();
                Ok(At::Following)
            }
            ended @ (Command::GivenBack | Command::Abandoned) => Ok(At::Ended(ended)),
        }
    }

    fn revert(&mut self, step: &str) -> Result<(), TestCaseError> {
        let i = self.steps.iter().position(|s| s.id == step).expect("a step");
        let step = step.to_owned();
        // Another executor is between its intent and its report: the lease makes the undo wait for that.
        if self.leases[i].is_some() {
            return Ok(());
        }
        self.append(Event::RevertIntent { step: step.clone() });
        let event = match self.live[i] {
            Value::Third => Event::Conflict {
                step,
                observed: digest(Value::Third),
            },
            Value::Before => Event::Reverted { step },
            Value::After if self.undo_fails.next().unwrap_or(false) => Event::RevertFailed {
                step,
                reason: "no".to_owned(),
            },
            Value::After => {
                self.write(i, Value::Before)?;
                Event::Reverted { step }
            }
        };
        prop_assert!(self.append(event));
        Ok(())
    }

    /// The operator puts right what somebody else changed, and says: go on.
    fn operator(&mut self) {
        if let Some(i) = self.edited.take() {
            self.live[i] = Value::Before;
        }
        self.asked += 1;
        let answer = resume(&self.asked.to_string());
        assert!(self.append(answer));
    }
}

/// Runs the scenario to its end: everything applied, or everything given back.
pub(super) fn run(scenario: &Scenario, needs_undo: fn(StepState) -> bool) -> Result<(), TestCaseError> {
    let count = scenario.steps;
    let mut world = World {
        steps: steps(count),
        live: vec![Value::Before; count],
        leases: vec![None; count],
        log: Vec::new(),
        fates: scenario.fates.clone().into_iter(),
        undo_fails: scenario.undo_fails.clone().into_iter(),
        needs_undo,
        asked: 0,
        edited: None,
    };
    assert!(world.append(opened()));
    let mut at = [
        At::Idle,
        if scenario.second_executor {
            At::Idle
        } else {
            At::Ended(Command::Resume)
        },
    ];
    let mut turns = scenario.turns.iter().copied();
    for turn in 0..2_000usize {
        if let Some((when, which)) = scenario.edit
            && when == turn
        {
            let i = which % count;
            // Between reading and writing there is a window that no service closes; the edit falls outside of it.
            if world.leases[i].is_none() {
                world.live[i] = Value::Third;
                world.edited = Some(i);
            }
        }
        let who = usize::from(turns.next().unwrap_or(turn % 2 == 1));
        let state = at[who].clone();
        at[who] = world.turn(who, state)?;
        let unfinished = at.iter().any(|a| !matches!(a, At::Ended(_)));
        if unfinished {
            continue;
        }
        let journal = world.journal();
        for (i, step) in world.steps.iter().enumerate() {
            let expected = match journal.direction() {
                Some(Direction::Back) => Value::Before,
                Some(Direction::Forward) | None => Value::After,
            };
            let edited = world.edited == Some(i) && world.live[i] == Value::Third;
            prop_assert!(
                world.live[i] == expected || edited,
                "{} is {:?} at the end, direction {:?}",
                step.id,
                world.live[i],
                journal.direction()
            );
        }
        return Ok(());
    }
    Err(TestCaseError::fail("never settled"))
}
