//! The rows of the timeline in their one order, however many there are.
//!
//! Rows are gathered, sorted in parts, and kept on a medium, a file as a rule; then all parts are merged into the JSON
//! lines and the table. Memory holds one part, or one row of each.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, Write};

use jiff::Timestamp;

use super::again::BatchAgain;
use super::rows::{CSV_HEAD, Row, csv_line, ordered};
use super::segments::{Framed, Key, Segments, frame};

/// Bytes of rows, about, that are sorted in memory.
const PART: usize = 8 << 20;

/// Bytes that a row takes beyond its texts, about.
const ROW: usize = 400;

/// Rows shown before and from the boundary on.
const ROWS_BEFORE: usize = 3;

const ROWS_FROM: usize = 7;

/// Rows that are being gathered.
#[derive(Debug)]
pub struct Sorted<F> {
    parts: Segments<F>,
    part: Vec<Row>,
    bytes: usize,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// The last few before an instant, and the first few from it on.
    pub around: Vec<Row>,
}

/// Where a row stands: its time, then the beginning of its id. Rows that share it are put in order by the rest.
fn key(row: &Row) -> Key {
    let mut key = Key::default();
    // With the sign turned, bytes are in the order of the numbers.
    let second = row.datetime.as_second().cast_unsigned() ^ (1 << 63);
    let nanosecond = row.datetime.subsec_nanosecond().cast_unsigned() ^ (1 << 31);
    let text = second
        .to_be_bytes()
        .into_iter()
        .chain(nanosecond.to_be_bytes())
        .chain(row.id.bytes());
    for (to, from) in key.iter_mut().zip(text) {
        *to = from;
    }
    key
}

/// The rows of one key, in their order.
fn rows_of(group: Vec<Framed>) -> Result<Vec<Row>, serde_json::Error> {
    let rows = group
        .into_iter()
        .map(|framed| serde_json::from_slice(&framed.content));
    Ok(ordered(rows.collect::<Result<_, _>>()?))
}

impl<F: Read + Write + Seek> Sorted<F> {
    /// No rows yet, to be kept on this empty medium.
    pub fn new(medium: F) -> Self {
        Self {
            parts: Segments::new(medium),
            part: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes rows in any order.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn extend(&mut self, rows: impl IntoIterator<Item = Row>) -> io::Result<()> {
        for row in rows {
            self.bytes += ROW
                + row.message.len()
                + row.principal.len()
                + row.event.len()
                + row.user_agent.len()
                + row.evidence.object.len();
            self.part.push(row);
            if self.bytes > PART {
                self.keep()?;
            }
        }
        Ok(())
    }

    /// Takes the rows that a batch left.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn take(&mut self, batch: &BatchAgain) -> io::Result<()> {
        self.parts.push(&batch.rows)
    }

    /// Appends all rows in their order, to be taken by another.
    ///
    /// # Errors
    /// When the medium fails.
    pub(super) fn run(mut self, to: &mut Vec<u8>) -> io::Result<()> {
        self.keep()?;
        for group in self.parts.groups()? {
            for row in rows_of(group?)? {
                frame(to, &key(&row), &serde_json::to_vec(&row)?);
            }
        }
        Ok(())
    }

    fn keep(&mut self) -> io::Result<()> {
        let mut frames = Vec::new();
        // What was delivered twice often lies in one part.
        for row in ordered(std::mem::take(&mut self.part)) {
            frame(&mut frames, &key(&row), &serde_json::to_vec(&row)?);
        }
        self.bytes = 0;
        self.parts.push(&frames)
    }

    /// Writes all rows in their order, as JSON lines and as a table, and drops what was delivered twice.
    ///
    /// # Errors
    /// When a medium fails.
    pub fn write(
        mut self,
        around: Option<Timestamp>,
        lines: &mut impl Write,
        table: &mut impl Write,
    ) -> io::Result<Written> {
        self.keep()?;
        let mut written = Written::default();
        let (mut before, mut from) = (VecDeque::new(), Vec::new());
        table.write_all(CSV_HEAD.as_bytes())?;
        for group in self.parts.groups()? {
            for row in rows_of(group?)? {
                serde_json::to_writer(&mut *lines, &row)?;
                lines.write_all(b"\n")?;
                table.write_all(csv_line(&row).as_bytes())?;
                written.rows += 1;
                match around {
                    Some(at) if row.datetime < at => {
                        before.push_back(row);
                        if before.len() > ROWS_BEFORE {
                            before.pop_front();
                        }
                    }
                    Some(_) if from.len() < ROWS_FROM => from.push(row),
                    Some(_) | None => {}
                }
            }
        }
        lines.flush()?;
        table.flush()?;
        written.around = before.into_iter().chain(from).collect();
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::timeline::rows::tests::row;
    use crate::timeline::rows::{csv, json_lines};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rows_in_parts_are_what_rows_in_memory_are(
            rows in proptest::collection::vec((0..6_u8, -3..4_i64, 0..4_u64), 0..40), parts in 1..6_usize,
        ) {
            let rows: Vec<_> = rows
                .iter()
                .map(|(id, time, record)| match id {
                    0 => row("", *time, "=x", *record),
                    // Longer than what a key holds of it.
                    id => row(&format!("arn:aws:guardduty:a-long-id-{id}"), i64::from(*id % 3), "x", *record),
                })
                .collect();
            let mut sorted = Sorted::new(Cursor::new(Vec::new()));
            for part in rows.chunks(rows.len().div_ceil(parts).max(1)) {
                sorted.extend(part.iter().cloned()).unwrap();
                sorted.keep().unwrap();
            }
            let (mut lines, mut table) = (Vec::new(), Vec::new());
            let at = Timestamp::from_second(1_700_000_001).unwrap();
            let written = sorted.write(Some(at), &mut lines, &mut table).unwrap();
            let expected = ordered(rows);
            prop_assert_eq!(&lines, &json_lines(&expected).unwrap());
            prop_assert_eq!(table, csv(&expected).into_bytes());
            prop_assert_eq!(written.rows, expected.len() as u64);
            let at = expected.partition_point(|row| row.datetime < at);
            let shown = expected.iter().skip(at.saturating_sub(ROWS_BEFORE)).take(at.min(ROWS_BEFORE) + ROWS_FROM);
            prop_assert!(written.around.iter().eq(shown));
        }
    }
}
