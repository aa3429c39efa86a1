use jiff::ToSpan as _;

use super::*;
use crate::artifact::ArtifactRef;
use crate::run::{Mode, RunId, Trigger, WorkloadName};
use crate::timeline::{Boundary, Coverage, Evidence, Gap, Reason};

pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'`\u{202e}&";

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + second.seconds()
}

pub(super) fn record() -> RunRecord {
    let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
    RunRecord {
        run: RunId::of_execution(&workload, "x"),
        workload,
        mode: Mode::Incident,
        plan: ArtifactRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
            sha256: Digest::of(b""),
            bytes: 0,
        },
        trigger: Trigger::Manual {
            requested_by: "alice".to_owned(),
            boundary: None,
        },
        execution: "x".to_owned(),
        started: at(0),
        conclusion: None,
    }
}

fn hostile_facts(rows: usize) -> Facts {
    let reason = |i: i64| Reason {
        at: at(i),
        what: HOSTILE.to_owned(),
        indicator: HOSTILE.to_owned(),
        evidence: Evidence {
            object: HOSTILE.to_owned(),
            sha256: Digest::of(b""),
            record: 1,
            event_id: HOSTILE.to_owned(),
        },
    };
    Facts {
        boundary: Some(BoundaryDocument {
            schema: "blackstart.boundary/1".to_owned(),
            actors: Vec::new(),
            suspects: Vec::new(),
            boundary: Some(Boundary {
                unbounded: false,
                best: at(1),
                not_later_than: at(2),
                floor: at(0),
                reasons: (0..rows).map(|i| reason(i64::try_from(i).unwrap())).collect(),
            }),
            coverage: Coverage {
                objects: 1,
                records: 1,
                first: None,
                last: None,
                gaps: vec![Gap {
                    what: HOSTILE.to_owned(),
                    reason: HOSTILE.to_owned(),
                }],
                ..Coverage::default()
            },
        }),
        ..Facts::default()
    }
}

#[test]
fn hostile_text_is_inert_on_the_page_and_in_the_summary() {
    let report = build(
        record(),
        Targets::default(),
        State::concluded(Conclusion::Failed, HOSTILE.to_owned(), at(60)),
        hostile_facts(3),
    );
    let html = page(&report);
    assert!(!html.contains("<script"), "a tag from outside reached the page");
    assert!(
        !html.contains('\u{202e}'),
        "a bidirectional control reached the page"
    );
    assert!(html.contains("&lt;script&gt;"));
    assert!(html.contains("default-src 'none'"));
    assert!(
        !html.contains("http://") && !html.contains("https://"),
        "the page refers to something outside"
    );
    let text = summary(&report);
    assert_eq!(text.matches('`').count() % 2, 0, "{text}");
}

#[test]
fn a_run_that_ended_before_its_gate_gets_a_report_that_begins_with_what_to_do() {
    for conclusion in [
        Conclusion::Failed,
        Conclusion::NoCleanPoint,
        Conclusion::Refused,
        Conclusion::Expired,
    ] {
        let report = build(
            record(),
            Targets::default(),
            State::concluded(conclusion, "because".to_owned(), at(60)),
            Facts::default(),
        );
        let html = page(&report);
        let next = html.find("What to do next").unwrap();
        assert!(next < html.find("Critical path").unwrap());
        assert!(!report.next_steps.is_empty());
        assert!(html.contains("because"));
    }
}

#[test]
fn a_long_table_is_cut_on_the_page_and_whole_in_the_document() {
    let report = build(
        record(),
        Targets::default(),
        State::concluded(Conclusion::Recovered, String::new(), at(60)),
        hostile_facts(10_000),
    );
    assert!(page(&report).len() < 400_000, "{}", page(&report).len());
    assert_eq!(report.boundary.unwrap().boundary.unwrap().reasons.len(), 10_000);
}
