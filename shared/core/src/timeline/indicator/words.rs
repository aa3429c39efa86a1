//! What the text of a record must hold before it is worth parsing.

use aho_corasick::AhoCorasick;

/// A key that a record must hold, and texts of which it must then hold one, all in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'w> {
    pub(super) key: &'w str,
    pub(super) values: Option<&'static [&'static str]>,
}

impl<'w> Word<'w> {
    /// The last key of a path, whatever its value.
    pub(super) fn key(path: &'w str) -> Option<Self> {
        let key = path.rsplit('.').next().filter(|key| !key.is_empty())?;
        is_plain(key).then_some(Self { key, values: None })
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

/// Looks in the text of a record for the words of which it must hold one.
#[derive(Debug)]
pub struct Words {
    keys: AhoCorasick,
    /// By key: the texts of which one must be there too.
    values: Vec<Option<AhoCorasick>>,
}

impl Words {
    pub(super) fn of(words: &[Word<'_>]) -> Option<Self> {
        let search = |words: &[&str]| {
            AhoCorasick::builder()
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
            keys: search(&keys)?,
            values: values.collect::<Option<_>>()?,
        })
    }

    /// Whether an indicator may match a record with this text.
    #[must_use]
    pub fn are_in(&self, text: &[u8]) -> bool {
        self.keys.find_overlapping_iter(text).any(|key| {
            let values = self.values.get(key.pattern().as_usize());
            values
                .and_then(Option::as_ref)
                .is_none_or(|values| values.is_match(text))
        })
    }
}
