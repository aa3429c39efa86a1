//! Texts inside texts: IAM answers URL-encoded JSON, API Gateway backslash-escaped JSON, SQS and CloudFormation
//! JSON inside a JSON string. Decoded to a fix-point, with the way back for every byte.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::json::unescape;

/// How deep encodings are undone.
const MOST_LAYERS: usize = 6;

/// One way in which a text is packed into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Percent-encoded.
    Url,
    /// Inside a JSON string, or with backslashes as in one.
    JsonString,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "percent-encoded",
            Self::JsonString => "in a JSON string",
        })
    }
}

impl Encoding {
    /// Packs a text.
    pub(super) fn encode(self, text: &str) -> String {
        let mut packed = String::with_capacity(text.len() * 2);
        match self {
            Self::Url => {
                for byte in text.bytes() {
                    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                        packed.push(char::from(byte));
                    } else {
                        packed.push('%');
                        packed.push_str(&hex::encode_upper([byte]));
                    }
                }
            }
            Self::JsonString => {
                for character in text.chars() {
                    match character {
                        '"' => packed.push_str("\\\""),
                        '\\' => packed.push_str("\\\\"),
                        '\n' => packed.push_str("\\n"),
                        '\r' => packed.push_str("\\r"),
                        '\t' => packed.push_str("\\t"),
                        other => packed.push(other),
                    }
                }
            }
        }
        packed
    }
}

/// A text after undoing its outer encodings.
#[derive(Debug)]
pub(super) struct Decoded<'t> {
    pub(super) text: Cow<'t, str>,
    /// Outermost first.
    pub(super) layers: Vec<Encoding>,
    /// For every byte of `text` and for its end: where it is written. Empty: at the same place.
    offsets: Vec<usize>,
}

impl<'t> Decoded<'t> {
    /// The meaning of a JSON string, with the way back into the inside of its quotes.
    pub(super) fn of_string(raw: &str) -> Option<Self> {
        let (text, offsets) = unescape(raw)?;
        Some(Self {
            text: Cow::Owned(text),
            layers: Vec::new(),
            offsets,
        })
    }

    /// Where a span of the decoded text is written.
    pub(super) fn written(&self, span: &Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            if self.offsets.is_empty() {
                at
            } else {
                self.offsets
                    .get(at)
                    .or(self.offsets.last())
                    .copied()
                    .unwrap_or(at)
            }
        };
        place(span.start)..place(span.end)
    }

    /// How an inserted text is written.
    pub(super) fn encode(&self, text: &str) -> String {
        self.layers
            .iter()
            .rev()
            .fold(text.to_owned(), |text, layer| layer.encode(&text))
    }
}

/// Undoes every outer encoding of a document.
pub(super) fn decode(raw: &str) -> Decoded<'_> {
    let mut decoded = Decoded {
        text: Cow::Borrowed(raw),
        layers: Vec::new(),
        offsets: Vec::new(),
    };
    while decoded.layers.len() < MOST_LAYERS {
        let Some((layer, text, offsets)) = one_layer(&decoded.text) else {
            break;
        };
        let offsets = offsets
            .into_iter()
            .map(|at| decoded.written(&(at..at)).start)
            .collect();
        decoded.layers.push(layer);
        decoded.text = Cow::Owned(text);
        decoded.offsets = offsets;
    }
    decoded
}

fn one_layer(text: &str) -> Option<(Encoding, String, Vec<usize>)> {
    let begin = text.trim_start();
    let lead = text.len() - begin.len();
    if is_percent_encoded(begin) {
        let (text, offsets) = percent_decode(text)?;
        return Some((Encoding::Url, text, offsets));
    }
    if begin.starts_with("{\\") {
        let (text, offsets) = unescape(text)?;
        return Some((Encoding::JsonString, text, offsets));
    }
    if begin.starts_with('"') {
        let inner = begin.trim_end().strip_prefix('"')?.strip_suffix('"')?;
        if memchr::memchr(b'"', inner.replace("\\\\", "__").replace("\\\"", "__").as_bytes()).is_some() {
            return None;
        }
        let (text, offsets) = unescape(inner)?;
        let offsets = offsets.into_iter().map(|at| at + lead + 1).collect();
        return Some((Encoding::JsonString, text, offsets));
    }
    None
}

/// Begins with an encoded `{`, `[` or `"`, however often encoded.
pub(super) fn is_percent_encoded(begin: &str) -> bool {
    begin.strip_prefix('%').is_some_and(|code| {
        let code = code.trim_start_matches("25");
        ["7B", "7b", "5B", "5b", "22"]
            .iter()
            .any(|first| code.starts_with(first))
    })
}

fn percent_decode(raw: &str) -> Option<(String, Vec<usize>)> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut offsets = Vec::with_capacity(raw.len() + 1);
    let mut source = raw.bytes().enumerate();
    while let Some((at, byte)) = source.next() {
        offsets.push(at);
        if byte == b'%' {
            let digits = [source.next()?.1, source.next()?.1];
            let mut decoded = [0];
            hex::decode_to_slice(digits, &mut decoded).ok()?;
            bytes.extend_from_slice(&decoded);
        } else {
            bytes.push(byte);
        }
    }
    offsets.push(raw.len());
    Some((String::from_utf8(bytes).ok()?, offsets))
}

/// The meaning of a text that IAM returned percent-encoded; the text itself where it is not.
///
/// IAM encodes by RFC 3986: `+` is a plus.
#[must_use]
pub fn url_decoded(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    percent_decode(text).map_or(Cow::Borrowed(text), |(decoded, _)| Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn layers_are_undone_and_every_byte_finds_its_way_back(
            inside in "[a-z0-9:/\" é\\\\]{0,20}",
            layers in proptest::collection::vec(proptest::bool::ANY, 0..4),
        ) {
            let document = format!("{{\"k\":{}}}", serde_json::to_string(&inside).unwrap());
            let mut packed = document.clone();
            for url in &layers {
                packed = if *url {
                    Encoding::Url.encode(&packed)
                } else {
                    serde_json::to_string(&packed).unwrap()
                };
            }
            let decoded = decode(&packed);
            proptest::prop_assert_eq!(decoded.text.as_ref(), document.as_str());
            proptest::prop_assert_eq!(decoded.layers.len(), layers.len());
            let key = decoded.written(&(2..3));
            proptest::prop_assert_eq!(packed.get(key), Some("k"));
        }
    }
}
