//! What can go wrong in stage 2.

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_aws::trial_waits::WaitError;
use blackstart_core::artifact::NotCanonical;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_yara::RuleProblem;

/// A task of stage 2 that did not come to its answer. *No clean set* is an answer.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// The task names no run.
    #[error("the task names no run")]
    NoRun,
    /// The set is not among the candidates.
    #[error("recovery set `{set}` is not among the candidates")]
    UnknownSet {
        /// The set.
        set: String,
    },
    /// The set's trial was never started.
    #[error("recovery set `{set}` has no trial: start it first")]
    NoTrial {
        /// The set.
        set: String,
    },
    /// Another invocation changed the same item meanwhile.
    #[error("{what} of recovery set `{set}` was changed by another invocation meanwhile")]
    Contended {
        /// Which item.
        what: &'static str,
        /// The set.
        set: String,
    },
    /// A restore job is still at work, so what it makes cannot be removed yet.
    #[error(
        "{jobs} restore job(s) of recovery set `{set}` are still running: nothing can be removed before they end"
    )]
    StillRestoring {
        /// The set.
        set: String,
        /// How many.
        jobs: usize,
    },
    /// The name of a throw-away resource is not the one that its set implies.
    #[error("`{target}` is not the trial name of `{resource}`: it is not removed")]
    ForeignTarget {
        /// The name in the record.
        target: String,
        /// Plan resource id.
        resource: String,
    },
    /// The plan's YARA rules cannot be applied.
    #[error("the plan's YARA rules cannot be applied: {}", join(.0))]
    Rules(Vec<RuleProblem>),
    /// A document has no canonical form.
    #[error("what is looked for has no digest")]
    NotCanonical(#[from] NotCanonical),
    /// AWS did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The wait of the state machine.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The artifacts.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

fn join(problems: &[RuleProblem]) -> String {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    all.join("; ")
}

impl StageError for ValidationError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun | Self::UnknownSet { .. } | Self::NoTrial { .. } | Self::Rules(_) => {
                ErrorName::InvalidInput
            }
            Self::Contended { .. } | Self::StillRestoring { .. } => ErrorName::Transient,
            Self::ForeignTarget { .. } | Self::NotCanonical(_) => ErrorName::Defect,
            Self::Port(error) => error.name(),
            Self::Wait(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Artifact(error) => error.name(),
        }
    }
}
