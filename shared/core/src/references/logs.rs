//! Log paths: entries of `Resource` in which only the account below `AWSLogs/` names the old environment.
//!
//! Logs from before the move stay below the old path. To replace the path would take them away from everybody
//! who may read them, so its successor is put beside it, also by a swap.

use std::collections::BTreeSet;

use super::edit::{Edit, beside, image, swap};
use super::json::Node;
use super::positions::{Disposition, Position};
use super::tokens::{Token, within};

/// An entry of the `Resource` list of a statement.
struct Entry<'n, 't, 'k> {
    list: &'n Node<'t>,
    at: usize,
    tokens: &'k [Token],
}

fn entries<'n, 't, 'k>(tree: &'n Node<'t>, tokens: &'k [Token]) -> Vec<Entry<'n, 't, 'k>> {
    let mut entries = Vec::new();
    if !tokens.iter().any(|token| token.position == Position::LogPath) {
        return entries;
    }
    let statements = tree.member("Statement").map_or(&[][..], Node::elements);
    for list in statements
        .iter()
        .filter_map(|statement| statement.member("Resource"))
    {
        for (at, element) in list.elements().iter().enumerate() {
            let tokens = within(tokens, &element.span);
            if !tokens.is_empty() && tokens.iter().all(|token| token.position == Position::LogPath) {
                entries.push(Entry { list, at, tokens });
            }
        }
    }
    entries
}

/// Marks as kept what already has its successor beside it.
pub(super) fn settle(text: &str, tree: &Node<'_>, tokens: &mut [Token]) {
    let settled: BTreeSet<usize> = {
        let mut settled = BTreeSet::new();
        let mut known: Option<(usize, BTreeSet<&str>)> = None;
        for entry in entries(tree, tokens) {
            let list = entry.list;
            if known.as_ref().is_none_or(|(start, _)| *start != list.span.start) {
                let all = list
                    .elements()
                    .iter()
                    .filter_map(|one| text.get(one.span.clone()));
                known = Some((list.span.start, all.collect()));
            }
            let successor = list
                .elements()
                .get(entry.at)
                .and_then(|element| image(text, &element.span, &swap(text, entry.tokens)));
            if let (Some(successor), Some((_, all))) = (successor, &known)
                && all.contains(successor.as_str())
            {
                settled.extend(entry.tokens.iter().map(|token| token.span.start));
            }
        }
        settled
    };
    for token in tokens {
        if settled.contains(&token.span.start) {
            token.disposition = Disposition::Keep(
                "logs from before the move stay below this path, and the successor's path stands beside it",
            );
        }
    }
}

/// A swap that puts the successors of log paths beside them.
pub(super) fn swap_beside_logs(text: &str, tree: &Node<'_>, tokens: &[Token]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut from = 0;
    for entry in entries(tree, tokens) {
        let Some(element) = entry.list.elements().get(entry.at) else {
            continue;
        };
        let Some(successor) = image(text, &element.span, &swap(text, entry.tokens)) else {
            continue;
        };
        let (first, next) = (
            tokens.partition_point(|token| token.span.start < element.span.start),
            tokens.partition_point(|token| token.span.end <= element.span.end),
        );
        edits.extend(swap(text, tokens.get(from..first).unwrap_or_default()));
        edits.extend(beside(text, entry.list, entry.at, &successor));
        from = next;
    }
    edits.extend(swap(text, tokens.get(from..).unwrap_or_default()));
    edits
}
