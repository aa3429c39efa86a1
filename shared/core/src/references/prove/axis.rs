//! The points of one dimension: every value that the policies' clauses can tell apart.

use std::collections::BTreeSet;

use super::policy::{Attribute, Clause, Dimension, Pattern, Statement, account_of};
use crate::references::spellings::glob;

/// Most points of one dimension.
const MOST_POINTS: usize = 100_000;

/// Most wildcard patterns of one dimension: one bit each.
const MOST_WILD: usize = 64;

/// Stands for every account that the policies do not name.
const FRESH: &str = "any other account";

/// A value of one dimension: what a request has there.
#[derive(Debug, Clone, Default)]
pub(super) struct Point {
    pub(super) account: Option<String>,
    name: Option<String>,
    /// The wildcard patterns that match, by index.
    wild: u64,
    /// Attributes that the request lacks.
    absent: BTreeSet<Attribute>,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.name, &self.account) {
            (Some(name), _) => write!(f, "`{}`", name.escape_debug())?,
            (None, Some(account)) if account == FRESH => f.write_str("something of any other account")?,
            (None, Some(account)) => write!(f, "something of account {account}")?,
            (None, None) => f.write_str("anything else")?,
        }
        if !self.absent.is_empty() {
            f.write_str(" that is not named in every key")?;
        }
        Ok(())
    }
}

/// The points of one dimension.
pub(super) struct Axis {
    pub(super) dimension: Dimension,
    pub(super) points: Vec<Point>,
    /// In order.
    wild: Vec<Pattern>,
    /// For every pattern those that never match the same text.
    conflicts: Vec<u64>,
}

/// What the clauses of a dimension name.
#[derive(Default)]
struct Constants {
    accounts: BTreeSet<String>,
    names: BTreeSet<String>,
    wild: BTreeSet<Pattern>,
    attributes: BTreeSet<Attribute>,
}

impl Constants {
    fn of<'s>(dimension: &Dimension, statements: impl Iterator<Item = &'s Statement>) -> Self {
        let mut constants = Self::default();
        for clause in statements.flat_map(|statement| &statement.clauses) {
            let Some(attribute) = clause
                .attribute
                .as_ref()
                .filter(|one| one.dimension() == *dimension)
            else {
                continue;
            };
            constants.attributes.insert(attribute.clone());
            for pattern in &clause.patterns {
                constants.add(attribute, pattern);
            }
        }
        constants
    }

    fn add(&mut self, attribute: &Attribute, pattern: &Pattern) {
        match pattern {
            Pattern::Any => {}
            Pattern::Account(account) => {
                self.accounts.insert(account.clone());
            }
            Pattern::Literal(text) if attribute.is_account() => {
                self.accounts.insert(text.clone());
            }
            Pattern::Literal(text) => {
                self.accounts.extend(account_of(text).map(ToOwned::to_owned));
                self.names.insert(text.clone());
            }
            Pattern::Glob(_) | Pattern::ArnGlob(_) | Pattern::Exempt(_) => {
                self.accounts.extend(home(pattern).map(ToOwned::to_owned));
                self.wild.insert(pattern.clone());
            }
        }
    }
}

impl Axis {
    /// `None` when there are too many points.
    pub(super) fn of<'s>(
        dimension: &Dimension,
        statements: impl Iterator<Item = &'s Statement>,
    ) -> Option<Self> {
        let constants = Constants::of(dimension, statements);
        let wild: Vec<Pattern> = constants.wild.into_iter().collect();
        if wild.len() > MOST_WILD {
            return None;
        }
        let conflicts = wild
            .iter()
            .map(|one| {
                wild.iter()
                    .enumerate()
                    .filter(|(_, other)| exclude_each_other(one, other))
                    .fold(0, |mask, (index, _)| mask | 1 << index)
            })
            .collect();
        let mut axis = Self {
            dimension: dimension.clone(),
            points: Vec::new(),
            wild,
            conflicts,
        };
        let homes: Vec<Option<&str>> = if matches!(dimension, Dimension::Caller | Dimension::Source) {
            constants
                .accounts
                .iter()
                .map(String::as_str)
                .chain([FRESH])
                .map(Some)
                .chain([None])
                .collect()
        } else {
            vec![None]
        };
        let by_account = homes.len() > 1;
        for name in constants.names.iter().map(String::as_str).map(Some).chain([None]) {
            match name.and_then(account_of).filter(|_| by_account) {
                Some(fixed) => axis.add_points(name, Some(fixed), &constants.attributes)?,
                None => {
                    for account in &homes {
                        axis.add_points(name, *account, &constants.attributes)?;
                    }
                }
            }
        }
        Some(axis)
    }

    /// A thing of this name in this account, with every combination of patterns and of missing keys.
    fn add_points(
        &mut self,
        name: Option<&str>,
        account: Option<&str>,
        attributes: &BTreeSet<Attribute>,
    ) -> Option<()> {
        let mut fixed = 0_u64;
        let mut open = Vec::new();
        for (index, pattern) in self.wild.iter().enumerate() {
            match (pattern, name) {
                // A caller that an account names elsewhere may or may not be covered by the exemption.
                (Pattern::Exempt(_), _) => {
                    if home(pattern).is_none_or(|home| Some(home) == account) {
                        open.push(index);
                    }
                }
                (Pattern::Glob(text), Some(name)) if glob(text, name) => fixed |= 1 << index,
                (Pattern::ArnGlob(text), Some(name)) if arn_glob(text, name) => fixed |= 1 << index,
                (_, Some(_)) => {}
                (Pattern::Glob(_) | Pattern::ArnGlob(_), None) => {
                    if account.is_none() || home(pattern).is_none_or(|home| Some(home) == account) {
                        open.push(index);
                    }
                }
                (Pattern::Any | Pattern::Account(_) | Pattern::Literal(_), None) => {}
            }
        }
        let combinations = self.combinations(&open)?;
        for absent in absences(account, attributes) {
            for chosen in &combinations {
                if self.points.len() >= MOST_POINTS {
                    return None;
                }
                self.points.push(Point {
                    account: account.map(ToOwned::to_owned),
                    name: name.map(ToOwned::to_owned),
                    wild: fixed | chosen,
                    absent: absent.clone(),
                });
            }
        }
        Some(())
    }

    /// Every set of these patterns that one text could match.
    fn combinations(&self, open: &[usize]) -> Option<Vec<u64>> {
        let mut sets = vec![0_u64];
        for index in open {
            let conflicts = self.conflicts.get(*index).copied().unwrap_or_default();
            let with: Vec<u64> = sets
                .iter()
                .filter(|set| *set & conflicts == 0)
                .map(|set| set | 1 << index)
                .collect();
            sets.extend(with);
            if sets.len() > MOST_POINTS {
                return None;
            }
        }
        Some(sets)
    }

    /// For every point whether the clause holds there.
    pub(super) fn holds(&self, clause: &Clause) -> Vec<bool> {
        let Some(matcher) = Matcher::of(self, clause) else {
            return vec![false; self.points.len()];
        };
        self.points.iter().map(|point| matcher.holds(point)).collect()
    }
}

/// Every combination of attributes that a request from this account can lack.
fn absences(account: Option<&str>, attributes: &BTreeSet<Attribute>) -> Vec<BTreeSet<Attribute>> {
    // Callers of an account always have both keys, services and federated callers neither.
    let never: BTreeSet<Attribute> = attributes
        .iter()
        .filter(|attribute| {
            account.is_none()
                && matches!(
                    attribute,
                    Attribute::CallerArn | Attribute::CallerAccount | Attribute::SourceAccount(_)
                )
        })
        .cloned()
        .collect();
    let mut all = vec![never];
    for attribute in attributes {
        match attribute {
            Attribute::SourceArn | Attribute::SourceAccount(_) | Attribute::Key(_) => {
                let lacking: Vec<_> = all
                    .iter()
                    .filter(|absent| !absent.contains(attribute))
                    .map(|absent| absent.iter().chain([attribute]).cloned().collect())
                    .collect();
                all.extend(lacking);
            }
            Attribute::CallerArn | Attribute::CallerAccount | Attribute::Principal | Attribute::Resource => {}
        }
    }
    all
}

/// The patterns of a clause, sorted by what they look at.
struct Matcher<'c> {
    clause: &'c Clause,
    attribute: &'c Attribute,
    any: bool,
    accounts: Vec<&'c str>,
    names: Vec<&'c str>,
    wild: u64,
}

impl<'c> Matcher<'c> {
    fn of(axis: &Axis, clause: &'c Clause) -> Option<Self> {
        let attribute = clause.attribute.as_ref()?;
        let mut matcher = Self {
            clause,
            attribute,
            any: false,
            accounts: Vec::new(),
            names: Vec::new(),
            wild: 0,
        };
        for pattern in &clause.patterns {
            match pattern {
                Pattern::Any => matcher.any = true,
                Pattern::Account(account) => matcher.accounts.push(account),
                Pattern::Literal(text) if attribute.is_account() => matcher.accounts.push(text),
                Pattern::Literal(text) => matcher.names.push(text),
                Pattern::Glob(_) | Pattern::ArnGlob(_) | Pattern::Exempt(_) => {
                    matcher.wild |= axis.wild.binary_search(pattern).map_or(0, |index| 1 << index);
                }
            }
        }
        matcher.accounts.sort_unstable();
        matcher.names.sort_unstable();
        Some(matcher)
    }

    fn holds(&self, point: &Point) -> bool {
        if point.absent.contains(self.attribute) {
            return self.clause.when_absent;
        }
        let among = |all: &[&str], one: &Option<String>| {
            one.as_deref().is_some_and(|one| all.binary_search(&one).is_ok())
        };
        let matches = self.any
            || self.wild & point.wild != 0
            || among(&self.accounts, &point.account)
            || among(&self.names, &point.name);
        matches != self.clause.negated
    }
}

/// Whether no text matches both patterns, because they begin differently.
fn exclude_each_other(one: &Pattern, other: &Pattern) -> bool {
    let apart = |one: &str, other: &str| {
        let begin = |text: &str| text.find(['*', '?']).unwrap_or(text.len());
        let length = begin(one).min(begin(other));
        one.as_bytes().get(..length) != other.as_bytes().get(..length)
    };
    match (one, other) {
        (Pattern::ArnGlob(one), Pattern::ArnGlob(other)) => one
            .splitn(6, ':')
            .zip(other.splitn(6, ':'))
            .any(|(one, other)| apart(one, other)),
        (Pattern::Glob(one) | Pattern::ArnGlob(one), Pattern::Glob(other) | Pattern::ArnGlob(other)) => {
            apart(one, other)
        }
        (
            Pattern::Any
            | Pattern::Account(_)
            | Pattern::Literal(_)
            | Pattern::Glob(_)
            | Pattern::ArnGlob(_)
            | Pattern::Exempt(_),
            _,
        ) => false,
    }
}

/// The one account that a pattern can match.
fn home(pattern: &Pattern) -> Option<&str> {
    match pattern {
        Pattern::Exempt(text) if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(text)
        }
        Pattern::ArnGlob(text) | Pattern::Exempt(text) => account_of(text),
        Pattern::Glob(text) => {
            // Here a wildcard before the account could stretch over colons.
            let fixed = !text.splitn(5, ':').take(4).any(|part| part.contains(['*', '?']));
            account_of(text).filter(|_| fixed)
        }
        Pattern::Any | Pattern::Account(_) | Pattern::Literal(_) => None,
    }
}

fn arn_glob(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == 6
        && parts.len() == 6
        && patterns
            .iter()
            .zip(parts)
            .all(|(pattern, part)| glob(pattern, part))
}
