//! What follows from the journal after a failure, and the undo of one step.

use blackstart_aws::records::Records;
use blackstart_core::cutover::PREPARE_TRAFFIC;
use blackstart_core::journal::{Command, Event, IllegalEvent, StepState};
use blackstart_core::task::Failure;
use blackstart_core::task::cutover::{Next, OperatorChoice, Reverted};

use crate::CutoverError;
use crate::context::{Context, Open};
use crate::world::World;

/// How the state machine names an operator's choice when it passes it on as a failure.
const OPERATOR_REVERT: &str = "Operator.Revert";
const OPERATOR_RESUME: &str = "Operator.Resume";
const OPERATOR_ABANDON: &str = "Operator.Abandon";
/// Longest cause that the journal keeps, in characters.
const LONGEST_CAUSE: usize = 1_000;

impl<W: World, R: Records, C, N> Context<'_, W, R, C, N> {
    /// Records the failure, decides the direction once, and says what to do.
    pub(crate) async fn next(&self, failure: Failure) -> Result<Next, CutoverError> {
        let Some((_, mut open)) = self.opened().await? else {
            return Ok(Next::GivenBack {});
        };
        let id = self.state.entered.to_string();
        if !open.log.journal.knows(&id) {
            let event = event_of(id, failure);
            self.record(&mut open, event).await?;
        }
        loop {
            return Ok(match open.log.journal.next() {
                Command::Resume => Next::Resume {},
                Command::Decide(direction) => {
                    match self.record(&mut open, Event::Direction { direction }).await {
                        // Another executor decided first; its decision is replayed.
                        Ok(())
                        | Err(CutoverError::Journal(
                            IllegalEvent::DirectionDecided(_) | IllegalEvent::WrongDirection(_),
                        )) => continue,
                        Err(error) => return Err(error),
                    }
                }
                Command::Revert(step) => Next::Revert { step },
                Command::GivenBack => Next::GivenBack {},
                Command::CallOperator { reason } => Next::CallOperator { reason },
                Command::Abandoned => Next::Abandoned {},
            });
        }
    }

    /// Undoes this step, and as many as time allows of those that the journal names after it. A repeat finds them
    /// undone.
    pub(crate) async fn revert(&self, open: &mut Open, step: String) -> Result<Reverted, CutoverError> {
        self.revert_one(open, &step).await?;
        let mut undone = 1;
        while self.has_time() {
            let Command::Revert(next) = open.log.journal.next() else {
                break;
            };
            self.revert_one(open, &next).await?;
            undone += 1;
        }
        Ok(Reverted { step, undone })
    }

    async fn revert_one(&self, open: &mut Open, step: &str) -> Result<(), CutoverError> {
        if open.log.journal.state(step) == StepState::Reverted {
            return Ok(());
        }
        if let Some(contain) = open.document.contain.iter().find(|contain| contain.id == step) {
            let contain = contain.clone();
            return self.revert_contain(open, &contain).await;
        }
        match step {
            PREPARE_TRAFFIC => self.revert_prepare(open).await,
            id if open.document.course().steps().iter().any(|shift| shift.id == id) => {
                self.revert_shift(open, id).await
            }
            id => {
                let reference = open.document.step(id).cloned();
                let reference = reference.ok_or_else(|| CutoverError::UnknownStep(id.to_owned()))?;
                self.revert_reference(open, &reference).await
            }
        }
    }
}

fn event_of(id: String, failure: Failure) -> Event {
    let choice = |choose: fn(String, String) -> OperatorChoice| {
        let (person, rationale) = failure
            .cause
            .split_once(": ")
            .unwrap_or(("unknown", &failure.cause));
        choose(person.to_owned(), rationale.to_owned())
    };
    let choice = match failure.error.as_str() {
        OPERATOR_REVERT => choice(|person, rationale| OperatorChoice::Revert { person, rationale }),
        OPERATOR_RESUME => choice(|person, rationale| OperatorChoice::Resume { person, rationale }),
        OPERATOR_ABANDON => choice(|person, rationale| OperatorChoice::Abandon { person, rationale }),
        _ => {
            return Event::Failed {
                id,
                failure: Failure {
                    cause: failure.cause.chars().take(LONGEST_CAUSE).collect(),
                    ..failure
                },
            };
        }
    };
    Event::Operator { id, choice }
}
