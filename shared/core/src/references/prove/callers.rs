//! Who of one account a policy tells apart, and whether any of them may be allowed something.

use std::collections::BTreeSet;

use super::axis::Axis;
use super::policy::{Attribute, Clause, Dimension, Pattern, Statement};

/// The indices of the statements by which some caller of this account may be allowed something, whatever else the
/// request says. `None` when there are more kinds of callers than can be looked at.
pub(in crate::references) fn statements_that_admit(
    account: &str,
    statements: &[Statement],
) -> Option<BTreeSet<usize>> {
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
    let mut open: Vec<bool> = axis
        .points
        .iter()
        .map(|point| point.account.as_deref() == Some(account))
        .collect();
    for statement in statements
        .iter()
        .filter(|statement| is_unconditional_deny(statement))
    {
        for (open, denied) in open.iter_mut().zip(applies(&axis, statement)) {
            *open &= !denied;
        }
    }
    let admitting = statements
        .iter()
        .enumerate()
        .filter(|(_, statement)| statement.allow)
        .filter(|(_, statement)| {
            applies(&axis, statement)
                .iter()
                .zip(&open)
                .any(|(applies, open)| *applies && *open)
        })
        .map(|(index, _)| index)
        .collect();
    Some(admitting)
}

fn asks_for_the_caller(clause: &Clause) -> bool {
    clause
        .attribute
        .as_ref()
        .is_some_and(|attribute| attribute.dimension() == Dimension::Caller)
}

/// A Deny counts only if nothing but the caller decides whether it applies.
fn is_unconditional_deny(statement: &Statement) -> bool {
    !statement.allow
        && statement
            .clauses
            .iter()
            .filter(|clause| !asks_for_the_caller(clause))
            .all(|clause| matches!(clause.text.as_str(), "Action \"*\"" | "Resource \"*\""))
}

/// For every caller whether the statement can apply to it.
fn applies(axis: &Axis, statement: &Statement) -> Vec<bool> {
    let mut applies = vec![true; axis.points.len()];
    for clause in statement
        .clauses
        .iter()
        .filter(|clause| asks_for_the_caller(clause))
    {
        for (applies, holds) in applies.iter_mut().zip(axis.holds(clause)) {
            *applies &= holds;
        }
    }
    applies
}
