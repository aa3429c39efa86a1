//! Our own look at restored bytes: encrypted, overwritten or cut off, ransom notes, renamed files.
//!
//! [`ObjectScanner`] takes the bytes of one object as they stream by and keeps a fixed amount of memory whatever
//! the object's size; [`Collection`] gathers what the objects of one resource said. What is legitimately dense
//! (compressed or encrypted by its format) is recognised by how it begins, never by its name alone.

use super::{LayerVerdict, Verdict};

mod archives;
mod blocks;
mod collection;
mod formats;
mod notes;
mod object;
mod signatures;

pub use blocks::{BLOCK, BlockCounter, BlockStatistics};
pub use collection::Collection;
pub use object::{ObjectFacts, ObjectScanner};
pub use signatures::{SignatureScan, Signatures};

/// Something in an object that speaks against it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Unknown or tainted; clean for a mere remark.
    pub verdict: Verdict,
    /// What was found.
    pub what: String,
}

impl Finding {
    fn new(verdict: Verdict, what: impl Into<String>) -> Self {
        Self {
            verdict,
            what: what.into(),
        }
    }
}

/// Hostile text for a reason: control and direction characters escaped, at most 120 characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == 120 {
            shown.push('…');
            break;
        }
        let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || invisible || c == '`' {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}
