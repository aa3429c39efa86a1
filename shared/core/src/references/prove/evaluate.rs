//! Compares what policies allow over every kind of request that they can tell apart.
//!
//! A request is a caller, a source, a resource and so on: one point per dimension. The points of a dimension are
//! taken from the policies' own constants, plus one fresh value: every named thing, and for every account (and a
//! fresh one) a nameless member of it with every combination of the wildcard patterns that could match it. That
//! is more than there is in reality (some combinations are impossible), so equality here is equality there.
//!
//! What is not understood, or does not change with the map, is one free switch per distinct combination of
//! clauses. With switches, the allowed requests at one point are `{b : b∩A≠∅, b∩D=∅}` for the sets A and D of the
//! switches of the matching Allow and Deny statements; unions and inclusions of such families are decided
//! without enumerating them.

use std::collections::{BTreeMap, BTreeSet};

use super::policy::{Attribute, Clause, Dimension, Pattern, Statement, account_of};
use super::{Difference, NotProven};
use crate::references::tokens::glob;

/// Most kinds of requests that are looked at for one comparison.
const MOST_REQUESTS: u64 = 200_000;

/// Most wildcard patterns of one dimension whose combinations are looked at.
const MOST_WILD: usize = 12;

/// Why two sets of statements do not compare equal.
pub(super) enum Unequal {
    TooMany,
    Different { difference: Difference, request: String },
}

impl Unequal {
    pub(super) fn at(self, statement: usize) -> NotProven {
        match self {
            Self::TooMany => NotProven::TooManyRequests { limit: MOST_REQUESTS },
            Self::Different { difference, request } => NotProven::Different {
                statement,
                difference,
                request,
            },
        }
    }
}

/// A value of one dimension: what a request has there.
#[derive(Debug, Clone, Default)]
struct Point {
    account: Option<String>,
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

/// Stands for every account that the policies do not name.
const FRESH: &str = "any other account";

/// Shows `Allow(Q) = Allow(P) ∪ Allow(σP)`; returns over how many kinds of requests.
pub(super) fn same_as_union(p: &[Statement], image: &[Statement], q: &[Statement]) -> Result<u64, Unequal> {
    let all = || p.iter().chain(image).chain(q);
    let affected: BTreeSet<Dimension> = p
        .iter()
        .zip(image)
        .flat_map(|(one, other)| {
            one.clauses
                .iter()
                .zip(&other.clauses)
                .filter(|(one, other)| one.text != other.text)
                .filter_map(|(one, _)| one.attribute.as_ref().map(Attribute::dimension))
        })
        .collect();
    let mut switches: BTreeMap<String, u32> = BTreeMap::new();
    let mut model = |statements: &[Statement]| -> Option<Vec<Modelled>> {
        statements
            .iter()
            .map(|statement| Modelled::of(statement, &affected, &mut switches))
            .collect()
    };
    let (Some(p), Some(image), Some(q), dimensions) = (
        model(p),
        model(image),
        model(q),
        affected
            .iter()
            .map(|dimension| Axis::of(dimension, all()))
            .collect::<Option<Vec<_>>>(),
    ) else {
        return Err(Unequal::TooMany);
    };
    let Some(axes) = dimensions else {
        return Err(Unequal::TooMany);
    };
    let total = axes
        .iter()
        .try_fold(1_u64, |total, axis| total.checked_mul(axis.points.len() as u64))
        .filter(|total| *total <= MOST_REQUESTS)
        .ok_or(Unequal::TooMany)?;
    let truth = |statements: Vec<Modelled>| {
        statements
            .into_iter()
            .map(|one| one.over(&axes))
            .collect::<Vec<_>>()
    };
    let (p, image, q) = (truth(p), truth(image), truth(q));
    let mut at = vec![0_usize; axes.len()];
    loop {
        let before = Family::at(&p, &at);
        let its_image = Family::at(&image, &at);
        let after = Family::at(&q, &at);
        let difference = if !before.within(after) || !its_image.within(after) {
            Some(Difference::Narrower)
        } else if !after.within_union(before, its_image) {
            Some(Difference::Wider)
        } else {
            None
        };
        if let Some(difference) = difference {
            return Err(Unequal::Different {
                difference,
                request: described(&axes, &at),
            });
        }
        if !advance(&mut at, &axes) {
            return Ok(total);
        }
    }
}

fn described(axes: &[Axis], at: &[usize]) -> String {
    axes.iter()
        .zip(at)
        .filter_map(|(axis, index)| {
            let name = match &axis.dimension {
                Dimension::Caller => "caller",
                Dimension::Source => "source",
                Dimension::Resource => "resource",
                Dimension::Key(key) => key,
            };
            Some(format!("{name} {}", axis.points.get(*index)?))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Goes to the next combination of points; `false` after the last.
fn advance(at: &mut [usize], axes: &[Axis]) -> bool {
    for (index, axis) in at.iter_mut().zip(axes) {
        *index += 1;
        if *index < axis.points.len() {
            return true;
        }
        *index = 0;
    }
    false
}

/// A statement with the clauses that are evaluated, and the switch for the rest.
struct Modelled {
    allow: bool,
    switch: u128,
    clauses: Vec<Clause>,
}

impl Modelled {
    /// `None` when there are more switches than bits.
    fn of(
        statement: &Statement,
        affected: &BTreeSet<Dimension>,
        switches: &mut BTreeMap<String, u32>,
    ) -> Option<Self> {
        let (evaluated, rest): (Vec<&Clause>, Vec<&Clause>) = statement.clauses.iter().partition(|clause| {
            clause
                .attribute
                .as_ref()
                .is_some_and(|attribute| affected.contains(&attribute.dimension()))
        });
        let mut rest: Vec<&str> = rest.into_iter().map(|clause| clause.text.as_str()).collect();
        rest.sort_unstable();
        let next = u32::try_from(switches.len()).ok()?;
        let switch = *switches.entry(rest.join("\n")).or_insert(next);
        Some(Self {
            allow: statement.allow,
            switch: 1_u128.checked_shl(switch)?,
            clauses: evaluated.into_iter().cloned().collect(),
        })
    }

    fn over(self, axes: &[Axis]) -> Truth {
        let per_axis = axes
            .iter()
            .map(|axis| {
                let clauses: Vec<&Clause> = self
                    .clauses
                    .iter()
                    .filter(|clause| {
                        clause
                            .attribute
                            .as_ref()
                            .is_some_and(|attribute| attribute.dimension() == axis.dimension)
                    })
                    .collect();
                axis.points
                    .iter()
                    .map(|point| clauses.iter().all(|clause| axis.holds(clause, point)))
                    .collect()
            })
            .collect();
        Truth {
            allow: self.allow,
            switch: self.switch,
            per_axis,
        }
    }
}

/// Where a statement applies.
struct Truth {
    allow: bool,
    switch: u128,
    per_axis: Vec<Vec<bool>>,
}

/// The points of one dimension.
struct Axis {
    dimension: Dimension,
    points: Vec<Point>,
    wild: Vec<Pattern>,
}

impl Axis {
    /// `None` when the patterns have too many combinations.
    fn of<'s>(dimension: &Dimension, statements: impl Iterator<Item = &'s Statement>) -> Option<Self> {
        let mut accounts = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut wild = BTreeSet::new();
        let mut attributes = BTreeSet::new();
        for clause in statements.flat_map(|statement| &statement.clauses) {
            let Some(attribute) = clause
                .attribute
                .as_ref()
                .filter(|one| one.dimension() == *dimension)
            else {
                continue;
            };
            attributes.insert(attribute.clone());
            for pattern in &clause.patterns {
                match pattern {
                    Pattern::Any => {}
                    Pattern::Account(account) => {
                        accounts.insert(account.clone());
                    }
                    Pattern::Literal(text) => match attribute {
                        Attribute::CallerAccount | Attribute::SourceAccount(_) => {
                            accounts.insert(text.clone());
                        }
                        Attribute::Principal
                        | Attribute::CallerArn
                        | Attribute::SourceArn
                        | Attribute::Resource
                        | Attribute::Key(_) => {
                            accounts.extend(account_of(text).map(ToOwned::to_owned));
                            names.insert(text.clone());
                        }
                    },
                    Pattern::Glob(_) | Pattern::ArnGlob(_) | Pattern::Exempt(_) => {
                        accounts.extend(home(pattern).map(ToOwned::to_owned));
                        wild.insert(pattern.clone());
                    }
                }
            }
        }
        let mut axis = Self {
            dimension: dimension.clone(),
            points: Vec::new(),
            wild: wild.into_iter().collect(),
        };
        if axis.wild.len() > MOST_WILD {
            return None;
        }
        let by_account = matches!(dimension, Dimension::Caller | Dimension::Source);
        let homes: Vec<Option<&str>> = if by_account {
            accounts
                .iter()
                .map(String::as_str)
                .chain([FRESH])
                .map(Some)
                .chain([None])
                .collect()
        } else {
            vec![None]
        };
        for name in names.iter().map(Some).chain([None]) {
            for account in &homes {
                let fixed = name.and_then(|name| account_of(name));
                if by_account && fixed.is_some() && fixed != *account {
                    continue;
                }
                axis.add_points(name.map(String::as_str), *account, &attributes);
            }
        }
        Some(axis)
    }

    /// A thing of this name in this account, with every combination of patterns and of missing keys.
    fn add_points(&mut self, name: Option<&str>, account: Option<&str>, attributes: &BTreeSet<Attribute>) {
        let mut fixed = 0_u64;
        let mut open = Vec::new();
        for (index, pattern) in self.wild.iter().enumerate() {
            let bit = 1_u64 << index;
            match (pattern, name) {
                // A caller that an account names elsewhere may or may not be covered by the exemption.
                (Pattern::Exempt(_), _) => {
                    if home(pattern).is_none_or(|home| Some(home) == account) {
                        open.push(bit);
                    }
                }
                (Pattern::Glob(text), Some(name)) if glob(text, name) => fixed |= bit,
                (Pattern::ArnGlob(text), Some(name)) if arn_glob(text, name) => fixed |= bit,
                (_, Some(_)) => {}
                (Pattern::Glob(_) | Pattern::ArnGlob(_), None) => {
                    if account.is_none() || home(pattern).is_none_or(|home| Some(home) == account) {
                        open.push(bit);
                    }
                }
                (Pattern::Any | Pattern::Account(_) | Pattern::Literal(_), None) => {}
            }
        }
        let may_lack: Vec<&Attribute> = attributes
            .iter()
            .filter(|attribute| match attribute {
                Attribute::SourceArn | Attribute::SourceAccount(_) | Attribute::Key(_) => true,
                // Callers of an account always have both keys, services and federated callers neither.
                Attribute::CallerArn
                | Attribute::CallerAccount
                | Attribute::Principal
                | Attribute::Resource => false,
            })
            .collect();
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
        for lacking in 0_u32..1 << may_lack.len() {
            let mut absent = never.clone();
            absent.extend(
                may_lack
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| lacking >> index & 1 == 1)
                    .map(|(_, attribute)| (*attribute).clone()),
            );
            for chosen in 0_u32..1 << open.len() {
                let wild = open
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| chosen >> index & 1 == 1)
                    .fold(fixed, |wild, (_, bit)| wild | bit);
                self.points.push(Point {
                    account: account.map(ToOwned::to_owned),
                    name: name.map(ToOwned::to_owned),
                    wild,
                    absent: absent.clone(),
                });
            }
        }
    }

    fn holds(&self, clause: &Clause, point: &Point) -> bool {
        let Some(attribute) = &clause.attribute else {
            return false;
        };
        if point.absent.contains(attribute) {
            return clause.when_absent;
        }
        let matches = clause.patterns.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Account(account) => point.account.as_deref() == Some(account),
            Pattern::Literal(text) => match attribute {
                Attribute::CallerAccount | Attribute::SourceAccount(_) => {
                    point.account.as_deref() == Some(text)
                }
                Attribute::Principal
                | Attribute::CallerArn
                | Attribute::SourceArn
                | Attribute::Resource
                | Attribute::Key(_) => point.name.as_deref() == Some(text),
            },
            Pattern::Glob(_) | Pattern::ArnGlob(_) | Pattern::Exempt(_) => self
                .wild
                .iter()
                .position(|one| one == pattern)
                .is_some_and(|index| point.wild >> index & 1 == 1),
        });
        matches != clause.negated
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

/// The allowed settings of the switches at one point: `{b : b∩allow≠∅, b∩deny=∅}`.
#[derive(Clone, Copy)]
struct Family {
    /// Without the denied ones.
    allow: u128,
    deny: u128,
}

impl Family {
    fn at(statements: &[Truth], at: &[usize]) -> Self {
        let (mut allow, mut deny) = (0, 0);
        for statement in statements {
            let applies = statement
                .per_axis
                .iter()
                .zip(at)
                .all(|(truth, index)| truth.get(*index).copied().unwrap_or(false));
            if applies {
                *(if statement.allow { &mut allow } else { &mut deny }) |= statement.switch;
            }
        }
        Self {
            allow: allow & !deny,
            deny,
        }
    }

    fn is_empty(self) -> bool {
        self.allow == 0
    }

    /// Inclusion: the settings with a single switch show the allowed ones, those with two the denied ones.
    fn within(self, other: Self) -> bool {
        self.is_empty() || (self.allow & !other.allow == 0 && other.deny & !self.deny == 0)
    }

    /// A counterexample is outside of each of the two, because it misses its allowed switches or hits a denied one.
    fn within_union(self, one: Self, other: Self) -> bool {
        if self.is_empty() {
            return true;
        }
        let ways = |family: Self| [(family.allow, None), (0, Some(family.deny))];
        for (off_one, hit_one) in ways(one) {
            for (off_other, hit_other) in ways(other) {
                let off = self.deny | off_one | off_other;
                let possible = |hit: Option<u128>| hit.is_none_or(|hit| hit & !off != 0);
                if self.allow & !off != 0 && possible(hit_one) && possible(hit_other) {
                    return false;
                }
            }
        }
        true
    }
}

/// A caller of one account, for the question whether it is shut out.
pub(in crate::references) struct Caller {
    axis: Axis,
    point: usize,
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.axis.points.get(self.point) {
            Some(point) => point.fmt(f),
            None => Ok(()),
        }
    }
}

/// Every kind of caller of this account that the statements tell apart. `None` when there are too many.
pub(in crate::references) fn callers_of(account: &str, statements: &[Statement]) -> Option<Vec<Caller>> {
    let named = Statement {
        allow: true,
        clauses: vec![Clause {
            attribute: Some(Attribute::Principal),
            patterns: vec![Pattern::Account(account.to_owned())],
            negated: false,
            when_absent: false,
            text: String::new(),
        }],
    };
    let axis = Axis::of(&Dimension::Caller, statements.iter().chain([&named]))?;
    let members: Vec<usize> = axis
        .points
        .iter()
        .enumerate()
        .filter(|(_, point)| point.account.as_deref() == Some(account))
        .map(|(index, _)| index)
        .collect();
    Some(
        members
            .into_iter()
            .map(|point| Caller {
                axis: Axis {
                    dimension: axis.dimension.clone(),
                    points: axis.points.clone(),
                    wild: axis.wild.clone(),
                },
                point,
            })
            .collect(),
    )
}

/// The statements by which a caller may be allowed something, whatever else the request says.
pub(in crate::references) fn may_be_allowed(caller: &Caller, statements: &[Statement]) -> Vec<usize> {
    let Some(point) = caller.axis.points.get(caller.point) else {
        return Vec::new();
    };
    let on_caller = |clause: &&Clause| {
        clause
            .attribute
            .as_ref()
            .is_some_and(|attribute| attribute.dimension() == Dimension::Caller)
    };
    let applies = |statement: &Statement| {
        statement
            .clauses
            .iter()
            .filter(on_caller)
            .all(|clause| caller.axis.holds(clause, point))
    };
    // A Deny counts only if nothing but the caller decides whether it applies.
    let denied = statements.iter().any(|statement| {
        let unconditional = statement
            .clauses
            .iter()
            .filter(|clause| !on_caller(clause))
            .all(|clause| matches!(clause.text.as_str(), "Action \"*\"" | "Resource \"*\""));
        !statement.allow && unconditional && applies(statement)
    });
    if denied {
        return Vec::new();
    }
    statements
        .iter()
        .enumerate()
        .filter(|(_, statement)| statement.allow && applies(statement))
        .map(|(index, _)| index)
        .collect()
}
