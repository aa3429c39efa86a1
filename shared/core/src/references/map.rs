//! The identifier map σ: what every identifier of the old environment becomes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::accounts::owner_of;
use super::spellings::{Edge, Found, Spellings, edge};
use crate::plan::{IdentifierKind, IdentifierPair, Plan};
use crate::run::AccountId;

/// A checked identifier map.
///
/// It is one to one, its old and new sides have nothing in common, and no new value contains an old one: so
/// the inverse exists, and what was rewritten never has to be rewritten again.
#[derive(Debug, Clone)]
pub struct IdentifierMap {
    /// Longest old value first, so that the longest match wins.
    pairs: Vec<IdentifierPair>,
    /// Made from the pairs.
    spellings: Spellings,
}

impl PartialEq for IdentifierMap {
    fn eq(&self, other: &Self) -> bool {
        self.pairs == other.pairs
    }
}

impl Eq for IdentifierMap {}

/// The map cannot be used. Holds every problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the identifier map has {} problem(s): {}", .0.len(), .0.join("; "))]
pub struct InvalidMap(pub Vec<String>);

impl IdentifierMap {
    /// Builds the map from pairs.
    ///
    /// # Errors
    /// [`InvalidMap`] with every problem: empty, malformed, ambiguous or self-contradicting pairs.
    pub fn new(pairs: impl IntoIterator<Item = IdentifierPair>) -> Result<Self, InvalidMap> {
        let pairs: BTreeSet<IdentifierPair> = pairs.into_iter().collect();
        let mut problems = Vec::new();
        if pairs.is_empty() {
            problems.push("is empty: at least the old account and its successor are needed".to_owned());
        }
        let mut successors: BTreeMap<&str, &str> = BTreeMap::new();
        let mut predecessors: BTreeMap<&str, &str> = BTreeMap::new();
        for pair in &pairs {
            for value in [&pair.old, &pair.new] {
                if let Some(wanted) = malformed(pair.kind, value) {
                    problems.push(format!("`{}` is {wanted}", value.escape_debug()));
                }
                if let Some(owner) = owner_of(value).filter(|_| pair.kind == IdentifierKind::Account) {
                    problems.push(format!(
                        "`{value}` belongs to {owner}: it is not yours to rebuild"
                    ));
                }
            }
            if let Some(other) = successors.insert(&pair.old, &pair.new)
                && other != pair.new
            {
                problems.push(format!(
                    "`{}` becomes both `{other}` and `{}`",
                    pair.old, pair.new
                ));
            }
            if let Some(other) = predecessors.insert(&pair.new, &pair.old)
                && other != pair.old
            {
                problems.push(format!(
                    "both `{other}` and `{}` become `{}`, which cannot be undone",
                    pair.old, pair.new
                ));
            }
        }
        for pair in &pairs {
            for other in &pairs {
                if contains(&pair.new, other) {
                    problems.push(format!(
                        "the new value `{}` contains the old value `{}`",
                        pair.new, other.old
                    ));
                }
            }
        }
        if !problems.is_empty() {
            problems.dedup();
            return Err(InvalidMap(problems));
        }
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| b.old.len().cmp(&a.old.len()).then_with(|| a.cmp(b)));
        match Spellings::of(&pairs) {
            Ok(spellings) => Ok(Self { pairs, spellings }),
            Err(error) => Err(InvalidMap(vec![format!(
                "is too large to be searched for: {error}"
            )])),
        }
    }

    /// The map of one account and its successor.
    ///
    /// # Errors
    /// [`InvalidMap`] when both are the same.
    pub fn of_accounts(old: &AccountId, new: &AccountId) -> Result<Self, InvalidMap> {
        Self::new([account_pair(old, new)])
    }

    /// The map of a plan: `accounts.old` becomes `accounts.rebuild`, and all of `references.identifiers`.
    ///
    /// # Errors
    /// [`InvalidMap`] with every problem.
    pub fn of_plan(plan: &Plan) -> Result<Self, InvalidMap> {
        Self::new(
            plan.references
                .identifiers
                .iter()
                .cloned()
                .chain([account_pair(&plan.accounts.old, &plan.accounts.rebuild)]),
        )
    }

    /// The pairs, longest old value first.
    #[must_use]
    pub fn pairs(&self) -> &[IdentifierPair] {
        &self.pairs
    }

    pub(super) const fn spellings(&self) -> &Spellings {
        &self.spellings
    }

    /// The identifiers in a string, in order and apart.
    pub(super) fn find(&self, text: &str) -> Vec<Found<'_>> {
        self.spellings.find(&self.pairs, text)
    }

    /// The old accounts.
    pub fn old_accounts(&self) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(|pair| pair.kind == IdentifierKind::Account)
            .map(|pair| pair.old.as_str())
    }
}

/// Whether a scan of a new value would find an old one.
fn contains(new: &str, pair: &IdentifierPair) -> bool {
    !pair.old.is_empty()
        && new.match_indices(pair.old.as_str()).any(|(start, found)| {
            !matches!(edge(pair.kind, new, &(start..start + found.len())), Edge::Foreign)
        })
}

fn account_pair(old: &AccountId, new: &AccountId) -> IdentifierPair {
    IdentifierPair {
        kind: IdentifierKind::Account,
        old: old.as_str().to_owned(),
        new: new.as_str().to_owned(),
    }
}

/// What the value is instead of a well-formed identifier of its kind.
fn malformed(kind: IdentifierKind, value: &str) -> Option<&'static str> {
    let only = |allowed: fn(u8) -> bool| !value.is_empty() && value.bytes().all(allowed);
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let (good, wanted) = match kind {
        IdentifierKind::Account => (
            value.len() == 12 && only(|byte| byte.is_ascii_digit()),
            "no account id: 12 digits are needed",
        ),
        IdentifierKind::Bucket => (
            (3..=63).contains(&value.len())
                && only(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
                }),
            "no bucket name: 3 to 63 of a-z, 0-9, `.` and `-` are needed",
        ),
        IdentifierKind::KmsKey => (
            value.len() >= 16 && only(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "no KMS key id: a UUID or `mrk-` and hexadecimal digits are needed",
        ),
        IdentifierKind::UniqueId => (
            value.len() >= 16 && only(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()),
            "no IAM unique id: `AROA…` or `AIDA…` is needed",
        ),
        IdentifierKind::CanonicalUser => (
            value.len() == 64 && only(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            "no canonical user id: 64 hexadecimal digits are needed",
        ),
        IdentifierKind::VpcEndpoint => (
            value.starts_with("vpce-") && only(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "no VPC endpoint id: `vpce-…` is needed",
        ),
        IdentifierKind::Issuer => (
            value.contains('.')
                && value
                    .bytes()
                    .all(|byte| name(byte) || matches!(byte, b'/' | b'_')),
            "no issuer: host and path without `https://` are needed",
        ),
        IdentifierKind::ResourceId => (
            value.len() >= 8
                && only(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')),
            "no id of a resource: at least 8 of letters, digits, `-`, `_` and `.` are needed",
        ),
        IdentifierKind::Host => (
            value.contains('.') && value.bytes().all(name),
            "no host name: letters, digits, `-` and at least one `.` are needed",
        ),
    };
    (!good).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(kind: IdentifierKind, old: &str, new: &str) -> IdentifierPair {
        IdentifierPair {
            kind,
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

    #[test]
    fn a_map_that_has_no_inverse_is_refused_with_every_problem() {
        use IdentifierKind::{Account, Bucket, Host};
        for (pairs, part) in [
            (vec![], "is empty"),
            (
                vec![pair(Account, "111111111111", "111111111111")],
                "contains the old value",
            ),
            (
                vec![
                    pair(Account, "111111111111", "222222222222"),
                    pair(Account, "333333333333", "222222222222"),
                ],
                "cannot be undone",
            ),
            (
                vec![
                    pair(Account, "111111111111", "222222222222"),
                    pair(Account, "111111111111", "333333333333"),
                ],
                "becomes both",
            ),
            (
                vec![
                    pair(Account, "111111111111", "222222222222"),
                    pair(Account, "222222222222", "333333333333"),
                ],
                "contains the old value",
            ),
            (
                vec![
                    pair(Account, "111111111111", "222222222222"),
                    pair(Host, "a.example.com", "111111111111.example.com"),
                ],
                "contains the old value",
            ),
            (
                vec![pair(Account, "11111111111", "222222222222")],
                "no account id",
            ),
            (vec![pair(Bucket, "data\"", "other")], "no bucket name"),
            (
                vec![pair(Account, "464622532012", "222222222222")],
                "belongs to Datadog",
            ),
        ] {
            let error = IdentifierMap::new(pairs.clone()).expect_err(part).to_string();
            assert!(error.contains(part), "{pairs:?}: {error}");
        }
    }
}
