//! Stage 4: infrastructure from code, in isolation.
//!
//! Templates are checked before anything is created ([`templates`]), stacks are created wave by wave ([`waves`]), each
//! by a change set that was compared with its template ([`change_set`]), what an earlier run left is removed first
//! ([`earlier`]), a failed stack says why ([`failure`]), and what was created is proven to be isolated ([`isolation`]), in an
//! account that holds nothing else which is not ([`surroundings`]), and to be what the templates say ([`drift`]).

pub mod change_set;
pub mod drift;
pub mod earlier;
mod exposure;
pub mod failure;
mod intrinsics;
pub mod isolation;
mod principals;
pub mod request;
pub mod surroundings;
pub mod templates;
pub mod waves;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::items::Item;
use crate::plan::CheckWaiver;

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

    /// What keeps the environment from being used, by check: what does not pass and is not let pass by a waiver.
    #[must_use]
    pub fn not_let_pass(&self, waivers: &[CheckWaiver]) -> Vec<(&str, String)> {
        let mut kept = Vec::new();
        for check in self.not_passed() {
            let open: Vec<String> = check
                .objections
                .iter()
                .filter(|objection| {
                    !waivers
                        .iter()
                        .any(|waiver| waiver.covers(&check.check, objection))
                })
                .map(ToString::to_string)
                .collect();
            if check.objections.is_empty() {
                kept.push((check.check.as_str(), check.evidence.clone()));
            } else if !open.is_empty() {
                kept.push((check.check.as_str(), open.join("; ")));
            }
        }
        kept
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
    /// What speaks against it, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objections: Vec<Objection>,
}

/// One thing that keeps a check from passing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// What it is about: `STACK` or `STACK/LOGICAL_ID`; `TYPE` or `TYPE/ID` of what no stack of the run made.
    pub subject: String,
    /// Whether it disproves the check or leaves it unknown; never `pass`.
    pub status: CheckStatus,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.subject, self.what)
    }
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
