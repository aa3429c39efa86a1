//! A stolen key that is used from the machine that it was stolen from: owner and thief differ only in what they call
//! with.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot make its data has failed"
)]

use std::collections::BTreeSet;
use std::io::Cursor;

use blackstart_core::timeline::BoundaryDocument;
use blackstart_core::timeline::again::Sought;
use blackstart_core::timeline::boundary::establish;
use blackstart_core::timeline::case::Acts;
use blackstart_core::timeline::context::Context;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::results::{BatchResult, Results};
use blackstart_core::timeline::rows::Selection;
use blackstart_core::timeline::sweep::Sweep;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

const SERVER: &str = "10.0.0.5";
const JAVA: &str = "aws-sdk-java/1.12.488 Linux/5.10 OpenJDK_64-Bit_Server_VM/17";
const CLI: &str = "aws-cli/2.15.0 Python/3.11.6 Linux/5.10 exe/x86_64.amzn.2 prompt/off";
const BOTO: &str = "Boto3/1.26.165 Python/3.10.6 Linux/5.19 Botocore/1.29.165";

fn hour(hour: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    start.checked_add(SignedDuration::from_hours(hour)).unwrap()
}

/// One call with the server's own role, as AWS writes it.
fn call(at: i64, event: &str, key: &str, address: &str, agent: &str, response: &Value) -> String {
    let (service, action) = event.split_once(':').unwrap();
    format!(
        concat!(
            r#"{{"eventVersion":"1.08","userIdentity":{{"type":"AssumedRole","principalId":"AROA:i-1","#,
            r#""arn":"arn:aws:sts::111111111111:assumed-role/shop/i-1","accountId":"111111111111","accessKeyId":"{key}"}},"#,
            r#""eventTime":"{time}","eventSource":"{service}.amazonaws.com","eventName":"{action}","awsRegion":"us-east-1","#,
            r#""sourceIPAddress":"{address}","userAgent":"{agent}","requestParameters":{{"name":"t"}},"responseElements":{response},"#,
            r#""eventID":"{id}"}}"#
        ),
        time = hour(at),
        id = format!(
            "{at}-{action}-{key}-{address}-{}",
            agent.split('/').next().unwrap()
        ),
        key = key,
        service = service,
        action = action,
        address = address,
        agent = agent,
        response = response,
    )
}

fn reader() -> Reader {
    Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap())
}

/// The answer of the definition, which must be that of the passes.
fn answer(records: &[String], size: usize, late: &[ObjectFacts]) -> BoundaryDocument {
    let reader = reader();
    let objects: Vec<_> = records
        .chunks(size)
        .enumerate()
        .map(|(number, records)| {
            (
                number.to_string(),
                format!(r#"{{"Records":[{}]}}"#, records.join(",")),
            )
        })
        .collect();
    let facts: Vec<_> = objects
        .iter()
        .map(|(name, text)| reader.read(name, text.as_bytes(), Kind::CloudTrail))
        .collect();
    let whole = establish(&facts, &[], late).document;

    let mut results = Results::new(Cursor::new(Vec::new()), Cursor::new(Vec::new()));
    let mut sweep = Sweep::new(&reader);
    for (name, text) in &objects {
        let swept = sweep.read(name, text.as_bytes(), Kind::CloudTrail);
        results
            .take(&BatchResult::of(vec![swept], Vec::new()).unwrap())
            .unwrap();
    }
    let case = results.case(false).unwrap();
    let traced = results.trace(case.pivot(late)).unwrap();
    let sought = Sought::of(&traced);
    let selection = Selection::sought(&reader, &sought);
    let mut acts = Acts::of(&traced);
    for object in results.objects().unwrap() {
        let (number, facts) = object.unwrap();
        if acts.wants(number, &facts) {
            let (_, text) = objects.iter().find(|(name, _)| *name == facts.object).unwrap();
            let mut again = sweep
                .again(&facts, text.as_bytes(), Kind::CloudTrail, &selection)
                .unwrap();
            acts.add(&mut again);
        }
    }
    let context = Context::of(acts.addresses());
    let passes = case.establish(&acts, &context, &[], &[], late);
    if late.is_empty() {
        assert_eq!(passes, whole);
    }
    assert_eq!(interval(&passes), interval(&whole));
    whole
}

fn interval(document: &BoundaryDocument) -> Option<(Timestamp, Timestamp, Timestamp, bool)> {
    let boundary = document.boundary.as_ref();
    boundary.map(|b| (b.best, b.not_later_than, b.floor, b.unbounded))
}

/// The shop's own calls, with a new session every six hours.
fn shop(days: std::ops::Range<i64>) -> Vec<String> {
    let hours = (days.start * 24..days.end * 24).step_by(6);
    hours
        .map(|at| {
            call(
                at,
                "s3:GetObject",
                &format!("ASIA{at}"),
                SERVER,
                JAVA,
                &Value::Null,
            )
        })
        .collect()
}

#[test]
fn the_first_act_of_the_intruders_tool_is_the_boundary_and_the_floor_is_the_owners_first() {
    let mut records = shop(0..20);
    let theft = 15 * 24;
    let key = format!("ASIA{theft}");
    let child = json!({"credentials": {"accessKeyId": "ASIACHILD"}});
    for (at, event) in [
        (theft + 1, "sts:GetCallerIdentity"),
        (theft + 2, "cloudtrail:StopLogging"),
        (theft + 3, "guardduty:DeleteDetector"),
    ] {
        records.push(call(at, event, &key, SERVER, CLI, &Value::Null));
    }
    // What the owner's tool makes is the owner's.
    records.push(call(5, "sts:AssumeRole", "ASIA0", SERVER, JAVA, &child));
    records.push(call(
        6,
        "s3:GetObject",
        "ASIACHILD",
        "10.9.9.9",
        JAVA,
        &Value::Null,
    ));
    for size in [1, 7, 1000] {
        let document = answer(&records, size, &[]);
        let boundary = document.boundary.unwrap();
        assert_eq!((boundary.best, boundary.floor), (hour(theft + 1), hour(0)));
        assert!(!boundary.unbounded);
        let left_out = &boundary.reasons[0];
        assert_eq!((left_out.at, left_out.indicator.as_str()), (hour(0), "owner"));
        assert!(left_out.what.contains("not counted"), "{}", left_out.what);
        assert_eq!(document.actors.len(), 1);
        assert!(!document.actors[0].addresses.contains("10.9.9.9"));
        let mut gaps = document.coverage.gaps.iter();
        assert!(
            gaps.any(|gap| gap.reason.contains("not counted")),
            "what is left out is never sure"
        );
    }

    // With the same tool nothing tells them apart, nor where the shop began to call only days before.
    let same: Vec<_> = records.iter().map(|record| record.replace(CLI, JAVA)).collect();
    assert_eq!(answer(&same, 7, &[]).boundary.unwrap().best, hour(0));
    let mut young = shop(10..20);
    young.extend(records.iter().filter(|record| record.contains(CLI)).cloned());
    assert_eq!(answer(&young, 7, &[]).boundary.unwrap().best, hour(10 * 24));
}

/// An intruder who used the owner's tool before his own: what the tool made or looked at tells of it, and else a gap.
#[test]
fn a_tool_that_did_something_doubtful_near_the_intruders_first_act_is_not_acquitted() {
    let first = 15 * 24;
    let intrusion = |at: i64, event: &str, answer: &Value| {
        let mut records = shop(0..20);
        records.push(call(at, event, "ASIA0", SERVER, JAVA, answer));
        records.push(call(
            first,
            "cloudtrail:StopLogging",
            "ASIA0",
            SERVER,
            CLI,
            &Value::Null,
        ));
        records
    };
    let key = json!({"accessKey": {"accessKeyId": "AKIAMINTED"}});
    let session = json!({"credentials": {"accessKeyId": "ASIAMINTED"}});
    let doubtful = [
        ("iam:CreateAccessKey", &key),
        ("sts:AssumeRole", &session),
        ("sts:GetCallerIdentity", &Value::Null),
        ("ssm:StartSession", &Value::Null),
        ("kms:ImportKeyMaterial", &Value::Null),
        ("secretsmanager:GetSecretValue", &Value::Null),
    ];
    for (event, answer) in doubtful {
        for near in [first - 7 * 24, first - 48, first + 48] {
            for size in [1, 1000] {
                let document = answer_of(&intrusion(near, event, answer), size);
                assert_eq!(document.0, hour(0), "{event} at {near}");
                assert!(!document.1);
            }
        }
        let long_before = answer_of(&intrusion(first - 7 * 24 - 1, event, answer), 7);
        assert_eq!(long_before, (hour(first), true), "{event}");
    }
    // What is done every day tells nothing, and is said to.
    let theft = answer_of(&intrusion(first - 48, "s3:GetObject", &Value::Null), 7);
    assert_eq!(theft, (hour(first), true));
}

/// The best boundary, and whether something was left out.
fn answer_of(records: &[String], size: usize) -> (Timestamp, bool) {
    let document = answer(records, size, &[]);
    let is_left_out = document
        .coverage
        .gaps
        .iter()
        .any(|gap| gap.reason.contains("not counted"));
    (document.boundary.unwrap().best, is_left_out)
}

/// However often one tool does it first, that another did it too is not forgotten: it is nobody's alibi.
#[test]
fn a_tool_that_joins_a_crowded_hour_is_accused_as_well() {
    let mut records = shop(0..20);
    let theft = 15 * 24;
    let deletes = |tool: &str, count: usize, minute: usize| -> Vec<String> {
        let one = |number: usize| {
            let record = call(
                theft,
                "backup:DeleteRecoveryPoint",
                "ASIA360",
                SERVER,
                tool,
                &Value::Null,
            );
            let second = format!("T00:{:02}:{:02}Z", minute + number / 60, number % 60);
            let record = record.replace("T00:00:00Z", &second);
            record.replace(r#""eventID":""#, &format!(r#""eventID":"{number:03}"#))
        };
        (0..count).map(one).collect()
    };
    records.extend(deletes(CLI, 40, 0));
    for size in [1, 30, 1000] {
        let apart = answer(&records, size, &[]).boundary.unwrap();
        assert_eq!(apart.best, hour(theft));
        let both = [records.clone(), deletes(JAVA, 100, 10)].concat();
        let both = answer(&both, size, &[]).boundary.unwrap();
        assert_eq!(both.best, hour(0), "the shop's tool deletes as well");
    }
    let both = [deletes(CLI, 40, 0), deletes(JAVA, 100, 10)].concat().join(",");
    let facts = reader().read(
        "o",
        format!(r#"{{"Records":[{both}]}}"#).as_bytes(),
        Kind::CloudTrail,
    );
    let tools: BTreeSet<_> = facts.hits.iter().map(|hit| hit.who.agent).collect();
    assert_eq!((tools.len(), facts.hits.len()), (2, 33));
}

/// A small world on one server and beside it.
fn world() -> impl Strategy<Value = Vec<String>> {
    let one = (0..30 * 24_i64, 0..9_usize, 0..3_u8, 0..4_u8, 0..3_usize);
    prop::collection::vec(one, 1..40).prop_map(|choices| {
        let mut records: Vec<_> = choices
            .into_iter()
            .enumerate()
            .map(|(number, (at, event, key, address, agent))| {
                let (event, child) = match event {
                    0 => ("cloudtrail:StopLogging", Value::Null),
                    1 => ("backup:DeleteRecoveryPoint", Value::Null),
                    3 => ("sts:GetCallerIdentity", Value::Null),
                    2 => (
                        "sts:AssumeRole",
                        json!({"credentials": {"accessKeyId": format!("ASIA{}", (key + 1) % 3)}}),
                    ),
                    _ => ("s3:GetObject", Value::Null),
                };
                let address = if address == 0 { "10.0.0.6" } else { SERVER };
                let key = format!("ASIA{key}");
                let record = call(at, event, &key, address, [JAVA, CLI, BOTO][agent], &child);
                record.replace(r#""eventID":""#, &format!(r#""eventID":"{number:03}"#))
            })
            .collect();
        records.sort();
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_passes_split_as_the_definition_does_however_records_are_packed(
        records in world(), size in 1..9_usize, turned in any::<bool>(),
    ) {
        let expected = answer(&records, 1000, &[]);
        let mut records = records;
        if turned {
            records.reverse();
        }
        let document = answer(&records, size, &[]);
        prop_assert_eq!(interval(&document), interval(&expected));
        prop_assert_eq!(document.actors, expected.actors);
    }

    /// What a caller says it is can acquit, but never hides what the indicators see.
    #[test]
    fn no_strong_act_is_hidden_by_what_it_was_called_with(records in world()) {
        let all_alike: Vec<_> = records
            .iter()
            .map(|record| record.replace(CLI, JAVA).replace(BOTO, JAVA))
            .collect();
        let (document, alike) = (answer(&records, 5, &[]), answer(&all_alike, 5, &[]).boundary);
        prop_assert_eq!(document.boundary.is_some(), alike.is_some());
        if let (Some(told), Some(alike)) = (document.boundary, alike) {
            let first = alike.not_later_than;
            let is_named = told.not_later_than == first || document.suspects.iter().any(|suspect| suspect.at == first);
            prop_assert!(is_named && told.floor <= told.best && told.best <= told.not_later_than);
        }
    }

    /// A finding that comes late accuses, and acquits nobody.
    #[test]
    fn late_evidence_never_moves_a_split_boundary_later(records in world(), at in 0..30 * 24_i64, key in 0..3_u8) {
        let alone = answer(&records, 5, &[]).boundary.map(|b| b.best);
        let finding = json!({
            "schemaVersion": "2.0", "accountId": "111111111111", "region": "us-east-1", "id": "f",
            "type": "Exfiltration:S3/AnomalousBehavior", "title": "data leaves", "severity": 8, "createdAt": hour(at),
            "resource": {"accessKeyDetails": {"accessKeyId": format!("ASIA{key}")}},
            "service": {"eventFirstSeen": hour(at), "action": {"awsApiCallAction": {"remoteIpDetails": {"ipAddressV4": SERVER}}}},
        });
        let late = reader().read("late", finding.to_string().as_bytes(), Kind::GuardDuty);
        prop_assert_eq!(late.hits.len(), 1);
        let with = answer(&records, 5, &[late]).boundary.unwrap().best;
        prop_assert!(alone.is_none_or(|alone| with <= alone), "{with} after {alone:?}");
    }
}
