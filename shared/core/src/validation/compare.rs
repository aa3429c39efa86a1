//! A resource's content beside that of an older point of the same resource that was found clean.

use super::content::shown;
use super::{ContentManifest, LayerVerdict, Verdict};

/// From this many hundredths of a bit per byte on, content is as dense as encrypted bytes are.
const DENSE: u16 = 720;

/// By how much the entropy of an object must have risen to count, in hundredths of a bit per byte. Text has some 450,
/// and no edit of a text adds so much.
const RISE: u16 = 150;

/// From how many objects of risen entropy on the change is an attack and no coincidence.
const MASS: usize = 3;

/// How many keys are told by name.
const NAMED: usize = 3;

/// What became of the entries of an older clean manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Entries of the older manifest.
    pub before: usize,
    /// Of these, how many have the same content.
    pub same: usize,
    /// How many have another content under the same key.
    pub changed: usize,
    /// How many are gone.
    pub gone: usize,
    /// How many entries are new.
    pub new: usize,
    /// Keys of changed entries whose bytes became dense.
    pub dense: Vec<String>,
    /// Keys that are gone while the same key with something appended is new: renamed.
    pub renamed: Vec<String>,
}

impl Comparison {
    /// Compares. Both are of the same resource; `older` was found clean.
    #[must_use]
    pub fn of(older: &ContentManifest, newer: &ContentManifest) -> Self {
        let mut seen = Self {
            before: older.entries.len(),
            ..Self::default()
        };
        for (key, was) in &older.entries {
            match newer.entries.get(key) {
                Some(is) if is.sha256 == was.sha256 => seen.same += 1,
                Some(is) => {
                    seen.changed += 1;
                    let rose = was.centibits.zip(is.centibits).is_some_and(|(was, is)| {
                        is >= DENSE.min(densest(newer, key)) && is >= was.saturating_add(RISE)
                    });
                    if rose {
                        seen.dense.push(key.clone());
                    }
                }
                None => {
                    seen.gone += 1;
                    if has_appended(older, newer, key) {
                        seen.renamed.push(key.clone());
                    }
                }
            }
        }
        seen.new = newer
            .entries
            .keys()
            .filter(|key| !older.entries.contains_key(*key))
            .count();
        seen
    }

    /// Entries that changed or are gone, in percent of those that there were, rounded down.
    #[must_use]
    pub fn lost_percent(&self) -> u64 {
        let lost = self.changed.saturating_add(self.gone);
        let whole = self.before.max(1);
        u64::try_from(lost.saturating_mul(100) / whole).unwrap_or(u64::MAX)
    }

    /// What it means. Dense or renamed objects in numbers are tainted; a loss beyond the plan's limit is a doubt.
    #[must_use]
    pub fn judge(&self, max_changed_percent: u8, source: &str) -> LayerVerdict {
        let figures = format!(
            "beside {source}: of {} entries {} are the same, {} changed, {} are gone; {} are new",
            self.before, self.same, self.changed, self.gone, self.new
        );
        let mut said = LayerVerdict::new(Verdict::Clean, figures);
        for (what, keys) in [
            ("turned dense", &self.dense),
            ("were renamed by appending to their names", &self.renamed),
        ] {
            if keys.is_empty() {
                continue;
            }
            let verdict = if keys.len() >= MASS {
                Verdict::Tainted
            } else {
                Verdict::Unknown
            };
            let named: Vec<String> = keys
                .iter()
                .take(NAMED)
                .map(|key| format!("`{}`", shown(key)))
                .collect();
            said = said.and(LayerVerdict::new(
                verdict,
                format!(
                    "{} entries {what} since {source}, for example {}",
                    keys.len(),
                    named.join(", ")
                ),
            ));
        }
        if self.lost_percent() > u64::from(max_changed_percent) {
            said = said.and(LayerVerdict::new(
                Verdict::Unknown,
                format!(
                    "{} % of the entries changed or are gone, the plan expects at most {max_changed_percent} %",
                    self.lost_percent()
                ),
            ));
        }
        said
    }
}

/// The highest entropy that an object of its length can have, less a quarter bit.
///
/// A short object is never as dense as a long one: n bytes hold at most log2 n bits of entropy each.
fn densest(newer: &ContentManifest, key: &str) -> u16 {
    let bytes = newer.entries.get(key).map_or(0, |entry| entry.bytes);
    let bits = u16::try_from(bytes.max(1).ilog2()).unwrap_or(8).min(8);
    bits.saturating_mul(100).saturating_sub(25)
}

/// Whether a key that the older manifest lacks is this one with something appended, as in `a.csv.locked`.
fn has_appended(older: &ContentManifest, newer: &ContentManifest, key: &str) -> bool {
    let appended = format!("{key}.");
    newer
        .entries
        .range(appended.clone()..)
        .map(|(candidate, _)| candidate)
        .take_while(|candidate| candidate.starts_with(&appended))
        .any(|candidate| !older.entries.contains_key(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::content::{Collection, ObjectScanner};
    use crate::validation::testing::random_bytes;

    fn manifest(objects: &[(String, Vec<u8>)]) -> ContentManifest {
        let mut collection = Collection::new("data");
        for (key, bytes) in objects {
            let mut scanner = ObjectScanner::new(key);
            scanner.update(bytes);
            collection.object(scanner.finish());
        }
        collection.finish().0
    }

    fn texts(count: usize) -> Vec<(String, Vec<u8>)> {
        (0..count)
            .map(|i| {
                (
                    format!("{i:03}.dat"),
                    format!("order {i}; Ada Lovelace; 12.50\n")
                        .repeat(40)
                        .into_bytes(),
                )
            })
            .collect()
    }

    fn verdict(older: &[(String, Vec<u8>)], newer: &[(String, Vec<u8>)]) -> (Verdict, String) {
        let said = Comparison::of(&manifest(older), &manifest(newer)).judge(50, "an older point");
        (said.verdict, said.reasons.join(" | "))
    }

    #[test]
    fn ordinary_work_is_clean_and_told_in_figures() {
        let older = texts(20);
        let mut newer = older.clone();
        newer.remove(0);
        for (_, bytes) in newer.iter_mut().take(5) {
            bytes.extend(b"one more line\n");
        }
        newer.push(("new.dat".to_owned(), b"new".to_vec()));
        let (verdict, reasons) = verdict(&older, &newer);
        assert_eq!(verdict, Verdict::Clean, "{reasons}");
        assert!(
            reasons.contains("of 20 entries 14 are the same, 5 changed, 1 are gone; 1 are new"),
            "{reasons}"
        );
    }

    #[test]
    fn objects_that_turned_dense_under_their_names_are_an_attack_from_the_third_on() {
        for length in [120, 1600, 50_000] {
            let older = texts(20);
            let mut newer = older.clone();
            for count in 1..=3 {
                newer[count].1 = random_bytes(count as u64, length);
                let expected = if count < 3 {
                    Verdict::Unknown
                } else {
                    Verdict::Tainted
                };
                let (verdict, reasons) = verdict(&older, &newer);
                assert_eq!(verdict, expected, "{count} of {length} bytes: {reasons}");
            }
        }
    }

    #[test]
    fn what_was_dense_before_may_change() {
        let dense: Vec<_> = (0..9)
            .map(|i| (format!("{i}.bin"), random_bytes(i, 9000)))
            .collect();
        let mut newer = dense.clone();
        for (i, (_, bytes)) in newer.iter_mut().take(4).enumerate() {
            *bytes = random_bytes(100 + i as u64, 9000);
        }
        assert_eq!(verdict(&dense, &newer).0, Verdict::Clean);
    }

    #[test]
    fn a_mass_rename_is_seen_without_looking_at_a_byte() {
        let older = texts(20);
        let mut newer = older.clone();
        for (key, _) in newer.iter_mut().take(3) {
            key.push_str(".k2x9");
        }
        let (verdict, reasons) = verdict(&older, &newer);
        assert_eq!(verdict, Verdict::Tainted);
        assert!(reasons.contains("`000.dat`"), "{reasons}");
    }

    #[test]
    fn a_loss_beyond_the_limit_is_a_doubt() {
        let older = texts(20);
        let comparison = |kept: usize| Comparison::of(&manifest(&older), &manifest(&texts(kept)));
        assert_eq!(comparison(10).judge(50, "x").verdict, Verdict::Clean);
        assert_eq!(comparison(9).judge(50, "x").verdict, Verdict::Unknown);
        assert_eq!(comparison(9).judge(100, "x").verdict, Verdict::Clean);
        assert_eq!(
            Comparison::of(&manifest(&[]), &manifest(&older)).lost_percent(),
            0
        );
    }
}
