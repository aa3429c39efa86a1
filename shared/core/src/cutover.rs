//! Stage 5: the steps of a cutover.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::references::Slot;
use crate::run::AccountId;
use crate::task::cutover::Phase;

/// Every step of a cutover with its *before* and *after*: what the executor does without further choices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutoverDocument {
    /// Always `blackstart.cutover/1`.
    pub schema: String,
    /// Digest of the approved decision package from which it was computed.
    pub package: Digest,
    /// The reference steps in order.
    pub steps: Vec<ReferenceStep>,
    /// The change of records.
    pub traffic: crate::dns::TrafficChange,
}

/// One change of one document in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceStep {
    /// Step id, stable over repeats: phase, account and digest of the slot.
    pub id: String,
    /// Where the document is.
    pub slot: Slot,
    /// The account that holds it.
    pub account: AccountId,
    /// In which phase it changes.
    pub phase: Phase,
    /// The document before the step.
    pub before: String,
    /// The document after the step.
    pub after: String,
    /// What the prover showed, for people.
    pub proof: String,
}
