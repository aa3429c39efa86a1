//! The journal of a cutover: what was intended, what was seen, and what therefore comes next.
//!
//! The journal is an append-only list of events. Everything that an executor decides, it decides from a replay of
//! that list, so that a second executor, a redrive or an operator a day later decides the same. Events that cannot
//! follow from what was recorded are errors: that is how an executor that was overtaken notices.
//!
//! The words are those of sagas (started, succeeded, failed, undo started, undo finished, undo failed, stuck), with
//! one difference: a step whose outcome is unknown counts as done when it comes to undoing.

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::{ArtifactRef, Digest};
use crate::task::Failure;
use crate::task::cutover::OperatorChoice;

mod event;
#[cfg(test)]
mod tests;

pub use event::{Direction, Entry, Event};

/// How many failures in a row, without any progress between them, are answered with *go on*.
pub const RESUME_BUDGET: usize = 3;

/// A step as far as the journal cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Step id.
    pub id: String,
    /// What kind of step it is.
    pub kind: StepKind,
}

/// The kinds of steps, in the order in which they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// Cuts the old account off.
    Contain,
    /// Publishes the nonce and creates the health check.
    Prepare,
    /// Lets the new account in: beside the old one, or in its place.
    Expand,
    /// Changes the records.
    Traffic,
    /// Shuts the old account out. Once one of these is verified, there is no way back but an operator's.
    Contract,
}

/// How far one step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StepState {
    /// Nothing was done.
    #[default]
    Planned,
    /// A write was intended; whether it had an effect is not known.
    Intended,
    /// The wanted value was read back.
    Applied,
    /// The step works.
    Verified,
    /// The old account is shut out of the document.
    Contracted,
    /// The service refused; nothing was done.
    Refused,
    /// Somebody else changed the document before any write of ours.
    Drifted,
    /// Somebody else changed the document after a write of ours.
    Conflict,
    /// The undo failed.
    Stuck,
    /// Undone.
    Reverted,
}

impl StepState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Planned,
        Self::Intended,
        Self::Applied,
        Self::Verified,
        Self::Contracted,
        Self::Refused,
        Self::Drifted,
        Self::Conflict,
        Self::Stuck,
        Self::Reverted,
    ];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Intended => "intended, outcome unknown",
            Self::Applied => "applied",
            Self::Verified => "verified",
            Self::Contracted => "contracted",
            Self::Refused => "refused",
            Self::Drifted => "drifted",
            Self::Conflict => "in conflict",
            Self::Stuck => "stuck",
            Self::Reverted => "reverted",
        }
    }

    /// The runbook's heading for a state in which a step may need a person.
    #[must_use]
    pub fn heading(self) -> Option<&'static str> {
        match self {
            Self::Intended => Some("Step: intended"),
            Self::Refused => Some("Step: refused"),
            Self::Drifted => Some("Step: drifted"),
            Self::Conflict => Some("Step: in conflict"),
            Self::Stuck => Some("Step: stuck"),
            Self::Planned | Self::Applied | Self::Verified | Self::Contracted | Self::Reverted => None,
        }
    }

    /// Whether a cutover that goes back has to look at this step: everything that was ever intended and not
    /// certainly refused, whatever is known about its outcome.
    fn needs_undo(self) -> bool {
        matches!(
            self,
            Self::Intended | Self::Applied | Self::Verified | Self::Contracted | Self::Conflict | Self::Stuck
        )
    }
}

/// What the journal says is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Go on forward; whatever is open is compared with the live value before anything is written.
    Resume,
    /// Record this direction, then ask again.
    Decide(Direction),
    /// Undo this step, then ask again.
    Revert(String),
    /// Everything is as it was.
    GivenBack,
    /// A person must look.
    CallOperator {
        /// Why, for people.
        reason: String,
    },
    /// A person gave up; the journal stays open.
    Abandoned,
}

/// An event that cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEvent {
    /// The journal does not begin with `opened`, or is opened again while something is open.
    #[error("the journal cannot be opened here")]
    Opened,
    /// The event names a step that the cutover plan does not have.
    #[error("step `{0}` is not part of the cutover plan")]
    UnknownStep(String),
    /// The event does not fit what was recorded for its step.
    #[error("`{event}` cannot follow for step `{step}`, which is {state:?} (direction {direction:?})")]
    OutOfOrder {
        /// Name of the event.
        event: &'static str,
        /// Step id.
        step: String,
        /// How far the step is.
        state: StepState,
        /// The direction, once decided.
        direction: Option<Direction>,
    },
    /// The direction was decided before.
    #[error("the direction was decided before: {0:?}")]
    DirectionDecided(Direction),
    /// The direction does not follow from the journal.
    #[error("the direction {0:?} does not follow from the journal")]
    WrongDirection(Direction),
    /// A sequence number is missing or doubled.
    #[error("entry {found} stands where entry {expected} belongs")]
    Gap {
        /// The number that belongs there.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
}

/// A replayed journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    kinds: BTreeMap<String, StepKind>,
    states: BTreeMap<String, StepState>,
    /// Steps in the order of their first intent: undone backwards.
    touched: Vec<String>,
    /// Steps whose undo was begun.
    undoing: BTreeSet<String>,
    opened: Option<(Digest, ArtifactRef)>,
    direction: Option<Direction>,
    /// Failures since the last progress.
    failures: Vec<Failure>,
    last_failure: Option<String>,
    last_choice: Option<String>,
    abandoned: bool,
    /// Somebody began again after a person had given up: a person decides how.
    taken_up: bool,
    length: u64,
}

impl Journal {
    /// An empty journal of these steps.
    #[must_use]
    pub fn new(steps: &[Step]) -> Self {
        Self {
            kinds: steps.iter().map(|s| (s.id.clone(), s.kind)).collect(),
            states: steps
                .iter()
                .map(|s| (s.id.clone(), StepState::default()))
                .collect(),
            touched: Vec::new(),
            undoing: BTreeSet::new(),
            opened: None,
            direction: None,
            failures: Vec::new(),
            last_failure: None,
            last_choice: None,
            abandoned: false,
            taken_up: false,
            length: 0,
        }
    }

    /// Replays entries.
    ///
    /// # Errors
    /// [`IllegalEvent`] at the first entry that cannot follow from those before it.
    pub fn replay<'a>(
        steps: &[Step],
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Self, IllegalEvent> {
        let mut journal = Self::new(steps);
        for entry in entries {
            if entry.sequence != journal.length + 1 {
                return Err(IllegalEvent::Gap {
                    expected: journal.length + 1,
                    found: entry.sequence,
                });
            }
            journal.record(&entry.event)?;
        }
        Ok(journal)
    }

    /// Sequence number of the next entry.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.length + 1
    }

    /// The cutover plan in force, and the package from which it was made.
    #[must_use]
    pub fn opened(&self) -> Option<(&Digest, &ArtifactRef)> {
        self.opened.as_ref().map(|(package, cutover)| (package, cutover))
    }

    /// The direction, once decided.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        self.direction
    }

    /// How far a step is; [`StepState::Planned`] for one that the plan does not have.
    #[must_use]
    pub fn state(&self, step: &str) -> StepState {
        self.states.get(step).copied().unwrap_or_default()
    }

    /// Whether an undo of this step was begun, or a write of it: what is live may then be half of ours.
    #[must_use]
    pub fn was_interrupted(&self, step: &str) -> bool {
        self.state(step) == StepState::Intended || self.undoing.contains(step)
    }

    /// Every step and how far it is, by step id.
    pub fn states(&self) -> impl Iterator<Item = (&str, StepState)> {
        self.states.iter().map(|(id, state)| (id.as_str(), *state))
    }

    /// Whether a failure with this id, or an operator's answer with this id, is already recorded.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.last_failure.as_deref() == Some(id) || self.last_choice.as_deref() == Some(id)
    }

    /// Takes one more event.
    ///
    /// # Errors
    /// [`IllegalEvent`]; the journal is then unchanged.
    pub fn record(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        if let Event::Opened { package, cutover } = event {
            let open = self.touched.iter().any(|step| self.state(step).needs_undo());
            if open {
                return Err(IllegalEvent::Opened);
            }
            let length = self.length + 1;
            for state in self.states.values_mut() {
                *state = StepState::Planned;
            }
            *self = Self {
                kinds: std::mem::take(&mut self.kinds),
                states: std::mem::take(&mut self.states),
                opened: Some((package.clone(), cutover.clone())),
                length,
                ..Self::new(&[])
            };
            return Ok(());
        }
        if self.opened.is_none() {
            return Err(IllegalEvent::Opened);
        }
        match event {
            Event::Opened { .. } => return Err(IllegalEvent::Opened),
            Event::Failed { id, failure } => {
                self.last_failure = Some(id.clone());
                self.failures.push(failure.clone());
                self.taken_up |= std::mem::take(&mut self.abandoned);
            }
            Event::Direction { direction } => self.decide(*direction)?,
            Event::Operator { id, choice } => self.take_choice(id, choice),
            Event::Intent { step, .. }
            | Event::Applied { step }
            | Event::Refused { step, .. }
            | Event::OutcomeUnknown { step, .. }
            | Event::Conflict { step, .. }
            | Event::Verified { step }
            | Event::Contracted { step }
            | Event::RevertIntent { step }
            | Event::Reverted { step }
            | Event::RevertFailed { step, .. } => self.advance(step, event)?,
        }
        self.length += 1;
        Ok(())
    }

    /// The transition table of one step.
    fn advance(&mut self, step: &str, event: &Event) -> Result<(), IllegalEvent> {
        use StepState as S;
        let Some(kind) = self.kinds.get(step).copied() else {
            return Err(IllegalEvent::UnknownStep(step.to_owned()));
        };
        let state = self.state(step);
        let back = self.direction == Some(Direction::Back);
        let next = match (event, state) {
            (Event::Intent { .. }, S::Planned | S::Intended | S::Refused | S::Drifted) if !back => {
                S::Intended
            }
            // A write that began before the direction was decided is still reported, and then undone.
            (Event::Applied { .. }, S::Intended) => S::Applied,
            (Event::Refused { .. }, S::Intended) => S::Refused,
            (Event::OutcomeUnknown { .. }, S::Intended) => S::Intended,
            (Event::Conflict { .. }, S::Planned | S::Refused | S::Drifted) if !back => S::Drifted,
            (
                Event::Conflict { .. },
                S::Intended | S::Applied | S::Verified | S::Contracted | S::Conflict,
            ) => S::Conflict,
            // The operator put the document right by hand.
            (Event::Applied { .. }, S::Planned | S::Drifted | S::Conflict) if !back => S::Applied,
            // Two executors may see the same thing; the second one adds nothing.
            (Event::Applied { .. }, S::Applied | S::Verified | S::Contracted) => state,
            (Event::Verified { .. }, S::Contracted) if !back => S::Contracted,
            (Event::Verified { .. }, S::Applied | S::Verified) if !back => S::Verified,
            (Event::Contracted { .. }, S::Verified | S::Contracted)
                if !back && kind == StepKind::Contract =>
            {
                S::Contracted
            }
            (Event::RevertIntent { .. }, state) if back && state.needs_undo() => state,
            (Event::Reverted { .. }, state) if back && state.needs_undo() => S::Reverted,
            (Event::RevertFailed { .. }, state) if back && state.needs_undo() => S::Stuck,
            _ => {
                return Err(IllegalEvent::OutOfOrder {
                    event: event.name(),
                    step: step.to_owned(),
                    state,
                    direction: self.direction,
                });
            }
        };
        if next == S::Applied && state != S::Applied
            || next == S::Verified && state != S::Verified
            || next == S::Contracted && state != S::Contracted
            || next == S::Reverted
        {
            self.failures.clear();
        }
        // A document that was found as wanted, without a write of ours, is not ours to undo.
        if matches!(event, Event::Intent { .. }) && !self.touched.iter().any(|t| t == step) {
            self.touched.push(step.to_owned());
        }
        if matches!(event, Event::RevertIntent { .. }) {
            self.undoing.insert(step.to_owned());
        }
        self.states.insert(step.to_owned(), next);
        Ok(())
    }

    /// Whether the old account is verifiably shut out of any document.
    fn contract_verified(&self) -> bool {
        self.states.iter().any(|(id, state)| {
            self.kinds.get(id) == Some(&StepKind::Contract)
                && matches!(state, StepState::Verified | StepState::Contracted)
        })
    }

    fn decide(&mut self, direction: Direction) -> Result<(), IllegalEvent> {
        if let Some(decided) = self.direction {
            return Err(IllegalEvent::DirectionDecided(decided));
        }
        if (direction == Direction::Forward) != self.contract_verified() {
            return Err(IllegalEvent::WrongDirection(direction));
        }
        self.direction = Some(direction);
        self.failures.clear();
        Ok(())
    }

    fn take_choice(&mut self, id: &str, choice: &OperatorChoice) {
        self.last_choice = Some(id.to_owned());
        self.abandoned = false;
        self.taken_up = false;
        match choice {
            OperatorChoice::Resume { .. } => {
                self.failures.clear();
                let back = self.direction == Some(Direction::Back);
                for state in self.states.values_mut() {
                    if !back && matches!(state, StepState::Refused | StepState::Drifted) {
                        *state = StepState::Planned;
                    }
                }
                self.reopen();
            }
            OperatorChoice::Revert { .. } => {
                self.failures.clear();
                self.direction = Some(Direction::Back);
                self.reopen();
            }
            OperatorChoice::Abandon { .. } => self.abandoned = true,
        }
    }

    /// After a person looked, what was read before is void: the executor reads again before it writes.
    fn reopen(&mut self) {
        for state in self.states.values_mut() {
            if matches!(state, StepState::Conflict | StepState::Stuck) {
                *state = StepState::Intended;
            }
        }
    }

    /// What is to be done next.
    #[must_use]
    pub fn next(&self) -> Command {
        self.next_by(StepState::needs_undo)
    }

    fn next_by(&self, needs_undo: fn(StepState) -> bool) -> Command {
        if self.abandoned {
            return Command::Abandoned;
        }
        if self.taken_up {
            return Command::CallOperator {
                reason: "a person gave this cutover up before".to_owned(),
            };
        }
        match self.direction {
            Some(Direction::Back) => self.next_back(needs_undo),
            Some(Direction::Forward) => match self.obstacle() {
                Some(reason) => Command::CallOperator { reason },
                None => Command::Resume,
            },
            None if self.contract_verified() => Command::Decide(Direction::Forward),
            None if self.obstacle().is_some() => Command::Decide(Direction::Back),
            None => Command::Resume,
        }
    }

    fn next_back(&self, needs_undo: fn(StepState) -> bool) -> Command {
        for step in self.touched.iter().rev() {
            let state = self.state(step);
            let reason = if state == StepState::Stuck {
                format!("the undo of step `{step}` failed")
            } else if state == StepState::Conflict {
                format!(
                    "the document of step `{step}` was changed by somebody else and cannot be undone without overwriting that"
                )
            } else if !needs_undo(state) {
                continue;
            } else if self.failures.len() > RESUME_BUDGET {
                format!("step `{step}` could not be undone in {RESUME_BUDGET} attempts")
            } else {
                return Command::Revert(step.clone());
            };
            return Command::CallOperator { reason };
        }
        Command::GivenBack
    }

    /// Why going on forward is no use, if it is none.
    fn obstacle(&self) -> Option<String> {
        for (step, state) in &self.states {
            match state {
                StepState::Refused => return Some(format!("the write of step `{step}` was refused")),
                StepState::Drifted | StepState::Conflict => {
                    return Some(format!(
                        "the document of step `{step}` was changed by somebody else"
                    ));
                }
                StepState::Stuck => return Some(format!("the undo of step `{step}` failed")),
                StepState::Planned
                | StepState::Intended
                | StepState::Applied
                | StepState::Verified
                | StepState::Contracted
                | StepState::Reverted => {}
            }
        }
        if let Some(failure) = self.failures.iter().find(|f| !may_pass(&f.error)) {
            return Some(format!("`{}` does not go away by itself", failure.error));
        }
        (self.failures.len() > RESUME_BUDGET)
            .then(|| format!("{RESUME_BUDGET} attempts to go on brought no progress"))
    }
}

/// Whether an error may be gone at the next attempt.
///
/// So it is for throttling and refused connections, and for everything that leaves the outcome open (timeouts, a
/// function that died): the comparison before each write settles what is open.
#[must_use]
pub fn may_pass(error: &str) -> bool {
    matches!(
        error,
        "Recovery.Transient" | "Recovery.OutcomeUnknown" | "States.Timeout" | "States.HeartbeatTimeout"
    ) || ["Lambda.", "Runtime.", "Sandbox."]
        .iter()
        .any(|prefix| error.starts_with(prefix))
}
