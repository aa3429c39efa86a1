//! What the batches of the first pass leave, and reading it as one.
//!
//! A batch leaves two documents: the facts of its objects, sorted by the digest of their bytes, behind one line that says
//! what is to come; and the sketches of the same objects in the same order. All of it is kept on two media, files as a
//! rule, and read as often as it is needed: memory does not grow with the logs.

use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

use super::Gap;
use super::case::Case;
use super::facts::{ObjectFacts, printable};
use super::pivot::{Pivot, Traced};
use super::segments::{Groups, Key, Segments, frame, frames};
use super::sketch::{CutOff, Sketch};
use super::sweep::Swept;
use crate::artifact::Digest;

/// The schema of the first line.
const SCHEMA: &str = "blackstart.scan/2";

/// Bytes that are read at once of the sketches.
const READ_AT_ONCE: usize = 1 << 20;

/// The documents of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchResult {
    /// One line, then the facts.
    pub facts: Vec<u8>,
    /// The sketches.
    pub sketches: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: String,
    objects: u64,
    sketches: Digest,
    gaps: Vec<Gap>,
}

/// The documents of a batch cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// They are not what a batch leaves. Nothing of them was taken.
    #[error("left a result that cannot be read: {0}")]
    Malformed(String),
    /// The medium failed.
    #[error("the results of the scan cannot be kept")]
    Medium(#[from] io::Error),
}

/// What to do about results that another version of Blackstart left.
fn another_layout(schema: &str) -> String {
    let schema = printable(schema);
    format!("it has the layout `{schema}`, and `{SCHEMA}` is read here: scan the logs again, with a new run")
}

fn key(sha256: &Digest) -> Key {
    let mut key = Key::default();
    // What is no digest is the same for all: they are then told apart by their text.
    if hex::decode_to_slice(sha256.as_str(), &mut key).is_err() {
        key = Key::default();
    }
    key
}

impl BatchResult {
    /// The documents of a batch with these objects. `gaps` is what could not be fetched.
    ///
    /// # Errors
    /// Never for facts made here; the serializer's error otherwise.
    pub fn of(objects: Vec<Swept>, mut gaps: Vec<Gap>) -> Result<Self, serde_json::Error> {
        gaps.sort();
        let mut objects: Vec<_> = objects
            .into_iter()
            .map(|swept| (key(&swept.facts.sha256), swept))
            .collect();
        objects.sort_by(|(a, one), (b, other)| (a, &one.facts.object).cmp(&(b, &other.facts.object)));
        let (mut framed, mut sketches) = (Vec::new(), Vec::new());
        for (key, swept) in &objects {
            frame(&mut framed, key, &serde_json::to_vec(&swept.facts)?);
            swept.sketch.write(&mut sketches);
        }
        let head = Head {
            schema: SCHEMA.to_owned(),
            objects: objects.len() as u64,
            sketches: Digest::of(&sketches),
            gaps,
        };
        let mut facts = serde_json::to_vec(&head)?;
        facts.push(b'\n');
        facts.append(&mut framed);
        Ok(Self { facts, sketches })
    }
}

impl BatchResult {
    /// The objects of the facts that a batch left, in their order.
    ///
    /// # Errors
    /// [`NotTaken::Malformed`] when they are something else.
    pub fn objects(facts: &[u8]) -> Result<Vec<ObjectFacts>, NotTaken> {
        let (_, framed) = head_and_frames(facts)?;
        let facts = frames(framed).map(|framed| {
            let (_, facts) = framed.ok_or_else(|| malformed("it is cut off"))?;
            serde_json::from_slice(facts).map_err(|error| NotTaken::Malformed(error.to_string()))
        });
        facts.collect()
    }
}

fn malformed(why: &str) -> NotTaken {
    NotTaken::Malformed(why.to_owned())
}

/// The first line, and what follows it.
fn head_and_frames(facts: &[u8]) -> Result<(Head, &[u8]), NotTaken> {
    let line = facts.iter().position(|b| *b == b'\n');
    let (line, framed) = facts.split_at(line.ok_or_else(|| malformed("it has no first line"))?);
    let head: Head = serde_json::from_slice(line).map_err(|error| NotTaken::Malformed(error.to_string()))?;
    if head.schema != SCHEMA {
        return Err(malformed(&another_layout(&head.schema)));
    }
    Ok((head, framed.get(1..).unwrap_or_default()))
}

/// What all batches left.
#[derive(Debug)]
pub struct Results<F> {
    facts: Segments<F>,
    sketches: F,
    /// Number of the first object of each batch.
    begins: Vec<u64>,
    objects: u64,
    gaps: Vec<Gap>,
}

impl<F: Read + Write + Seek> Results<F> {
    /// Nothing yet, to be kept on these two empty media.
    pub fn new(facts: F, sketches: F) -> Self {
        Self {
            facts: Segments::new(facts),
            sketches,
            begins: Vec::new(),
            objects: 0,
            gaps: Vec::new(),
        }
    }

    /// Takes what one batch left.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn take(&mut self, batch: &BatchResult) -> Result<(), NotTaken> {
        let (head, framed) = head_and_frames(&batch.facts)?;
        let mut before = Key::default();
        let mut found = 0;
        for framed in frames(framed) {
            let (key, facts) = framed.ok_or_else(|| malformed("it is cut off"))?;
            serde_json::from_slice::<ObjectFacts>(facts)
                .map_err(|error| NotTaken::Malformed(error.to_string()))?;
            if key < before {
                return Err(malformed("it is not sorted"));
            }
            (before, found) = (key, found + 1);
        }
        let mut left = batch.sketches.as_slice();
        for _ in 0..head.objects {
            Sketch::read(&mut left).map_err(|error| NotTaken::Malformed(error.to_string()))?;
        }
        if found != head.objects || !left.is_empty() || Digest::of(&batch.sketches) != head.sketches {
            return Err(malformed("it does not hold what its first line says"));
        }
        self.facts.push(framed)?;
        self.sketches.seek(SeekFrom::End(0))?;
        self.sketches.write_all(&batch.sketches)?;
        self.begins.push(self.objects);
        self.objects += head.objects;
        self.gaps.extend(head.gaps);
        Ok(())
    }

    /// What the batches could not fetch.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Objects, copies among them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.objects
    }

    /// Which of the batches that were taken holds the object with this number, counted from 0, and the object's number
    /// within it.
    #[must_use]
    pub fn place(&self, number: u64) -> Option<(usize, u32)> {
        let batch = self
            .begins
            .partition_point(|begin| *begin <= number)
            .checked_sub(1)?;
        let within = number.checked_sub(*self.begins.get(batch)?)?;
        Some((batch, u32::try_from(within).ok()?))
    }

    /// Every object with its number. Of objects with equal bytes the first by name comes alone.
    ///
    /// # Errors
    /// When the medium fails; the iterator ends with such an error.
    pub fn objects(&mut self) -> io::Result<Objects<'_, F>> {
        Ok(Objects(self.copies()?))
    }

    fn copies(&mut self) -> io::Result<Copies<'_, F>> {
        Ok(Copies {
            groups: self.facts.groups()?,
            begins: &self.begins,
        })
    }

    /// Hits and coverage of all objects. `audited`: log files are to be compared with digest files.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn case(&mut self, audited: bool) -> io::Result<Case> {
        let mut case = if audited { Case::audited() } else { Case::default() };
        for copies in self.copies()? {
            let mut copies = copies?.into_iter().map(|(_, facts)| facts);
            if let Some(facts) = copies.next() {
                case.add(facts);
            }
            copies.for_each(|facts| case.copy(facts));
        }
        Ok(case)
    }

    /// Turns the sketches round until the actors are found.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn trace(&mut self, mut pivot: Pivot) -> io::Result<Traced> {
        while {
            self.round(&mut pivot)?;
            pivot.turn()
        } {}
        Ok(pivot.finish())
    }

    fn round(&mut self, pivot: &mut Pivot) -> io::Result<()> {
        self.sketches.seek(SeekFrom::Start(0))?;
        let mut medium = io::BufReader::with_capacity(READ_AT_ONCE, &mut self.sketches);
        let mut bytes = Vec::new();
        for number in 0..self.objects {
            bytes.resize(Sketch::LENGTHS, 0);
            medium.read_exact(&mut bytes)?;
            let body = Sketch::length(&bytes).map_err(cut_off)?;
            bytes.resize(Sketch::LENGTHS + body, 0);
            if let Some(body) = bytes.get_mut(Sketch::LENGTHS..) {
                medium.read_exact(body)?;
            }
            let sketch = Sketch::read(&mut bytes.as_slice()).map_err(cut_off)?;
            pivot.see(number, &sketch);
        }
        Ok(())
    }
}

fn cut_off(error: CutOff) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, error)
}

/// Objects of equal bytes, together.
struct Copies<'r, F> {
    groups: Groups<'r, F>,
    begins: &'r [u64],
}

impl<F: Read + Seek> Iterator for Copies<'_, F> {
    type Item = io::Result<Vec<(u64, ObjectFacts)>>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = match self.groups.next()? {
            Ok(group) => group,
            Err(error) => return Some(Err(error)),
        };
        let copies: Result<Vec<_>, _> = group
            .into_iter()
            .map(|framed| {
                let begin = self.begins.get(framed.segment).copied().unwrap_or_default();
                serde_json::from_slice(&framed.content)
                    .map(|facts: ObjectFacts| (begin + framed.index, facts))
            })
            .collect();
        Some(copies.map_err(io::Error::from).map(|mut copies| {
            copies.sort_by(|(_, a), (_, b)| a.object.cmp(&b.object));
            copies
        }))
    }
}

/// Every object once.
#[expect(
    missing_debug_implementations,
    reason = "it reads from a medium that need not have any"
)]
pub struct Objects<'r, F>(Copies<'r, F>);

impl<F: Read + Seek> Iterator for Objects<'_, F> {
    type Item = io::Result<(u64, ObjectFacts)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0.next()? {
                Ok(copies) => {
                    if let Some(first) = copies.into_iter().next() {
                        return Some(Ok(first));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn results_of_another_version_are_not_read_and_the_way_out_is_said() {
        let mut batch = BatchResult::of(Vec::new(), Vec::new()).unwrap();
        let results = || Results::new(Cursor::new(Vec::new()), Cursor::new(Vec::new()));
        results().take(&batch).unwrap();
        let line = String::from_utf8(batch.facts).unwrap();
        batch.facts = line.replace(SCHEMA, "blackstart.scan/1").into_bytes();
        let refused = results().take(&batch).unwrap_err().to_string();
        assert!(
            refused.contains("`blackstart.scan/1`") && refused.contains("scan the logs again"),
            "{refused}"
        );
    }
}
