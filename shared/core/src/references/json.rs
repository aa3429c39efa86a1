//! JSON that remembers where every value stands in the text.
//!
//! A parser that builds values and writes them back would change order, whitespace, escapes and numbers. Edits
//! are therefore made in the original bytes, and this reader only says where they are.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Deepest nesting that is read. A policy needs six levels, a template with inline policies about twenty.
pub const DEEPEST: usize = 96;

/// Largest document that is read, in bytes. The largest policy limit of any service is 395,000.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// The text is not a document that can be worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Unreadable {
    /// The text ends inside a value.
    #[error("the JSON is cut off: the text ends inside {inside}")]
    CutOff {
        /// What was being read.
        inside: String,
    },
    /// A character that JSON does not allow there.
    #[error("not JSON: {what} at line {line} column {column}")]
    NotJson {
        /// What was found or missing.
        what: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// Two members of one object have the same name, so readers disagree about which one counts.
    #[error("the key `{key}` stands twice in one object, at line {line}: remove one of them")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Line of the second one.
        line: usize,
    },
    /// Nested deeper than anything real.
    #[error("nested deeper than {DEEPEST} levels")]
    TooDeep,
    /// Larger than anything real.
    #[error("{bytes} bytes are more than the {LARGEST} that are read")]
    TooLarge {
        /// Length of the document.
        bytes: usize,
    },
    /// The bytes are not UTF-8.
    #[error("byte {at} is not valid UTF-8")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// JSON, but no policy.
    #[error("not a policy document: {what}")]
    NotPolicy {
        /// What is missing.
        what: String,
    },
}

/// The text of a document.
///
/// # Errors
/// [`Unreadable::NotUtf8`] and [`Unreadable::TooLarge`].
pub fn text_of(bytes: &[u8]) -> Result<&str, Unreadable> {
    if bytes.len() > LARGEST {
        return Err(Unreadable::TooLarge { bytes: bytes.len() });
    }
    std::str::from_utf8(bytes).map_err(|error| Unreadable::NotUtf8 {
        at: error.valid_up_to(),
    })
}

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node<'t> {
    /// Bytes of the value, quotes and brackets included.
    pub(super) span: Range<usize>,
    pub(super) value: Value<'t>,
}

#[derive(Debug)]
pub(super) enum Value<'t> {
    Object(Vec<Member<'t>>),
    Array(Vec<Node<'t>>),
    Text(Text<'t>),
    /// A number, `true`, `false` or `null`.
    Scalar,
}

/// A string and its place.
#[derive(Debug)]
pub(super) struct Text<'t> {
    /// Bytes between the quotes.
    pub(super) span: Range<usize>,
    /// As written.
    pub(super) raw: &'t str,
    /// What they mean.
    pub(super) text: Cow<'t, str>,
}

#[derive(Debug)]
pub(super) struct Member<'t> {
    pub(super) key: Text<'t>,
    pub(super) value: Node<'t>,
}

impl<'t> Node<'t> {
    pub(super) fn members(&self) -> &[Member<'t>] {
        match &self.value {
            Value::Object(members) => members,
            Value::Array(_) | Value::Text(_) | Value::Scalar => &[],
        }
    }

    pub(super) fn member(&self, name: &str) -> Option<&Node<'t>> {
        self.members()
            .iter()
            .find(|member| member.key.text == name)
            .map(|member| &member.value)
    }

    /// The elements of a list, or the value itself where a list may be written without brackets.
    pub(super) fn elements(&self) -> &[Node<'t>] {
        match &self.value {
            Value::Array(elements) => elements,
            Value::Object(_) | Value::Text(_) | Value::Scalar => std::slice::from_ref(self),
        }
    }
}

/// Reads one JSON value that fills the whole text.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Unreadable> {
    if text.len() > LARGEST {
        return Err(Unreadable::TooLarge { bytes: text.len() });
    }
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let node = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() {
        Ok(node)
    } else {
        Err(reader.wrong("text after the document"))
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn line_and_column(&self) -> (usize, usize) {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1;
        (line, column)
    }

    fn wrong(&self, what: impl Into<String>) -> Unreadable {
        let (line, column) = self.line_and_column();
        Unreadable::NotJson {
            what: what.into(),
            line,
            column,
        }
    }

    /// What is wrong where `wanted` should stand.
    fn expected(&self, wanted: &str, inside: &str) -> Unreadable {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => Unreadable::CutOff {
                inside: inside.to_owned(),
            },
            Some(found) => self.wrong(format!("`{}` instead of {wanted}", found.escape_debug())),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'t>, Unreadable> {
        if depth > DEEPEST {
            return Err(Unreadable::TooDeep);
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => Value::Object(self.object(depth)?),
            Some(b'[') => Value::Array(self.array(depth)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                while matches!(
                    self.peek(),
                    Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
                ) {
                    self.at += 1;
                }
                let word = self.text.get(start..self.at).unwrap_or_default();
                if serde_json::from_str::<serde::de::IgnoredAny>(word).is_err() {
                    if self.at == self.text.len() {
                        return Err(Unreadable::CutOff {
                            inside: "a value".to_owned(),
                        });
                    }
                    self.at = start;
                    return Err(self.wrong("a word that is neither a number nor true, false or null"));
                }
                Value::Scalar
            }
            _ => return Err(self.expected("a value", "a value")),
        };
        Ok(Node {
            span: start..self.at,
            value,
        })
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Member<'t>>, Unreadable> {
        self.at += 1;
        let mut members: Vec<Member<'t>> = Vec::new();
        let mut many: Option<HashSet<String>> = None;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(members);
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key", "an object"));
            }
            let key = self.string()?;
            let repeated = match &mut many {
                Some(seen) => !seen.insert(key.text.clone().into_owned()),
                None => members.iter().any(|member| member.key.text == key.text),
            };
            if repeated {
                return Err(Unreadable::DuplicateKey {
                    key: key.text.into_owned(),
                    line: self.line_and_column().0,
                });
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.expected("`:`", "an object"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value(depth + 1)?;
            members.push(Member { key, value });
            if many.is_none() && members.len() == 16 {
                many = Some(
                    members
                        .iter()
                        .map(|member| member.key.text.clone().into_owned())
                        .collect(),
                );
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(members);
                }
                _ => return Err(self.expected("`,` or `}`", "an object")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node<'t>>, Unreadable> {
        self.at += 1;
        let mut elements = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(elements);
        }
        loop {
            self.skip_space();
            elements.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(elements);
                }
                _ => return Err(self.expected("`,` or `]`", "a list")),
            }
        }
    }

    fn string(&mut self) -> Result<Text<'t>, Unreadable> {
        let start = self.at + 1;
        let mut from = start;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(from..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return Err(Unreadable::CutOff {
                    inside: "a string".to_owned(),
                });
            };
            if rest.get(found) == Some(&b'"') {
                let span = start..from + found;
                let raw = self.text.get(span.clone()).unwrap_or_default();
                if let Some(control) = raw.bytes().position(|byte| byte < 0x20) {
                    self.at = start + control;
                    return Err(self.wrong("a control character inside a string"));
                }
                self.at = span.end + 1;
                let text = if escaped {
                    match unescape(raw) {
                        Some((text, _)) => Cow::Owned(text),
                        None => {
                            self.at = start;
                            return Err(self.wrong("an escape that JSON does not know"));
                        }
                    }
                } else {
                    Cow::Borrowed(raw)
                };
                return Ok(Text { span, raw, text });
            }
            escaped = true;
            from += found + 2;
        }
    }
}

/// The meaning of the inside of a JSON string, and for every byte of it (and for its end) the offset in `raw`
/// at which it is written. `None` where an escape is wrong.
pub(super) fn unescape(raw: &str) -> Option<(String, Vec<usize>)> {
    let mut text = String::with_capacity(raw.len());
    let mut offsets = Vec::with_capacity(raw.len() + 1);
    let mut chars = raw.char_indices();
    while let Some((at, character)) = chars.next() {
        let meant = if character == '\\' {
            match chars.next()?.1 {
                quoted @ ('"' | '\\' | '/') => quoted,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let unit = four_digits(&mut chars)?;
                    if (0xD800..0xDC00).contains(&unit) {
                        let (Some((_, '\\')), Some((_, 'u'))) = (chars.next(), chars.next()) else {
                            return None;
                        };
                        let low = four_digits(&mut chars)?;
                        if !(0xDC00..0xE000).contains(&low) {
                            return None;
                        }
                        char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))?
                    } else {
                        char::from_u32(unit)?
                    }
                }
                _ => return None,
            }
        } else {
            character
        };
        text.push(meant);
        offsets.resize(text.len(), at);
    }
    offsets.push(raw.len());
    Some((text, offsets))
}

fn four_digits(chars: &mut std::str::CharIndices<'_>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.1.to_digit(16)?;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_text_is_named() {
        let deep = "[".repeat(200);
        for (text, part) in [
            ("", "cut off"),
            ("{\"a\":", "cut off"),
            ("{\"a\":\"b", "inside a string"),
            ("{\"a\":1,\"a\":2}", "`a` stands twice"),
            ("{\"a\":1,\"\\u0061\":2}", "`a` stands twice"),
            ("{\"a\" 1}", "instead of `:`"),
            ("[1,]", "instead of a value"),
            ("[1] x", "after the document"),
            ("[nul]", "neither a number"),
            ("\"\\x\"", "escape"),
            ("\"\n\"", "control character"),
            (deep.as_str(), "deeper"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(matches!(text_of(b"a\xff"), Err(Unreadable::NotUtf8 { at: 1 })));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}\",:0-9a-e.\\\\ un/-]{0,24}") {
            let ours = parse(&text).is_ok();
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // A duplicate key is the one thing that only this reader refuses.
            let duplicate = matches!(parse(&text), Err(Unreadable::DuplicateKey { .. }));
            proptest::prop_assert!(ours == theirs || duplicate, "{text}");
        }

        #[test]
        fn strings_mean_what_serde_json_says(meant in "\\PC{0,20}") {
            let written = serde_json::to_string(&meant).unwrap();
            let node = parse(&written).unwrap();
            let Value::Text(text) = node.value else { panic!("no string") };
            proptest::prop_assert_eq!(text.text.as_ref(), meant.as_str());
        }
    }
}
