//! Finds every place that names the old environment, in every spelling and encoding.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::Serialize;

use super::Form;
use super::encoding::{Decoded, Encoding, decode, is_percent_encoded};
use super::json::{Node, Text, Unreadable, Value, parse};
use super::map::IdentifierMap;
use super::positions::{Disposition, Place, Position, in_prose, label, refined};
use super::spellings::{may_hold_base64, partial, spelled_like};
use crate::plan::{IdentifierKind, IdentifierPair};

/// How deep JSON inside JSON strings is followed.
const MOST_NESTED: usize = 4;

/// One place that names the old environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Bytes of the identifier in the document as it was given.
    pub span: Range<usize>,
    /// What kind of identifier it is.
    pub kind: IdentifierKind,
    /// The identifier; for a partial wildcard the pattern.
    pub old: String,
    /// What it becomes.
    pub new: String,
    /// What the place means.
    pub position: Position,
    /// JSON path of the value, or `line N`.
    pub path: String,
    /// The encodings around it, outermost first.
    pub encoding: Vec<Encoding>,
    /// What happens to it.
    pub disposition: Disposition,
}
/// Finds every token of a document.
///
/// # Errors
/// [`Unreadable`] when a policy is no JSON object with statements. Configuration that is not JSON is read as
/// text, line by line.
pub fn scan(text: &str, form: Form, map: &IdentifierMap) -> Result<Vec<Token>, Unreadable> {
    let decoded = decode(text);
    let (mut tokens, _) = scan_decoded(&decoded, form, map)?;
    for token in &mut tokens {
        token.span = decoded.written(&token.span);
        settle_spelling(token, text);
    }
    Ok(tokens)
}

/// Those tokens, in order and apart, that lie in a span.
pub(super) fn within<'k>(tokens: &'k [Token], span: &Range<usize>) -> &'k [Token] {
    let first = tokens.partition_point(|token| token.span.start < span.start);
    let rest = tokens.get(first..).unwrap_or_default();
    let inside = rest.partition_point(|token| token.span.end <= span.end);
    rest.get(..inside).unwrap_or_default()
}

/// The tokens with spans in the decoded text, and its tree where it is JSON.
pub(super) fn scan_decoded<'d>(
    decoded: &'d Decoded<'_>,
    form: Form,
    map: &IdentifierMap,
) -> Result<(Vec<Token>, Option<Node<'d>>), Unreadable> {
    let text = decoded.text.as_ref();
    let tree = match (parse(text), form) {
        (Ok(tree), _) => tree,
        (Err(problem), Form::Policy(_)) => return Err(problem),
        // Configuration in another syntax; but what begins as JSON and is not is a broken document.
        (
            Err(
                problem @ (Unreadable::DuplicateKey { .. }
                | Unreadable::TooDeep
                | Unreadable::TooLarge { .. }),
            ),
            Form::Config,
        ) => {
            return Err(problem);
        }
        (Err(problem @ Unreadable::CutOff { .. }), Form::Config) if text.trim_start().starts_with('{') => {
            return Err(problem);
        }
        (Err(_), Form::Config) => return Ok((scan_lines(decoded, map), None)),
    };
    let mut scanner = Scanner::new(map);
    let top = match form {
        Form::Policy(_) => {
            if tree.member("Statement").is_none() {
                return Err(Unreadable::NotPolicy {
                    what: "it has no `Statement`".to_owned(),
                });
            }
            Place::Policy
        }
        Form::Config => Place::Config,
    };
    if scanner.is_needed(text) {
        let layer = Layer {
            outer: None,
            start: 0,
            offsets: None,
            encodings: decoded.layers.clone(),
        };
        scanner.value(&tree, top, &Path::Top, &layer);
    }
    scanner
        .tokens
        .sort_by_key(|token| (token.span.start, token.span.end));
    if let Form::Policy(_) = form {
        super::logs::settle(text, &tree, &mut scanner.tokens);
    }
    Ok((scanner.tokens, Some(tree)))
}

/// A token written in a way that could not be restored byte for byte is not rewritten.
pub(super) fn settle_spelling(token: &mut Token, text: &str) {
    let written = text.get(token.span.clone()).unwrap_or_default();
    if token.disposition == Disposition::Rewrite && spelled_like(written, &token.old, &token.new).is_none() {
        token.disposition = Disposition::Unhandled("written with unusual escapes: write it plainly first");
    }
}
/// The way from the top to a value, as a chain on the stack.
enum Path<'p> {
    Top,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Key(Self::Top, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A text inside the document, and how its offsets become offsets of the document.
struct Layer<'l> {
    outer: Option<&'l Layer<'l>>,
    start: usize,
    offsets: Option<&'l Decoded<'l>>,
    encodings: Vec<Encoding>,
}

impl Layer<'_> {
    fn document(&self, span: &Range<usize>) -> Range<usize> {
        let span = self
            .offsets
            .map_or_else(|| span.clone(), |decoded| decoded.written(span));
        let span = span.start + self.start..span.end + self.start;
        self.outer
            .map_or_else(|| span.clone(), |outer| outer.document(&span))
    }
}

struct Scanner<'m> {
    map: &'m IdentifierMap,
    tokens: Vec<Token>,
    nested: usize,
}

impl<'m> Scanner<'m> {
    const fn new(map: &'m IdentifierMap) -> Self {
        Self {
            map,
            tokens: Vec::new(),
            nested: 0,
        }
    }

    /// Whether the document can hold any token at all.
    fn is_needed(&self, text: &str) -> bool {
        self.map.spellings().may_be_in(text)
            || memchr::memchr2(b'*', b'?', text.as_bytes()).is_some()
            || may_hold_base64(text)
    }

    fn value(&mut self, node: &Node<'_>, place: Place, path: &Path<'_>, layer: &Layer<'_>) {
        match &node.value {
            Value::Object(members) => {
                for member in members {
                    let below = place.below(&member.key.text, &member.value);
                    let path = Path::Key(path, &member.key.text);
                    self.string(&member.key, place.of_key(), &path, layer, true);
                    self.value(&member.value, below, &path, layer);
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.value(element, place, &Path::Index(path, index), layer);
                }
            }
            Value::Text(text) => self.string(text, place.of_value(), path, layer, false),
            Value::Scalar => {}
        }
    }

    fn string(&mut self, text: &Text<'_>, position: Position, path: &Path<'_>, layer: &Layer<'_>, key: bool) {
        let begin = text.text.trim_start();
        let packed = begin.starts_with(['{', '[', '"']) || is_percent_encoded(begin);
        if packed && !key && self.nested < MOST_NESTED && self.inner_document(text, position, path, layer) {
            return;
        }
        let found = self.map.find(&text.text);
        let decides = !key && !matches!(position, Position::Cosmetic | Position::ExternalId);
        let patterns = if decides {
            partial(self.map.pairs(), &text.text, &found)
        } else {
            Vec::new()
        };
        let packed = (decides && found.is_empty())
            .then(|| self.map.spellings().in_base64(self.map.pairs(), &text.text))
            .flatten();
        if found.is_empty() && patterns.is_empty() && packed.is_none() {
            return;
        }
        let inner = unescaped(text);
        let layer = Layer {
            outer: Some(layer),
            start: text.span.start,
            offsets: inner.as_ref(),
            encodings: layer.encodings.clone(),
        };
        for one in found {
            let mut position = refined(position, &text.text, &one);
            if in_prose(position, &text.text, &one.span) {
                position = Position::FreeText;
            }
            self.push(&layer, one.span, one.pair, position, path);
        }
        for (span, pair) in patterns {
            let pattern = text.text.get(span.clone()).unwrap_or_default().to_owned();
            self.push(&layer, span, pair, Position::PartialWildcard, path);
            if let Some(token) = self.tokens.last_mut() {
                token.old.clone_from(&pattern);
                token.new = pattern;
            }
        }
        if let Some(pair) = packed {
            self.push(&layer, 0..text.text.len(), pair, Position::Base64, path);
        }
    }

    fn push(
        &mut self,
        layer: &Layer<'_>,
        span: Range<usize>,
        pair: &IdentifierPair,
        position: Position,
        path: &Path<'_>,
    ) {
        self.tokens.push(Token {
            span: layer.document(&span),
            kind: pair.kind,
            old: pair.old.clone(),
            new: pair.new.clone(),
            position,
            path: path.to_string(),
            encoding: layer.encodings.clone(),
            disposition: position.disposition(),
        });
    }

    /// Follows a string that is itself a document. `false` when it is none.
    fn inner_document(
        &mut self,
        text: &Text<'_>,
        position: Position,
        path: &Path<'_>,
        layer: &Layer<'_>,
    ) -> bool {
        let decoded = decode(&text.text);
        let Ok(tree) = parse(&decoded.text) else {
            return false;
        };
        if matches!(tree.value, Value::Text(_) | Value::Scalar) {
            return false;
        }
        let place = if position != Position::Value {
            Place::Values(position)
        } else if tree.member("Statement").is_some() {
            Place::Policy
        } else {
            Place::Config
        };
        let string = unescaped(text);
        let mut encodings = layer.encodings.clone();
        encodings.push(Encoding::JsonString);
        let outer = Layer {
            outer: Some(layer),
            start: text.span.start,
            offsets: string.as_ref(),
            encodings: encodings.clone(),
        };
        encodings.extend(&decoded.layers);
        let layer = Layer {
            outer: Some(&outer),
            start: 0,
            offsets: Some(&decoded),
            encodings,
        };
        self.nested += 1;
        self.value(&tree, place, path, &layer);
        self.nested -= 1;
        true
    }
}

fn unescaped<'t>(text: &Text<'t>) -> Option<Decoded<'t>> {
    match &text.text {
        Cow::Borrowed(_) => None,
        Cow::Owned(_) => Decoded::of_string(text.raw),
    }
}
/// Text that is not JSON: every line on its own.
fn scan_lines(decoded: &Decoded<'_>, map: &IdentifierMap) -> Vec<Token> {
    let text = decoded.text.as_ref();
    let mut scanner = Scanner::new(map);
    if !scanner.is_needed(text) {
        return Vec::new();
    }
    let mut start = 0;
    for (number, line) in text.split('\n').enumerate() {
        let found = map.find(line);
        for found in found {
            let before = line.get(..found.span.start).unwrap_or_default();
            let key: String = before
                .trim_start_matches(|character: char| !character.is_alphanumeric())
                .chars()
                .take_while(|character| character.is_alphanumeric() || matches!(character, '_' | '-'))
                .collect();
            let position = label(&key).unwrap_or(Position::Value);
            let position = refined(position, line, &found);
            let mut path = String::new();
            // Writing to a string cannot fail.
            let _ = write!(path, "line {}", number + 1);
            scanner.tokens.push(Token {
                span: start + found.span.start..start + found.span.end,
                kind: found.pair.kind,
                old: found.pair.old.clone(),
                new: found.pair.new.clone(),
                position,
                path,
                encoding: decoded.layers.clone(),
                disposition: position.disposition(),
            });
        }
        start += line.len() + 1;
    }
    scanner.tokens
}
