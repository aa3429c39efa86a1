//! References to the old account in other accounts: found, rewritten, proven.
//!
//! [`scan`] finds every token of a document that names the old environment. [`rewrite`] turns each into its
//! successor, or puts the successor beside it, by edits in the original bytes. [`prove`] is separate code that
//! accepts a rewritten document only if nothing else changed and nothing beyond the old rights, carried over,
//! is allowed. [`canonical_digest_of`] says whether two texts of a document are the same document.

use std::fmt;

use serde::{Deserialize, Serialize};

mod accounts;
mod canonical;
mod config_snapshot;
mod document;
mod edit;
mod encoding;
pub mod entries;
mod inventory;
mod json;
mod logs;
mod map;
mod positions;
mod prove;
mod rewrite;
pub mod services;
mod shutout;
mod spellings;
#[cfg(test)]
mod tests;
mod tokens;
mod union;

pub use accounts::{OtherAccount, other_accounts, owner_of};
pub use canonical::{canonical_digest_of, canonical_form, same_document};
pub use config_snapshot::{InvalidSnapshot, SNAPSHOT_LIMIT, newest_snapshots, observed_in_snapshot};
pub use document::{
    Counted, Coverage, DocumentKind, InventoryDocument, ReadFailure, ReferenceDocument, Resource, Sighting,
    Slot, Source, UnhandledItem,
};
pub use edit::Edit;
pub use encoding::{Encoding, url_decoded};
pub use inventory::{
    Configuration, INVENTORY_SCHEMA, Observed, Waived, inventory_of, merge, reference_in, unhandled_in,
};
pub use json::{DEEPEST, LARGEST, Unreadable, text_of};
pub use map::{IdentifierMap, InvalidMap};
pub use positions::{Disposition, Position};
pub use prove::{NotProven, Proof, prove};
pub use rewrite::{Mode, Refused, Rewritten, rewrite};
pub use shutout::{Shutout, denies, shutout};
pub use tokens::{Token, scan};
pub use union::union_of;

/// What a text is, and so what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An IAM policy; with its kind, the service's size limit is known.
    Policy(Option<DocumentKind>),
    /// Any other configuration: JSON, or text read line by line.
    Config,
}

impl Form {
    /// What a text seems to be: JSON with a `Statement`, also a broken one, is a policy.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let decoded = encoding::decode(text);
        let policy = match json::parse(&decoded.text) {
            Ok(tree) => tree.member("Statement").is_some(),
            Err(_) => decoded.text.trim_start().starts_with('{') && decoded.text.contains("\"Statement\""),
        };
        if policy { Self::Policy(None) } else { Self::Config }
    }
}

impl From<DocumentKind> for Form {
    fn from(kind: DocumentKind) -> Self {
        if kind.is_entries() {
            Self::Config
        } else {
            Self::Policy(Some(kind))
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoleTrust => "role trust policy",
            Self::BucketPolicy => "bucket policy",
            Self::QueuePolicy => "queue policy",
            Self::KeyPolicy => "key policy",
            Self::KeyGrants => "grants of a key",
            Self::TopicPolicy => "topic policy",
            Self::FunctionPermissions => "permissions of a function",
            Self::SecretPolicy => "secret policy",
            Self::RepositoryPolicy => "repository policy",
            Self::BusPolicy => "event bus policy",
            Self::TablePolicy => "table policy",
            Self::VaultPolicy => "backup vault policy",
        })
    }
}
