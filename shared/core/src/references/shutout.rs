//! Whether a document still lets anybody of the old account in.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::encoding::decode;
use super::prove::{Statement, statements_of, statements_that_admit};
use crate::run::AccountId;

/// Whether callers of an account are shut out by a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "shutout", rename_all = "snake_case")]
pub enum Shutout {
    /// No statement lets any of them in.
    Denied,
    /// A statement that names the account, or something in it, lets one in.
    AdmittedByName {
        /// Index of the statement.
        statement: usize,
    },
    /// A statement lets everybody in, or everybody but some, perhaps under conditions that the caller's account
    /// does not decide.
    AdmittedByWildcard {
        /// Index of the statement.
        statement: usize,
    },
    /// The document is not understood.
    NotUnderstood {
        /// Why.
        reason: String,
    },
}

/// Whether a policy still lets callers of this account in.
#[must_use]
pub fn shutout(text: &str, account: &AccountId) -> Shutout {
    if let Some(shutout) = super::entries::shutout_of_entries(text, account) {
        return shutout;
    }
    let not_understood = |reason: String| Shutout::NotUnderstood { reason };
    let decoded = decode(text);
    let policy: Value = match serde_json::from_str(&decoded.text) {
        Ok(policy) => policy,
        Err(error) => return not_understood(error.to_string()),
    };
    let read = statements_of(&policy).and_then(|values| {
        values
            .iter()
            .map(|value| Statement::read(value))
            .collect::<Result<Vec<_>, _>>()
            .map(|statements| (values, statements))
    });
    let (values, statements) = match read {
        Ok(read) => read,
        Err(error) => return not_understood(error.to_string()),
    };
    let Some(admitting) = statements_that_admit(account.as_str(), &statements) else {
        return not_understood("more kinds of callers than can be looked at".to_owned());
    };
    let names = |index: &&usize| {
        values
            .get(**index)
            .is_some_and(|statement| statement.to_string().contains(account.as_str()))
    };
    if let Some(statement) = admitting.iter().find(names) {
        return Shutout::AdmittedByName {
            statement: *statement,
        };
    }
    match admitting.first() {
        Some(statement) => Shutout::AdmittedByWildcard {
            statement: *statement,
        },
        None => Shutout::Denied,
    }
}

/// Whether no statement of the policy lets a caller of this account in.
#[must_use]
pub fn denies(text: &str, account: &AccountId) -> bool {
    shutout(text, account) == Shutout::Denied
}
