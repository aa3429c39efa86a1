//! CloudTrail digest files: do the log files lie where they were delivered, unchanged and complete?
//!
//! By the CloudTrail user guide, "CloudTrail digest file structure" and "Custom implementations of log file integrity
//! validation". A digest file lists the log files of about an hour with the SHA-256 of their inflated content, and
//! carries hash and signature of the digest file before it. Its own signature is in its object's metadata; that of
//! every other digest file is in its successor, so a copied folder can be checked all the same.
//!
//! The signature is `SHA256withRSA` (PKCS #1 v1.5) over five values; who holds the key is the caller's affair, see
//! [`Verify`].

mod file;

pub use file::{DigestFile, Listed, Previous, parse};

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::facts::{ObjectFacts, printable_up_to};
use super::forms::Form;
use super::{Gap, Unseen, delivery};
use crate::plan::DigestKey;

/// Verifies a signature: key, message, signature. The error says why the key cannot be used.
pub type Verify<'v> = dyn Fn(&DigestKey, &[u8], &[u8]) -> Result<bool, String> + 'v;

/// How long after a log file's time its digest file may still list it.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_hours(2);

/// What the digest files prove, and what they do not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Digest files whose hash and signature are right.
    pub signed: u64,
    /// Log files that lie unchanged where a signed digest file lists them.
    pub proven: u64,
    /// What was changed, is missing or was not recorded.
    pub unseen: Vec<Unseen>,
    /// What could not be checked.
    pub gaps: Vec<Gap>,
}

/// Checks all digest files among the facts of all objects.
///
/// Nothing among them is no finding: a trail need not have digest files.
#[must_use]
pub fn check(facts: &[ObjectFacts], keys: &[DigestKey], verify: &Verify<'_>) -> Checked {
    let mut checked = Checked::default();
    let mut chains = BTreeMap::<&str, BTreeMap<(Timestamp, &str), (&str, &DigestFile)>>::new();
    for object in facts {
        let Some(digest) = &object.sources.digest else {
            continue;
        };
        if is_elsewhere(&object.object, &digest.bucket, &digest.object) {
            checked.unseen.push(Unseen {
                from: digest.start,
                to: Some(digest.end),
                what: printable_up_to(&object.object, 300),
                why: "this digest file was moved from where it was delivered: it proves nothing".to_owned(),
            });
            continue;
        }
        chains
            .entry(digest.chain())
            .or_default()
            .insert((digest.end, &digest.object), (&object.object, digest));
    }
    let logs = Logs::of(facts);
    let listed: BTreeSet<&str> = chains
        .values()
        .flat_map(BTreeMap::values)
        .flat_map(|(_, digest)| &digest.logs)
        .map(|log| file_name(&log.object))
        .collect();
    for chain in chains.values() {
        let digests: Vec<_> = chain.values().copied().collect();
        check_chain(&digests, keys, verify, &logs, &mut checked);
        unlisted(&digests, facts, &listed, &mut checked);
    }
    checked.unseen.sort();
    checked.unseen.dedup();
    checked.gaps.sort();
    checked.gaps.dedup();
    checked
}

/// Whether an object was read from another place than the one it names itself. A copied folder keeps the file name.
fn is_elsewhere(name: &str, bucket: &str, key: &str) -> bool {
    match name.strip_prefix("s3://") {
        Some(place) => place != format!("{bucket}/{key}"),
        None => file_name(name) != file_name(key),
    }
}

fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The log objects that were read, by file name: names are unique, and a copied folder keeps them.
struct Logs<'f>(BTreeMap<&'f str, Vec<&'f ObjectFacts>>);

impl<'f> Logs<'f> {
    fn of(facts: &'f [ObjectFacts]) -> Self {
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for object in facts.iter().filter(|o| o.sources.form == Form::CloudTrail) {
            by_name.entry(file_name(&object.object)).or_default().push(object);
        }
        Self(by_name)
    }

    fn at(&self, listed: &Listed) -> Option<&'f ObjectFacts> {
        self.0
            .get(file_name(&listed.object))?
            .iter()
            .copied()
            .find(|object| !is_elsewhere(&object.object, &listed.bucket, &listed.object))
    }
}

fn check_chain(
    digests: &[(&str, &DigestFile)],
    keys: &[DigestKey],
    verify: &Verify<'_>,
    logs: &Logs<'_>,
    checked: &mut Checked,
) {
    let by_object: BTreeMap<&str, &DigestFile> = digests
        .iter()
        .map(|(_, digest)| (digest.object.as_str(), *digest))
        .collect();
    // The signature of each file by its key: from its own metadata, or from its successor.
    let mut signatures = BTreeMap::<&str, &str>::new();
    for (_, digest) in digests {
        if let Some(signature) = &digest.signature {
            signatures.insert(&digest.object, signature);
        }
        if let Some(previous) = &digest.previous {
            signatures.entry(&previous.object).or_insert(&previous.signature);
        }
    }
    let mut before: Option<&DigestFile> = None;
    for (name, digest) in digests {
        let mut unseen = |from: Timestamp, why: String| {
            checked.unseen.push(Unseen {
                from,
                to: Some(digest.end),
                what: printable_up_to(name, 300),
                why,
            });
        };
        if !digest.is_backfill()
            && let Some(before) = before
        {
            match &digest.previous {
                None => unseen(
                    before.end,
                    "the chain of digest files begins anew here: logging or its validation was off before"
                        .to_owned(),
                ),
                Some(previous) => match by_object.get(previous.object.as_str()) {
                    None => unseen(
                        before.end,
                        "the digest file before this one is missing".to_owned(),
                    ),
                    Some(known) if known.content.as_str() != previous.hash => unseen(
                        known.start,
                        "the digest file before this one was changed: its hash is another".to_owned(),
                    ),
                    Some(_) => {}
                },
            }
        }
        let signed = match signatures.get(digest.object.as_str()) {
            None => {
                checked.gaps.push(Gap {
                    what: printable_up_to(name, 300),
                    reason: "is the newest digest file of its trail: its signature is in its object's metadata, which was not at hand".to_owned(),
                });
                false
            }
            Some(signature) => match verified(digest, signature, keys, verify) {
                Ok(true) => true,
                Ok(false) => {
                    unseen(
                        digest.start,
                        "the signature of this digest file is wrong: it was changed".to_owned(),
                    );
                    false
                }
                Err(why) => {
                    checked.gaps.push(Gap {
                        what: printable_up_to(name, 300),
                        reason: format!("the signature of this digest file was not checked: {why}"),
                    });
                    false
                }
            },
        };
        checked.signed += u64::from(signed);
        for log in &digest.logs {
            let mut unseen = |why: &str| {
                checked.unseen.push(Unseen {
                    from: log.oldest.unwrap_or(digest.start),
                    to: log.newest.or(Some(digest.end)),
                    what: printable_up_to(&format!("s3://{}/{}", log.bucket, log.object), 300),
                    why: why.to_owned(),
                });
            };
            match logs.at(log).map(|object| &object.sources.content) {
                None => unseen("this log file is missing: a digest file lists it"),
                Some(None) => unseen("this log file could not be compared with its digest file"),
                Some(Some(content)) if content.as_str() != log.hash => {
                    unseen("this log file was changed: its digest file lists another hash");
                }
                Some(Some(_)) => checked.proven += u64::from(signed),
            }
        }
        if !digest.is_backfill() {
            before = Some(digest);
        }
    }
}

fn verified(
    digest: &DigestFile,
    signature: &str,
    keys: &[DigestKey],
    verify: &Verify<'_>,
) -> Result<bool, String> {
    if keys.is_empty() {
        return Err("no public key was given; `aws cloudtrail list-public-keys` prints them".to_owned());
    }
    let key = keys
        .iter()
        .find(|key| key.fingerprint == digest.fingerprint)
        .ok_or_else(|| {
            format!(
                "no public key with the fingerprint `{}` was given",
                printable_up_to(&digest.fingerprint, 64)
            )
        })?;
    let signature = hex::decode(signature).map_err(|_| "it is not hexadecimal".to_owned())?;
    verify(key, digest.signed_text().as_bytes(), &signature)
}

/// Log files in the middle of a chain's time that no digest file lists: somebody put them there.
fn unlisted(
    digests: &[(&str, &DigestFile)],
    facts: &[ObjectFacts],
    listed: &BTreeSet<&str>,
    checked: &mut Checked,
) {
    let (Some((_, first)), Some((_, last))) = (digests.first(), digests.last()) else {
        return;
    };
    let Some(chain) = delivery::parse(&first.object) else {
        return;
    };
    let (mut strange, mut example) = (0_u64, "");
    for object in facts.iter().filter(|o| o.sources.form == Form::CloudTrail) {
        let Some(found) = delivery::parse(&object.object) else {
            continue;
        };
        let in_time = found.from >= first.start
            && found
                .from
                .checked_add(LISTED_WITHIN)
                .is_ok_and(|latest| latest <= last.end);
        if in_time
            && found.service == "CloudTrail"
            && (found.account, found.region) == (chain.account, chain.region)
            && !listed.contains(file_name(&object.object))
        {
            strange += 1;
            if example.is_empty() || object.object.as_str() < example {
                example = &object.object;
            }
        }
    }
    if strange > 0 {
        checked.gaps.push(Gap {
            what: printable_up_to(example, 300),
            reason: format!(
                "{strange} log files, of which this is the first, are listed by no digest file: another trail without validation delivered them, or somebody put them there"
            ),
        });
    }
}

#[cfg(test)]
mod tests;
