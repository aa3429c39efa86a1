//! CloudTrail digest files: do the log files lie where they were delivered, unchanged and complete?
//!
//! By the CloudTrail user guide, "CloudTrail digest file structure" and "Custom implementations of log file integrity
//! validation". A digest file lists the log files of about an hour with the SHA-256 of their inflated content, and
//! carries hash and signature of the digest file before it. Its own signature is in its object's metadata; that of
//! every other digest file is in its successor, so a copied folder can be checked all the same.
//!
//! The signature is `SHA256withRSA` (PKCS #1 v1.5) over five values; who holds the key is the caller's affair, see
//! [`Verify`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::cloudtrail::parse_time;
use super::facts::{ObjectFacts, printable_up_to};
use super::forms::Form;
use super::{Gap, Unseen, delivery};
use crate::artifact::Digest;
use crate::plan::DigestKey;

/// Verifies a signature: key, message, signature. The error says why the key cannot be used.
pub type Verify<'v> = dyn Fn(&DigestKey, &[u8], &[u8]) -> Result<bool, String> + 'v;

/// How long after a log file's time its digest file may still list it.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_hours(2);

/// One digest file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestFile {
    /// Beginning of the period whose deliveries it lists.
    pub start: Timestamp,
    /// End of that period as written, for the signature.
    pub end_text: String,
    /// End of that period.
    pub end: Timestamp,
    /// Bucket that it was delivered to.
    pub bucket: String,
    /// Key that it was delivered under.
    pub object: String,
    /// Fingerprint of the key that signed it.
    pub fingerprint: String,
    /// Digest of its inflated content.
    pub content: Digest,
    /// The digest file before it; absent where a chain begins.
    pub previous: Option<Previous>,
    /// The log files it lists.
    pub logs: Vec<Listed>,
    /// Its own signature in hexadecimal, where the object's metadata were at hand.
    pub signature: Option<String>,
}

/// What a digest file says of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Key.
    pub object: String,
    /// Hexadecimal SHA-256 of the inflated content.
    pub hash: String,
    /// Hexadecimal signature.
    pub signature: String,
}

/// A log file that a digest file lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub object: String,
    /// Hexadecimal SHA-256 of the inflated content.
    pub hash: String,
    /// Time of its first event.
    pub oldest: Option<Timestamp>,
    /// Time of its last event.
    pub newest: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    digest_start_time: String,
    digest_end_time: String,
    digest_s3_bucket: String,
    digest_s3_object: String,
    #[serde(default)]
    digest_public_key_fingerprint: String,
    #[serde(default)]
    digest_signature_algorithm: String,
    previous_digest_s3_object: Option<String>,
    previous_digest_hash_value: Option<String>,
    previous_digest_hash_algorithm: Option<String>,
    previous_digest_signature: Option<String>,
    #[serde(default)]
    log_files: Vec<RawLog>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    s3_bucket: String,
    s3_object: String,
    hash_value: String,
    hash_algorithm: String,
    #[serde(default)]
    oldest_event_time: Option<String>,
    #[serde(default)]
    newest_event_time: Option<String>,
}

/// Reads one digest file.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse(content: &[u8]) -> Result<DigestFile, String> {
    let raw: Raw =
        serde_json::from_slice(content).map_err(|error| format!("not a CloudTrail digest file: {error}"))?;
    let time = |text: &str| parse_time(text).ok_or("the digest file has no time");
    for algorithm in raw
        .previous_digest_hash_algorithm
        .iter()
        .chain(raw.log_files.iter().map(|log| &log.hash_algorithm))
    {
        if algorithm != "SHA-256" {
            return Err(format!(
                "the digest file uses the hash `{}`, which is not checked here",
                printable_up_to(algorithm, 40)
            ));
        }
    }
    if raw.digest_signature_algorithm != "SHA256withRSA" {
        return Err(format!(
            "the digest file uses the signature `{}`, which is not checked here",
            printable_up_to(&raw.digest_signature_algorithm, 40)
        ));
    }
    let previous = match (
        raw.previous_digest_s3_object,
        raw.previous_digest_hash_value,
        raw.previous_digest_signature,
    ) {
        (Some(object), Some(hash), Some(signature)) => Some(Previous {
            object,
            hash,
            signature,
        }),
        (None, None, None) => None,
        _ => return Err("the digest file names the one before it only in part".to_owned()),
    };
    Ok(DigestFile {
        start: time(&raw.digest_start_time)?,
        end: time(&raw.digest_end_time)?,
        end_text: raw.digest_end_time,
        bucket: raw.digest_s3_bucket,
        object: raw.digest_s3_object,
        fingerprint: raw.digest_public_key_fingerprint,
        content: Digest::of(content),
        previous,
        logs: raw
            .log_files
            .into_iter()
            .map(|log| Listed {
                bucket: log.s3_bucket,
                object: log.s3_object,
                hash: log.hash_value,
                oldest: log.oldest_event_time.as_deref().and_then(parse_time),
                newest: log.newest_event_time.as_deref().and_then(parse_time),
            })
            .collect(),
        signature: None,
    })
}

impl DigestFile {
    /// What its signature signs.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let previous = self.previous.as_ref().map_or("null", |p| p.signature.as_str());
        format!(
            "{}\n{}/{}\n{}\n{previous}",
            self.end_text,
            self.bucket,
            self.object,
            self.content.as_str()
        )
    }

    /// The trail and region whose chain it belongs to: its key without the time.
    fn chain(&self) -> &str {
        let file = self.object.rfind('_').and_then(|i| self.object.get(..i));
        let folder = file.and_then(|file| file.rsplit_once('/')).map(|(_, name)| name);
        folder.unwrap_or(&self.object)
    }

    /// Late deliveries, which no chain connects.
    fn is_backfill(&self) -> bool {
        self.object.contains("_backfill")
    }
}

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
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::timeline::facts::{Kind, Reader};
    use crate::timeline::indicator::Table;

    const BUCKET: &str = "audit";

    /// Objects by key, before they are read.
    type Bucket = BTreeMap<String, Vec<u8>>;

    /// In these tests the hash of key and text stands for a signature.
    fn sign(text: &str) -> String {
        Digest::of(format!("key{text}").as_bytes()).as_str().to_owned()
    }

    fn verify(key: &DigestKey, text: &[u8], signature: &[u8]) -> Result<bool, String> {
        let text = [key.value.as_bytes(), text].concat();
        Ok(Digest::of(&text).as_str() == hex::encode(signature))
    }

    fn keys() -> Vec<DigestKey> {
        vec![DigestKey {
            fingerprint: "f1".to_owned(),
            value: "key".to_owned(),
        }]
    }

    fn digest_key(hour: usize) -> String {
        format!(
            "AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/03/04/111122223333_CloudTrail-Digest_eu-central-1_audit_eu-central-1_20260304T{:02}0000Z.json.gz",
            hour + 1
        )
    }

    fn log_key(hour: usize, number: usize) -> String {
        format!(
            "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/03/04/111122223333_CloudTrail_eu-central-1_20260304T{hour:02}{number:02}Z_x{hour}y{number}.json.gz"
        )
    }

    /// A trail of some hours with two log files each.
    fn trail(hours: usize) -> Bucket {
        let mut bucket = Bucket::new();
        let mut previous: Option<(String, String, String)> = None;
        for hour in 0..hours {
            let mut files = Vec::new();
            for number in 0..2 {
                let at = format!("2026-03-04T{hour:02}:{number:02}:00Z");
                let content = json!({"Records": [{"eventID": format!("{hour}-{number}"), "eventName": "A", "eventTime": at}]}).to_string();
                files.push(json!({"s3Bucket": BUCKET, "s3Object": log_key(hour, number), "hashAlgorithm": "SHA-256",
                    "hashValue": Digest::of(content.as_bytes()).as_str(), "oldestEventTime": at, "newestEventTime": at}));
                bucket.insert(log_key(hour, number), content.into_bytes());
            }
            let digest = json!({"digestStartTime": format!("2026-03-04T{hour:02}:00:00Z"),
                "digestEndTime": format!("2026-03-04T{:02}:00:00Z", hour + 1),
                "digestS3Bucket": BUCKET, "digestS3Object": digest_key(hour), "digestPublicKeyFingerprint": "f1",
                "digestSignatureAlgorithm": "SHA256withRSA",
                "previousDigestS3Object": previous.as_ref().map(|p| &p.0), "previousDigestHashValue": previous.as_ref().map(|p| &p.1),
                "previousDigestHashAlgorithm": previous.as_ref().map(|_| "SHA-256"),
                "previousDigestSignature": previous.as_ref().map(|p| &p.2), "logFiles": files})
            .to_string();
            let signature = sign(&parse(digest.as_bytes()).unwrap().signed_text());
            let hash = Digest::of(digest.as_bytes()).as_str().to_owned();
            previous = Some((digest_key(hour), hash, signature));
            bucket.insert(digest_key(hour), digest.into_bytes());
        }
        bucket
    }

    fn facts(bucket: &Bucket, name: impl Fn(&str) -> String) -> Vec<ObjectFacts> {
        let reader = Reader {
            hash_content: true,
            ..Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap())
        };
        bucket
            .iter()
            .map(|(key, bytes)| reader.read(&name(key), bytes, Kind::CloudTrail))
            .collect()
    }

    fn checked(bucket: &Bucket) -> Checked {
        check(
            &facts(bucket, |key| format!("s3://{BUCKET}/{key}")),
            &keys(),
            &verify,
        )
    }

    fn change(bucket: &mut Bucket, key: &str, from: &str, to: &str) {
        let text = String::from_utf8(bucket[key].clone()).unwrap();
        assert!(text.contains(from));
        bucket.insert(key.to_owned(), text.replacen(from, to, 1).into_bytes());
    }

    #[test]
    fn an_untouched_trail_is_proven_but_for_its_newest_digest() {
        for name in [
            |key: &str| format!("s3://{BUCKET}/{key}"),
            |key: &str| format!("copy/{key}"),
        ] {
            let checked = check(&facts(&trail(3), name), &keys(), &verify);
            assert_eq!((checked.signed, checked.proven), (2, 4));
            assert!(checked.unseen.is_empty(), "{:?}", checked.unseen);
            assert_eq!(checked.gaps.len(), 1);
            assert!(checked.gaps[0].reason.contains("newest"));
        }
    }

    #[test]
    fn the_signature_out_of_the_metadata_proves_the_newest_too() {
        let mut facts = facts(&trail(1), |key| format!("s3://{BUCKET}/{key}"));
        for object in &mut facts {
            if let Some(digest) = &mut object.sources.digest {
                digest.signature = Some(sign(&digest.signed_text()));
            }
        }
        let checked = check(&facts, &keys(), &verify);
        assert_eq!((checked.signed, checked.proven), (1, 2));
        assert!(checked.unseen.is_empty() && checked.gaps.is_empty());
    }

    #[test]
    fn whatever_an_intruder_does_to_it_is_seen() {
        type Case<'c> = (&'c str, &'c dyn Fn(&mut Bucket), &'c str);
        let cases: &[Case<'_>] = &[
            (
                "a log file changed",
                &|b| change(b, &log_key(1, 0), "1-0", "1-9"),
                "this log file was changed",
            ),
            (
                "a log file deleted",
                &|b| drop(b.remove(&log_key(1, 0))),
                "this log file is missing",
            ),
            (
                "a digest changed",
                &|b| change(b, &digest_key(1), "2026-03-04T01:00:00Z", "2026-03-04T01:00:01Z"),
                "signature of this digest file is wrong",
            ),
            (
                "a digest deleted",
                &|b| drop(b.remove(&digest_key(1))),
                "the digest file before this one is missing",
            ),
            (
                "a listing cut out of a digest",
                &|b| {
                    let mut digest: Value = serde_json::from_slice(&b[&digest_key(1)]).unwrap();
                    digest["logFiles"].as_array_mut().unwrap().remove(0);
                    b.insert(digest_key(1), digest.to_string().into_bytes());
                    b.remove(&log_key(1, 0));
                },
                "its hash is another",
            ),
            (
                "a digest moved",
                &|b| {
                    let digest = b.remove(&digest_key(1)).unwrap();
                    b.insert(
                        digest_key(1).replace("eu-central-1/2026", "eu-west-1/2026"),
                        digest,
                    );
                },
                "was moved",
            ),
            (
                "logging off for an hour",
                &|b| {
                    let mut digest: Value = serde_json::from_slice(&b[&digest_key(2)]).unwrap();
                    for field in [
                        "previousDigestS3Object",
                        "previousDigestHashValue",
                        "previousDigestHashAlgorithm",
                        "previousDigestSignature",
                    ] {
                        digest[field] = Value::Null;
                    }
                    b.insert(digest_key(2), digest.to_string().into_bytes());
                },
                "begins anew",
            ),
        ];
        for (what, act, expected) in cases {
            let mut bucket = trail(4);
            act(&mut bucket);
            let checked = checked(&bucket);
            assert!(
                checked.unseen.iter().any(|u| u.why.contains(expected)),
                "{what}: {:?}",
                checked.unseen
            );
            let earliest = checked.unseen.iter().map(|u| u.from).min().unwrap();
            assert!(
                earliest <= "2026-03-04T02:00:00Z".parse().unwrap(),
                "{what}: {earliest}"
            );
        }
    }

    #[test]
    fn a_log_file_that_nobody_lists_is_said() {
        let mut bucket = trail(5);
        let text = bucket[&log_key(1, 0)].clone();
        bucket.insert(log_key(1, 30), text);
        let reasons: Vec<_> = checked(&bucket).gaps.into_iter().map(|g| g.reason).collect();
        assert!(
            reasons.iter().any(|r| r.contains("are listed by no digest file")),
            "{reasons:?}"
        );
    }

    #[test]
    fn without_the_key_nothing_is_proven_and_that_is_said() {
        let facts = facts(&trail(2), |key| key.to_owned());
        for keys in [
            Vec::new(),
            vec![DigestKey {
                fingerprint: "other".to_owned(),
                value: "key".to_owned(),
            }],
        ] {
            let checked = check(&facts, &keys, &verify);
            assert_eq!((checked.signed, checked.proven), (0, 0));
            assert_eq!(checked.gaps.len(), 2, "{:?}", checked.gaps);
        }
        let other = vec![DigestKey {
            fingerprint: "f1".to_owned(),
            value: "forged".to_owned(),
        }];
        assert!(check(&facts, &other, &verify).unseen[0].why.contains("is wrong"));
    }

    #[test]
    fn what_is_no_digest_file_is_said() {
        for (text, part) in [
            (
                "{\"digestEndTime\":\"x\",\"digestS3Object\":\"y\"}",
                "not a CloudTrail digest file",
            ),
            ("7", "not a CloudTrail digest file"),
        ] {
            assert!(parse(text.as_bytes()).unwrap_err().contains(part));
        }
        let whole = String::from_utf8(trail(2)[&digest_key(1)].clone()).unwrap();
        for (from, to, part) in [
            ("SHA-256", "MD5", "the hash `MD5`"),
            ("SHA256withRSA", "none", "the signature `none`"),
            ("2026-03-04T01:00:00Z", "soon", "no time"),
            ("\"previousDigestHashValue\"", "\"x\"", "only in part"),
        ] {
            assert!(
                parse(whole.replace(from, to).as_bytes())
                    .unwrap_err()
                    .contains(part),
                "{part}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_change_of_a_byte_is_proven(object in 0..6_usize, place in any::<prop::sample::Index>(), value in any::<u8>()) {
            // Three hours; the newest digest and its log files are bound by nothing yet.
            let mut bucket = trail(3);
            let keys: Vec<_> = bucket.keys().filter(|k| !k.contains("T0300") && !k.contains("T02")).cloned().chain([digest_key(1)]).collect();
            let key = &keys[object % keys.len()];
            let bytes = bucket.get_mut(key).unwrap();
            let at = place.index(bytes.len());
            prop_assume!(bytes[at] != value);
            bytes[at] = value;
            let facts = facts(&bucket, |key| format!("s3://{BUCKET}/{key}"));
            let checked = check(&facts, &self::keys(), &verify);
            let unread = facts.iter().any(|o| !o.problems.is_empty());
            prop_assert!(unread || !checked.unseen.is_empty(), "{key} {at}: {checked:?}");
        }

        #[test]
        fn order_changes_nothing(turn in 0..9_usize) {
            let mut facts = facts(&trail(3), |key| key.to_owned());
            let expected = check(&facts, &keys(), &verify);
            let turn = turn % facts.len();
            facts.rotate_left(turn);
            prop_assert_eq!(check(&facts, &keys(), &verify), expected);
        }
    }
}
