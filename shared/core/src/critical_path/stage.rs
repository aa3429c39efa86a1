//! Which stage a state belongs to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// The stages whose durations the formulas add up.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// Logs to boundary.
    Timeline,
    /// The walk that started before the boundary was known.
    Validation,
    /// What was left of the walk under the final boundary.
    ResidualValidation,
    /// Infrastructure from code.
    Rebuild,
    /// The inventory of references.
    References,
    /// From the decision package to the decision: waiting for people.
    Approval,
    /// Data from the approved set.
    Restore,
    /// New credentials.
    Rotate,
    /// References and traffic.
    Cutover,
}

/// State in which a run that is half done waits for a person. It belongs to the stage that it interrupted.
pub const OPERATOR: &str = "Await operator";

/// Whether a state only tidies up behind a drill: the recovery it rehearses is over by then.
pub(super) fn is_tidying(state: &str) -> bool {
    matches!(
        state,
        "Remove new credentials"
            | "Remove restored data"
            | "Wait for removal of data"
            | "Remove stacks"
            | "Wait for removal of stacks"
    )
}

impl Stage {
    /// The stage of a state, by its name in `infra/statemachine` and the execution's ARN.
    ///
    /// States that only open, choose, close and report belong to none: they are orchestration. [`OPERATOR`] of the
    /// recovery machine belongs to the stage before it, which its name alone does not say.
    #[must_use]
    pub fn of(state: &str, execution: &str) -> Option<Self> {
        Some(match state {
            "Establish timeline" | "Scan logs" | "Scan batch" | "Find actors" | "Read again"
            | "Read batch again" | "Merge timeline" => Self::Timeline,
            "Validate candidates" => Self::Validation,
            "Validate again" => Self::ResidualValidation,
            "List candidates"
            | "Next round"
            | "Validate sets"
            | "Start trial"
            | "Await trial"
            | "Wait for trial"
            | "Wait without events"
            | "Judge set"
            | "Judge failed trial"
            | "Clean up trial" => {
                if execution.contains("-walk-") {
                    Self::ResidualValidation
                } else {
                    Self::Validation
                }
            }
            "Rebuild infrastructure"
            | "Create stacks"
            | "Wait for stacks"
            | "Detect drift"
            | "Wait for drift detection"
            | "Isolation preflight" => Self::Rebuild,
            "Find references" | "Read siblings" | "Inventory sibling" | "Merge inventories" => {
                Self::References
            }
            "Prepare decision"
            | "Await approval"
            | "Close gate"
            | "Ask approval team"
            | "Await approval team"
            | "Wait for approval team" => Self::Approval,
            "Restore data"
            | "Await restore"
            | "Wait for restore"
            | "Verify restored data"
            | "Adopt restored data"
            | "Wait for adoption" => Self::Restore,
            "Rotate credentials" | "Wait for rotation" => Self::Rotate,
            "Cut over"
            | "Plan cutover"
            | "Precheck"
            | "Prepare second decision"
            | "Await second approval"
            | "Close second gate"
            | "Contain"
            | "Prepare traffic"
            | "Expand"
            | "Expand in account"
            | "Verify expanded"
            | "Probe"
            | "Wait for health"
            | "Shift traffic"
            | "Await sync"
            | "Wait for sync"
            | "Wait for old answers"
            | "Contract"
            | "Contract in account"
            | "Probe old is shut out"
            | "Next"
            | "Revert step" => Self::Cutover,
            OPERATOR | "Wait for operator channel" if execution.contains("-cutover") => Self::Cutover,
            _ => return None,
        })
    }

    /// Whether the stage is one of the branches of Prepare.
    #[must_use]
    pub fn is_parallel(self) -> bool {
        matches!(
            self,
            Self::Timeline | Self::Validation | Self::Rebuild | Self::References
        )
    }

    /// Its name, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Timeline => "timeline",
            Self::Validation => "validation",
            Self::ResidualValidation => "residual validation",
            Self::Rebuild => "rebuild",
            Self::References => "references",
            Self::Approval => "approval",
            Self::Restore => "restore",
            Self::Rotate => "rotate",
            Self::Cutover => "cutover",
        }
    }
}

/// The state whose look at work elsewhere another state puts off: both are one line of the chart.
pub(super) fn poll_of(wait: &str) -> &str {
    match wait {
        "Wait for stacks" => "Create stacks",
        "Wait for drift detection" => "Detect drift",
        "Wait for trial" | "Wait without events" => "Await trial",
        "Wait for approval team" => "Await approval team",
        "Wait for restore" => "Await restore",
        "Wait for adoption" => "Adopt restored data",
        "Wait for rotation" => "Rotate credentials",
        "Wait for health" => "Probe",
        "Wait for sync" => "Await sync",
        "Wait for operator channel" => OPERATOR,
        other => other,
    }
}
