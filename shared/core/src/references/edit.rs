//! Edits in the bytes of a document.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::encoding::Decoded;
use super::json::{Node, Value};
use super::spellings::spelled_like;
use super::tokens::Token;

/// Replaces a span of the original document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Bytes of the original; empty for an insertion.
    pub span: Range<usize>,
    /// What stands there afterwards.
    pub text: String,
}

/// The text after the edits, which must be in order and apart.
pub(super) fn apply(text: &str, edits: &[Edit]) -> String {
    let mut after =
        String::with_capacity(text.len() + edits.iter().map(|edit| edit.text.len()).sum::<usize>());
    let mut from = 0;
    for edit in edits {
        after.push_str(text.get(from..edit.span.start).unwrap_or_default());
        after.push_str(&edit.text);
        from = edit.span.end;
    }
    after.push_str(text.get(from..).unwrap_or_default());
    after
}

pub(super) fn insertion(at: usize, text: impl Into<String>) -> Edit {
    Edit {
        span: at..at,
        text: text.into(),
    }
}

/// The edits that put every successor in the place of its identifier.
pub(super) fn swap(text: &str, tokens: &[Token]) -> Vec<Edit> {
    tokens
        .iter()
        .filter_map(|token| {
            let written = text.get(token.span.clone())?;
            Some(Edit {
                span: token.span.clone(),
                text: spelled_like(written, &token.old, &token.new)?,
            })
        })
        .collect()
}

/// A part of the text with edits in it.
pub(super) fn image(text: &str, span: &Range<usize>, edits: &[Edit]) -> Option<String> {
    let moved: Vec<Edit> = edits
        .iter()
        .map(|edit| Edit {
            span: edit.span.start - span.start..edit.span.end - span.start,
            text: edit.text.clone(),
        })
        .collect();
    Some(apply(text.get(span.clone())?, &moved))
}

/// Puts an element after each of these elements of a list; a single value becomes a list.
pub(super) fn beside(text: &str, list: &Node<'_>, at: usize, successor: &str) -> Vec<Edit> {
    let elements = list.elements();
    let Some(element) = elements.get(at) else {
        return Vec::new();
    };
    if !matches!(list.value, Value::Array(_)) {
        return vec![
            insertion(element.span.start, "["),
            insertion(element.span.end, format!(",{successor}]")),
        ];
    }
    let before = at
        .checked_sub(1)
        .and_then(|last| elements.get(last))
        .map_or(list.span.start + 1, |last| last.span.end);
    let between = text.get(before..element.span.start).unwrap_or_default();
    vec![insertion(
        element.span.end,
        format!(",{}{successor}", leading_space(between)),
    )]
}

/// The whitespace that follows the last comma or bracket.
pub(super) fn leading_space(between: &str) -> &str {
    let kept = between.trim_end().len();
    between.get(kept..).unwrap_or_default()
}

/// Edits of the decoded text as edits of the text as written.
pub(super) fn written(decoded: &Decoded<'_>, edits: &[Edit]) -> Vec<Edit> {
    edits
        .iter()
        .map(|edit| Edit {
            span: decoded.written(&edit.span),
            text: decoded.encode(&edit.text),
        })
        .collect()
}
