//! Whether rules need to be applied at all: a search for the literals that they need, many bytes at a time.

use std::fmt;

use aho_corasick::packed::Searcher;

use crate::needs::Clause;

/// How many bytes are put in lower case at once: they stay in the nearest cache.
const PIECE: usize = 16 << 10;

/// How many literals one search can look for.
const AT_ONCE: usize = 64;

/// With more searches than this over the same bytes, the engine itself is as fast.
const SEARCHES: usize = 3;

/// A search for literals, in whatever case they are written.
#[derive(Clone)]
pub(crate) struct Filter {
    /// Literals without a zero byte.
    plain: Vec<Searcher>,
    /// Literals with one, as those of text in UTF-16: not looked for where no zero byte stands.
    with_zero: Vec<Searcher>,
    /// Length in bytes of the longest literal.
    longest: usize,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("longest", &self.longest)
            .finish_non_exhaustive()
    }
}

impl Filter {
    /// A search for these literals. `None`: this processor or so many literals make it no faster than the engine.
    pub(crate) fn new(clause: &Clause) -> Option<Self> {
        let needed: Vec<&Vec<u8>> = clause
            .iter()
            .filter(|literal| {
                !clause
                    .iter()
                    .any(|other| other != *literal && memchr::memmem::find(literal, other).is_some())
            })
            .collect();
        let (with_zero, plain): (Vec<_>, Vec<_>) = needed.iter().partition(|literal| literal.contains(&0));
        Some(Self {
            plain: searchers(&plain)?,
            with_zero: searchers(&with_zero)?,
            longest: needed.iter().map(|literal| literal.len()).max().unwrap_or(0),
        })
    }

    /// Whether one of the literals stands in these bytes.
    pub(crate) fn finds(&self, bytes: &[u8]) -> bool {
        let piece_and_seam = PIECE.saturating_add(self.longest);
        let mut lower = Vec::with_capacity(bytes.len().min(piece_and_seam));
        let mut rest = bytes;
        loop {
            let piece = rest.get(..piece_and_seam).unwrap_or(rest);
            lower.clear();
            lower.extend(piece.iter().map(u8::to_ascii_lowercase));
            let found = |searcher: &Searcher| searcher.find(&lower).is_some();
            if self.plain.iter().any(found)
                || (!self.with_zero.is_empty()
                    && memchr::memchr(0, piece).is_some()
                    && self.with_zero.iter().any(found))
            {
                return true;
            }
            match rest.get(PIECE..) {
                Some(next) if piece.len() < rest.len() => rest = next,
                Some(_) | None => return false,
            }
        }
    }
}

fn searchers(literals: &[&&Vec<u8>]) -> Option<Vec<Searcher>> {
    if literals.len() > SEARCHES.saturating_mul(AT_ONCE) {
        return None;
    }
    literals.chunks(AT_ONCE).map(Searcher::new).collect()
}
