//! Finds every place that names the old environment, in every spelling and encoding.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;

use memchr::memmem;
use serde::Serialize;
use strum::IntoStaticStr;

use super::Form;
use super::encoding::{Decoded, Encoding, decode, is_percent_encoded};
use super::json::{Node, Text, Unreadable, Value, parse};
use super::map::IdentifierMap;
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

/// What is done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "disposition", content = "reason", rename_all = "snake_case")]
pub enum Disposition {
    /// A rewriter owns it.
    Rewrite,
    /// No reference, though it looks like one: it is never touched, and does not count.
    Keep(&'static str),
    /// A reference that no rewriter owns. Cutover refuses while there is any.
    Unhandled(&'static str),
}

/// What the place of a token means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "kebab-case")]
pub enum Position {
    /// `Principal`.
    Principal,
    /// `NotPrincipal`.
    NotPrincipal,
    /// A condition on who calls: `aws:PrincipalArn`, `kms:CallerAccount` and their like.
    Caller,
    /// A condition on whose resource calls through a service: `aws:SourceArn` and its like.
    Source,
    /// A condition on whose resource is called: `aws:ResourceAccount` and its like.
    ResourceOwner,
    /// A condition on something else.
    OtherCondition,
    /// The name of a condition key, which can embed an issuer.
    ConditionKey,
    /// `Resource` or `NotResource`.
    Resource,
    /// The account below `AWSLogs/`.
    LogPath,
    /// A host name or URL.
    Url,
    /// An ARN in a configuration value.
    Arn,
    /// A configuration value.
    Value,
    /// The name of a configuration key.
    Key,
    /// `sts:ExternalId`: a shared secret that may look like an account id.
    ExternalId,
    /// `Sid`, `Id`, a description, a tag.
    Cosmetic,
    /// Part of a longer name, which another account may own.
    InName,
    /// A wildcard that covers the old account among others.
    PartialWildcard,
    /// A place of a policy where no identifier belongs.
    Elsewhere,
}

impl Position {
    fn disposition(self) -> Disposition {
        match self {
            Self::Principal
            | Self::NotPrincipal
            | Self::Caller
            | Self::Source
            | Self::ResourceOwner
            | Self::OtherCondition
            | Self::ConditionKey
            | Self::Resource
            | Self::LogPath
            | Self::Url
            | Self::Arn
            | Self::Value
            | Self::Key => Disposition::Rewrite,
            Self::ExternalId => Disposition::Keep("an external id is a shared secret, not a reference"),
            Self::Cosmetic => Disposition::Keep("a label decides nothing"),
            Self::InName => Disposition::Unhandled(
                "part of a longer name: add the whole name to the identifier map, or waive the document",
            ),
            Self::PartialWildcard => Disposition::Unhandled(
                "a wildcard that covers the old account among others: a person must decide",
            ),
            Self::Elsewhere => Disposition::Unhandled("no rewriter owns this place"),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.into())
    }
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
    let mut scanner = Scanner::new(map, text);
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
    Ok((scanner.tokens, Some(tree)))
}

/// A token written in a way that could not be restored byte for byte is not rewritten.
pub(super) fn settle_spelling(token: &mut Token, text: &str) {
    let written = text.get(token.span.clone()).unwrap_or_default();
    if token.disposition == Disposition::Rewrite && spelled_like(written, &token.old, &token.new).is_none() {
        token.disposition = Disposition::Unhandled("written with unusual escapes: write it plainly first");
    }
}

/// The new identifier in the spelling of the old one.
pub(super) fn spelled_like(written: &str, old: &str, new: &str) -> Option<String> {
    ["/", "%2F", "%2f", "\\/"]
        .into_iter()
        .find(|slash| written == old.replace('/', slash))
        .map(|slash| new.replace('/', slash))
}

/// Where in a document the walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of any policy.
    Config,
    /// The members of a policy.
    Policy,
    /// The members of a statement.
    Statement,
    /// Operators of a condition block.
    Operators,
    /// Keys below an operator.
    ConditionKeys,
    /// Values that all mean this.
    Values(Position),
}

impl Place {
    fn below(self, key: &str, value: &Node<'_>) -> Self {
        match self {
            Self::Config => {
                if key == "Statement" && value.elements().iter().all(|one| one.member("Effect").is_some()) {
                    return Self::Statement;
                }
                label(key).map_or(Self::Config, Self::Values)
            }
            Self::Policy => match key {
                "Statement" => Self::Statement,
                "Id" => Self::Values(Position::Cosmetic),
                _ => Self::Values(Position::Elsewhere),
            },
            Self::Statement => match key {
                "Principal" => Self::Values(Position::Principal),
                "NotPrincipal" => Self::Values(Position::NotPrincipal),
                "Resource" | "NotResource" => Self::Values(Position::Resource),
                "Condition" => Self::Operators,
                "Sid" => Self::Values(Position::Cosmetic),
                _ => Self::Values(Position::Elsewhere),
            },
            Self::Operators => Self::ConditionKeys,
            Self::ConditionKeys => Self::Values(condition_position(key)),
            Self::Values(position) => Self::Values(position),
        }
    }

    /// What a token in the name of a member means.
    fn of_key(self) -> Position {
        match self {
            Self::Config => Position::Key,
            Self::ConditionKeys => Position::ConditionKey,
            Self::Values(kept @ (Position::Cosmetic | Position::ExternalId)) => kept,
            Self::Policy | Self::Statement | Self::Operators | Self::Values(_) => Position::Elsewhere,
        }
    }

    /// What a token in a value means.
    fn of_value(self) -> Position {
        match self {
            Self::Values(position) => position,
            Self::Config => Position::Value,
            Self::Policy | Self::Statement | Self::Operators | Self::ConditionKeys => Position::Elsewhere,
        }
    }
}

/// Configuration keys whose values are no references.
fn label(key: &str) -> Option<Position> {
    let plain: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    match plain.as_str() {
        "externalid" | "stsexternalid" => Some(Position::ExternalId),
        "sid" | "description" | "comment" | "tags" | "tag" | "tagset" | "metadata" => {
            Some(Position::Cosmetic)
        }
        _ => None,
    }
}

/// Condition keys are compared without regard to case: services write `AWS:SourceArn` as well.
fn condition_position(key: &str) -> Position {
    match key.to_ascii_lowercase().as_str() {
        "sts:externalid" => Position::ExternalId,
        "aws:principalarn"
        | "aws:principalaccount"
        | "aws:userid"
        | "aws:username"
        | "kms:calleraccount"
        | "kms:granteeprincipal"
        | "kms:retiringprincipal"
        | "lambda:principal"
        | "ram:principal"
        | "redshift:consumerarn" => Position::Caller,
        "aws:sourcearn"
        | "aws:sourceaccount"
        | "aws:sourceowner"
        | "aws:sourcevpc"
        | "aws:sourcevpce"
        | "aws:sourcevpcarn"
        | "aws:vpceaccount"
        | "lambda:sourcefunctionarn"
        | "ec2:sourceinstancearn"
        | "events:creatoraccount" => Position::Source,
        "aws:resourceaccount"
        | "s3:resourceaccount"
        | "s3:dataaccesspointaccount"
        | "s3:dataaccesspointarn"
        | "s3:accessgrantsinstancearn"
        | "ram:shareowneraccountid"
        | "ram:resourcearn" => Position::ResourceOwner,
        _ => Position::OtherCondition,
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
    /// The pairs that can occur in this document.
    pairs: Vec<(&'m IdentifierPair, memmem::Finder<'m>)>,
    accounts: Vec<&'m IdentifierPair>,
    tokens: Vec<Token>,
    nested: usize,
}

/// A found identifier within one string.
struct Found<'m> {
    span: Range<usize>,
    pair: &'m IdentifierPair,
    whole: bool,
}

impl<'m> Scanner<'m> {
    fn new(map: &'m IdentifierMap, text: &str) -> Self {
        // Escapes can hide an identifier from a plain search.
        let hidden = memchr::memchr2(b'\\', b'%', text.as_bytes()).is_some();
        Self {
            pairs: map
                .pairs()
                .iter()
                .map(|pair| (pair, memmem::Finder::new(pair.old.as_bytes())))
                .filter(|(pair, finder)| {
                    hidden || pair.old.contains('/') || finder.find(text.as_bytes()).is_some()
                })
                .collect(),
            accounts: map
                .pairs()
                .iter()
                .filter(|pair| pair.kind == IdentifierKind::Account)
                .collect(),
            tokens: Vec::new(),
            nested: 0,
        }
    }

    /// Whether the document can hold any token at all.
    fn is_needed(&self, text: &str) -> bool {
        !self.pairs.is_empty() || memchr::memchr2(b'*', b'?', text.as_bytes()).is_some()
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
        let found = self.find(&text.text);
        let decides = !matches!(position, Position::Cosmetic | Position::ExternalId);
        let partial = if decides && !key {
            self.partial(&text.text, &found)
        } else {
            None
        };
        if found.is_empty() && partial.is_none() {
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
            let position = refined(position, &text.text, &one);
            self.push(&layer, one.span, one.pair, position, path);
        }
        if let Some((span, pair)) = partial {
            let pattern = text.text.get(span.clone()).unwrap_or_default().to_owned();
            self.push(&layer, span, pair, Position::PartialWildcard, path);
            if let Some(token) = self.tokens.last_mut() {
                token.old.clone_from(&pattern);
                token.new = pattern;
            }
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

    /// The identifiers in a string: leftmost first, the longest where several begin at one place.
    fn find(&self, text: &str) -> Vec<Found<'m>> {
        let mut found: Vec<Found<'m>> = Vec::new();
        for (pair, finder) in &self.pairs {
            for start in finder.find_iter(text.as_bytes()) {
                let span = start..start + pair.old.len();
                match edge(pair.kind, text, &span) {
                    Edge::Whole => found.push(Found {
                        span,
                        pair,
                        whole: true,
                    }),
                    Edge::InName => found.push(Found {
                        span,
                        pair,
                        whole: false,
                    }),
                    Edge::Foreign => {}
                }
            }
            if pair.old.contains('/') {
                for slash in ["%2F", "%2f"] {
                    let spelled = pair.old.replace('/', slash);
                    for start in memmem::find_iter(text.as_bytes(), &spelled) {
                        let span = start..start + spelled.len();
                        found.push(Found {
                            span,
                            pair,
                            whole: true,
                        });
                    }
                }
            }
        }
        if found.len() > 1 {
            found.sort_by_key(|one| (one.span.start, std::cmp::Reverse(one.span.end)));
            let mut end = 0;
            found.retain(|one| {
                let free = one.span.start >= end;
                if free {
                    end = one.span.end;
                }
                free
            });
        }
        found
    }

    /// A segment such as `1111*` that is a pattern for the old account.
    fn partial(&self, text: &str, found: &[Found<'_>]) -> Option<(Range<usize>, &'m IdentifierPair)> {
        memchr::memchr2(b'*', b'?', text.as_bytes())?;
        let mut start = 0;
        for segment in text.split([':', '/']) {
            let span = start..start + segment.len();
            start = span.end + 1;
            let pattern = segment
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'?'))
                && segment.bytes().any(|byte| byte.is_ascii_digit())
                && segment.contains(['*', '?']);
            if !pattern
                || found
                    .iter()
                    .any(|one| one.span.start < span.end && span.start < one.span.end)
            {
                continue;
            }
            if let Some(pair) = self.accounts.iter().find(|pair| glob(segment, &pair.old)) {
                return Some((span, pair));
            }
        }
        None
    }
}

fn unescaped<'t>(text: &Text<'t>) -> Option<Decoded<'t>> {
    match &text.text {
        Cow::Borrowed(_) => None,
        Cow::Owned(_) => Decoded::of_string(text.raw),
    }
}

/// Whether a pattern with `*` and `?` matches.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|byte| *byte == b'*')
}

pub(super) enum Edge {
    /// The identifier itself.
    Whole,
    /// The identifier inside a longer name.
    InName,
    /// Something else that happens to contain the same characters.
    Foreign,
}

pub(super) fn edge(kind: IdentifierKind, text: &str, span: &Range<usize>) -> Edge {
    let before = text.get(..span.start).unwrap_or_default();
    let after = text.get(span.end..).unwrap_or_default();
    let left = before.chars().next_back();
    let right = after.chars().next();
    let is = |side: Option<char>, test: fn(char) -> bool| side.is_some_and(test);
    let alphanumeric = |character: char| character.is_alphanumeric();
    let name = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
    match kind {
        IdentifierKind::Account => {
            // `%3A` before the digits is a colon, not a letter.
            let encoded = before.len() >= 3
                && before.get(before.len() - 3..).is_some_and(|end| {
                    end.starts_with('%') && hex::decode(end.trim_start_matches('%')).is_ok()
                });
            if is(right, |c| c.is_ascii_digit()) || (!encoded && is(left, |c| c.is_ascii_digit())) {
                Edge::Foreign
            } else if is(right, name) || (!encoded && is(left, name)) {
                Edge::InName
            } else {
                Edge::Whole
            }
        }
        IdentifierKind::Bucket => {
            let led = before.is_empty()
                || [":::", "s3://", "//", "amazonaws.com/"]
                    .iter()
                    .any(|lead| before.ends_with(lead));
            let host = after.starts_with(".s3.") || after.starts_with(".s3-");
            let alone = before.is_empty() && after.is_empty();
            let wide = is(right, |c| matches!(c, '*' | '?'));
            if !led || is(right, name) || (is(right, |c| c == '.') && !host) {
                Edge::Foreign
            } else if wide {
                Edge::InName
            } else if alone
                || host
                || before.ends_with(":::")
                || before.ends_with("s3://")
                || before.ends_with("amazonaws.com/")
            {
                Edge::Whole
            } else {
                Edge::Foreign
            }
        }
        IdentifierKind::UniqueId
        | IdentifierKind::CanonicalUser
        | IdentifierKind::KmsKey
        | IdentifierKind::VpcEndpoint => {
            if is(left, alphanumeric) || is(right, alphanumeric) {
                Edge::Foreign
            } else if is(left, name) || is(right, name) {
                Edge::InName
            } else {
                Edge::Whole
            }
        }
        IdentifierKind::Issuer | IdentifierKind::Host => {
            if is(left, name) || is(right, name) || (after.starts_with('.') && after.len() > 1) {
                Edge::Foreign
            } else if is(left, |c| c == '.') {
                Edge::InName
            } else {
                Edge::Whole
            }
        }
    }
}

/// What a token means, seen from within its string.
fn refined(position: Position, text: &str, found: &Found<'_>) -> Position {
    if matches!(
        position,
        Position::Cosmetic | Position::ExternalId | Position::Elsewhere
    ) {
        return position;
    }
    if !found.whole {
        return Position::InName;
    }
    let before = text.get(..found.span.start).unwrap_or_default();
    if found.pair.kind == IdentifierKind::Account
        && let Some((_, below)) = before.rsplit_once("AWSLogs/")
        && (below.is_empty() || (below.starts_with("o-") && below.ends_with('/')))
    {
        return Position::LogPath;
    }
    if position == Position::Value {
        if before.contains("://")
            || text.contains(".amazonaws.com")
            || found.pair.kind == IdentifierKind::Host
        {
            return Position::Url;
        }
        if before.contains("arn:") {
            return Position::Arn;
        }
    }
    position
}

/// Text that is not JSON: every line on its own.
fn scan_lines(decoded: &Decoded<'_>, map: &IdentifierMap) -> Vec<Token> {
    let text = decoded.text.as_ref();
    let mut scanner = Scanner::new(map, text);
    if scanner.pairs.is_empty() {
        return Vec::new();
    }
    let mut start = 0;
    for (number, line) in text.split('\n').enumerate() {
        for found in scanner.find(line) {
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
