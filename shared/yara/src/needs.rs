//! What has to occur in an object for a rule to match: literal bytes, read off the rule itself.
//!
//! Everything here may err on one side only. A clause lists literals of which at least one stands, in whatever case,
//! in every object that the rule matches; where that cannot be shown there is no clause, and the rule is always applied.

use std::collections::BTreeSet;

use boreal_parser::expression::{Expression, ExpressionKind, ForSelection, VariableSet};
use boreal_parser::file::YaraFileComponent;
use boreal_parser::hex_string::Token;
use boreal_parser::regex::{Node, RepetitionKind, RepetitionRange};
use boreal_parser::rule::{Rule, VariableDeclaration, VariableDeclarationValue};

/// Shorter literals stand in almost every object, and say nothing.
const LEAST: usize = 4;

/// How many bytes of a literal are looked for, where it has so many: enough to be rare.
const FRAGMENT: usize = 12;

/// Literals in lower case, of which one at least must occur.
pub(crate) type Clause = BTreeSet<Vec<u8>>;

/// What has to occur for any rule of this text to match, which compiles. `None`: a rule may match without a literal.
pub(crate) fn of(text: &str) -> Option<Clause> {
    let file = boreal_parser::parse(text).ok()?;
    let rules = file.components.iter().filter_map(|component| match component {
        YaraFileComponent::Rule(rule) => Some(rule),
        YaraFileComponent::Import(_) | YaraFileComponent::Include(_) => None,
    });
    union(rules.map(|rule| Scope::of(rule).need(&rule.condition)))
}

/// Any of these: only if each of them is known.
fn union(clauses: impl IntoIterator<Item = Option<Clause>>) -> Option<Clause> {
    clauses.into_iter().try_fold(Clause::new(), |mut all, clause| {
        all.append(&mut clause?);
        Some(all)
    })
}

/// All of these: the one that says most is enough.
fn best(clauses: impl IntoIterator<Item = Option<Clause>>) -> Option<Clause> {
    clauses
        .into_iter()
        .flatten()
        .max_by_key(|clause| (rarity(clause), std::cmp::Reverse(clause.len())))
}

/// How rarely a clause lets an object pass: as its commonest literal. Length says most.
fn rarity(clause: &Clause) -> usize {
    clause.iter().map(|literal| worth(literal)).min().unwrap_or(0)
}

fn worth(literal: &[u8]) -> usize {
    literal.iter().copied().map(rank).sum()
}

/// How rare a byte is, from 1: in text by the order of letters in English, and zero as the commonest of binary data.
fn rank(byte: u8) -> usize {
    const COMMON: &[u8] = b"\0\xff etaoinsrhldcumfpgwybv,.-_/0123456789\n\r\t\"'";
    COMMON
        .iter()
        .position(|common| *common == byte)
        .map_or(COMMON.len() / 2, |place| 1 + place / 2)
}

/// The strings of one rule, with what each of them needs.
struct Scope<'a> {
    variables: Vec<(&'a str, Option<Clause>)>,
}

impl<'a> Scope<'a> {
    fn of(rule: &'a Rule) -> Self {
        let variables = rule.variables.iter();
        Self {
            variables: variables
                .map(|variable| (variable.name.as_str(), literals(variable)))
                .collect(),
        }
    }

    /// What must occur for this condition to be true.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not known to need a string needs none"
    )]
    fn need(&self, condition: &Expression) -> Option<Clause> {
        match &condition.expr {
            ExpressionKind::And(parts) => best(parts.iter().map(|part| self.need(part))),
            ExpressionKind::Or(parts) => union(parts.iter().map(|part| self.need(part))),
            ExpressionKind::Variable(name)
            | ExpressionKind::VariableAt {
                variable_name: name, ..
            }
            | ExpressionKind::VariableIn {
                variable_name: name, ..
            } => self.variable(name),
            ExpressionKind::For {
                selection,
                set,
                body: None,
            }
            | ExpressionKind::ForIn { selection, set, .. }
            | ExpressionKind::ForAt { selection, set, .. } => self.of_set(selection, set),
            ExpressionKind::Cmp {
                left,
                right,
                less_than: false,
                can_be_equal,
            } => match (&left.expr, &right.expr) {
                (ExpressionKind::Count(name), ExpressionKind::Integer(number))
                    if *number >= i64::from(*can_be_equal) =>
                {
                    self.variable(name)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn variable(&self, name: &str) -> Option<Clause> {
        // The nameless string is whichever a loop has come to.
        let (_, clause) = self
            .variables
            .iter()
            .find(|(known, _)| *known == name && !name.is_empty())?;
        clause.clone()
    }

    /// So many of these strings.
    fn of_set(&self, selection: &ForSelection, set: &VariableSet) -> Option<Clause> {
        let members: Vec<Option<Clause>> = if set.elements.is_empty() {
            self.variables.iter().map(|(_, clause)| clause.clone()).collect()
        } else {
            let named = |wanted: &str, wildcard: bool| {
                self.variables
                    .iter()
                    .filter(move |(name, _)| *name == wanted || (wildcard && name.starts_with(wanted)))
                    .map(|(_, clause)| clause.clone())
                    .collect::<Vec<_>>()
            };
            let elements = set.elements.iter();
            elements
                .flat_map(|element| named(&element.name, element.is_wildcard))
                .collect()
        };
        let at_least = match selection {
            ForSelection::Any => 1,
            ForSelection::All => return best(members),
            ForSelection::Expr {
                expr,
                as_percent: false,
            } => {
                let ExpressionKind::Integer(number) = expr.expr else {
                    return None;
                };
                usize::try_from(number).ok()?
            }
            ForSelection::Expr { .. } | ForSelection::None => return None,
        };
        // Of n strings k are found: then of any n − k + 1 of them one is.
        let enough = members.len().checked_sub(at_least.checked_sub(1)?)?;
        let mut known: Vec<Clause> = members.into_iter().flatten().collect();
        known.sort_by_cached_key(|clause| std::cmp::Reverse(rarity(clause)));
        let chosen = known.get(..enough).filter(|chosen| !chosen.is_empty())?;
        Some(chosen.iter().flatten().cloned().collect())
    }
}

/// What must occur for this string to be found.
fn literals(variable: &VariableDeclaration) -> Option<Clause> {
    let modifiers = &variable.modifiers;
    if modifiers.xor.is_some() || modifiers.base64.is_some() {
        return None;
    }
    let narrow = match &variable.value {
        VariableDeclarationValue::Bytes(bytes) => fragment(bytes),
        VariableDeclarationValue::Regex(regex) => in_regex(&regex.ast),
        VariableDeclarationValue::HexString(tokens) => in_hex(tokens),
    }?;
    let mut clause = Clause::new();
    if modifiers.wide {
        clause.extend(narrow.iter().map(|literal| widened(literal)));
    }
    if modifiers.ascii || !modifiers.wide {
        clause.extend(narrow);
    }
    Some(clause)
}

/// As two bytes each, without the last zero.
fn widened(literal: &[u8]) -> Vec<u8> {
    let mut wide: Vec<u8> = literal.iter().flat_map(|byte| [*byte, 0]).collect();
    wide.pop();
    wide
}

/// The part of a literal that is looked for: the rarest, and it begins with rare bytes, because the search for many literals
/// at once goes by the first four. Only its own bytes decide, so that literals with an end in common need one part.
fn fragment(literal: &[u8]) -> Option<Clause> {
    if literal.len() < LEAST {
        return None;
    }
    let lower = literal.to_ascii_lowercase();
    let part = lower
        .windows(FRAGMENT.min(lower.len()))
        .max_by_key(|part| worth(part).saturating_add(part.get(..LEAST).map_or(0, worth)))?;
    Some(Clause::from([part.to_vec()]))
}

/// Parts of a sequence: runs of single bytes, and what stands between them.
fn in_sequence<'a, T>(
    parts: impl IntoIterator<Item = &'a T>,
    byte: impl Fn(&T) -> Option<u8>,
    other: impl Fn(&T) -> Option<Clause>,
) -> Option<Clause>
where
    T: 'a,
{
    let mut found = Vec::new();
    let mut run = Vec::new();
    for part in parts {
        if let Some(byte) = byte(part) {
            run.push(byte);
        } else {
            found.push(fragment(&std::mem::take(&mut run)));
            found.push(other(part));
        }
    }
    found.push(fragment(&run));
    best(found)
}

fn in_regex(node: &Node) -> Option<Clause> {
    match node {
        Node::Literal(literal) => fragment(&[literal.byte]),
        Node::Concat(nodes) => in_sequence(
            nodes,
            |node| match node {
                Node::Literal(literal) => Some(literal.byte),
                Node::Alternation(_)
                | Node::Assertion(_)
                | Node::Class(_)
                | Node::Concat(_)
                | Node::Dot
                | Node::Empty
                | Node::Char(_)
                | Node::Group(_)
                | Node::Repetition { .. } => None,
            },
            in_regex,
        ),
        Node::Alternation(nodes) => union(nodes.iter().map(in_regex)),
        Node::Group(node) => in_regex(node),
        Node::Repetition { node, kind, .. } => {
            let least = match kind {
                RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => 0,
                RepetitionKind::OneOrMore => 1,
                RepetitionKind::Range(
                    RepetitionRange::Exactly(least)
                    | RepetitionRange::AtLeast(least)
                    | RepetitionRange::Bounded(least, _),
                ) => *least,
            };
            (least > 0).then(|| in_regex(node)).flatten()
        }
        Node::Assertion(_) | Node::Class(_) | Node::Dot | Node::Empty | Node::Char(_) => None,
    }
}

fn in_hex(tokens: &[Token]) -> Option<Clause> {
    in_sequence(
        tokens,
        |token| match token {
            Token::Byte(byte) => Some(*byte),
            Token::NotByte(_)
            | Token::MaskedByte(..)
            | Token::NotMaskedByte(..)
            | Token::Jump(_)
            | Token::Alternatives(_) => None,
        },
        |token| match token {
            Token::Alternatives(branches) => union(branches.iter().map(|branch| in_hex(branch))),
            Token::Byte(_)
            | Token::NotByte(_)
            | Token::MaskedByte(..)
            | Token::NotMaskedByte(..)
            | Token::Jump(_) => None,
        },
    )
}

#[cfg(test)]
mod tests;
