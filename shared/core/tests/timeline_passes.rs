//! The two passes that read as little as they can say what reading everything says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read or make its data has failed"
)]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use blackstart_core::timeline::BoundaryDocument;
use blackstart_core::timeline::again::Sought;
use blackstart_core::timeline::boundary::{Established, establish};
use blackstart_core::timeline::case::Acts;
use blackstart_core::timeline::context::Context;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::{Class, Mark, Table};
use blackstart_core::timeline::object::{INFLATED_LIMIT, inflate};
use blackstart_core::timeline::results::{BatchResult, Results};
use blackstart_core::timeline::rows::{Row, Selection, ordered};
use blackstart_core::timeline::sketch::Sketch;
use blackstart_core::timeline::sorted::Sorted;
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
    // The first pass keeps no context.
    facts
        .hits
        .retain(|hit| Mark::of(&hit.indicator, hit.mark).is_none_or(|mark| mark.class != Class::Weak));
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

/// The passes as the command and the function make them, over batches of `size` objects.
fn in_two_passes(
    reader: &Reader,
    objects: &[(String, Vec<u8>)],
    size: usize,
) -> (BoundaryDocument, Vec<Row>, usize) {
    let mut results = Results::new(Cursor::new(Vec::new()), Cursor::new(Vec::new()));
    let mut sweep = Sweep::new(reader);
    for batch in objects.chunks(size) {
        let swept = batch
            .iter()
            .map(|(name, stored)| sweep.read(name, stored, Kind::CloudTrail));
        results
            .take(&BatchResult::of(swept.collect(), Vec::new()).unwrap())
            .unwrap();
    }
    let case = results.case(false).unwrap();
    let traced = results.trace(case.pivot(&[])).unwrap();
    let sought = Sought::of(&traced);
    let selection = Selection::sought(reader, &sought);
    let mut acts = Acts::of(&traced);
    let mut rows = Sorted::new(Cursor::new(Vec::new()));
    let mut read = 0;
    for object in results.objects().unwrap() {
        let (number, facts) = object.unwrap();
        if acts.wants(number, &facts) {
            read += 1;
            let (_, stored) = objects.iter().find(|(name, _)| *name == facts.object).unwrap();
            let mut again = sweep.again(&facts, stored, Kind::CloudTrail, &selection).unwrap();
            acts.add(&mut again);
            rows.extend(again.rows).unwrap();
        }
    }
    let context = Context::of(acts.addresses());
    let document = case.establish(&acts, &context, &[], &[], &[]);
    let (mut lines, mut table) = (Vec::new(), Vec::new());
    rows.write(None, &mut lines, &mut table).unwrap();
    let rows = lines
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    (document, rows, read)
}

fn in_one(reader: &Reader, objects: &[(String, Vec<u8>)]) -> Established {
    let facts: Vec<ObjectFacts> = objects
        .iter()
        .map(|(name, stored)| reader.read(name, stored, Kind::CloudTrail))
        .collect();
    establish(&facts, &[], &[])
}

fn generated(folder: &Path, seed: u8) -> Vec<(String, Vec<u8>)> {
    let made = std::process::Command::new("python3")
        .arg(data("generate_cloudtrail.py"))
        .args([
            "--mb",
            "6",
            "--records-per-file",
            "100",
            "--seed",
            &seed.to_string(),
            "--out",
        ])
        .arg(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    files(folder)
}

#[test]
fn two_passes_find_what_one_pass_over_everything_finds_and_read_less() {
    let reader = reader();
    let objects = files(&data("invictus-ir/CloudTrail"));
    let (document, rows, _) = in_two_passes(&reader, &objects, 7);
    let whole = in_one(&reader, &objects);
    assert_eq!(document, whole.document);
    assert_eq!(
        rows.first().unwrap().datetime,
        document.boundary.as_ref().unwrap().best
    );
    // The rows of the actors are those that reading every object in full gives.
    let selection = Selection::of(&reader, &whole.actors);
    let expected = ordered(
        objects
            .iter()
            .flat_map(|(name, stored)| selection.rows(name, stored, Kind::CloudTrail))
            .collect(),
    );
    assert!(expected.len() > 1000);
    let of_actors: Vec<_> = rows.iter().filter(|row| row.actor).cloned().collect();
    assert_eq!(of_actors, expected);

    let folder = tempfile::tempdir().unwrap();
    let objects = generated(folder.path(), 9);
    let (document, rows, read) = in_two_passes(&reader, &objects, 50);
    assert_eq!(document, in_one(&reader, &objects).document);
    assert!(read < objects.len(), "{read} of {}", objects.len());
    let boundary = document.boundary.unwrap();
    assert_eq!(rows.iter().find(|row| row.actor).unwrap().datetime, boundary.best);
    for suspect in &document.suspects {
        assert!(
            rows.iter().any(|row| row.evidence == suspect.evidence),
            "{suspect:?} has no row"
        );
    }
}

#[test]
fn neither_order_nor_repetition_nor_cut_of_the_objects_changes_boundary_or_rows() {
    let reader = reader();
    let folder = tempfile::tempdir().unwrap();
    for objects in [
        files(&data("invictus-ir/CloudTrail")),
        generated(folder.path(), 4),
    ] {
        let (expected, expected_rows, _) = in_two_passes(&reader, &objects, 16);

        let mut turned: Vec<_> = objects.iter().rev().cloned().collect();
        // Delivered once more, to a place that comes later by name.
        turned.extend(
            objects
                .iter()
                .take(20)
                .map(|(name, stored)| (format!("~{name}"), stored.clone())),
        );
        for size in [1, 5, 1000] {
            let (document, rows, _) = in_two_passes(&reader, &turned, size);
            assert_eq!(document, expected);
            assert_eq!(rows, expected_rows);
        }

        // Every object in halves: the same but for the places.
        let mut halves = Vec::new();
        for (name, stored) in &objects {
            let text = inflate(stored, INFLATED_LIMIT).unwrap();
            let whole: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let records = whole["Records"].as_array().unwrap();
            let (one, other) = records.split_at(records.len() / 2);
            for (part, records) in [("a", one), ("b", other)] {
                let text = serde_json::json!({ "Records": records }).to_string();
                halves.push((format!("{name}.{part}"), text.into_bytes()));
            }
        }
        let (document, rows, _) = in_two_passes(&reader, &halves, 16);
        let (found, wanted) = (document.boundary.unwrap(), expected.boundary.unwrap());
        assert_eq!(
            (found.best, found.not_later_than, found.floor, found.unbounded),
            (wanted.best, wanted.not_later_than, wanted.floor, wanted.unbounded)
        );
        assert_eq!(document.actors, expected.actors);
        let placeless = |rows: &[Row]| -> Vec<Row> {
            let mut rows = rows.to_vec();
            for row in &mut rows {
                row.evidence = expected_rows[0].evidence.clone();
            }
            rows
        };
        assert_eq!(placeless(&rows), placeless(&expected_rows));
    }
}

const NAMES: &[&str] = &[
    "GetObject",
    "StopLogging",
    "DeleteTrail",
    "AssumeRole",
    "CreateAccessKey",
    "PutUserPolicy",
    "DeleteObject",
    "PutObject",
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

/// What AWS answers and adds, and what only looks like it.
const ANSWERS: &[&str] = &[
    r#"{"credentials":{"accessKeyId":"L"},"accessKey":{"accessKeyId":"K"}}"#,
    r#"{"credentials":{"accessKeyId":"L","sessionToken":"x\"}},{","expiration":"z"},"assumedRoleUser":{"arn":"B"}}"#,
    r#"{"credentials":{"accessKeyId":"L"},"credentials":{"accessKeyId":"M"}}"#,
    r#"{"credentials":{"accessKeyId":"L\n"}}"#,
    r#"{"credentials":{"accessKeyId":7}}"#,
    r#"{"credentials":{"accessKeyId":""}}"#,
    r#"{"assumedRoleUser":{},"credentials":{"accessKeyId":"L"}}"#,
    "null",
];
const ADDITIONS: &[&str] = &[
    "",
    r#","sharedEventID":"S""#,
    r#","sharedEventID":null"#,
    r#","resources":[{"sharedEventID":"T"}]"#,
    r#","resources":[{"a":{"responseElements":{"credentials":{"accessKeyId":"T"}}}}],"sharedEventID":"S""#,
    r#","additionalEventData":{"SSEApplied":"Default_SSE_S3"}"#,
    r#","additionalEventData":{"SSEApplied":"SSE_C"}"#,
    r#","additionalEventData":{"sseapplied":["x","sse_c"]}"#,
    r#","additionalEventData":{"SSEApplied":"SSE\u005fC"}"#,
    r#","additionalEventData":{"note":"SSEApplied SSE_C"},"tlsDetails":{}"#,
];

prop_compose! {
    fn record()(
        name in prop::sample::select(NAMES), source in prop::sample::select(SOURCES),
        time in prop::sample::select(TIMES), good_time in prop::bool::weighted(0.7),
        identity in prop::sample::select(IDENTITIES), address in prop::sample::select(ADDRESSES),
        texts in prop::array::uniform4(prop::sample::select(TEXTS)),
        shape in 0..12_u8, error in any::<bool>(), nested in 0..5_u8, answer in prop::sample::select(ANSWERS),
        addition in prop::sample::select(ADDITIONS), agent in any::<bool>(),
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
        let agent = if agent { r#""userAgent":"aws-cli/2 command/s3.ls""#.to_owned() } else { format!(r#""userAgent":"{b}""#) };
        let error = if error && nested < 2 { r#""errorCode":"AccessDenied""#.to_owned() } else { r#""errorMessage":null"#.to_owned() };
        let inner = match nested {
            0 => r#"{"Records":[{"eventVersion":"1","eventName":"StopLogging"},{"eventVersion":"1"}]}"#.to_owned(),
            1 => format!(r#"{{"name":"{c}","eventName":"{d}","userName":"{d}"}}"#),
            2 => format!(r#"{{"{c}":[{{"{d}":{{}}}},{{"eventVersion":"1.08","userIdentity":{{"type":"Root"}},"eventTime":"2001-01-01T00:00:00Z"}}]}}"#),
            3 => r#"{"responseElements":{"credentials":{"accessKeyId":"T"}},"sharedEventID":"T"}"#.to_owned(),
            _ => "null".to_owned(),
        };
        let request = format!(r#""requestParameters":{inner}"#);
        let response = format!(r#""responseElements":{answer}"#);
        let id = format!(r#""eventID":"{d}"{addition}"#);
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

/// Every answer with every addition, in AWS's own order: most are read without the parser.
#[test]
fn credentials_that_calls_made_are_those_that_the_full_parser_sees() {
    for answer in ANSWERS {
        for addition in ADDITIONS {
            for (error, request) in [
                ("", "null"),
                (r#""errorCode":"AccessDenied","#, "null"),
                (
                    "",
                    r#"{"responseElements":{"credentials":{"accessKeyId":"T"}},"sharedEventID":"T"}"#,
                ),
            ] {
                for (source, name) in [("sts", "AssumeRole"), ("s3", "PutObject"), ("s3", "AssumeRole")] {
                    let record = format!(
                        concat!(
                            r#"{{"eventVersion":"1.08","userIdentity":{},"eventTime":"2023-07-10T11:54:33Z","#,
                            r#""eventSource":"{}.amazonaws.com","eventName":"{}","awsRegion":"us-east-1","#,
                            r#""sourceIPAddress":"203.0.113.7","userAgent":"aws-cli/2",{}"requestParameters":{},"#,
                            r#""responseElements":{},"eventID":"1"{}}}"#
                        ),
                        IDENTITIES[0], source, name, error, request, answer, addition
                    );
                    same(format!(r#"{{"Records":[{record}]}}"#).as_bytes()).unwrap();
                }
            }
        }
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
