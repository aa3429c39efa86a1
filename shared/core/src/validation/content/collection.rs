//! All objects or items of one resource.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::formats;
use super::{Finding, LayerVerdict, ObjectFacts, Verdict, notes, shown};
use crate::artifact::Digest;
use crate::validation::{ContentEntry, ContentManifest};

/// How many findings are kept per resource, the worst first. All are counted.
const KEPT: usize = 20;

/// From how many renamed objects on a rename is a mass rename.
const MASS: u64 = 3;

/// Gathers what the scan of a resource says. The order in which objects arrive changes nothing.
#[derive(Debug, Clone)]
pub struct Collection {
    manifest: ContentManifest,
    bytes: u64,
    findings: BTreeSet<(Reverse<Verdict>, String, String)>,
    doubts: u64,
    renamed: BTreeMap<String, u64>,
    unreadable: u64,
}

impl Collection {
    /// Begins a resource of the plan.
    #[must_use]
    pub fn new(resource: &str) -> Self {
        Self {
            manifest: ContentManifest {
                resource: resource.to_owned(),
                entries: BTreeMap::new(),
            },
            bytes: 0,
            findings: BTreeSet::new(),
            doubts: 0,
            renamed: BTreeMap::new(),
            unreadable: 0,
        }
    }

    /// Takes an object.
    pub fn object(&mut self, facts: ObjectFacts) {
        if let Some(extension) = formats::renamed_to(&facts.key) {
            // Bounded, although names are hostile.
            if self.renamed.len() < 10_000 || self.renamed.contains_key(&extension) {
                let count = self.renamed.entry(extension).or_default();
                *count = count.saturating_add(1);
            }
        }
        for finding in facts.findings {
            self.found(&facts.key, finding);
        }
        self.entry(facts.key, facts.entry);
    }

    /// Takes an item of a table: its key and itself as canonical JSON, and what rules found in it.
    pub fn item(&mut self, key: String, item: &[u8], found: Vec<Finding>) {
        for finding in found {
            self.found(&key, finding);
        }
        if let Some(finding) = notes::judge("", item) {
            self.found(&key, finding);
        }
        let entry = ContentEntry {
            sha256: Digest::of(item),
            bytes: item.len() as u64,
            centibits: None,
        };
        self.entry(key, entry);
    }

    /// Takes note of an object that cannot be read.
    pub fn unreadable(&mut self, key: &str, why: &str) {
        self.unreadable = self.unreadable.saturating_add(1);
        let finding = Finding::new(Verdict::Unknown, format!("it cannot be read: {}", shown(why)));
        self.found(key, finding);
    }

    fn entry(&mut self, key: String, entry: ContentEntry) {
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.manifest.entries.insert(key, entry);
    }

    fn found(&mut self, key: &str, finding: Finding) {
        if finding.verdict != Verdict::Clean {
            self.doubts = self.doubts.saturating_add(1);
        }
        self.findings
            .insert((Reverse(finding.verdict), key.to_owned(), finding.what));
        if self.findings.len() > KEPT {
            self.findings.pop_last();
        }
    }

    /// The manifest, and the verdict of the content scan.
    #[must_use]
    pub fn finish(self) -> (ContentManifest, LayerVerdict) {
        let entries = self.manifest.entries.len();
        let mut said = LayerVerdict {
            verdict: Verdict::Clean,
            reasons: Vec::new(),
        };
        if entries == 0 {
            said = said.and(LayerVerdict::new(
                Verdict::Unknown,
                "the restored copy is empty: nothing was looked at",
            ));
        }
        if entries > 0 && self.bytes == 0 {
            said = said.and(LayerVerdict::new(
                Verdict::Unknown,
                format!("none of the {entries} entries holds a byte"),
            ));
        }
        for (extension, count) in self.renamed.iter().filter(|(_, count)| **count >= MASS) {
            let verdict = if formats::is_ransomware(extension) {
                Verdict::Tainted
            } else {
                Verdict::Unknown
            };
            said = said.and(LayerVerdict::new(
                verdict,
                format!(
                    "{count} files of known kinds were renamed to `.{}`",
                    shown(extension)
                ),
            ));
        }
        for (Reverse(verdict), key, what) in &self.findings {
            said = said.and(LayerVerdict::new(*verdict, format!("`{}`: {what}", shown(key))));
        }
        let kept = self
            .findings
            .iter()
            .filter(|(Reverse(verdict), ..)| *verdict != Verdict::Clean)
            .count() as u64;
        if self.doubts > kept {
            said.reasons.push(format!(
                "and {} more finding(s)",
                self.doubts.saturating_sub(kept)
            ));
        }
        said.reasons.push(format!(
            "{entries} entries, {} bytes read, {} unreadable",
            self.bytes, self.unreadable
        ));
        (self.manifest, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::content::ObjectScanner;
    use crate::validation::testing::random_bytes;

    fn scan(key: &str, bytes: &[u8]) -> ObjectFacts {
        let mut scanner = ObjectScanner::new(key);
        scanner.update(bytes);
        scanner.finish()
    }

    #[test]
    fn the_order_of_arrival_changes_nothing_and_reasons_are_bounded() {
        let facts: Vec<ObjectFacts> = (0..50)
            .map(|i| scan(&format!("{i}.csv.akira"), &random_bytes(i, 9000)))
            .collect();
        let mut forward = Collection::new("data");
        let mut backward = Collection::new("data");
        facts.iter().cloned().for_each(|facts| forward.object(facts));
        facts
            .iter()
            .rev()
            .cloned()
            .for_each(|facts| backward.object(facts));
        let (manifest, said) = forward.finish();
        assert_eq!((manifest.clone(), said.clone()), backward.finish());
        assert_eq!(manifest.entries.len(), 50);
        assert_eq!(said.verdict, Verdict::Tainted);
        assert!(said.reasons.len() <= KEPT + 3, "{}", said.reasons.len());
        assert!(said.reasons.iter().any(|r| r == "and 30 more finding(s)"));
    }

    #[test]
    fn an_empty_copy_and_an_unreadable_object_are_never_clean() {
        let (_, said) = Collection::new("data").finish();
        assert_eq!(said.verdict, Verdict::Unknown);
        let mut collection = Collection::new("data");
        collection.object(scan("a.txt", b""));
        collection.object(scan("b.txt", b""));
        let (_, said) = collection.clone().finish();
        assert_eq!(said.verdict, Verdict::Unknown);
        assert_eq!(said.reasons[0], "none of the 2 entries holds a byte");
        collection.object(scan("c.txt", b"hello"));
        assert_eq!(collection.finish().1.verdict, Verdict::Clean);
        let mut collection = Collection::new("data");
        collection.object(scan("a.txt", b"hello"));
        collection.unreadable("b.txt", "access denied");
        assert_eq!(collection.finish().1.verdict, Verdict::Unknown);
    }

    #[test]
    fn a_mass_rename_without_random_content_is_a_doubt() {
        let mut collection = Collection::new("data");
        for i in 0..3 {
            collection.object(scan(&format!("{i}.csv.k2x9"), b"id;total\n1;2\n"));
        }
        let (_, said) = collection.finish();
        assert_eq!(said.verdict, Verdict::Unknown);
        assert!(said.reasons[0].contains("renamed to `.k2x9`"));
    }

    #[test]
    fn a_note_inside_an_item_taints_the_table() {
        let mut collection = Collection::new("table");
        collection.item(
            "{\"id\":{\"S\":\"warning\"}}".to_owned(),
            b"{\"text\":{\"S\":\"Your data has been encrypted. To recover your data send 1 BTC\"}}",
            Vec::new(),
        );
        assert_eq!(collection.finish().1.verdict, Verdict::Tainted);
    }

    #[test]
    fn hostile_names_are_shown_harmless() {
        assert_eq!(shown("a\n`\u{202e}fdp.exe"), "a\\u{a}\\u{60}\\u{202e}fdp.exe");
        assert!(shown(&"x".repeat(5000)).chars().count() <= 121);
    }
}
