//! σ and its inverse, applied to values and to bytes. Written apart from the rewriter.

use serde_json::Value;

use super::NotProven;
use crate::plan::{IdentifierKind, IdentifierPair};
use crate::references::map::IdentifierMap;

/// How `/` may be written.
const SLASHES: [&str; 4] = ["/", "%2F", "%2f", "\\/"];

/// Replaces every successor by its identifier.
pub(super) fn inverse(after: &str, map: &IdentifierMap) -> String {
    let mut pairs: Vec<&IdentifierPair> = map.pairs().iter().collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.new.len()));
    let present: Vec<(String, String)> = pairs
        .into_iter()
        .flat_map(|pair| {
            let spellings = if pair.new.contains('/') || pair.old.contains('/') {
                4
            } else {
                1
            };
            SLASHES
                .into_iter()
                .take(spellings)
                .map(|slash| (pair.new.replace('/', slash), pair.old.replace('/', slash)))
        })
        .filter(|(new, _)| memchr::memmem::find(after.as_bytes(), new.as_bytes()).is_some())
        .collect();
    replace(after, &present, |_, _| true)
}

/// Replaces at every place the first of the pairs that begins there, if the test agrees.
fn replace(text: &str, pairs: &[(String, String)], test: impl Fn(usize, usize) -> bool) -> String {
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while !pairs.is_empty() && at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let hit = pairs
            .iter()
            .find(|(from, _)| rest.starts_with(from.as_bytes()) && test(at, at + from.len()));
        if let Some((from, to)) = hit {
            result.push_str(text.get(copied..at).unwrap_or_default());
            result.push_str(to);
            at += from.len();
            copied = at;
        } else {
            at += 1;
        }
    }
    result.push_str(text.get(copied..).unwrap_or_default());
    result
}

/// Whether the map turns exactly this text into exactly that.
pub(super) fn is_pair(old: &str, new: &str, map: &IdentifierMap) -> bool {
    map.pairs().iter().any(|pair| {
        SLASHES
            .into_iter()
            .any(|slash| old == pair.old.replace('/', slash) && new == pair.new.replace('/', slash))
    })
}

/// The image of a text.
pub(super) fn image_of_text(text: &str, map: &IdentifierMap) -> String {
    let mut result = text.to_owned();
    // One pair after the other is one pass, because no successor contains an identifier.
    for pair in map.pairs() {
        let spellings = if pair.old.contains('/') { 3 } else { 1 };
        for slash in SLASHES.into_iter().take(spellings) {
            let from = pair.old.replace('/', slash);
            if !result.contains(from.as_str()) {
                continue;
            }
            let source = result.clone();
            let pairs = [(from, pair.new.replace('/', slash))];
            result = replace(&source, &pairs, |start, end| {
                stands_alone(pair.kind, &source, start, end)
            });
        }
    }
    result
}

fn stands_alone(kind: IdentifierKind, text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).unwrap_or_default();
    let after = text.get(end..).unwrap_or_default();
    let joins = |character: char| character.is_alphanumeric() || character == '-' || character == '_';
    let colon = ["%3A", "%3a", "%2F", "%2f"]
        .iter()
        .any(|code| before.ends_with(code));
    let open_left = colon || !before.ends_with(joins);
    let open_right = !after.starts_with(joins);
    match kind {
        IdentifierKind::Bucket => {
            let leads = [":::", "s3://", "amazonaws.com/"]
                .iter()
                .any(|lead| before.ends_with(lead));
            let host = after.starts_with(".s3.") || after.starts_with(".s3-");
            let alone = before.is_empty() && after.is_empty();
            open_right
                && !after.starts_with(['*', '?'])
                && (!after.starts_with('.') || host)
                && (leads || alone || (host && (before.is_empty() || before.ends_with("//"))))
        }
        IdentifierKind::Issuer | IdentifierKind::Host => {
            open_left && open_right && !before.ends_with('.') && (after == "." || !after.starts_with('.'))
        }
        IdentifierKind::Account
        | IdentifierKind::ResourceId
        | IdentifierKind::KmsKey
        | IdentifierKind::UniqueId
        | IdentifierKind::CanonicalUser
        | IdentifierKind::VpcEndpoint => open_left && open_right,
    }
}

/// Members whose values no rewrite may touch.
fn is_label(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['_', '-', ':'], "");
    matches!(
        key.as_str(),
        "sid"
            | "externalid"
            | "stsexternalid"
            | "description"
            | "comment"
            | "tags"
            | "tag"
            | "tagset"
            | "metadata"
    )
}

/// The image of a value. `None` where two members would get the same name.
pub(super) fn image(value: &Value, map: &IdentifierMap) -> Option<Value> {
    Some(match value {
        Value::String(text) => Value::String(image_of_text(text, map)),
        Value::Array(elements) => Value::Array(
            elements
                .iter()
                .map(|one| image(one, map))
                .collect::<Option<_>>()?,
        ),
        Value::Object(members) => {
            let mut result = serde_json::Map::with_capacity(members.len());
            for (key, value) in members {
                let below = if is_label(key) {
                    value.clone()
                } else {
                    image(value, map)?
                };
                if result.insert(image_of_text(key, map), below).is_some() {
                    return None;
                }
            }
            Value::Object(result)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// Checks that `new` is the image of `old`, and counts what changed.
pub(super) fn is_image(
    old: &Value,
    new: &Value,
    map: &IdentifierMap,
    path: &mut Vec<String>,
    changed: &mut usize,
) -> Result<(), NotProven> {
    let differs = |path: &[String]| Err(NotProven::NotTheImage { path: path.join(".") });
    match (old, new) {
        (Value::String(old), Value::String(new)) => {
            if let (Some(old), Some(new)) = (inner(old), inner(new)) {
                return is_image(&old, &new, map, path, changed);
            }
            if image_of_text(old, map) != *new {
                return differs(path);
            }
            *changed += usize::from(old != new);
            Ok(())
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                path.push(index.to_string());
                is_image(old, new, map, path, changed)?;
                path.pop();
            }
            Ok(())
        }
        (Value::Object(old), Value::Object(new)) if old.len() == new.len() => {
            for (key, old) in old {
                path.push(key.clone());
                let image = if path.len() == 1 && key == "Id" {
                    key.clone()
                } else {
                    image_of_text(key, map)
                };
                let Some(new) = new.get(&image) else {
                    return differs(path);
                };
                *changed += usize::from(image != *key);
                let policy_id = path.len() == 1 && key == "Id" && !matches!(old, Value::Object(_));
                if is_label(key) || policy_id && old == new {
                    if old != new {
                        return differs(path);
                    }
                } else {
                    is_image(old, new, map, path, changed)?;
                }
                path.pop();
            }
            Ok(())
        }
        _ if old == new => Ok(()),
        _ => differs(path),
    }
}

/// A document inside a string.
fn inner(text: &str) -> Option<Value> {
    let decoded = crate::references::encoding::decode(text);
    if !decoded.text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    super::strict::read(&decoded.text).ok()
}
