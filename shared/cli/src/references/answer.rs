//! What is found in one file, and what becomes of it.

use std::fs;

use blackstart_core::references::{
    Form, IdentifierMap, Mode, OtherAccount, Refused, Rewritten, Token, other_accounts, rewrite, scan,
    text_of,
};
use blackstart_core::timeline::object::inflate;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Change, Common, Document, Rewrite};

/// Largest file after inflating: a snapshot of a large account.
const LARGEST_FILE: usize = 512 << 20;

/// What was found in one file, or in one item of a snapshot.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    pub(super) file: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tokens: Vec<Token>,
    /// Line and column of every token, from 1; columns count bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) places: Vec<(usize, usize)>,
    /// Accounts besides the old and the new one, where the document names the old one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<OtherAccount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rewritten: Option<Rewritten>,
    /// Why the document is not read or not rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
    #[serde(skip)]
    pub(super) before: String,
}

impl Answer {
    pub(super) fn says_something(&self) -> bool {
        !self.tokens.is_empty() || self.refused.is_some()
    }

    fn refused(file: String, reason: &dyn ToString) -> Self {
        Self {
            file,
            refused: Some(reason.to_string()),
            ..Self::default()
        }
    }

    /// Scans a text. `false` when it cannot be read.
    fn scan(&mut self, text: &str, form: Form, map: &IdentifierMap) -> bool {
        match scan(text, form, map) {
            Ok(tokens) => {
                self.places = places(text, &tokens);
                if !tokens.is_empty() {
                    self.others = other_accounts(text, map);
                }
                self.tokens = tokens;
                true
            }
            Err(problem) => {
                self.refused = Some(problem.to_string());
                false
            }
        }
    }
}

/// A snapshot that AWS Config delivered: one object with all configuration items of an account and region.
#[derive(Deserialize)]
struct Snapshot<'s> {
    #[serde(borrow, rename = "configurationItems")]
    items: Vec<&'s RawValue>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "ARN", alias = "arn", default)]
    arn: String,
    #[serde(rename = "resourceId", default)]
    id: String,
    #[serde(rename = "configurationItemStatus", default)]
    status: String,
}

/// The answer for a file; for a snapshot of AWS Config one for every item that is there.
pub(super) fn of(
    document: &Document,
    common: &Common,
    change: Option<&Rewrite>,
    map: &IdentifierMap,
) -> Vec<Answer> {
    let file = document.path.to_string_lossy().into_owned();
    if let Some(reason) = &document.unlisted {
        return vec![Answer::refused(file, reason)];
    }
    let stored = match fs::read(&document.path) {
        Ok(stored) => stored,
        Err(error) => return vec![Answer::refused(file, &error)],
    };
    let bytes = match inflate(&stored, LARGEST_FILE) {
        Ok(bytes) => bytes,
        Err(problem) => return vec![Answer::refused(file, &problem)],
    };
    if let Ok(snapshot) = serde_json::from_slice::<Snapshot<'_>>(&bytes) {
        return snapshot
            .items
            .iter()
            .filter_map(|item| in_snapshot(&file, item.get(), change.is_some(), map))
            .collect();
    }
    if matches!(bytes, std::borrow::Cow::Owned(_)) && change.is_some() {
        return vec![Answer::refused(file, &"it is compressed: inflate it first")];
    }
    let text = match text_of(&bytes) {
        Ok(text) => text,
        Err(problem) => return vec![Answer::refused(file, &problem)],
    };
    let form = common.kind.unwrap_or_else(|| Form::of(text));
    let mut answer = Answer {
        file,
        ..Answer::default()
    };
    if answer.scan(text, form, map)
        && let Some(change) = change
    {
        let mode = match change.mode {
            Change::Swap => Mode::Swap,
            Change::Expand => Mode::Expand,
        };
        match rewrite(text, form, map, mode) {
            Ok(done) => {
                text.clone_into(&mut answer.before);
                answer.rewritten = Some(done);
            }
            Err(Refused::NothingToRewrite) => {}
            Err(refused) => answer.refused = Some(refused.to_string()),
        }
    }
    vec![answer]
}

/// One item of a snapshot; `None` for a resource that is gone.
fn in_snapshot(file: &str, text: &str, change: bool, map: &IdentifierMap) -> Option<Answer> {
    let item: Item = match serde_json::from_str(text) {
        Ok(item) => item,
        Err(error) => return Some(Answer::refused(file.to_owned(), &error)),
    };
    if item.status.starts_with("ResourceDeleted") {
        return None;
    }
    let name = if item.arn.is_empty() { &item.id } else { &item.arn };
    let mut answer = Answer {
        file: format!("{file}#{name}"),
        ..Answer::default()
    };
    if answer.scan(text, Form::Config, map) && change && !answer.tokens.is_empty() {
        answer.refused = Some("a snapshot is a record: change the resource itself".to_owned());
    }
    Some(answer)
}

/// Line and column of every token, which are in order.
fn places(text: &str, tokens: &[Token]) -> Vec<(usize, usize)> {
    let (mut line, mut begin, mut from) = (1, 0, 0);
    tokens
        .iter()
        .map(|token| {
            let passed = text.get(from..token.span.start).unwrap_or_default();
            if let Some(last) = passed.rfind('\n') {
                line += passed.matches('\n').count();
                begin = from + last + 1;
            }
            from = token.span.start.max(from);
            (line, token.span.start + 1 - begin)
        })
        .collect()
}
