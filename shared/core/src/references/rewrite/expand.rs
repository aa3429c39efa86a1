//! Candidates for letting the new environment in beside the old one.
//!
//! Per statement there are two: the successor in the same list, or the statement once more with successors in
//! it. Which of them is exact depends on the shape of the statement and, with `Deny`, on the whole policy, so
//! the prover chooses: the shortest candidate that it accepts. `Allow` statements add up, so each is decided on
//! its own and the work grows with the document; only statements that hang together through a `Deny` are tried
//! in combinations, and of those only a few.

use crate::artifact::Digest;
use crate::references::Form;
use crate::references::edit::{Edit, apply, beside, image, insertion, leading_space, swap, written};
use crate::references::encoding::Decoded;
use crate::references::json::{Node, Value};
use crate::references::map::IdentifierMap;
use crate::references::prove::{NotProven, Proof, prove};
use crate::references::tokens::{Token, within};

use super::{Mode, Refused};

/// Statements of which every combination is tried when a `Deny` is among them.
const MOST_COMBINED: usize = 6;

/// The two ways to expand one statement.
struct Candidates<'n, 't> {
    statement: &'n Node<'t>,
    /// `None` where an identifier stands outside of a list, in a condition key for instance.
    in_list: Option<Vec<Edit>>,
    duplicate: Vec<Edit>,
    deny: bool,
}

impl Candidates<'_, '_> {
    fn edits(&self, duplicated: bool) -> &[Edit] {
        match &self.in_list {
            Some(edits) if !duplicated => edits,
            _ => &self.duplicate,
        }
    }
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
    for statement in statements.elements() {
        let inside = within(tokens, &statement.span);
        if !inside.is_empty() {
            owned += inside.len();
            affected.push(candidates(source, statement, inside, single));
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
            .flat_map(|(one, duplicated)| one.edits(*duplicated).iter().cloned())
            .collect();
        let edits = written(decoded, &edits);
        let after = apply(text, &edits);
        prove(text, &after, form, map, Mode::Expand, &edits).map(|proof| (edits, proof))
    };
    let refused = |reason: &NotProven| Refused::NoExactExpansion {
        reason: reason.to_string(),
    };
    let in_lists: Vec<bool> = affected.iter().map(|one| one.in_list.is_none()).collect();
    let first = match attempt(&in_lists) {
        Ok(found) => return Ok(found),
        Err(reason) => reason,
    };
    // Allow statements add up: each takes the list where that is exact for it, and stands there twice where not.
    let choice: Vec<bool> = affected
        .iter()
        .map(|one| one.in_list.is_none() || !one.deny && !is_exact(source, one, map))
        .collect();
    if choice != in_lists {
        match attempt(&choice) {
            Ok(found) => return Ok(found),
            Err(reason) if !affected.iter().any(|one| one.deny) => return Err(refused(&reason)),
            Err(_) => {}
        }
    }
    // Statements that hang together through a Deny: the combination with the fewest statements first.
    let varied: Vec<usize> = (0..affected.len())
        .filter(|index| affected.len() <= MOST_COMBINED || affected.get(*index).is_some_and(|one| one.deny))
        .collect();
    if varied.is_empty() || varied.len() > MOST_COMBINED {
        return Err(refused(&first));
    }
    let mut choices: Vec<Vec<bool>> = (1_u32..1 << varied.len())
        .map(|bits| {
            let mut choice = choice.clone();
            for (bit, index) in varied.iter().enumerate() {
                if let Some(duplicated) = choice.get_mut(*index) {
                    *duplicated = bits >> bit & 1 == 1;
                }
            }
            choice
        })
        .collect();
    choices.sort_by_key(|choice: &Vec<bool>| choice.iter().filter(|duplicated| **duplicated).count());
    let mut reason = first;
    for choice in choices {
        match attempt(&choice) {
            Ok(found) => return Ok(found),
            Err(other) => reason = other,
        }
    }
    Err(refused(&reason))
}

/// Whether the prover accepts the successor in the list for this statement alone.
fn is_exact(source: &str, one: &Candidates<'_, '_>, map: &IdentifierMap) -> bool {
    const HEAD: &str = "{\"Statement\":[";
    let Some(edits) = &one.in_list else {
        return false;
    };
    let start = one.statement.span.start;
    let alone = format!(
        "{HEAD}{}]}}",
        source.get(one.statement.span.clone()).unwrap_or_default()
    );
    let edits: Vec<Edit> = edits
        .iter()
        .map(|edit| Edit {
            span: edit.span.start - start + HEAD.len()..edit.span.end - start + HEAD.len(),
            text: edit.text.clone(),
        })
        .collect();
    let after = apply(&alone, &edits);
    prove(&alone, &after, Form::Policy(None), map, Mode::Expand, &edits).is_ok()
}

fn candidates<'n, 't>(
    source: &str,
    statement: &'n Node<'t>,
    tokens: &[Token],
    single: bool,
) -> Candidates<'n, 't> {
    let deny = statement
        .member("Effect")
        .is_some_and(|effect| matches!(&effect.value, Value::Text(text) if text.text == "Deny"));
    Candidates {
        statement,
        in_list: in_list(source, statement, tokens),
        duplicate: duplicate(source, statement, tokens, single),
        deny,
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
        for (at, element) in list.elements().iter().enumerate() {
            let Value::Text(_) = element.value else {
                return None;
            };
            let inside = within(tokens, &element.span);
            if inside.is_empty() {
                continue;
            }
            covered += inside.len();
            let successor = image(source, &element.span, &swap(source, inside))?;
            edits.extend(beside(source, list, at, &successor));
        }
    }
    (covered == tokens.len()).then_some(edits)
}

/// The statement once more, with successors in it and a label of its own: labels must be unique within a policy
/// (IAM user guide, *IAM JSON policy elements: Sid*).
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
    let Some(copy) = image(source, &statement.span, &edits) else {
        return Vec::new();
    };
    if single {
        return vec![
            insertion(statement.span.start, "["),
            insertion(statement.span.end, format!(",{copy}]")),
        ];
    }
    let lead = source.get(..statement.span.start).unwrap_or_default();
    let space = leading_space(lead);
    vec![insertion(statement.span.end, format!(",{space}{copy}"))]
}
