//! Stage 4: infrastructure from code, in isolation.
//!
//! Templates are checked before anything is created ([`templates`]), stacks are created wave by wave ([`waves`]),
//! a failed stack says why ([`failure`]), and what was created is proven to be isolated ([`isolation`]).

mod exposure;
pub mod failure;
mod intrinsics;
pub mod isolation;
mod principals;
pub mod request;
pub mod templates;
pub mod waves;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::items::Item;

/// The schema of a [`RebuildDocument`].
pub const SCHEMA: &str = "blackstart.rebuild/1";

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
    /// Every item of the workload, each rebuilt, restored or rotated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
}

impl RebuildDocument {
    /// The isolation checks that do not pass; unknown is among them.
    pub fn not_passed(&self) -> impl Iterator<Item = &IsolationCheck> {
        self.isolation
            .iter()
            .filter(|check| check.status != CheckStatus::Pass)
    }

    /// Whether isolation is proven: there are checks, and every one passed.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        !self.isolation.is_empty() && self.not_passed().next().is_none()
    }
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

#[cfg(test)]
mod tests;
