//! Log objects: whoever can write a log line, a user agent or a tag writes these bytes.

use blackstart_core::plan::WorkloadFormat;
use blackstart_core::timeline::boundary::establish;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::{Class, Mark, Table};
use blackstart_core::timeline::rows::{Selection, csv, json_lines, ordered};
use blackstart_core::timeline::sketch::Sketch;
use blackstart_core::timeline::sweep::Sweep;
use jiff::Timestamp;

/// The record scanner of CloudTrail objects, stored plain or compressed: the full parser, and the first pass, which
/// must say the same.
pub fn cloudtrail(bytes: &[u8]) {
    log_object(bytes, Kind::CloudTrail);
    let reader = reader();
    let mut expected = reader.read("object", bytes, Kind::CloudTrail);
    let swept = Sweep::new(&reader).read("object", bytes, Kind::CloudTrail);
    // One byte that is no JSON hides the whole object from the full parser.
    let is_broken = |problem: &String| problem.starts_with("not CloudTrail");
    if expected.problems.iter().any(is_broken) {
        assert!(swept.facts.records > 0 || !swept.facts.problems.is_empty());
        return;
    }
    assert_eq!(swept.sketch, Sketch::of(&expected));
    // The first pass keeps no context; who acted is in the sketch.
    expected
        .hits
        .retain(|hit| Mark::of(&hit.indicator, hit.mark).is_none_or(|mark| mark.class != Class::Weak));
    expected.uses.clear();
    expected.issued.clear();
    assert_eq!(swept.facts, expected);
}

/// The reader of GuardDuty findings in all forms in which they arrive.
pub fn guardduty(bytes: &[u8]) {
    log_object(bytes, Kind::GuardDuty);
}

/// The reader of VPC Flow Logs, with and without a header line.
pub fn flow_logs(bytes: &[u8]) {
    log_object(bytes, Kind::FlowLogs(""));
}

/// The reader of workloads' logs in all forms in which they arrive.
pub fn workload(bytes: &[u8]) {
    log_object(bytes, Kind::Workload(&format()));
}

/// Objects that are recognised by their content: every form, digest files and answers of `LookupEvents` among them.
pub fn any(bytes: &[u8]) {
    log_object(bytes, Kind::Any(Some(&format())));
}

fn format() -> WorkloadFormat {
    serde_json::from_value(serde_json::json!({
        "name": "shop", "time": "at", "id": "id", "actor": "user", "address": "ip", "action": "op", "message": "@message",
        "indicators": [{"id": "dump", "reason": "an export", "strong": true,
            "when": [{"field": "op", "contains": ["dump"]}, {"field": "n.rows", "at_least": 3}]}]
    }))
    .expect("a fixed format")
}

fn reader() -> Reader {
    let now = Timestamp::from_second(1_900_000_000).expect("a fixed time");
    Reader::new(Table::default(), now)
}

/// Whatever an object holds: reading it ends, twice the same; every problem is told in one line; what is found is in
/// order, and can be kept and read again; and what is written for spreadsheets holds no formula.
fn log_object(bytes: &[u8], kind: Kind<'_>) {
    let reader = reader();
    let facts = reader.read("object", bytes, kind);
    assert_eq!(facts, reader.read("object", bytes, kind));
    assert!(facts.hits.is_sorted());
    for known in &facts.uses {
        assert!(known.first.at <= known.last);
    }
    if let (Some(first), Some(last)) = (facts.first, facts.last) {
        assert!(first <= last);
    }
    for problem in &facts.problems {
        assert!(!problem.is_empty() && problem.len() < 4000);
        assert!(!problem.contains('\u{1b}'), "a terminal would obey: {problem:?}");
    }
    let kept = serde_json::to_vec(&facts).expect("facts have a JSON form");
    assert_eq!(
        serde_json::from_slice::<ObjectFacts>(&kept).expect("and are read again"),
        facts
    );

    let established = establish(std::slice::from_ref(&facts), &[], &[]);
    if let Some(boundary) = &established.document.boundary {
        assert!(boundary.floor <= boundary.best && boundary.best <= boundary.not_later_than);
    }
    let rows = ordered(Selection::of(&reader, &established.actors).rows("object", bytes, kind));
    assert!(rows.is_sorted());
    json_lines(&rows).expect("rows have a JSON form");
    assert!(
        csv(&rows)
            .lines()
            .all(|line| !line.starts_with(['=', '+', '-', '@', '\t']))
    );
}
