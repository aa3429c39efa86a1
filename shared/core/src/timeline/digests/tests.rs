use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::artifact::Digest;
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
