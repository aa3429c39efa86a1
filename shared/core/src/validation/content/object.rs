//! One object, while its bytes stream by.

use sha2::{Digest as _, Sha256};

use super::blocks::{BlockCounter, BlockStatistics};
use super::formats::{self, Promise};
use super::{Finding, SignatureScan, archives, notes};
use crate::artifact::Digest;
use crate::validation::{ContentEntry, Verdict};

/// How much of an object's end is kept, at least, to see whether its format is whole and how much it says it holds.
const TAIL: usize = 16 * 1024;

/// Within how many bytes of the end a format's ending must stand.
const ENDING: usize = 1024;

/// Share of random blocks from which an object as a whole counts as random.
const MOSTLY: f64 = 0.5;

/// Scans one object. Memory is bounded: a head, a tail and one block, and what the signatures hold.
#[derive(Debug)]
pub struct ObjectScanner {
    key: String,
    hash: Sha256,
    blocks: BlockCounter,
    head: Vec<u8>,
    /// Empty while the head holds everything.
    tail: Vec<u8>,
    signatures: Option<Box<dyn SignatureScan>>,
}

/// What the scan of one object says.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectFacts {
    /// Object key: hostile text.
    pub key: String,
    /// Its entry in the manifest.
    pub entry: ContentEntry,
    /// What its blocks look like.
    pub statistics: BlockStatistics,
    /// What speaks against it.
    pub findings: Vec<Finding>,
}

impl ObjectScanner {
    /// Begins an object.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            hash: Sha256::new(),
            blocks: BlockCounter::default(),
            head: Vec::new(),
            tail: Vec::new(),
            signatures: None,
        }
    }

    /// Applies these rules, too.
    #[must_use]
    pub fn with_signatures(self, scan: Box<dyn SignatureScan>) -> Self {
        Self {
            signatures: Some(scan),
            ..self
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.blocks.update(bytes);
        let missing = notes::HEAD.saturating_sub(self.head.len());
        let (first, beyond) = bytes.split_at(missing.min(bytes.len()));
        self.head.extend_from_slice(first);
        self.keep_tail(beyond);
        if let Some(signatures) = &mut self.signatures {
            signatures.update(bytes);
        }
    }

    /// Keeps the end of what comes after the head.
    fn keep_tail(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.tail.is_empty() {
            let last = self.head.len().saturating_sub(TAIL);
            self.tail
                .extend_from_slice(self.head.get(last..).unwrap_or_default());
        }
        let last = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        if last.len() < bytes.len() {
            self.tail.clear();
        }
        self.tail.extend_from_slice(last);
        // Moved only when twice as much has come together: small pieces would move the whole tail every time.
        if self.tail.len() > 2 * TAIL {
            let surplus = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..surplus);
        }
    }

    /// Ends the object and judges it.
    #[must_use]
    pub fn finish(self) -> ObjectFacts {
        let statistics = self.blocks.finish();
        // A small object is all head.
        let tail = if self.tail.is_empty() {
            &self.head
        } else {
            &self.tail
        };
        let mut findings = judge(&self.key, &statistics, &self.head, tail);
        findings.extend(self.signatures.map(SignatureScan::finish).into_iter().flatten());
        ObjectFacts {
            entry: ContentEntry {
                sha256: Digest::of_hash(self.hash),
                bytes: statistics.bytes,
                centibits: Some(centibits(statistics.entropy)),
            },
            key: self.key,
            statistics,
            findings,
        }
    }
}

fn judge(key: &str, statistics: &BlockStatistics, head: &[u8], tail: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (extension, inner) = formats::extensions(key);
    let promise = formats::promise(extension.as_deref());
    if statistics.bytes == 0 {
        if promise == Promise::Signed {
            findings.push(Finding::new(
                Verdict::Unknown,
                format!(
                    "it is empty, as no `.{}` is: cut off or wiped",
                    extension.as_deref().map(super::shown).unwrap_or_default()
                ),
            ));
        }
        return findings;
    }
    let format = formats::sniff(head);

    findings.extend(notes::judge(key, head));
    if is_eicar(head) {
        findings.push(Finding::new(
            Verdict::Tainted,
            "it is the EICAR malware test file",
        ));
    }
    if let Some(byte) = statistics.one_byte
        && statistics.bytes >= 16
        && matches!(promise, Promise::Text | Promise::Signed)
    {
        findings.push(Finding::new(
            Verdict::Tainted,
            format!("overwritten: every byte is 0x{byte:02x}"),
        ));
        return findings;
    }

    match format {
        Some(format) => {
            let end = tail.get(tail.len().saturating_sub(ENDING)..).unwrap_or_default();
            let whole = format
                .ending
                .is_none_or(|ending| memchr::memmem::find(end, ending).is_some());
            if !whole {
                findings.push(Finding::new(
                    Verdict::Unknown,
                    format!(
                        "it begins as {} but does not end as one: cut off or partly overwritten",
                        format.name
                    ),
                ));
            }
            if let Some(claimed) = archives::bomb(format, statistics.bytes, tail) {
                findings.push(Finding::new(
                    Verdict::Unknown,
                    format!(
                        "an archive of {} bytes that says it unpacks to {claimed} or more: a bomb, or cut off",
                        statistics.bytes
                    ),
                ));
            }
            if !format.dense && statistics.random > 0 {
                findings.push(Finding::new(
                    Verdict::Tainted,
                    format!("it begins as {} but {}", format.name, describe(statistics)),
                ));
            }
        }
        None => findings.extend(without_format(
            promise,
            extension.as_deref(),
            inner.as_deref(),
            statistics,
            head,
        )),
    }
    findings
}

/// An object whose beginning is no known format's.
fn without_format(
    promise: Promise,
    extension: Option<&str>,
    inner: Option<&str>,
    statistics: &BlockStatistics,
    head: &[u8],
) -> Option<Finding> {
    let mostly = statistics.random_share() >= MOSTLY && statistics.random > 0;
    let shown = extension.map(super::shown).unwrap_or_default();
    match promise {
        Promise::Text if statistics.random > 0 => Some(Finding::new(
            Verdict::Tainted,
            format!(
                "encrypted: text by its name (`.{shown}`), but {}",
                describe(statistics)
            ),
        )),
        Promise::Text if statistics.binary > 0 && !is_utf16(head) => Some(Finding::new(
            Verdict::Unknown,
            format!("damaged: text by its name (`.{shown}`), but it holds binary data"),
        )),
        Promise::Signed if mostly => Some(Finding::new(
            Verdict::Tainted,
            format!(
                "encrypted: it does not begin as `.{shown}` does, and {}",
                describe(statistics)
            ),
        )),
        Promise::Signed => Some(Finding::new(
            Verdict::Clean,
            format!("it does not begin as `.{shown}` does, but its bytes are not random"),
        )),
        Promise::Nothing if mostly => {
            let appended = formats::promise(inner) != Promise::Nothing;
            let hostile = extension.is_some_and(formats::is_ransomware);
            let (verdict, why) = if hostile {
                (
                    Verdict::Tainted,
                    "encrypted: an extension that ransomware appends, and",
                )
            } else if appended {
                (
                    Verdict::Tainted,
                    "encrypted: an unknown extension after a known one, and",
                )
            } else {
                (Verdict::Unknown, "encrypted or of an unknown format:")
            };
            Some(Finding::new(verdict, format!("{why} {}", describe(statistics))))
        }
        Promise::Opaque if mostly => Some(Finding::new(
            Verdict::Unknown,
            format!(
                "dense on purpose by its name (`.{shown}`), and without a signature: what is inside cannot be seen ({})",
                describe(statistics)
            ),
        )),
        Promise::Text | Promise::Nothing | Promise::Opaque => None,
    }
}

/// Bits per byte in hundredths, so that manifests compare exactly.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Shannon's entropy of bytes lies between 0 and 8"
)]
fn centibits(entropy: f64) -> u16 {
    (entropy.clamp(0.0, 8.0) * 100.0).round() as u16
}

fn describe(statistics: &BlockStatistics) -> String {
    format!(
        "{} of {} blocks are random, in {} stripe(s), {:.2} bits per byte",
        statistics.random, statistics.blocks, statistics.stripes, statistics.entropy
    )
}

fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff")
}

/// The test file of the European Institute for Computer Antivirus Research: 68 bytes at the very beginning.
///
/// Kept in two parts, so that no scanner takes this program for the test file.
fn is_eicar(head: &[u8]) -> bool {
    head.strip_prefix(br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-")
        .is_some_and(|rest| rest.starts_with(b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"))
}

#[cfg(test)]
mod tests;
