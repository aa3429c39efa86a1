//! How identifiers are written: which spellings there are, which characters may stand around them, and which
//! patterns cover them.

use std::borrow::Cow;
use std::ops::Range;

use aho_corasick::{AhoCorasick, BuildError};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::plan::{IdentifierKind, IdentifierPair};

/// How `/` may be written in an identifier that holds one: as it is, percent-encoded, or escaped in JSON.
const SLASHES: [&str; 4] = ["/", "%2F", "%2f", "\\/"];

/// Shortest base64 text that is looked into: twelve digits are sixteen characters.
const SHORTEST_BASE64: usize = 16;

/// With and without `=` at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Finds every identifier of a map in one pass, however many there are.
#[derive(Debug, Clone)]
pub(super) struct Spellings {
    automaton: AhoCorasick,
    /// For every pattern of the automaton the pair that it spells.
    pairs: Vec<usize>,
}

/// A found identifier within one string.
pub(super) struct Found<'m> {
    pub(super) span: Range<usize>,
    pub(super) pair: &'m IdentifierPair,
    /// Not part of a longer name.
    pub(super) whole: bool,
}

impl Spellings {
    pub(super) fn of(pairs: &[IdentifierPair]) -> Result<Self, BuildError> {
        let mut patterns: Vec<String> = Vec::with_capacity(pairs.len());
        let mut meant = Vec::with_capacity(pairs.len());
        for (index, pair) in pairs.iter().enumerate() {
            let spellings = if pair.old.contains('/') { 3 } else { 1 };
            for slash in SLASHES.into_iter().take(spellings) {
                patterns.push(pair.old.replace('/', slash));
                meant.push(index);
            }
        }
        // Host names have no case (RFC 4343); all others are compared exactly afterwards.
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(pairs.iter().any(|pair| has_no_case(pair.kind)))
            .build(patterns)?;
        Ok(Self {
            automaton,
            pairs: meant,
        })
    }

    /// Whether a text can hold any identifier; where escapes may hide one, it can.
    pub(super) fn may_be_in(&self, text: &str) -> bool {
        memchr::memchr2(b'\\', b'%', text.as_bytes()).is_some() || self.automaton.is_match(text)
    }

    /// The identifiers in a string: leftmost first, the longest where several begin at one place.
    pub(super) fn find<'m>(&self, pairs: &'m [IdentifierPair], text: &str) -> Vec<Found<'m>> {
        let mut found: Vec<Found<'m>> = Vec::new();
        for hit in self.automaton.find_overlapping_iter(text) {
            let Some(pair) = self
                .pairs
                .get(hit.pattern().as_usize())
                .and_then(|index| pairs.get(*index))
            else {
                continue;
            };
            let span = hit.range();
            let written = text.get(span.clone()).unwrap_or_default();
            if !has_no_case(pair.kind)
                && !SLASHES
                    .iter()
                    .any(|slash| same_but_slashes(written, &pair.old, slash))
            {
                continue;
            }
            match edge(pair.kind, text, &span) {
                Edge::Foreign => {}
                edge @ (Edge::Whole | Edge::InName) => found.push(Found {
                    span,
                    pair,
                    whole: matches!(edge, Edge::Whole),
                }),
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

    /// The first identifier in a string that is base64 as a whole.
    pub(super) fn in_base64<'m>(
        &self,
        pairs: &'m [IdentifierPair],
        text: &str,
    ) -> Option<&'m IdentifierPair> {
        if text.len() < SHORTEST_BASE64 || !text.bytes().all(is_base64) {
            return None;
        }
        let packed: Cow<'_, str> = if text.contains(['\n', '\r']) {
            Cow::Owned(text.replace(['\n', '\r'], ""))
        } else {
            Cow::Borrowed(text)
        };
        let decoded = String::from_utf8(BASE64.decode(packed.as_bytes()).ok()?).ok()?;
        self.find(pairs, &decoded).first().map(|found| found.pair)
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r')
}

/// Whether a document holds a quoted text that could be base64.
pub(super) fn may_hold_base64(text: &str) -> bool {
    let mut run = 0_usize;
    for byte in text.bytes() {
        if is_base64(byte) {
            run += 1;
        } else if byte == b'"' && run >= SHORTEST_BASE64 {
            return true;
        } else {
            run = 0;
        }
    }
    false
}

const fn has_no_case(kind: IdentifierKind) -> bool {
    matches!(kind, IdentifierKind::Host)
}

fn same_but_slashes(written: &str, old: &str, slash: &str) -> bool {
    written == old || (old.contains('/') && written == old.replace('/', slash))
}

/// The new identifier in the spelling of the old one.
pub(super) fn spelled_like(written: &str, old: &str, new: &str) -> Option<String> {
    SLASHES
        .into_iter()
        .find(|slash| written == old.replace('/', slash))
        .map(|slash| new.replace('/', slash))
}

/// Segments such as `1111*` that are patterns for an old account, apart from the identifiers found.
pub(super) fn partial<'m>(
    pairs: &'m [IdentifierPair],
    text: &str,
    found: &[Found<'_>],
) -> Vec<(Range<usize>, &'m IdentifierPair)> {
    let mut partial = Vec::new();
    if memchr::memchr2(b'*', b'?', text.as_bytes()).is_none() {
        return partial;
    }
    let mut start = 0;
    for segment in text.split([':', '/']) {
        let span = start..start + segment.len();
        start = span.end + 1;
        let pattern = segment
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'?'))
            && segment.bytes().any(|byte| byte.is_ascii_digit())
            && segment.contains(['*', '?']);
        if !pattern {
            continue;
        }
        let next = found.partition_point(|one| one.span.end <= span.start);
        if found.get(next).is_some_and(|one| one.span.start < span.end) {
            continue;
        }
        let pair = pairs
            .iter()
            .find(|pair| pair.kind == IdentifierKind::Account && glob(segment, &pair.old));
        partial.extend(pair.map(|pair| (span, pair)));
    }
    partial
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
        | IdentifierKind::ResourceId
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
