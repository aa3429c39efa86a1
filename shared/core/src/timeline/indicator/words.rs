//! What the text of a record must hold before it is worth parsing.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Match};

/// A key that a record must hold, and texts of which it must then hold one, all in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'w> {
    pub(super) document: Document,
    pub(super) key: &'w str,
    pub(super) values: Option<&'static [&'static str]>,
}

impl<'w> Word<'w> {
    /// The last key of a path, whatever its value.
    pub(super) fn key(document: Document, path: &'w str) -> Option<Self> {
        let key = path.rsplit('.').next().filter(|key| !key.is_empty())?;
        is_plain(key).then_some(Self {
            document,
            key,
            values: None,
        })
    }
}

/// Whether a text stands in JSON as it is, but for escapes of letters.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b))
}

/// The same for a text that no number can be taken for, which has several forms.
pub(super) fn is_plain_text(text: &str) -> bool {
    is_plain(text) && text.bytes().any(|b| b.is_ascii_alphabetic()) && text.parse::<f64>().is_err()
}

/// A document within a record, of which indicators speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    /// `requestParameters`.
    Request,
    /// `responseElements`.
    Response,
    /// `additionalEventData`.
    Additional,
}

impl Document {
    const ALL: [Self; 3] = [Self::Request, Self::Response, Self::Additional];

    /// The document that the record has under this key.
    pub(super) fn named(key: &str) -> Self {
        match key {
            "requestParameters" => Self::Request,
            "responseElements" => Self::Response,
            _ => Self::Additional,
        }
    }

    /// What stands before the document in AWS's compact layout.
    fn key(self) -> &'static [u8] {
        match self {
            Self::Request => br#""requestParameters":"#,
            Self::Response => br#""responseElements":"#,
            Self::Additional => br#""additionalEventData":"#,
        }
    }
}

/// Looks in the text of a record for the words of which it must hold one.
#[derive(Debug)]
pub struct Words {
    parts: Vec<Part>,
}

/// The words of one document.
#[derive(Debug)]
struct Part {
    document: Document,
    keys: AhoCorasick,
    /// By key: the texts of which one must be there too.
    values: Vec<Option<AhoCorasick>>,
}

impl Words {
    pub(super) fn of(words: &[Word<'_>]) -> Option<Self> {
        let parts = Document::ALL.into_iter().filter_map(|document| {
            let words: Vec<_> = words.iter().filter(|word| word.document == document).collect();
            (!words.is_empty()).then(|| Part::of(document, &words))
        });
        Some(Self {
            parts: parts.collect::<Option<_>>()?,
        })
    }

    /// Whether an indicator may match a record with this text. `object` knows the object that follows a key; where there
    /// is none, the key's words are looked for everywhere.
    #[must_use]
    pub fn are_in<'a>(&self, text: &'a [u8], object: impl Fn(&[u8]) -> Option<&'a [u8]>) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.is_in(object(part.document.key()).unwrap_or(text)))
    }
}

impl Part {
    fn of(document: Document, words: &[&Word<'_>]) -> Option<Self> {
        let search = |words: &[&str]| {
            AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::DFA))
                .ascii_case_insensitive(true)
                .build(words)
                .ok()
        };
        let keys: Vec<_> = words.iter().map(|word| word.key).collect();
        let values = words.iter().map(|word| match word.values {
            None => Some(None),
            Some(values) => search(values).map(Some),
        });
        Some(Self {
            document,
            keys: search(&keys)?,
            values: values.collect::<Option<_>>()?,
        })
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let has_its_value = |key: Match| {
            let values = self.values.get(key.pattern().as_usize());
            values
                .and_then(Option::as_ref)
                .is_none_or(|values| values.is_match(text))
        };
        // To look for one is faster than to look for all, and nearly always there is none.
        self.keys.is_match(text) && self.keys.find_overlapping_iter(text).any(has_its_value)
    }
}
