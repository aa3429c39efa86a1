//! The two passes that read as little as they can say what reading everything says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read or make its data has failed"
)]

use std::path::{Path, PathBuf};

use blackstart_core::timeline::boundary::{Established, establish};
use blackstart_core::timeline::case::{Acts, Case};
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::rows::{Row, Selection, ordered};
use blackstart_core::timeline::sketch::Sketch;
use blackstart_core::timeline::sweep::{Sweep, Swept};
use proptest::prelude::*;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data")
        .join(name)
}

fn reader() -> Reader {
    Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap())
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path));
        } else if name.contains(".json") && !name.ends_with("ground_truth.json") {
            found.push((name, std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

/// What the first pass must say, by the full parser.
fn expected(reader: &Reader, stored: &[u8]) -> Swept {
    let mut facts = reader.read("object", stored, Kind::CloudTrail);
    let sketch = Sketch::of(&facts);
    facts.uses.clear();
    facts.issued.clear();
    Swept { facts, sketch }
}

fn same(stored: &[u8]) -> Result<(), TestCaseError> {
    let reader = reader();
    let expected = expected(&reader, stored);
    let swept = Sweep::new(&reader).read("object", stored, Kind::CloudTrail);
    let broken = expected
        .facts
        .problems
        .iter()
        .any(|p| p.starts_with("not CloudTrail"));
    if broken {
        // One byte that is no JSON hides the whole object from the parser. The first pass may still read records.
        prop_assert!(swept.facts.records > 0 || !swept.facts.problems.is_empty());
        return Ok(());
    }
    prop_assert_eq!(swept, expected, "{}", String::from_utf8_lossy(stored));
    Ok(())
}

#[test]
fn the_first_pass_says_of_real_logs_what_the_full_parser_says() {
    let mut read = 0;
    for folder in ["invictus-ir/CloudTrail", "stratus-red-team", "panther-tests"] {
        for (name, stored) in files(&data(folder)) {
            same(&stored).unwrap_or_else(|error| panic!("{name}: {error}"));
            read += 1;
            // The same records in AWS's envelope, compact and spread out.
            let whole: Result<serde_json::Value, _> = serde_json::from_slice(&stored);
            let records = match &whole {
                Ok(whole) => whole.get("Records").unwrap_or(whole).clone(),
                Err(_) => continue,
            };
            let envelope = serde_json::json!({ "Records": records });
            same(envelope.to_string().as_bytes()).unwrap();
            same(&serde_json::to_vec_pretty(&envelope).unwrap()).unwrap();
        }
    }
    assert!(read > 90, "{read}");
}

fn in_two_passes(reader: &Reader, objects: &[(String, Vec<u8>)]) -> (Established, Vec<Row>, usize) {
    let mut sweep = Sweep::new(reader);
    let mut case = Case::default();
    let mut sketches = Vec::new();
    for (name, stored) in objects {
        let swept = sweep.read(name, stored, Kind::CloudTrail);
        case.add(swept.facts);
        swept.sketch.write(&mut sketches);
    }
    let mut pivot = case.pivot(&[]);
    while {
        let mut left = sketches.as_slice();
        let mut number = 0;
        while !left.is_empty() {
            pivot.see(number, &Sketch::read(&mut left).unwrap());
            number += 1;
        }
        pivot.turn()
    } {}
    let mut acts = Acts::of(pivot.finish());
    let wanted: Vec<_> = (0..)
        .zip(objects)
        .filter(|(number, (name, _))| acts.traced().wants(*number, name))
        .map(|(_, object)| object)
        .collect();
    for (name, stored) in &wanted {
        acts.add(&reader.read(name, stored, Kind::CloudTrail));
    }
    let established = case.establish(acts, &[], &[], &[]);
    let selection = Selection::of(reader, &established.actors);
    let rows = wanted
        .iter()
        .flat_map(|(name, stored)| selection.rows(name, stored, Kind::CloudTrail))
        .collect();
    let rows = ordered(rows);
    (established, rows, wanted.len())
}

fn in_one(reader: &Reader, objects: &[(String, Vec<u8>)]) -> Established {
    let facts: Vec<ObjectFacts> = objects
        .iter()
        .map(|(name, stored)| reader.read(name, stored, Kind::CloudTrail))
        .collect();
    establish(&facts, &[], &[])
}

#[test]
fn two_passes_find_what_one_pass_over_everything_finds_and_read_less() {
    let reader = reader();
    let objects = files(&data("invictus-ir/CloudTrail"));
    let (found, rows, _) = in_two_passes(&reader, &objects);
    assert_eq!(found.document, in_one(&reader, &objects).document);
    assert_eq!(
        rows.first().unwrap().datetime,
        found.document.boundary.as_ref().unwrap().best
    );
    assert!(rows.iter().filter(|row| row.actor).count() > 1000);

    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("python3")
        .arg(data("generate_cloudtrail.py"))
        .args(["--mb", "6", "--records-per-file", "100", "--seed", "9", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let objects = files(folder.path());
    let (found, rows, read) = in_two_passes(&reader, &objects);
    assert_eq!(found.document, in_one(&reader, &objects).document);
    assert!(read * 2 < objects.len(), "{read} of {}", objects.len());
    let boundary = found.document.boundary.unwrap();
    assert_eq!(rows.iter().find(|row| row.actor).unwrap().datetime, boundary.best);
}

const NAMES: &[&str] = &[
    "GetObject",
    "StopLogging",
    "DeleteTrail",
    "AssumeRole",
    "CreateAccessKey",
    "PutUserPolicy",
    "DeleteObject",
    r"StopLogg\u0069ng",
    "",
];
const SOURCES: &[&str] = &["s3", "cloudtrail", "iam", "sts"];
const TIMES: &[&str] = &[
    "2023-07-10T11:54:33Z",
    "2023-07-10T11:54:34Z",
    "2024-02-29T23:59:59Z",
    "2023-02-29T00:00:00Z",
    "2023-07-10T11:54:60Z",
    "2023-07-10T24:00:00Z",
    "1999-07-10T11:54:33Z",
    "2030-01-01T01:00:00Z",
    "2030-01-01T01:00:01Z",
    "2023-07-10T11:54:33.5Z",
    "2023-07-10 11:54:33Z",
    "2023-07-1OT11:54:33Z",
    "",
];
/// Values that look like the structure around them.
const TEXTS: &[&str] = &[
    "plain",
    r#"\"eventName\":\"StopLogging\""#,
    r#"\"}]},{\"eventVersion\":\"1.08\",\"userIdentity\":{\"type\":\"Root\""#,
    r"\\",
    r#"\\\""#,
    r#"},{"#,
    "}]}",
    "{{{{",
    r"\ud83d\ude00 ü €",
];
const IDENTITIES: &[&str] = &[
    r#"{"type":"IAMUser","principalId":"P","arn":"A","accountId":"1","accessKeyId":"K","userName":"T"}"#,
    r#"{"type":"AssumedRole","principalId":"P:s","arn":"B","accountId":"1","accessKeyId":"L","sessionContext":{"sessionIssuer":{"type":"Role","arn":"T"},"webIdFederationData":{"attributes":{"accessKeyId":"T"}},"attributes":{}}}"#,
    r#"{"type":"AssumedRole","arn":"B","accessKeyId":"L","sessionContext":{"sessionIssuer":{}},"invokedBy":"backup.amazonaws.com"}"#,
    r#"{"type":"AssumedRole","arn":"B","accessKeyId":"L","sessionContext":{"sessionIssuer":{}},"inScopeOf":{},"invokedBy":"backup.amazonaws.com"}"#,
    r#"{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}"#,
    r#"{"type":"IAMUser","accessKeyId":"K","arn":"A"}"#,
    r#"{"type":"IAMUser","arn":"A","arn":"B","accessKeyId":"K"}"#,
    r#"{"type":"Root","arn":"T","accessKeyId":null}"#,
    r#"{"type":"IAMUser","arn":"\u0041","accessKeyId":"K"}"#,
    r#"{"type":"IAMUser","credentials":[{"arn":"X"}],"accessKeyId":"K"}"#,
    r#"{"accessKeyId":"K","type":"IAMUser"}"#,
    "{}",
    "null",
    r#""T""#,
];
const ADDRESSES: &[&str] = &[
    "203.0.113.7",
    "2001:db8::7",
    "AWS Internal",
    "x.amazonaws.com",
    "",
];

prop_compose! {
    fn record()(
        name in prop::sample::select(NAMES), source in prop::sample::select(SOURCES),
        time in prop::sample::select(TIMES), good_time in prop::bool::weighted(0.7),
        identity in prop::sample::select(IDENTITIES), address in prop::sample::select(ADDRESSES),
        texts in prop::array::uniform4(prop::sample::select(TEXTS)),
        shape in 0..12_u8, error in any::<bool>(), nested in 0..4_u8,
    ) -> String {
        let time = if good_time { TIMES[0] } else { time };
        let [a, b, c, d] = texts;
        let identity = identity.replace('T', a);
        let identity = format!(r#""userIdentity":{identity}"#);
        let time = format!(r#""eventTime":"{time}""#);
        let source = format!(r#""eventSource":"{source}.amazonaws.com""#);
        let name = format!(r#""eventName":"{name}""#);
        let region = r#""awsRegion":"us-east-1""#.to_owned();
        let address = format!(r#""sourceIPAddress":"{address}""#);
        let agent = format!(r#""userAgent":"{b}""#);
        let error = if error { r#""errorCode":"AccessDenied""#.to_owned() } else { r#""errorMessage":null"#.to_owned() };
        let inner = match nested {
            0 => r#"{"Records":[{"eventVersion":"1","eventName":"StopLogging"},{"eventVersion":"1"}]}"#.to_owned(),
            1 => format!(r#"{{"name":"{c}","eventName":"{d}","userName":"{d}"}}"#),
            2 => format!(r#"{{"{c}":[{{"{d}":{{}}}},{{"eventVersion":"1.08","userIdentity":{{"type":"Root"}},"eventTime":"2001-01-01T00:00:00Z"}}]}}"#),
            _ => "null".to_owned(),
        };
        let request = format!(r#""requestParameters":{inner}"#);
        let response = r#""responseElements":{"credentials":{"accessKeyId":"L"},"accessKey":{"accessKeyId":"K"}}"#.to_owned();
        let id = format!(r#""eventID":"{d}""#);
        let version = r#""eventVersion":"1.08""#.to_owned();
        let mut fields = vec![version, identity, time, source, name, region, address, agent, error, request, response, id];
        match shape {
            0 => fields.reverse(),
            1 => fields.swap(2, 4),
            2 => { fields.remove(0); }
            3 => { fields.remove(4); }
            4 => fields.push(r#""eventName":"StopLogging""#.to_owned()),
            5 => fields.push(r#""event\u004eame":"StopLogging""#.to_owned()),
            6 => fields[4] = r#""eventName":7"#.to_owned(),
            7 => fields.truncate(2),
            _ => {}
        }
        format!("{{{}}}", fields.join(","))
    }
}

/// Puts white space where JSON allows it, by the bits of `seed`.
fn spread(text: &str, seed: u64) -> String {
    let (mut spread, mut inside, mut escaped, mut bits) = (String::new(), false, false, seed);
    for c in text.chars() {
        if !inside && ",:{}[]".contains(c) {
            bits = bits.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            if bits & 7 == 0 {
                spread.push_str(" \n");
            }
        }
        spread.push(c);
        (inside, escaped) = match (inside, escaped, c) {
            (true, true, _) => (true, false),
            (true, false, '\\') => (true, true),
            (was, false, '"') => (!was, false),
            (was, _, _) => (was, false),
        };
    }
    spread
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn nothing_hides_from_the_first_pass_that_the_full_parser_sees(
        records in prop::collection::vec(record(), 0..6), layout in 0..6_u8, seed in any::<u64>(),
    ) {
        let records = records.join(",");
        let whole = match layout {
            0 => format!("[{records}]"),
            1 => format!(r#"{{"Records":[{records}],"more":{{"eventName":"StopLogging"}}}}"#),
            2 => format!(r#"{{"Records":[[{records}]]}}"#),
            _ => format!(r#"{{"Records":[{records}]}}"#),
        };
        same(whole.as_bytes())?;
        same(format!("{whole}\n").as_bytes())?;
        same(spread(&whole, seed).as_bytes())?;
        same(format!("{whole}{whole}").as_bytes())?;
    }

    #[test]
    fn damage_never_panics_and_loses_nothing_that_the_full_parser_keeps(
        records in prop::collection::vec(record(), 1..4), at in 0.0..1.0_f64, byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut text = format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
        let at = (text.len() as f64 * at) as usize;
        if cut {
            text.truncate(at);
        } else {
            text[at] = byte;
        }
        same(&text)?;
    }
}
