//! From votes to a decided gate, and from a decided gate to the answer that Step Functions waits for.

use blackstart_aws::callbacks::{Callbacks as _, Delivery};
use blackstart_aws::evidence::{EvidenceError, record_once};
use blackstart_aws::ledger::{LedgerError, Versioned};
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::{Taken, TokenError, Wait};
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
        // What is counted is in the evidence, even if the request that brought it died before.
        for vote in tally.counted.values() {
            record_once(records, &gate.document.run, vote_event(vote)).await?;
        }
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

pub(crate) fn vote_event(vote: &Vote) -> Event {
    let decision: &str = vote.decision.into();
    Event::new(Kind::VoteTaken, vote.at)
        .subject("package", &vote.digest)
        .fact("person", vote.person.as_str())
        .fact("identity", vote.identity.as_str())
        .fact("decision", decision)
        .fact("rationale", vote.rationale.as_str())
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
    /// The state machine goes on: now, or since an earlier answer.
    GoesOn,
    /// There is nothing to tell yet.
    NotDecided,
    /// Another sender has the token, or died with it; it can be tried again after a minute.
    Unsure,
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
        return Ok(Told::NotDecided);
    };
    let output = serde_json::to_string(&decision).map_err(SettleError::Unwritable)?;
    let tokens = deps.tokens();
    let Some(taken) = tokens.take(&gate.run, Wait::Gate(&gate.digest), now).await? else {
        return Ok(if answered(&deps.records, gate).await? {
            Told::GoesOn
        } else {
            Told::Unsure
        });
    };
    let (taken, delivery) = deliver(deps, taken, output).await?;
    // Before the token is forgotten: what is left of a sender that dies in between must say that it was heard.
    let told = match delivery {
        Delivery::Taken => {
            mark_answered(&deps.records, gate, now).await?;
            Told::GoesOn
        }
        Delivery::NotWaiting if answered(&deps.records, gate).await? => Told::GoesOn,
        Delivery::NotWaiting => Told::TooLate,
    };
    tokens.spend(taken).await?;
    Ok(told)
}

/// Sends an answer, and gives the token back if it could not be sent.
pub(crate) async fn deliver<P: Ports>(
    deps: &Deps<P>,
    taken: Taken,
    output: String,
) -> Result<(Taken, Delivery), SettleError> {
    match deps.callbacks.succeed(&taken.token, output).await {
        Ok(delivery) => Ok((taken, delivery)),
        Err(error) => {
            deps.tokens().give_back(taken).await?;
            Err(error.into())
        }
    }
}

/// Whether Step Functions has taken the decision of this gate.
async fn answered<R: Records>(records: &R, gate: &GateRecord) -> Result<bool, SettleError> {
    let key = Key::gate(&gate.run, &gate.digest);
    let current = records.get::<GateRecord>(&key).await?;
    Ok(current.is_some_and(|current| current.document.answered.is_some()))
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
