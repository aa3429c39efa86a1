//! Stage 5, second half: applies exactly the approved changes of references and moves traffic, journalling every
//! effect before it happens, so that a cutover can be stopped, resumed and undone anywhere.
#![warn(missing_docs)]

use std::time::Duration;

use aws_config::SdkConfig;
use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::{EvidenceError, record_once};
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_aws::notices::{Notices, Topic};
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::{Cipher, KmsKey, TokenError};
use blackstart_core::approval::enforce::Refused;
use blackstart_core::artifact::{Digest, NotCanonical, canonical_digest};
use blackstart_core::cutover::{CutoverDocument, CutoverRefused};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::{Event, JOURNAL, Kind, PACKAGE};
use blackstart_core::items::Unsettled;
use blackstart_core::journal::{IllegalEvent, StepKind};
use blackstart_core::run::RunId;
use blackstart_core::task::Task;
use blackstart_core::task::cutover::{
    Applied, Next, Operation, Planned, Prechecked, Reverted, TrafficProgress, Verified,
};
use jiff::Timestamp;
use serde::Serialize;

pub mod aws;
pub mod config;
mod contain;
mod context;
pub mod endpoint;
mod lease;
mod log;
#[cfg(any(test, feature = "machine"))]
pub mod machine;
mod next;
mod operator;
mod pace;
mod planning;
mod references;
mod shift;
#[cfg(test)]
mod tests;
mod traffic;
pub mod world;

use config::Config;
use context::{Context, Purpose};
use world::World;

/// After this long an invocation takes up no further step: the function's timeout is 300 seconds, and the slowest
/// step takes less than the difference.
const TIME_FOR_STEPS: Duration = Duration::from_secs(150);

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<W, R, C, N> {
    /// Documents, records, artifacts, time.
    pub world: W,
    /// The ledger.
    pub records: R,
    /// Encrypts task tokens.
    pub cipher: C,
    /// Tells the operators.
    pub notices: N,
}

/// The dependencies in production.
#[must_use]
pub fn production(
    world: aws::Aws,
    records: Ledger,
    own: &SdkConfig,
    config: &Config,
) -> Deps<aws::Aws, Ledger, KmsKey, Topic> {
    Deps {
        world,
        records,
        cipher: KmsKey::new(own, config.token_key.clone()),
        notices: Topic::new(own, config.topic.clone()),
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum CutoverError {
    /// The task names no run.
    #[error("the task names no run")]
    NoRun,
    /// The package is not the approved one.
    #[error(transparent)]
    NotApproved(#[from] Refused),
    /// The package was never put before the approvers.
    #[error("no gate was opened for this package")]
    NeverAsked,
    /// The plan asks for a second gate, and it did not approve this cutover plan.
    #[error("the finished cutover plan was not approved, and the recovery plan asks for that")]
    NotApprovedAgain,
    /// What was given does not belong to what was approved.
    #[error("{0}")]
    Foreign(String),
    /// A document is not of the expected kind.
    #[error("`{what}` is not the expected document")]
    Malformed {
        /// Its key.
        what: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A document has no canonical form.
    #[error("the document cannot be written")]
    NotCanonical(#[from] NotCanonical),
    /// Items of the workload are open.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// The cutover cannot be planned.
    #[error(transparent)]
    Unplannable(#[from] CutoverRefused),
    /// Somebody else changed what was to be changed. It was left alone.
    #[error("changed by somebody else and left alone: {}", .0.join("; "))]
    Drifted(Vec<String>),
    /// The journal does not allow it: another executor, or an operator, decided otherwise.
    #[error("the journal does not allow it")]
    Journal(#[from] IllegalEvent),
    /// Too many executors write to the journal at once.
    #[error("the journal is busy")]
    Crowded,
    /// Another execution works on the document.
    #[error("`{what}` is held by execution `{holder}`")]
    Busy {
        /// The document.
        what: String,
        /// Who holds it.
        holder: String,
    },
    /// The wanted value did not appear in time.
    #[error("`{what}` was written, but does not read back as written")]
    NotReadBack {
        /// The document.
        what: String,
    },
    /// After contract, the old account is still let in.
    #[error("the old account is still let in: {}", .0.join("; "))]
    StillTrusted(Vec<String>),
    /// What the plan cuts the old account off with does not do that.
    #[error("the old account would not be contained: {}", .0.join("; "))]
    ContainsNobody(Vec<String>),
    /// A person gave up; only a person takes it up again.
    #[error("a person gave this cutover up: only a person takes it up again")]
    GivenUp,
    /// The journal knows no such step.
    #[error("step `{0}` is not part of the cutover plan")]
    UnknownStep(String),
    /// AWS did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The ledger did not answer as hoped.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The evidence cannot be recorded.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// An artifact cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The task token cannot be stored.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl StageError for CutoverError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun | Self::Malformed { .. } | Self::UnknownStep(_) => ErrorName::InvalidInput,
            Self::NotApproved(error) => error.name(),
            Self::NeverAsked | Self::NotApprovedAgain | Self::Foreign(_) | Self::ContainsNobody(_) => {
                ErrorName::PolicyRefused
            }
            Self::NotCanonical(_) => ErrorName::Defect,
            Self::Unsettled(error) => error.name(),
            Self::Unplannable(_)
            | Self::Drifted(_)
            | Self::Journal(_)
            | Self::StillTrusted(_)
            | Self::GivenUp => ErrorName::PreconditionChanged,
            Self::Crowded | Self::Busy { .. } => ErrorName::Transient,
            Self::NotReadBack { .. } => ErrorName::OutcomeUnknown,
            Self::Port(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Evidence(error) => error.name(),
            Self::Artifact(error) => error.name(),
            Self::Token(error) => error.name(),
        }
    }
}

/// Ids of the steps of one kind.
fn cutover_steps(document: &CutoverDocument, kind: StepKind) -> Vec<String> {
    let steps = document.journal_steps();
    steps
        .into_iter()
        .filter(|step| step.kind == kind)
        .map(|step| step.id)
        .collect()
}

/// What an operation answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `plan`.
    Planned(Planned),
    /// To `precheck`.
    Prechecked(Prechecked),
    /// To `contain` and `apply`.
    Applied(Applied),
    /// To the operations that move traffic.
    Traffic(TrafficProgress),
    /// To `verify`.
    Verified(Verified),
    /// To `next`.
    Next(Next),
    /// To `revert`.
    Reverted(Reverted),
    /// To `ask_operator`: the answer comes through the token.
    Asked,
}

/// Does what a state asks for.
///
/// # Errors
/// [`CutoverError`], under the names of [`ErrorName`].
pub async fn handle<W: World, R: Records, C: Cipher, N: Notices>(
    task: Task<Operation>,
    deps: &Deps<W, R, C, N>,
    now: Timestamp,
) -> Result<Answer, CutoverError> {
    let (run, package) = (task.run.clone(), task.input.approved().digest.clone());
    // The operations differ in size by far; boxed, the largest does not burden every caller.
    let answer = Box::pin(operate(task, deps, now)).await;
    // Also of an operation that failed: what it did until then is in the journal.
    let witnessed = match run {
        Some(run) => witness_journal(&run, &package, deps, now).await,
        None => Ok(()),
    };
    let answer = answer?;
    witnessed.map(|()| answer)
}

/// Records in the chain of evidence how the journal ends now. A journal that did not grow is known already.
async fn witness_journal<W, R: Records, C, N>(
    run: &RunId,
    package: &Digest,
    deps: &Deps<W, R, C, N>,
    now: Timestamp,
) -> Result<(), CutoverError> {
    let entries = log::entries(&deps.records, run).await?;
    let Some(last) = entries.last() else { return Ok(()) };
    let event = Event::new(Kind::JournalWritten, now)
        .subject(PACKAGE, package)
        .subject(JOURNAL, &canonical_digest(&entries)?)
        .fact("entries", last.sequence.to_string());
    record_once(&deps.records, run, event).await?;
    Ok(())
}

async fn operate<W: World, R: Records, C: Cipher, N: Notices>(
    task: Task<Operation>,
    deps: &Deps<W, R, C, N>,
    now: Timestamp,
) -> Result<Answer, CutoverError> {
    let run = task.run.clone().ok_or(CutoverError::NoRun)?;
    let state = &task.context;
    match task.input {
        Operation::Plan { approved } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            context.plan().await.map(Answer::Planned)
        }
        Operation::Precheck { approved, cutover } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            let open = context.open(&cutover).await?;
            context.precheck(&open).await.map(Answer::Prechecked)
        }
        Operation::Contain { approved, cutover } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            let mut open = context.open(&cutover).await?;
            context.second_gate_is_passed(&cutover, &open).await?;
            context.contain(&mut open).await.map(Answer::Applied)
        }
        Operation::Apply {
            approved,
            cutover,
            phase,
            account,
        } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            let mut open = context.open(&cutover).await?;
            context.second_gate_is_passed(&cutover, &open).await?;
            context
                .apply(&mut open, phase, &account)
                .await
                .map(Answer::Applied)
        }
        Operation::PrepareTraffic { approved, cutover } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            let mut open = context.open(&cutover).await?;
            context.second_gate_is_passed(&cutover, &open).await?;
            context.prepare_traffic(&mut open).await.map(Answer::Traffic)
        }
        Operation::Probe { approved, cutover } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            context.open(&cutover).await?;
            context.probe().await.map(Answer::Traffic)
        }
        Operation::ShiftTraffic { approved, cutover } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            let mut open = context.open(&cutover).await?;
            context.second_gate_is_passed(&cutover, &open).await?;
            context.shift_traffic(&mut open).await.map(Answer::Traffic)
        }
        Operation::AwaitSync { approved, cutover } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            let mut open = context.open(&cutover).await?;
            context.await_sync(&mut open).await.map(Answer::Traffic)
        }
        Operation::Verify {
            approved,
            cutover,
            phase,
        } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Effect, now).await?;
            let mut open = context.open(&cutover).await?;
            context.verify(&mut open, phase).await.map(Answer::Verified)
        }
        Operation::Next {
            approved,
            cutover: _,
            failure,
        } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Aftermath, now).await?;
            context.next(failure).await.map(Answer::Next)
        }
        Operation::Revert {
            approved,
            cutover,
            step,
        } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Aftermath, now).await?;
            let mut open = context.open(&cutover).await?;
            context.revert(&mut open, step).await.map(Answer::Reverted)
        }
        Operation::AskOperator {
            approved,
            cutover: _,
            failure,
            token,
        } => {
            let context = Context::load(deps, run, state, &approved, Purpose::Aftermath, now).await?;
            context.ask_operator(&failure, &token).await?;
            Ok(Answer::Asked)
        }
    }
}
