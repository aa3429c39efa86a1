//! One vote: what a voter sends, and what a voter must give with it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::artifact::Digest;

/// Longest rationale, in characters. Enough for a page of reasons, and far below what an item of the ledger holds.
pub const MAXIMUM_RATIONALE: usize = 4_000;

/// What a voter sends. Who the voter is comes from the gateway, never from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ballot {
    /// The digest of exactly the package that is voted on.
    pub digest: Digest,
    /// The voter's decision.
    pub decision: Choice,
    /// Why.
    pub rationale: String,
}

/// What a voter can say.
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
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Choice {
    /// No, and that is final.
    Refuse,
    /// Yes, to exactly this package.
    Approve,
}

/// A vote as the ledger keeps it under [`crate::ledger::Key::vote`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// When the gateway took it.
    pub at: Timestamp,
    /// The person, by the roster.
    pub person: String,
    /// The authenticated ARN.
    pub identity: String,
    /// The package that was voted on.
    pub digest: Digest,
    /// What the person said.
    pub decision: Choice,
    /// Why, for people. Hostile text.
    pub rationale: String,
}

/// Why a rationale is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRationale {
    /// Too few characters, white space at the ends not counted.
    #[error("the rationale has {found} characters, at least {needed} are needed: say what convinced you")]
    TooShort {
        /// Characters given.
        found: usize,
        /// Characters needed.
        needed: usize,
    },
    /// Too many characters.
    #[error("the rationale has {found} characters, at most {MAXIMUM_RATIONALE} are taken")]
    TooLong {
        /// Characters given.
        found: usize,
    },
}

/// Checks the length of a rationale, in characters without the white space around it.
///
/// # Errors
/// [`BadRationale`] when it is too short or too long.
pub fn check_rationale(rationale: &str, minimum: u16) -> Result<(), BadRationale> {
    let found = rationale.trim().chars().count();
    let needed = usize::from(minimum).max(1);
    if found < needed {
        return Err(BadRationale::TooShort { found, needed });
    }
    // What is stored is the text as it came, so that is what the ceiling is for.
    let stored = rationale.chars().count();
    if stored > MAXIMUM_RATIONALE {
        return Err(BadRationale::TooLong { found: stored });
    }
    Ok(())
}
