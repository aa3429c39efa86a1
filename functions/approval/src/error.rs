//! What can go wrong at the gate, and under which name the state machine hears of it.

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::EvidenceError;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_aws::tokens::TokenError;
use blackstart_core::approval::enforce::Refused;
use blackstart_core::approval::package::PackageRefused;
use blackstart_core::artifact::Digest;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::plan::InvalidPlan;
use blackstart_core::run::RunId;

/// Why the gate cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// The task names no run.
    #[error("the task names no run")]
    NoRun,
    /// The run is not in the ledger.
    #[error("run `{0}` is not in the ledger")]
    UnknownRun(RunId),
    /// A branch of Prepare failed, so there is nothing to propose.
    #[error("the {branch} branch failed with {error}: {cause}")]
    BranchFailed {
        /// Which.
        branch: &'static str,
        /// Its error name.
        error: String,
        /// What happened.
        cause: String,
    },
    /// The boundary moved while the package was made.
    #[error("the event boundary moved after the recovery set was selected: select again")]
    BoundaryMoved,
    /// The package is not the one that is named.
    #[error("the decision package has digest {found}, {wanted} is to be put before the approvers")]
    OtherPackage {
        /// Digest of the artifact.
        found: Digest,
        /// Digest in the task.
        wanted: Digest,
    },
    /// The package was made for another run.
    #[error("the decision package is that of run `{0}`")]
    OtherRun(RunId),
    /// There is no such gate.
    #[error("no gate was opened for package {0}")]
    NoGate(Digest),
    /// The package names no approval team.
    #[error("package {0} names no approval team: there is nobody to ask")]
    NoTeam(Digest),
    /// The team was never asked.
    #[error("the approval team was never asked about package {0}")]
    TeamNotAsked(Digest),
    /// The gate changed all the time.
    #[error("the gate of package {0} was changed by others again and again")]
    Contended(Digest),
    /// A document is not what its place promises.
    #[error("the {what} at `{key}` is not the expected document")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// Its key.
        key: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The plan does not pass its checks.
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
    /// What came before the second gate is not approved.
    #[error(transparent)]
    NotApproved(#[from] Refused),
    /// The inputs do not add up.
    #[error(transparent)]
    Package(#[from] PackageRefused),
    /// S3.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// DynamoDB.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The evidence chain.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The token store.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// SNS, or the rebuild account.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl StageError for ApprovalError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun | Self::Malformed { .. } | Self::Plan(_) => ErrorName::InvalidInput,
            Self::UnknownRun(_) | Self::NoGate(_) | Self::NoTeam(_) | Self::TeamNotAsked(_) => {
                ErrorName::Defect
            }
            Self::BranchFailed { .. } | Self::OtherPackage { .. } | Self::OtherRun(_) => {
                ErrorName::PolicyRefused
            }
            Self::BoundaryMoved => ErrorName::PreconditionChanged,
            Self::Contended(_) => ErrorName::Transient,
            Self::NotApproved(error) => error.name(),
            Self::Package(error) => error.name(),
            Self::Artifact(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Evidence(error) => error.name(),
            Self::Token(error) => error.name(),
            Self::Port(error) => error.name(),
        }
    }
}
