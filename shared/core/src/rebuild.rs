//! Stage 4: infrastructure from code, in isolation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;

/// What was built and how isolated it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildDocument {
    /// Always `blackstart.rebuild/1`.
    pub schema: String,
    /// The stacks, in order of creation.
    pub stacks: Vec<BuiltStack>,
    /// The isolation checks.
    pub isolation: Vec<IsolationCheck>,
}

/// One stack that was created from the plan's template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuiltStack {
    /// Stack name.
    pub name: String,
    /// Stack id (ARN).
    pub id: String,
    /// Digest of the template that was sent.
    pub template: Digest,
    /// Stack outputs.
    pub outputs: BTreeMap<String, String>,
}

/// One check that the rebuilt environment is isolated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IsolationCheck {
    /// Short name of the check.
    pub check: String,
    /// What it said.
    pub status: CheckStatus,
    /// What was looked at.
    pub evidence: String,
}

/// The answer of a check. Unknown never passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Proven.
    Pass,
    /// Disproven.
    Fail,
    /// Not proven either way.
    Unknown,
}
