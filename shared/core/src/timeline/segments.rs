//! Sorted segments on a medium that is written once and read often: a merge of any size in little memory.
//!
//! Each segment is a row of frames in the order of their keys. Reading goes over all segments at once, and holds of each
//! no more than the key of its next frame.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// What segments are sorted by.
pub(super) type Key = [u8; 32];

/// Bytes of a frame before its content: key and length.
const HEAD: usize = 40;

/// Appends a frame: key, length of the content as 8 bytes with the least significant first, content.
pub(super) fn frame(to: &mut Vec<u8>, key: &Key, content: &[u8]) {
    to.extend_from_slice(key);
    to.extend_from_slice(&(content.len() as u64).to_le_bytes());
    to.extend_from_slice(content);
}

/// The frames of a segment that is in memory; nothing after one that is cut off.
pub(super) fn frames(mut left: &[u8]) -> impl Iterator<Item = Option<(Key, &[u8])>> {
    std::iter::from_fn(move || {
        if left.is_empty() {
            return None;
        }
        let frame = whole_frame(&mut left);
        if frame.is_none() {
            left = &[];
        }
        Some(frame)
    })
}

fn whole_frame<'f>(left: &mut &'f [u8]) -> Option<(Key, &'f [u8])> {
    let (head, rest) = left.split_first_chunk::<HEAD>()?;
    let (key, length) = parts(head);
    let content = rest.get(..usize::try_from(length).ok()?)?;
    *left = rest.get(content.len()..)?;
    Some((key, content))
}

fn parts(head: &[u8; HEAD]) -> (Key, u64) {
    let mut key = Key::default();
    let mut length = [0; 8];
    for (to, from) in key.iter_mut().chain(&mut length).zip(head) {
        *to = *from;
    }
    (key, u64::from_le_bytes(length))
}

/// Sorted segments.
#[derive(Debug)]
pub(super) struct Segments<F> {
    medium: F,
    segments: Vec<(u64, u64)>,
}

/// One frame of many segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Framed {
    /// Which segment it is of, from 0, in the order in which they were pushed.
    pub(super) segment: usize,
    /// Its index there.
    pub(super) index: u64,
    /// What it holds.
    pub(super) content: Vec<u8>,
}

impl<F: Read + Write + Seek> Segments<F> {
    pub(super) fn new(medium: F) -> Self {
        Self {
            medium,
            segments: Vec::new(),
        }
    }

    /// Appends a segment: frames in the order of their keys.
    pub(super) fn push(&mut self, frames: &[u8]) -> io::Result<()> {
        let from = self.medium.seek(SeekFrom::End(0))?;
        self.medium.write_all(frames)?;
        self.segments.push((from, from + frames.len() as u64));
        Ok(())
    }

    /// The frames of all segments in the order of their keys, those of one key together.
    pub(super) fn groups(&mut self) -> io::Result<Groups<'_, F>> {
        self.medium.flush()?;
        let mut groups = Groups {
            medium: &mut self.medium,
            cursors: Vec::with_capacity(self.segments.len()),
            next: BinaryHeap::with_capacity(self.segments.len()),
        };
        for (segment, (from, to)) in self.segments.iter().enumerate() {
            groups.cursors.push(Cursor {
                at: *from,
                to: *to,
                index: 0,
                length: 0,
            });
            if from < to {
                let mut head = [0; HEAD];
                groups.medium.seek(SeekFrom::Start(*from))?;
                groups.medium.read_exact(&mut head)?;
                groups.stand_at(segment, &head);
            }
        }
        Ok(groups)
    }
}

/// Where reading of a segment stands: before a frame whose content has this length.
#[derive(Debug)]
struct Cursor {
    at: u64,
    to: u64,
    index: u64,
    length: u64,
}

/// All frames, by key.
#[derive(Debug)]
pub(super) struct Groups<'m, F> {
    medium: &'m mut F,
    cursors: Vec<Cursor>,
    next: BinaryHeap<Reverse<(Key, usize)>>,
}

impl<F: Read + Seek> Groups<'_, F> {
    fn stand_at(&mut self, segment: usize, head: &[u8; HEAD]) {
        let (key, length) = parts(head);
        if let Some(cursor) = self.cursors.get_mut(segment) {
            cursor.length = length;
            self.next.push(Reverse((key, segment)));
        }
    }

    /// Reads the content at which a segment stands, and the head of the frame after it.
    fn read(&mut self, segment: usize) -> io::Result<Framed> {
        let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let cursor = self.cursors.get_mut(segment).ok_or_else(cut_off)?;
        let begin = cursor.at + HEAD as u64;
        let end = begin.checked_add(cursor.length).ok_or_else(cut_off)?;
        if end > cursor.to {
            return Err(cut_off());
        }
        let is_last = end == cursor.to;
        let ahead = if is_last { 0 } else { HEAD };
        let length = usize::try_from(cursor.length).map_err(|_| cut_off())?;
        let mut content = vec![0; length + ahead];
        let index = cursor.index;
        (cursor.at, cursor.index) = (end, index + 1);
        self.medium.seek(SeekFrom::Start(begin))?;
        self.medium.read_exact(&mut content)?;
        if let Some(head) = content.split_off(length).first_chunk::<HEAD>() {
            self.stand_at(segment, head);
        }
        Ok(Framed {
            segment,
            index,
            content,
        })
    }
}

impl<F: Read + Seek> Iterator for Groups<'_, F> {
    type Item = io::Result<Vec<Framed>>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((key, segment)) = self.next.pop()?;
        let mut group = Vec::with_capacity(1);
        let mut segment = Some(segment);
        while let Some(of) = segment.take() {
            match self.read(of) {
                Ok(framed) => group.push(framed),
                Err(error) => {
                    self.next.clear();
                    return Some(Err(error));
                }
            }
            if self.next.peek().is_some_and(|Reverse((next, _))| *next == key) {
                segment = self.next.pop().map(|Reverse((_, segment))| segment);
            }
        }
        Some(Ok(group))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Key {
        let mut key = Key::default();
        key[0] = number;
        key
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn every_frame_comes_once_in_the_order_of_keys_however_often_it_is_read(
            segments in prop::collection::vec(prop::collection::vec((0..6_u8, prop::collection::vec(any::<u8>(), 0..9)), 0..7), 0..6),
        ) {
            let mut stored = Segments::new(Cursor::new(Vec::new()));
            let mut expected = Vec::new();
            for (segment, frames_of) in segments.iter().enumerate() {
                let mut sorted = frames_of.clone();
                sorted.sort();
                let mut bytes = Vec::new();
                for (index, (number, content)) in (0..).zip(&sorted) {
                    frame(&mut bytes, &key(*number), content);
                    expected.push((*number, Framed { segment, index, content: content.clone() }));
                }
                let read: Vec<_> = frames(&bytes).map(|f| f.map(|(k, c)| (k[0], c.to_vec()))).collect();
                prop_assert_eq!(read, sorted.into_iter().map(Some).collect::<Vec<_>>());
                stored.push(&bytes).unwrap();
            }
            expected.sort_by_key(|(number, framed)| (*number, framed.segment, framed.index));
            for _ in 0..2 {
                let mut read = Vec::new();
                for group in stored.groups().unwrap() {
                    read.push(group.unwrap());
                }
                for group in &mut read {
                    group.sort_by_key(|framed| (framed.segment, framed.index));
                }
                let keys: std::collections::BTreeSet<u8> = expected.iter().map(|(number, _)| *number).collect();
                prop_assert_eq!(read.len(), keys.len());
                let flat: Vec<_> = read.into_iter().flatten().collect();
                prop_assert_eq!(flat, expected.iter().map(|(_, framed)| framed.clone()).collect::<Vec<_>>());
            }
        }

        #[test]
        fn a_cut_is_noticed(content in prop::collection::vec(any::<u8>(), 1..20), cut in 1..40_usize) {
            let mut bytes = Vec::new();
            frame(&mut bytes, &key(1), &content);
            frame(&mut bytes, &key(2), &content);
            bytes.truncate(bytes.len() - cut.min(HEAD + content.len() - 1));
            prop_assert_eq!(frames(&bytes).last(), Some(None));
            let mut stored = Segments::new(Cursor::new(Vec::new()));
            stored.push(&bytes).unwrap();
            let read: io::Result<Vec<_>> = stored.groups().and_then(Iterator::collect);
            prop_assert!(read.is_err());
        }
    }
}
