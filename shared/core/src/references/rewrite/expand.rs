//! Candidates for letting the new environment in beside the old one.
//!
//! Per statement there are two: the successor in the same list, or the statement once more with successors in
//! it. Which of them is exact depends on the shape of the statement and, with `Deny`, on the whole policy, so
//! the prover chooses: the shortest candidate that it accepts.

use crate::artifact::Digest;
use crate::references::Form;
use crate::references::encoding::Decoded;
use crate::references::json::{Node, Value};
use crate::references::map::IdentifierMap;
use crate::references::prove::{NotProven, Proof, prove};
use crate::references::tokens::Token;

use super::{Edit, Mode, Refused, apply, swap, written};

/// Statements for which every combination is tried when a `Deny` is among them.
const MOST_COMBINED: usize = 6;

/// The two ways to expand one statement.
struct Candidates {
    /// `None` where an identifier stands outside of a list, in a condition key for instance.
    in_list: Option<Vec<Edit>>,
    duplicate: Vec<Edit>,
    deny: bool,
    /// Which statement of the policy.
    index: usize,
}

pub(super) fn expand(
    text: &str,
    decoded: &Decoded<'_>,
    tree: &Node<'_>,
    form: Form,
    tokens: &[Token],
    map: &IdentifierMap,
) -> Result<(Vec<Edit>, Proof), Refused> {
    let Some(statements) = tree.member("Statement") else {
        return Err(Refused::NothingToRewrite);
    };
    let source = decoded.text.as_ref();
    let single = !matches!(statements.value, Value::Array(_));
    let mut affected = Vec::new();
    let mut owned = 0;
    for (index, statement) in statements.elements().iter().enumerate() {
        let inside: Vec<Token> = tokens
            .iter()
            .filter(|token| statement.span.start <= token.span.start && token.span.end <= statement.span.end)
            .cloned()
            .collect();
        if !inside.is_empty() {
            owned += inside.len();
            affected.push(candidates(source, index, statement, &inside, single));
        }
    }
    if owned != tokens.len() {
        return Err(Refused::NoExactExpansion {
            reason: "an identifier stands outside of the statements".to_owned(),
        });
    }
    let attempt = |choice: &[bool]| {
        let edits: Vec<Edit> = affected
            .iter()
            .zip(choice)
            .flat_map(|(one, duplicate)| match (&one.in_list, duplicate) {
                (Some(edits), false) => edits.clone(),
                _ => one.duplicate.clone(),
            })
            .collect();
        let edits = written(decoded, &edits);
        let after = apply(text, &edits);
        prove(text, &after, form, map, Mode::Expand, &edits).map(|proof| (edits, proof))
    };
    let in_lists: Vec<bool> = affected.iter().map(|one| one.in_list.is_none()).collect();
    let mut reason = match attempt(&in_lists) {
        Ok(found) => return Ok(found),
        Err(reason) => reason.to_string(),
    };
    if affected.iter().any(|one| one.deny) {
        // The statements hang together: try the combinations, the one with the fewest duplicates first.
        if affected.len() > MOST_COMBINED {
            return Err(Refused::NoExactExpansion {
                reason: format!(
                    "more than {MOST_COMBINED} statements hang together through a Deny; {reason}"
                ),
            });
        }
        let mut choices: Vec<Vec<bool>> = (1_u32..1 << affected.len())
            .map(|bits| (0..affected.len()).map(|index| bits >> index & 1 == 1).collect())
            .collect();
        choices.sort_by_key(|choice: &Vec<bool>| choice.iter().filter(|duplicate| **duplicate).count());
        for choice in choices {
            match attempt(&choice) {
                Ok(found) => return Ok(found),
                Err(other) => reason = other.to_string(),
            }
        }
        return Err(Refused::NoExactExpansion { reason });
    }
    // Allow statements stand alone: duplicate exactly those for which the list is not exact.
    let mut choice = in_lists;
    for _ in 0..affected.len() {
        match attempt(&choice) {
            Ok(found) => return Ok(found),
            Err(NotProven::Different { statement, .. }) => {
                let flipped = affected
                    .iter()
                    .zip(&mut choice)
                    .find(|(one, duplicated)| one.index == statement && !**duplicated)
                    .map(|(_, duplicated)| *duplicated = true);
                if flipped.is_none() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    attempt(&choice).map_err(|reason| Refused::NoExactExpansion {
        reason: reason.to_string(),
    })
}

fn candidates(
    source: &str,
    index: usize,
    statement: &Node<'_>,
    tokens: &[Token],
    single: bool,
) -> Candidates {
    let deny = statement
        .member("Effect")
        .is_some_and(|effect| matches!(&effect.value, Value::Text(text) if text.text == "Deny"));
    Candidates {
        in_list: in_list(source, statement, tokens),
        duplicate: duplicate(source, statement, tokens, single),
        deny,
        index,
    }
}

/// The successor after each value that has one.
fn in_list(source: &str, statement: &Node<'_>, tokens: &[Token]) -> Option<Vec<Edit>> {
    let mut lists: Vec<&Node<'_>> = Vec::new();
    for member in statement.members() {
        match member.key.text.as_ref() {
            "Principal" | "NotPrincipal" => lists.extend(member.value.members().iter().map(|one| &one.value)),
            "Resource" | "NotResource" => lists.push(&member.value),
            "Condition" => {
                for operator in member.value.members() {
                    lists.extend(operator.value.members().iter().map(|one| &one.value));
                }
            }
            _ => {}
        }
    }
    let mut edits = Vec::new();
    let mut covered = 0;
    for list in lists {
        let listed = matches!(list.value, Value::Array(_));
        let mut end_of_last = list.span.start + 1;
        for element in list.elements() {
            let Value::Text(_) = element.value else {
                return None;
            };
            let inside: Vec<Token> = tokens
                .iter()
                .filter(|token| element.span.start < token.span.start && token.span.end < element.span.end)
                .cloned()
                .collect();
            let space = source
                .get(end_of_last..element.span.start)
                .unwrap_or_default()
                .trim_start_matches(|character: char| character == ',' || character == ' ' && !listed);
            end_of_last = element.span.end;
            if inside.is_empty() {
                continue;
            }
            covered += inside.len();
            let successor = image(source, element, &inside)?;
            if listed {
                edits.push(insertion(
                    element.span.end,
                    format!(",{}{successor}", leading_space(space)),
                ));
            } else {
                edits.push(insertion(element.span.start, "[".to_owned()));
                edits.push(insertion(element.span.end, format!(",{successor}]")));
            }
        }
    }
    (covered == tokens.len()).then_some(edits)
}

/// The whitespace that follows the last comma or bracket.
fn leading_space(between: &str) -> &str {
    let start = between
        .rfind(|character: char| !character.is_whitespace())
        .map_or(0, |at| at + 1);
    between.get(start..).unwrap_or_default()
}

/// The statement once more, with successors in it and a label of its own.
fn duplicate(source: &str, statement: &Node<'_>, tokens: &[Token], single: bool) -> Vec<Edit> {
    let mut edits = swap(source, tokens);
    if let Some(sid) = statement.member("Sid")
        && let Value::Text(text) = &sid.value
        && !text.text.is_empty()
    {
        let mark = Digest::of(source.get(statement.span.clone()).unwrap_or_default().as_bytes());
        let mark: String = mark.as_str().chars().take(4).collect();
        edits.push(insertion(text.span.end, format!("Recovered{mark}")));
        edits.sort_by_key(|edit| edit.span.start);
    }
    let Some(copy) = image_of_span(source, statement.span.clone(), &edits) else {
        return Vec::new();
    };
    if single {
        return vec![
            insertion(statement.span.start, "[".to_owned()),
            insertion(statement.span.end, format!(",{copy}]")),
        ];
    }
    let lead = source.get(..statement.span.start).unwrap_or_default();
    let space = leading_space(lead);
    vec![insertion(statement.span.end, format!(",{space}{copy}"))]
}

fn image(source: &str, node: &Node<'_>, tokens: &[Token]) -> Option<String> {
    image_of_span(source, node.span.clone(), &swap(source, tokens))
}

fn image_of_span(source: &str, span: std::ops::Range<usize>, edits: &[Edit]) -> Option<String> {
    let start = span.start;
    let moved: Vec<Edit> = edits
        .iter()
        .map(|edit| Edit {
            span: edit.span.start - start..edit.span.end - start,
            text: edit.text.clone(),
        })
        .collect();
    Some(apply(source.get(span)?, &moved))
}

fn insertion(at: usize, text: String) -> Edit {
    Edit { span: at..at, text }
}
