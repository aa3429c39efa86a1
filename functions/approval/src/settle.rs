//! From votes to a decided gate, and from a decided gate to the answer that Step Functions waits for.

use blackstart_aws::callbacks::{Callbacks as _, Delivery};
use blackstart_aws::evidence::{EvidenceError, record_once};
use blackstart_aws::ledger::{LedgerError, Versioned};
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::{TokenError, Wait};
use blackstart_core::approval::gate::{GateRecord, GateState};
use blackstart_core::approval::quorum::{Outcome, tally};
use blackstart_core::approval::vote::{Choice, Vote};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::{Event, Kind};
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::timeline::CurrentBoundary;
use jiff::Timestamp;

use crate::{Deps, Ports};

/// A gate could not be settled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    /// The ledger did not answer as hoped.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The evidence could not be recorded.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The token could not be handed out.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Step Functions did not answer as hoped.
    #[error(transparent)]
    Callback(#[from] PortError),
    /// The gate vanished while it was read.
    #[error("the gate of package {0} is gone")]
    Gone(String),
    /// The decision has no JSON form.
    #[error("the decision cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

impl StageError for SettleError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Ledger(error) => error.name(),
            Self::Evidence(error) => error.name(),
            Self::Token(error) => error.name(),
            Self::Callback(error) => error.name(),
            Self::Gone(_) | Self::Unwritable(_) => ErrorName::Defect,
        }
    }
}

/// All votes on the package of a gate, strongly consistent.
pub(crate) async fn votes<R: Records>(records: &R, gate: &GateRecord) -> Result<Vec<Vote>, LedgerError> {
    let found = records
        .query::<Vote>(&Key::run_partition(&gate.run), &Key::vote_prefix(&gate.digest))
        .await?;
    Ok(found.into_iter().map(|(_, vote)| vote.document).collect())
}

/// Whether the event boundary is no longer the one under which the package was made. No boundary is no proof.
pub(crate) async fn moved<R: Records>(
    records: &R,
    run: &RunId,
    boundary: Timestamp,
) -> Result<bool, LedgerError> {
    let current = records.get::<CurrentBoundary>(&Key::boundary(run)).await?;
    Ok(current.is_none_or(|current| current.document.boundary != boundary))
}

/// Counts the votes and, if they decide, closes the gate. Whoever closes it does so for all: the write is
/// conditional, and the losers of the race read what was decided.
pub(crate) async fn decide<R: Records>(
    records: &R,
    gate: Versioned<GateRecord>,
    plan: &Plan,
    boundary: Timestamp,
    now: Timestamp,
) -> Result<(GateRecord, Option<Outcome>), SettleError> {
    let mut gate = gate;
    while gate.document.state.is_open() {
        let votes = votes(records, &gate.document).await?;
        let moved = moved(records, &gate.document.run, boundary).await?;
        let tally = tally(&votes, &gate.document.rules(plan), moved, now);
        let approvers = tally
            .counted
            .values()
            .filter(|vote| vote.decision == Choice::Approve)
            .map(|vote| vote.person.clone())
            .collect();
        let Some(state) = GateState::decided(&tally.outcome, approvers, now) else {
            return Ok((gate.document, Some(tally.outcome)));
        };
        let key = Key::gate(&gate.document.run, &gate.document.digest);
        let decided = GateRecord {
            state,
            ..gate.document.clone()
        };
        if records.replace(&key, gate.version, &decided).await? {
            gate.document = decided;
        } else {
            let read = records.get::<GateRecord>(&key).await?;
            gate = read.ok_or_else(|| SettleError::Gone(gate.document.digest.to_string()))?;
        }
    }
    record_once(records, &gate.document.run, decided_event(&gate.document, now)).await?;
    Ok((gate.document, None))
}

pub(crate) fn decided_event(gate: &GateRecord, now: Timestamp) -> Event {
    let state: &str = (&gate.state).into();
    let event = Event::new(Kind::GateDecided, now)
        .subject("package", &gate.digest)
        .fact("state", state);
    match &gate.state {
        GateState::Approved { by, .. } => event.fact("by", by.join(", ")),
        GateState::Refused { by, .. } => event.fact("by", by.as_str()),
        GateState::Open {} | GateState::Expired { .. } | GateState::Void { .. } => event,
    }
}

/// What became of the answer to Step Functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The state machine goes on.
    Now,
    /// There is nothing to send, or another sender is at it.
    NothingToDo,
    /// The state machine no longer waits.
    TooLate,
}

/// Tells Step Functions what was decided, if its token is still held. A sender that died in between is followed by
/// the next caller; a token works once, so the state machine hears one answer.
pub(crate) async fn tell<P: Ports>(
    deps: &Deps<P>,
    gate: &GateRecord,
    now: Timestamp,
) -> Result<Told, SettleError> {
    let Some(decision) = gate.decision() else {
        return Ok(Told::NothingToDo);
    };
    let output = serde_json::to_string(&decision).map_err(SettleError::Unwritable)?;
    let wait = Wait::Gate(&gate.digest);
    let told = send(deps, &gate.run, wait, output, now).await?;
    if told == Told::Now {
        mark_answered(&deps.records, gate, now).await?;
    }
    Ok(told)
}

/// Sends an answer with the token of this wait.
pub(crate) async fn send<P: Ports>(
    deps: &Deps<P>,
    run: &RunId,
    wait: Wait<'_>,
    output: String,
    now: Timestamp,
) -> Result<Told, SettleError> {
    let tokens = deps.tokens();
    let Some(taken) = tokens.take(run, wait, now).await? else {
        return Ok(Told::NothingToDo);
    };
    match deps.callbacks.succeed(&taken.token, output).await {
        Ok(delivery) => {
            tokens.spend(taken).await?;
            Ok(if delivery == Delivery::Taken {
                Told::Now
            } else {
                Told::TooLate
            })
        }
        Err(error) => {
            tokens.give_back(taken).await?;
            Err(error.into())
        }
    }
}

async fn mark_answered<R: Records>(
    records: &R,
    gate: &GateRecord,
    now: Timestamp,
) -> Result<(), SettleError> {
    let key = Key::gate(&gate.run, &gate.digest);
    if let Some(current) = records.get::<GateRecord>(&key).await? {
        let answered = GateRecord {
            answered: Some(now),
            ..current.document
        };
        // Lost only against another sender, who marks it too.
        records.replace(&key, current.version, &answered).await?;
    }
    let event = Event::new(Kind::GateAnswered, now).subject("package", &gate.digest);
    record_once(records, &gate.run, event).await?;
    Ok(())
}
