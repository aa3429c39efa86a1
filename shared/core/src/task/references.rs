//! Stage 5, first half: who else names the old account. Read-only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::run::AccountId;

/// What `references` can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Lists the sibling accounts.
    Siblings {
        /// The run's plan.
        plan: ArtifactRef,
    },
    /// Reads every document of one sibling that may name the old account.
    Inventory {
        /// The run's plan.
        plan: ArtifactRef,
        /// The sibling.
        account: AccountId,
    },
    /// Merges the siblings' inventories.
    Merge {
        /// The run's plan.
        plan: ArtifactRef,
        /// One inventory per sibling.
        inventories: Vec<ArtifactRef>,
    },
}

/// The answer to [`Operation::Siblings`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Siblings {
    /// The accounts.
    pub accounts: Vec<AccountId>,
}

/// The answer to [`Operation::Inventory`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountInventory {
    /// The sibling's documents: [`crate::references::InventoryDocument`].
    pub inventory: ArtifactRef,
}

/// The answer to [`Operation::Merge`], and the result of the branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inventoried {
    /// All documents that name the old account: [`crate::references::InventoryDocument`].
    pub inventory: ArtifactRef,
    /// Documents read.
    pub documents: u64,
    /// Tokens that name the old environment.
    pub tokens: u64,
    /// Tokens that a rewriter owns.
    pub handled: u64,
    /// Tokens that none owns and no waiver names: cutover refuses while this is not 0.
    pub unhandled: u64,
}
