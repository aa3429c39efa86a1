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

use super::axis::Axis;
use super::family::Family;
use super::policy::{Attribute, Clause, Dimension, Statement};
use super::{Difference, NotProven};

/// Most kinds of requests that are looked at for one comparison.
const MOST_REQUESTS: u64 = 200_000;

/// Most statements times kinds of requests.
const MOST_WORK: u64 = 20_000_000;

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

/// Shows `Allow(Q) = Allow(P) ∪ Allow(σP)`; returns over how many kinds of requests.
pub(super) fn same_as_union(p: &[Statement], image: &[Statement], q: &[Statement]) -> Result<u64, Unequal> {
    let all = || p.iter().chain(image).chain(q);
    let statements = (p.len() + image.len() + q.len()) as u64;
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
        .filter(|total| total.saturating_mul(statements) <= MOST_WORK)
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
                let mut holds = vec![true; axis.points.len()];
                for clause in self.clauses.iter().filter(|clause| {
                    clause
                        .attribute
                        .as_ref()
                        .is_some_and(|attribute| attribute.dimension() == axis.dimension)
                }) {
                    for (holds, this) in holds.iter_mut().zip(axis.holds(clause)) {
                        *holds &= this;
                    }
                }
                holds
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
pub(super) struct Truth {
    pub(super) allow: bool,
    pub(super) switch: u128,
    pub(super) per_axis: Vec<Vec<bool>>,
}
