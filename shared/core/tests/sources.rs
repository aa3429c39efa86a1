//! The five sources in one timeline: what each contributes, and what it must not do.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::collections::BTreeSet;

use blackstart_core::plan::WorkloadFormat;
use blackstart_core::timeline::BoundaryDocument;
use blackstart_core::timeline::boundary::establish;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::sources::{EGRESS, LINE, TRAFFIC};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

const THIEF: &str = "198.51.100.7";

fn reader() -> Reader {
    Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap())
}

/// So many minutes after the first of January.
fn at(minute: i64) -> Timestamp {
    let day: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    day.checked_add(SignedDuration::from_mins(minute)).unwrap()
}

fn format() -> WorkloadFormat {
    serde_json::from_value(json!({"name": "shop", "time": "at", "actor": "user", "address": "ip", "action": "op", "message": "op",
        "indicators": [{"id": "dump", "reason": "all orders were exported", "strong": true, "when": [{"field": "op", "equals": ["dump"]}]},
                       {"id": "failed", "reason": "a login failed", "when": [{"field": "op", "equals": ["failed"]}]}]}))
    .unwrap()
}

/// One entry of any source.
#[derive(Debug, Clone)]
enum Entry {
    Call(Value),
    Finding(Value),
    Flow(String),
    Line(Value),
}

fn call(id: &str, minute: i64, service: &str, name: &str, address: &str) -> Entry {
    call_of("eve", id, minute, service, name, address)
}

fn call_of(user: &str, id: &str, minute: i64, service: &str, name: &str, address: &str) -> Entry {
    Entry::Call(json!({
        "eventID": id, "eventTime": at(minute).to_string(), "eventSource": format!("{service}.amazonaws.com"), "eventName": name,
        "sourceIPAddress": address, "requestParameters": {"name": "t"}, "managementEvent": name != "GetObject",
        "userIdentity": {"type": "IAMUser", "arn": format!("arn:aws:iam::111111111111:user/{user}"),
            "accessKeyId": format!("AKIA{}", user.to_uppercase())},
    }))
}

/// What somebody else does elsewhere when the logs begin.
fn benign() -> Entry {
    call_of("ann", "c0", 0, "s3", "GetObject", "192.0.2.1")
}

fn flow(minute: i64, source: &str, target: &str, bytes: u64, action: &str) -> Entry {
    let start = at(minute).as_second();
    Entry::Flow(format!(
        "2 111111111111 eni-1 {source} {target} 443 5000 6 10 {bytes} {start} {} {action} OK",
        start + 60
    ))
}

fn line(minute: i64, op: &str, address: &str) -> Entry {
    Entry::Line(json!({"at": at(minute).to_string(), "user": "mallory", "ip": address, "op": op}))
}

fn finding(minute: i64) -> Value {
    json!({"id": "f1", "type": "Impact:S3/AnomalousBehavior.Delete", "title": "t", "accountId": "111111111111", "region": "eu-central-1",
        "resource": {"accessKeyDetails": {"accessKeyId": "AKIAEVE"}},
        "service": {"eventFirstSeen": at(minute).to_string(), "action": {"awsApiCallAction": {"remoteIpDetails": {"ipAddressV4": THIEF}}}}})
}

fn copy_of_finding(minute: i64) -> Value {
    json!({"SchemaVersion": "2018-10-08", "Id": "arn:aws:guardduty:eu-central-1:111111111111:detector/d/finding/f1",
        "ProductArn": "arn:aws:securityhub:eu-central-1::product/aws/guardduty", "Types": ["TTPs/Impact:S3-AnomalousBehavior.Delete"],
        "FirstObservedAt": at(minute).to_string(), "Title": "t", "AwsAccountId": "111111111111",
        "ProductFields": {"action/awsApiCallAction/remoteIpDetails/ipAddressV4": THIEF},
        "Resources": [{"Details": {"AwsIamAccessKey": {"AccessKeyId": "AKIAEVE"}}}]})
}

/// An intruder who looks around first, blinds, destroys; and noise of others.
fn intrusion() -> Vec<Entry> {
    vec![
        benign(),
        call("c1", 100, "sts", "GetCallerIdentity", THIEF),
        call("c2", 130, "cloudtrail", "StopLogging", THIEF),
        call("c3", 140, "backup", "DeleteRecoveryPoint", THIEF),
    ]
}

/// Writes the entries of each file by source, as that source delivers them, and reads them.
fn read(files: &[Vec<Entry>]) -> Vec<ObjectFacts> {
    let reader = reader();
    let format = format();
    let mut facts = Vec::new();
    for (number, entries) in files.iter().enumerate() {
        let (mut calls, mut findings, mut flows, mut lines) =
            (Vec::new(), Vec::new(), String::new(), String::new());
        for entry in entries {
            match entry {
                Entry::Call(record) => calls.push(record.clone()),
                Entry::Finding(finding) => findings.push(finding.clone()),
                Entry::Flow(flow) => flows.push_str(&format!("{flow}\n")),
                Entry::Line(line) => lines.push_str(&format!("{line}\n")),
            }
        }
        for (name, content, empty) in [
            ("c", json!({ "Records": calls }).to_string(), calls.is_empty()),
            (
                "f",
                json!({ "Findings": findings }).to_string(),
                findings.is_empty(),
            ),
            ("v", flows.clone(), flows.is_empty()),
            ("w", lines.clone(), lines.is_empty()),
        ] {
            if !empty {
                facts.push(reader.read(
                    &format!("{name}{number}"),
                    content.as_bytes(),
                    Kind::Any(Some(&format)),
                ));
            }
        }
    }
    facts
}

fn document(entries: &[Entry]) -> BoundaryDocument {
    let facts = read(&[entries.to_vec()]);
    for object in &facts {
        assert!(object.problems.is_empty(), "{:?}", object.problems);
    }
    establish(&facts, &[], &[]).document
}

fn reasons(document: &BoundaryDocument) -> BTreeSet<(Timestamp, String)> {
    let boundary = document.boundary.as_ref().unwrap();
    boundary
        .reasons
        .iter()
        .map(|r| (r.at, r.indicator.clone()))
        .collect()
}

#[test]
fn traffic_and_lines_of_the_actor_widen_the_floor_and_nothing_else() {
    let alone = document(&intrusion()).boundary.unwrap();
    assert_eq!((alone.best, alone.not_later_than), (at(100), at(130)));
    let mut all = intrusion();
    all.extend([
        flow(40, "10.0.0.5", THIEF, 1 << 29, "ACCEPT"),
        flow(50, "10.0.0.5", THIEF, 1 << 29, "ACCEPT"),
        flow(20, THIEF, "10.0.0.5", 40, "REJECT"),
        flow(10, "10.0.0.5", "203.0.113.99", 1 << 40, "ACCEPT"),
        line(60, "view", THIEF),
        line(5, "failed", "203.0.113.98"),
    ]);
    let with = document(&all);
    let boundary = with.boundary.as_ref().unwrap();
    assert_eq!(
        (boundary.best, boundary.not_later_than),
        (alone.best, alone.not_later_than)
    );
    assert_eq!(boundary.floor, at(40), "not the rejected one, and not another's");
    assert_eq!(alone.floor, at(100));
    let reasons = reasons(&with);
    for (minute, indicator) in [(40, TRAFFIC), (40, EGRESS), (60, LINE)] {
        assert!(
            reasons.contains(&(at(minute), indicator.to_owned())),
            "{indicator}: {reasons:?}"
        );
    }
}

#[test]
fn context_alone_sets_no_boundary() {
    let entries = [
        flow(40, "10.0.0.5", THIEF, 1 << 40, "ACCEPT"),
        line(60, "failed", THIEF),
        call("c0", 0, "s3", "GetObject", THIEF),
    ];
    let document = document(&entries);
    assert!(document.boundary.is_none());
    assert_eq!(document.coverage.records, 3);
}

#[test]
fn a_strong_line_of_the_workload_finds_the_actor_behind_its_address() {
    let entries = [
        benign(),
        call("c1", 100, "sts", "GetCallerIdentity", THIEF),
        line(150, "dump", THIEF),
        line(10, "view", "192.0.2.1"),
    ];
    let document = document(&entries);
    let boundary = document.boundary.as_ref().unwrap();
    assert_eq!((boundary.best, boundary.not_later_than), (at(100), at(150)));
    assert!(
        boundary
            .reasons
            .iter()
            .any(|r| r.what.contains("all orders were exported"))
    );
}

#[test]
fn a_finding_and_its_copy_count_once() {
    let mut entries = intrusion();
    entries.push(Entry::Finding(finding(120)));
    let one = document(&entries);
    entries.push(Entry::Finding(copy_of_finding(120)));
    let two = document(&entries);
    let interval = |d: &BoundaryDocument| d.boundary.as_ref().map(|b| (b.best, b.not_later_than, b.floor));
    assert_eq!(interval(&one), interval(&two));
    assert_eq!(reasons(&one), reasons(&two));
    assert_eq!(one.coverage.records + 1, two.coverage.records);
    assert_eq!(one.actors, two.actors);
}

#[test]
fn what_was_not_recorded_widens_the_floor_and_is_said() {
    let lost = "2 111111111111 eni-1 - - - - - - - 1767226200 1767226260 - SKIPDATA".to_owned();
    let mut entries = intrusion();
    entries.push(Entry::Flow(lost));
    let document = document(&entries);
    let from: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
    assert!(document.boundary.unwrap().floor <= from);
    assert!(
        document
            .coverage
            .unseen
            .iter()
            .any(|u| u.from == from && u.why.contains("SKIPDATA"))
    );
    assert!(
        document
            .coverage
            .gaps
            .iter()
            .any(|g| g.reason.contains("SKIPDATA"))
    );
    // The trail was stopped and never started again.
    assert!(
        document
            .coverage
            .unseen
            .iter()
            .any(|u| u.from == at(130) && u.to.is_none())
    );
}

#[test]
fn logs_without_data_events_are_said_to_be_so() {
    let said = |entries: &[Entry]| {
        document(entries)
            .coverage
            .gaps
            .iter()
            .any(|g| g.what == "data events")
    };
    assert!(!said(&intrusion()));
    assert!(said(&intrusion()[1..]));
}

#[test]
fn flow_logs_that_begin_earlier_do_not_bound_the_actor() {
    // The actor is there when the calls begin, whatever other logs reach further back.
    let entries = [
        call("c2", 130, "cloudtrail", "StopLogging", THIEF),
        call("c3", 140, "backup", "DeleteRecoveryPoint", THIEF),
        flow(10, "10.0.0.5", "203.0.113.99", 1, "ACCEPT"),
    ];
    assert!(document(&entries).boundary.unwrap().unbounded);
}

#[test]
fn looked_up_events_are_read_and_said_to_be_a_fallback() {
    let events: Vec<_> = intrusion()
        .into_iter()
        .map(|entry| match entry {
            Entry::Call(record) => {
                json!({"EventId": record["eventID"], "CloudTrailEvent": record.to_string()})
            }
            other @ (Entry::Finding(_) | Entry::Flow(_) | Entry::Line(_)) => panic!("{other:?}"),
        })
        .collect();
    let facts = reader().read(
        "lookup.json",
        json!({ "Events": events }).to_string().as_bytes(),
        Kind::Any(None),
    );
    assert!(facts.problems.is_empty(), "{:?}", facts.problems);
    let document = establish(&[facts], &[], &[]).document;
    assert_eq!(document.boundary.unwrap().best, at(100));
    assert!(
        document
            .coverage
            .gaps
            .iter()
            .any(|g| g.reason.contains("LookupEvents"))
    );
}

#[test]
fn what_cannot_be_read_is_said_whatever_it_is() {
    for (content, part) in [
        (&b"PAR1\x00\x01PAR1"[..], "unsupported: Parquet"),
        (
            b"{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[]}",
            "CloudWatch Logs subscription",
        ),
        (b"version srcaddr bytes\n2 192.0.2.1 1\n", "without `start`"),
        (
            b"{\"digestEndTime\":\"x\",\"digestS3Object\":\"y\"}",
            "not a CloudTrail digest file",
        ),
        (b"\xff\xfe\x00", "not CloudTrail records"),
    ] {
        let facts = reader().read("x", content, Kind::Any(None));
        assert!(facts.problems[0].contains(part), "{part}: {:?}", facts.problems);
    }
}

type Answer = (
    Option<(Timestamp, Timestamp, Timestamp)>,
    BTreeSet<(Timestamp, String)>,
    BTreeSet<String>,
);

fn answer(files: &[Vec<Entry>]) -> Answer {
    let document = establish(&read(files), &[], &[]).document;
    let boundary = document
        .boundary
        .as_ref()
        .map(|b| (b.best, b.not_later_than, b.floor));
    let reasons = document
        .boundary
        .iter()
        .flat_map(|b| &b.reasons)
        .map(|r| (r.at, r.indicator.clone()))
        .collect();
    (
        boundary,
        reasons,
        document.actors.iter().map(|a| format!("{a:?}")).collect(),
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let address = prop::sample::select(vec![THIEF, "192.0.2.1", "203.0.113.9", "10.0.0.5"]);
    let action = prop::sample::select(vec!["ACCEPT", "REJECT"]);
    let name = prop::sample::select(vec!["GetCallerIdentity", "StopLogging", "DeleteRecoveryPoint"]);
    let op = prop::sample::select(vec!["view", "dump", "failed"]);
    prop_oneof![
        (0..2000_i64, name, address.clone(), 0..1000_u32).prop_map(|(minute, name, address, id)| {
            let service = match name {
                "StopLogging" => "cloudtrail",
                "DeleteRecoveryPoint" => "backup",
                _ => "sts",
            };
            // The id tells one event from another: everything that it says is in it.
            call(
                &format!("{minute}{name}{address}{id}"),
                minute,
                service,
                name,
                address,
            )
        }),
        (
            0..2000_i64,
            address.clone(),
            address.clone(),
            0..1_u64 << 31,
            action
        )
            .prop_map(|(minute, source, target, bytes, action)| flow(minute, source, target, bytes, action)),
        (0..2000_i64, op, address).prop_map(|(minute, op, address)| line(minute, op, address)),
        (0..2000_i64).prop_map(|_| Entry::Finding(finding(120))),
        (0..2000_i64).prop_map(|_| Entry::Finding(copy_of_finding(120))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_packing_of_mixed_sources_change_nothing(
        entries in prop::collection::vec((entry(), 0..4_usize), 0..40)
    ) {
        let mut files = vec![Vec::new(); 4];
        for (entry, place) in entries.iter().rev() {
            files[*place].push(entry.clone());
        }
        let together: Vec<_> = entries.iter().map(|(entry, _)| entry.clone()).collect();
        prop_assert_eq!(answer(&files), answer(&[together]));
    }

    #[test]
    fn a_file_that_comes_twice_changes_nothing(entries in prop::collection::vec(entry(), 0..30)) {
        let once = answer(std::slice::from_ref(&entries));
        prop_assert_eq!(answer(&[entries.clone(), entries]), once);
    }

    #[test]
    fn context_never_moves_the_boundary(
        entries in prop::collection::vec(entry(), 0..30),
        context in prop::collection::vec((0..2000_i64, any::<bool>()), 0..10),
    ) {
        let before = establish(&read(std::slice::from_ref(&entries)), &[], &[]).document.boundary;
        let mut more = entries;
        more.extend(context.into_iter().map(|(minute, traffic)| if traffic {
            flow(minute, THIEF, "10.0.0.5", 1 << 31, "ACCEPT")
        } else {
            line(minute, "view", THIEF)
        }));
        let after = establish(&read(&[more]), &[], &[]).document.boundary;
        prop_assert_eq!(
            before.as_ref().map(|b| (b.best, b.not_later_than)),
            after.as_ref().map(|b| (b.best, b.not_later_than))
        );
        if let (Some(before), Some(after)) = (before, after) {
            prop_assert!(after.floor <= before.floor);
        }
    }

    #[test]
    fn hostile_bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..6_usize) {
        let format = format();
        let kind = [Kind::CloudTrail, Kind::GuardDuty, Kind::SecurityHub, Kind::FlowLogs("start srcaddr"), Kind::Workload(&format), Kind::Any(Some(&format))][kind];
        let facts = reader().read("x", &bytes, kind);
        prop_assert!(facts.hits.is_empty());
    }
}
