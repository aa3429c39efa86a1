//! Accepts a rewritten document, or says why not. Shares no decision with the rewriter.
//!
//! Four things are shown, each from the two texts alone:
//! 1. the bytes: undoing the edits, or replacing successors by identifiers, restores the original;
//! 2. the values: only values that name the old environment changed, each to exactly its image, and no label
//!    or external id did;
//! 3. the rights: over every kind of request that the policy can tell apart, what is allowed is
//!    `Allow(P) ∪ Allow(σP)` after an expansion and `Allow(σP)` after a swap;
//! 4. the frame: nothing else of the document changed.

use serde::Serialize;
use serde_json::Value;

use super::Form;
use super::edit::{Edit, apply};
use super::encoding::decode;
use super::map::IdentifierMap;
use super::rewrite::Mode;

mod axis;
mod callers;
mod evaluate;
mod family;
mod history;
mod policy;
mod strict;
mod substitute;

pub(super) use callers::statements_that_admit;
pub(super) use policy::Statement;

/// What the prover showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// How the document was rewritten.
    pub mode: Mode,
    /// Values that changed or came in.
    pub changed: usize,
    /// Kinds of requests over which the two policies were compared; 0 where the result is the image itself, or the
    /// original statements with their images.
    pub requests: u64,
    /// Log paths that a swap kept beside their successors, because the logs written so far stay below them.
    pub kept_log_paths: usize,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.mode {
            Mode::Swap => {
                write!(
                    f,
                    "the inverse restores every byte; {} value(s) changed, each to its image; allowed is exactly what \
                     the image allows",
                    self.changed
                )?;
                match self.kept_log_paths {
                    0 => Ok(()),
                    kept => write!(f, ", and the same on {kept} path(s) of logs from before the move"),
                }
            }
            Mode::Expand if self.requests == 0 => write!(
                f,
                "taking the insertions out restores every byte; {} statement(s) stand there once more as their image",
                self.changed
            ),
            Mode::Expand => write!(
                f,
                "taking the insertions out restores every byte; {} statement(s) changed; over {} kinds of requests \
                 allowed is exactly what the original or its image allows",
                self.changed, self.requests
            ),
        }
    }
}

/// Why a rewritten document is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "not_proven", rename_all = "snake_case")]
pub enum NotProven {
    /// The inverse does not restore the original.
    #[error("undoing the edits does not restore the original bytes")]
    NotRestored,
    /// A value changed to something else than its image.
    #[error("`{path}` is not what the identifier map makes of it")]
    NotTheImage {
        /// Its path.
        path: String,
    },
    /// The original or the result is no policy.
    #[error("not understood: {what}")]
    NotUnderstood {
        /// What.
        what: String,
    },
    /// The rights differ.
    #[error("statement {statement}: {difference} for {request}")]
    Different {
        /// Index of the statement in the original; of the first affected one where several hang together.
        statement: usize,
        /// More or less than the target.
        difference: Difference,
        /// The request, for people.
        request: String,
    },
    /// Too many kinds of requests to look at each.
    #[error(
        "too many constants: the policy tells more than {limit} kinds of requests apart, too many to look at each"
    )]
    TooManyRequests {
        /// The limit.
        limit: u64,
    },
}

/// In which direction rights differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Something is allowed that neither the original nor its image allows.
    Wider,
    /// Something is refused that the original or its image allows.
    Narrower,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wider => "more would be allowed than before or by the image",
            Self::Narrower => "something allowed before or by the image would be refused",
        })
    }
}

/// Checks that `after` is a faithful rewrite of `before`. The edits are a hint and are not trusted.
///
/// # Errors
/// [`NotProven`] with the first thing that could not be shown.
pub fn prove(
    before: &str,
    after: &str,
    form: impl Into<Form>,
    map: &IdentifierMap,
    mode: Mode,
    edits: &[Edit],
) -> Result<Proof, NotProven> {
    bytes_restored(before, after, map, mode, edits)?;
    let form = form.into();
    let (old, new) = (decode(before), decode(after));
    let (old, new) = match (strict::read(&old.text), strict::read(&new.text), form) {
        (Ok(old), Ok(new), _) => (old, new),
        // Text that is not JSON: every edit is a pair of the map, and the inverse restores every byte.
        (Err(_), Err(_), Form::Config)
            if mode == Mode::Swap && edits.iter().all(|edit| !edit.span.is_empty()) =>
        {
            return Ok(Proof {
                mode,
                changed: edits.len(),
                requests: 0,
                kept_log_paths: 0,
            });
        }
        (Err(error), _, _) => {
            return Err(NotProven::NotUnderstood {
                what: format!("the original is not JSON: {error}"),
            });
        }
        (_, Err(error), _) => {
            return Err(NotProven::NotUnderstood {
                what: format!("the result is not JSON: {error}"),
            });
        }
    };
    match mode {
        Mode::Swap => {
            let kept_log_paths = match form {
                Form::Policy(_) => history::kept(&old, &new, map),
                Form::Config => Vec::new(),
            };
            let plain = history::without(&new, &kept_log_paths);
            let mut changed = 0;
            substitute::is_image(&old, &plain, map, &mut Vec::new(), &mut changed)?;
            Ok(Proof {
                mode,
                changed,
                requests: 0,
                kept_log_paths: history::count(&kept_log_paths),
            })
        }
        Mode::Expand => {
            let (changed, requests) = expanded(&old, &new, map)?;
            Ok(Proof {
                mode,
                changed,
                requests,
                kept_log_paths: 0,
            })
        }
    }
}

fn bytes_restored(
    before: &str,
    after: &str,
    map: &IdentifierMap,
    mode: Mode,
    edits: &[Edit],
) -> Result<(), NotProven> {
    let ordered = edits.is_sorted_by(|a, b| a.span.end <= b.span.start);
    if !ordered || apply(before, edits) != after {
        return Err(NotProven::NotRestored);
    }
    let restored = match mode {
        // Insertions are log paths that stay; without them it is a substitution and nothing else.
        Mode::Swap => {
            let replaced: Vec<Edit> = edits
                .iter()
                .filter(|edit| !edit.span.is_empty())
                .cloned()
                .collect();
            let all_pairs = replaced.iter().all(|edit| {
                before
                    .get(edit.span.clone())
                    .is_some_and(|old| substitute::is_pair(old, &edit.text, map))
            });
            let swapped = apply(before, &replaced);
            all_pairs && substitute::inverse(&swapped, map) == before
        }
        // Nothing but insertions: taking them out again leaves the original.
        Mode::Expand => edits.iter().all(|edit| edit.span.is_empty()),
    };
    if restored {
        Ok(())
    } else {
        Err(NotProven::NotRestored)
    }
}

/// How many statements changed, and over how many kinds of requests the policies were compared.
fn expanded(old: &Value, new: &Value, map: &IdentifierMap) -> Result<(usize, u64), NotProven> {
    let not_image = |path: &str| NotProven::NotTheImage {
        path: path.to_owned(),
    };
    let (Some(old_top), Some(new_top)) = (old.as_object(), new.as_object()) else {
        return Err(not_image(""));
    };
    if old_top.len() != new_top.len() {
        return Err(not_image(""));
    }
    for (key, value) in old_top {
        if key != "Statement" && new_top.get(key) != Some(value) {
            return Err(not_image(key));
        }
    }
    let p = statements_of(old)?;
    let q = statements_of(new)?;
    let mut image = Vec::with_capacity(p.len());
    for (index, statement) in p.iter().enumerate() {
        image.push(
            substitute::image(statement, map).ok_or_else(|| not_image(&format!("Statement[{index}]")))?,
        );
    }
    let groups = groups(&p, &image, &q)?;
    let read = |statement: &Value| Statement::read(statement);
    let mut requests = 0;
    let affected_deny = groups.iter().any(|group| {
        group.changed
            && p.get(group.index)
                .is_some_and(|one| one.get("Effect") == Some(&Value::from("Deny")))
    });
    let changed = groups.iter().filter(|group| group.changed).count();
    if affected_deny {
        let read_all = |all: &[&Value]| all.iter().map(|one| read(one)).collect::<Result<Vec<_>, _>>();
        let first = groups
            .iter()
            .find(|group| group.changed)
            .map_or(0, |group| group.index);
        requests += evaluate::same_as_union(
            &read_all(&p)?,
            &read_all(&image.iter().collect::<Vec<_>>())?,
            &read_all(&q)?,
        )
        .map_err(|problem| problem.at(first))?;
    } else {
        // Allow statements add up, so each may be compared alone; the Deny statements are the same in all three.
        for group in groups.iter().filter(|group| group.changed) {
            let (Some(one), Some(its_image)) = (p.get(group.index), image.get(group.index)) else {
                continue;
            };
            let after = group
                .after
                .iter()
                .map(|one| read(one))
                .collect::<Result<Vec<_>, _>>()?;
            match evaluate::same_as_union(&[read(one)?], &[read(its_image)?], &after) {
                Ok(looked_at) => requests += looked_at,
                // Too much to look at each, but it is the union as it stands there.
                Err(evaluate::Unequal::TooMany) if is_union(one, its_image, &group.after) => {}
                Err(problem) => return Err(problem.at(group.index)),
            }
        }
    }
    labels_are_distinct(&q)?;
    Ok((changed, requests))
}

/// A statement of the original and what it became.
struct Group<'v> {
    index: usize,
    changed: bool,
    after: Vec<&'v Value>,
}

/// Which statements of the result belong to which of the original. A wrong grouping can only fail to prove.
fn groups<'v>(p: &[&'v Value], image: &[Value], q: &[&'v Value]) -> Result<Vec<Group<'v>>, NotProven> {
    let mut groups = Vec::with_capacity(p.len());
    let mut next = q.iter().copied();
    for (index, (one, its_image)) in p.iter().zip(image).enumerate() {
        let missing = || NotProven::NotTheImage {
            path: format!("Statement[{index}]"),
        };
        let first = next.next().ok_or_else(missing)?;
        let changed = *one != its_image;
        let mut after = vec![first];
        if first == *one {
            if changed {
                after.push(next.next().ok_or_else(missing)?);
            }
        } else if !changed {
            return Err(missing());
        }
        groups.push(Group {
            index,
            changed,
            after,
        });
    }
    match next.next() {
        None => Ok(groups),
        Some(_) => Err(NotProven::NotTheImage {
            path: format!("Statement[{}]", q.len().saturating_sub(1)),
        }),
    }
}

/// Whether the statement and its image stand there one after the other, but for the label.
fn is_union(one: &Value, its_image: &Value, after: &[&Value]) -> bool {
    let same = |one: &Value, other: &Value| match (one.as_object(), other.as_object()) {
        (Some(one), Some(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| match other.get(key) {
                    Some(other) => key == "Sid" || value == other,
                    None => false,
                })
        }
        _ => false,
    };
    matches!(after, [first, second] if same(one, first) && same(its_image, second))
}

fn labels_are_distinct(statements: &[&Value]) -> Result<(), NotProven> {
    let mut seen = std::collections::BTreeSet::new();
    for statement in statements {
        if let Some(sid) = statement.get("Sid").and_then(Value::as_str)
            && !sid.is_empty()
            && !seen.insert(sid)
        {
            return Err(NotProven::NotTheImage {
                path: format!("Sid `{}`, which stands twice", sid.escape_debug()),
            });
        }
    }
    Ok(())
}

/// The statements of a policy; a single one may stand without brackets.
pub(super) fn statements_of(policy: &Value) -> Result<Vec<&Value>, NotProven> {
    match policy.get("Statement") {
        Some(Value::Array(statements)) => Ok(statements.iter().collect()),
        Some(statement @ Value::Object(_)) => Ok(vec![statement]),
        _ => Err(NotProven::NotUnderstood {
            what: "the policy has no `Statement`".to_owned(),
        }),
    }
}
