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
    /// The plan has a ceiling of cost, and the cost of a trial is not known.
    #[error("the cost of validating set {set} cannot be estimated, and the plan has a ceiling: {why}")]
    NoEstimate {
        /// The set.
        set: String,
        /// Why.
        why: String,
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
    /// The removal of a copy was asked for, and the copy is still there.
    #[error("`{arn}` is still there: its removal was asked for, and is looked at again")]
    StillThere {
        /// The copy.
        arn: String,
    },
    /// A restore completed, and AWS Backup does not tell what it made.
    #[error("AWS Backup does not say what its restore job `{job}` made: find it and remove it")]
    Unsaid {
        /// The job.
        job: String,
    },
    /// Some of what a trial made could not be removed; everything else was.
    #[error("something of the trial of recovery set `{set}` is left behind: {}", each(.left))]
    LeftBehind {
        /// The set.
        set: String,
        /// What is left, and why.
        left: Vec<Left>,
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

/// One resource of a trial that could not be removed.
#[derive(Debug)]
pub struct Left {
    resource: String,
    why: Box<ValidationError>,
}

impl Left {
    pub(crate) fn new(resource: &str, why: ValidationError) -> Self {
        Self {
            resource: resource.to_owned(),
            why: Box::new(why),
        }
    }
}

fn each(left: &[Left]) -> String {
    let all: Vec<String> = left
        .iter()
        .map(|one| format!("{}: {}", one.resource, one.why))
        .collect();
    all.join("; ")
}

/// What another try may remove is tried again; then the first reason counts.
fn name_of(left: &[Left]) -> ErrorName {
    let mut names = left.iter().map(|one| one.why.name());
    let first = names.next().unwrap_or(ErrorName::Defect);
    if names.any(|name| name == ErrorName::Transient) {
        ErrorName::Transient
    } else {
        first
    }
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
            Self::NoEstimate { .. } => ErrorName::PolicyRefused,
            Self::Contended { .. } | Self::StillRestoring { .. } | Self::StillThere { .. } => {
                ErrorName::Transient
            }
            Self::LeftBehind { left, .. } => name_of(left),
            Self::Unsaid { .. } => ErrorName::OutcomeUnknown,
            Self::ForeignTarget { .. } | Self::NotCanonical(_) => ErrorName::Defect,
            Self::Port(error) => error.name(),
            Self::Wait(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Artifact(error) => error.name(),
        }
    }
}
