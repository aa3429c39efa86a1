//! Rules of another engine over whole CloudTrail records, beside the typed indicators.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::indicator::Mark;

/// What a rule of another engine says about one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Stable id; it never is that of a built-in indicator.
    pub id: String,
    /// What it shows, for people.
    pub title: String,
    /// What it means.
    pub mark: Mark,
}

/// Rules over whole records.
pub trait RecordRules: fmt::Debug + Send + Sync {
    /// Whether any rule may match a record of this action. Records of other actions are not parsed for it.
    fn watches(&self, event: &str) -> bool;
    /// What the rules say about one record, in a stable order.
    fn matching(&self, record: &Value) -> Vec<Marked>;
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action<'a> {
    #[serde(borrow, default)]
    event_name: Option<std::borrow::Cow<'a, str>>,
}

/// What the rules say about the records of an object, by the index of the record.
///
/// What cannot be read is a problem of the object already.
#[must_use]
pub fn marked(rules: &dyn RecordRules, content: &[u8]) -> BTreeMap<u64, Vec<Marked>> {
    let mut marked = BTreeMap::new();
    let mut look = |index: u64, text: &[u8]| {
        let action = serde_json::from_slice::<Action<'_>>(text);
        let watched = action.is_ok_and(|a| a.event_name.is_some_and(|name| rules.watches(&name)));
        if watched && let Ok(record) = serde_json::from_slice::<Value>(text) {
            let found = rules.matching(&record);
            if !found.is_empty() {
                marked.insert(index, found);
            }
        }
    };
    let parts = match content.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice::<Vec<&RawValue>>(content).ok(),
        _ => serde_json::from_slice::<Parts<'_>>(content)
            .ok()
            .map(|parts| parts.records),
    };
    match parts {
        Some(parts) => {
            for (index, part) in (0..).zip(parts) {
                look(index, part.get().as_bytes());
            }
        }
        None => {
            let filled = content
                .split(|b| *b == b'\n')
                .filter(|line| !line.trim_ascii().is_empty());
            for (index, line) in (0..).zip(filled) {
                look(index, line);
            }
        }
    }
    marked
}
