//! Log paths that a swap leaves where they are, with their successors beside them.
//!
//! What was logged before the move stays below the old account's path, so that replacing the path would take the
//! history away from everybody who may read it. Only whole entries of `Resource` count, and only where nothing but
//! the path below `AWSLogs/` names the old environment: such an entry lets nobody in.

use std::borrow::Cow;

use serde_json::Value;

use super::substitute::image_of_text;
use crate::references::map::IdentifierMap;

/// The kept entries of one statement.
pub(super) struct Kept {
    statement: usize,
    /// Indices in the list of the result, in order.
    entries: Vec<usize>,
    /// The original had one text and no list.
    single: bool,
}

/// The entries of the result that are there beside their images. Whatever else changed is for others to judge.
pub(super) fn kept(old: &Value, new: &Value, map: &IdentifierMap) -> Vec<Kept> {
    let (old, new) = (statements(old), statements(new));
    if old.len() != new.len() {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (statement, (old, new)) in old.iter().zip(new).enumerate() {
        let (Some(old), Some(Value::Array(new))) = (old.get("Resource"), new.get("Resource")) else {
            continue;
        };
        let single = !old.is_array();
        let old = old.as_array().map_or(std::slice::from_ref(old), Vec::as_slice);
        let mut entries = Vec::new();
        let mut at = 0;
        for text in old.iter().filter_map(Value::as_str) {
            let image = image_of_text(text, map);
            let stays = image != text
                && new.get(at).and_then(Value::as_str) == Some(text)
                && new.get(at + 1).and_then(Value::as_str) == Some(&image)
                && is_log_path(text, map);
            if stays {
                entries.push(at);
                at += 1;
            }
            at += 1;
        }
        if !entries.is_empty() {
            all.push(Kept {
                statement,
                entries,
                single,
            });
        }
    }
    all
}

/// How many entries are kept.
pub(super) fn count(kept: &[Kept]) -> usize {
    kept.iter().map(|one| one.entries.len()).sum()
}

/// The document without the kept entries; a list that had been one text is one text again.
pub(super) fn without<'v>(new: &'v Value, kept: &[Kept]) -> Cow<'v, Value> {
    if kept.is_empty() {
        return Cow::Borrowed(new);
    }
    let mut plain = new.clone();
    let statements = match plain.get_mut("Statement") {
        Some(Value::Array(statements)) => statements.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => &mut [],
    };
    for one in kept {
        let Some(resource) = statements
            .get_mut(one.statement)
            .and_then(|statement| statement.get_mut("Resource"))
        else {
            continue;
        };
        if let Value::Array(list) = resource {
            let mut at = 0;
            list.retain(|_| {
                at += 1;
                one.entries.binary_search(&(at - 1)).is_err()
            });
            if one.single
                && list.len() == 1
                && let Some(text) = list.pop()
            {
                *resource = text;
            }
        }
    }
    Cow::Owned(plain)
}

fn statements(policy: &Value) -> &[Value] {
    match policy.get("Statement") {
        Some(Value::Array(statements)) => statements,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

/// Whether nothing but the account below `AWSLogs/` names the old environment.
fn is_log_path(text: &str, map: &IdentifierMap) -> bool {
    let Some((bucket, below)) = text.split_once("AWSLogs/") else {
        return false;
    };
    let (organization, below) = match below.split_once('/') {
        Some((organization, rest)) if organization.starts_with("o-") => (organization, rest),
        _ => ("", below),
    };
    let below = below.strip_prefix("aws-account-id=").unwrap_or(below);
    let (account, rest) = below.split_once('/').unwrap_or((below, ""));
    map.old_accounts().any(|old| old == account)
        && [bucket, organization, rest]
            .iter()
            .all(|part| image_of_text(part, map) == **part)
}
