//! Whatever is delivered instead of a log: it is said in the coverage, and hides nothing else.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its data has failed")]

use std::io::Write as _;

use blackstart_core::timeline::boundary::{Established, establish};
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::{BoundaryDocument, Gap};
use jiff::Timestamp;
use serde_json::{Value, json};

fn reader() -> Reader {
    Reader::new(Table::default(), "2026-03-01T00:00:00Z".parse().unwrap())
}

fn read(name: &str, bytes: &[u8]) -> ObjectFacts {
    reader().read(name, bytes, Kind::CloudTrail)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(id: &str, time: &str, name: &str) -> Value {
    json!({"eventID": id, "eventTime": time, "eventSource": "cloudtrail.amazonaws.com", "eventName": name,
        "recipientAccountId": "111111111111", "sourceIPAddress": "198.51.100.7",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111111111111:user/u", "accessKeyId": "AKIA1"},
        "requestParameters": {"name": "trail"}})
}

fn object(records: &[Value]) -> Vec<u8> {
    json!({ "Records": records }).to_string().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut stored = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut stored).unwrap();
    stored.truncate(length);
    stored
}

/// The document over one good object with a hostile record, and these.
fn beside_a_good_object(others: Vec<ObjectFacts>) -> BoundaryDocument {
    let good = read(
        "good",
        &object(&[record("good", "2026-02-01T00:00:00Z", "StopLogging")]),
    );
    let Established { document, .. } = establish(&[vec![good], others].concat(), &[], &[]);
    document
}

fn gap_of<'d>(document: &'d BoundaryDocument, what: &str) -> Vec<&'d Gap> {
    document
        .coverage
        .gaps
        .iter()
        .filter(|gap| gap.what == what)
        .collect()
}

#[test]
fn what_cannot_be_read_is_a_gap_with_its_reason_and_hides_nothing_else() {
    let stored = gzip(&object(&[record("e", "2026-01-01T00:00:00Z", "StopLogging")]));
    let mut flipped = stored.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let mut doubled = stored.clone();
    doubled.extend(gzip(&object(&[record(
        "f",
        "2026-01-02T00:00:00Z",
        "DescribeTrails",
    )])));
    let cases: [(&str, Vec<u8>, &str); 9] = [
        (
            "truncated",
            stored[..stored.len() / 2].to_vec(),
            "truncated or damaged",
        ),
        ("header only", stored[..4].to_vec(), "truncated or damaged"),
        ("damaged", flipped, "truncated or damaged"),
        ("two members", doubled, "more than one gzip member"),
        ("empty", Vec::new(), "empty"),
        (
            "not JSON",
            b"<?xml version=\"1.0\"?><Error>AccessDenied</Error>".to_vec(),
            "not CloudTrail records",
        ),
        (
            "not UTF-8",
            b"{\"Records\":[{\"eventName\":\"\xff\xfe\"}]}".to_vec(),
            "",
        ),
        (
            "another document",
            b"{\"configurationItems\":[]}".to_vec(),
            "not CloudTrail records",
        ),
        ("deep", "[".repeat(100_000).into_bytes(), "not CloudTrail records"),
    ];
    for (name, bytes, reason) in cases {
        let document = beside_a_good_object(vec![read(name, &bytes)]);
        assert_eq!(
            document.boundary.as_ref().unwrap().best,
            at("2026-02-01T00:00:00Z"),
            "{name}"
        );
        let gaps = gap_of(&document, name);
        assert_eq!(gaps.len(), 1, "{name}: {:?}", document.coverage.gaps);
        assert!(gaps[0].reason.contains(reason), "{name}: {}", gaps[0].reason);
        assert_eq!(document.coverage.records, 1, "{name}");
    }
}

#[test]
fn a_bomb_is_capped_and_said() {
    // 300 MB of spaces in 300 kB: more than any CloudTrail object inflates to.
    let mut packed = Vec::new();
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(1).unwrap());
    let spaces = vec![b' '; 300 << 20];
    packed.resize(compressor.gzip_compress_bound(spaces.len()), 0);
    let length = compressor.gzip_compress(&spaces, &mut packed).unwrap();
    drop(spaces);
    packed.truncate(length);
    assert!(length < 4 << 20);
    let document = beside_a_good_object(vec![read("bomb", &packed)]);
    assert!(
        gap_of(&document, "bomb")[0]
            .reason
            .contains("inflates to more than")
    );

    // A trailer that promises 4 GiB allocates nothing of the kind.
    let mut liar = gzip(b"{}");
    let end = liar.len() - 4;
    (&mut liar[end..]).write_all(&[0xff; 4]).unwrap();
    let document = beside_a_good_object(vec![read("liar", &liar)]);
    assert_eq!(gap_of(&document, "liar").len(), 1);
}

#[test]
fn times_that_cannot_be_are_gaps_of_their_records_and_move_nothing() {
    let mut without = record("none", "", "StopLogging");
    without.as_object_mut().unwrap().remove("eventTime");
    let cases = [
        (without, "has no event time"),
        (record("text", "yesterday", "StopLogging"), "has no event time"),
        (
            record("year", "99999-01-01T00:00:00Z", "StopLogging"),
            "has no event time",
        ),
        (
            record("old", "1970-01-01T00:00:00Z", "StopLogging"),
            "before AWS existed",
        ),
        (
            record("future", "2027-01-01T00:00:00Z", "StopLogging"),
            "in the future",
        ),
    ];
    for (hostile, reason) in cases {
        let other = record("other", "2026-02-02T00:00:00Z", "DescribeTrails");
        let document = beside_a_good_object(vec![read("odd", &object(&[hostile.clone(), other]))]);
        let gaps = gap_of(&document, "odd");
        assert!(
            gaps.len() == 1 && gaps[0].reason.contains(reason),
            "{hostile}: {gaps:?}"
        );
        assert!(gaps[0].reason.contains("record 0"), "{gaps:?}");
        assert_eq!(document.coverage.records, 2, "the record beside it is read");
        assert_eq!(document.boundary.unwrap().best, at("2026-02-01T00:00:00Z"));
    }
}

#[test]
fn offsets_and_fractions_are_the_same_instant() {
    for time in [
        "2026-01-01T02:00:00+02:00",
        "2025-12-31T19:00:00-05:00",
        "2026-01-01 00:00:00.000",
    ] {
        let document = beside_a_good_object(vec![read("o", &object(&[record("o", time, "StopLogging")]))]);
        assert_eq!(
            document.boundary.as_ref().unwrap().best,
            at("2026-01-01T00:00:00Z"),
            "{time}"
        );
        assert!(gap_of(&document, "o").is_empty(), "{:?}", document.coverage.gaps);
    }
}

#[test]
fn a_lone_surrogate_costs_its_record_and_no_other() {
    let text = String::from_utf8(object(&[
        record("lone", "2026-01-05T00:00:00Z", "StopLogging"),
        record("whole", "2026-01-06T00:00:00Z", "StopLogging"),
    ]))
    .unwrap()
    .replacen("198.51.100.7", "\\ud800", 1);
    let document = beside_a_good_object(vec![read("surrogate", text.as_bytes())]);
    assert_eq!(gap_of(&document, "surrogate").len(), 1);
    assert_eq!(document.boundary.unwrap().best, at("2026-01-06T00:00:00Z"));
    // A pair is a character.
    let paired = text.replace("\\ud800", "\\ud83d\\ude00");
    let document = beside_a_good_object(vec![read("pair", paired.as_bytes())]);
    assert_eq!(document.boundary.unwrap().best, at("2026-01-05T00:00:00Z"));
}

#[test]
fn a_request_that_was_left_out_is_a_strong_indicator() {
    let mut padded = record("padded", "2026-01-03T00:00:00Z", "PutUserPolicy");
    padded["eventSource"] = json!("iam.amazonaws.com");
    padded["requestParameters"] =
        json!({"omitted": true, "originalSize": 200_000, "reason": "requestParameters too large"});
    let document = beside_a_good_object(vec![read("padded", &object(&[padded]))]);
    let boundary = document.boundary.unwrap();
    assert_eq!(boundary.best, at("2026-01-03T00:00:00Z"));
    assert!(
        boundary
            .reasons
            .iter()
            .any(|reason| reason.indicator == "cloudtrail.omitted-request")
    );
}

#[test]
fn what_two_trails_deliver_with_odd_clocks_counts_once_at_its_earliest() {
    let delete = |i: usize, seconds: usize| {
        let mut delete = record(
            &format!("e{i}"),
            &format!("2026-01-03T00:{i:02}:{seconds:02}Z"),
            "DeleteObject",
        );
        delete["eventSource"] = json!("s3.amazonaws.com");
        delete["requestParameters"] = json!({"bucketName": "b", "key": "k"});
        delete
    };
    // As many deliveries as a burst needs, of half as many acts.
    let threshold = 20;
    let first: Vec<_> = (0..threshold - 1).map(|i| delete(i, 0)).collect();
    let second: Vec<_> = (0..threshold - 1).map(|i| delete(i, 1)).collect();
    let both = |first: &[Value], second: &[Value]| {
        let facts = [
            read("trail one", &object(first)),
            read("trail two", &object(second)),
        ];
        establish(&facts, &[], &[]).document.boundary
    };
    assert!(both(&first, &second).is_none(), "no act counts twice");
    let more: Vec<_> = (0..threshold + 1).map(|i| delete(i, 0)).collect();
    let odd: Vec<_> = (0..threshold + 1).map(|i| delete(i, 1)).collect();
    let boundary = both(&more, &odd).unwrap();
    assert_eq!(boundary.best, at("2026-01-03T00:00:00Z"));
    assert_eq!(both(&odd, &more).unwrap().best, boundary.best);
}

#[test]
fn nothing_at_all_is_no_boundary_and_no_proof_of_innocence() {
    let gap = Gap {
        what: "s3://logs/AWSLogs/".to_owned(),
        reason: "holds no log object".to_owned(),
    };
    let Established { document, .. } = establish(&[], std::slice::from_ref(&gap), &[]);
    assert!(document.boundary.is_none());
    assert_eq!(document.coverage.gaps, [gap]);
    assert_eq!((document.coverage.first, document.coverage.objects), (None, 0));
}
