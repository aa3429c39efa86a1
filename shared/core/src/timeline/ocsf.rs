//! The boundary and what set it as OCSF Detection Findings, one JSON document per line.
//!
//! Fields by the Open Cybersecurity Schema Framework 1.3.0, class `detection_finding` (2004) of the category
//! Findings (2), with the objects `finding_info`, `analytic`, `evidences` and `metadata`. AWS Security Lake and
//! Security Hub read this form.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::actor::OWNER;
use super::boundary::ACT;
use super::{ActorSummary, Boundary, BoundaryDocument, Reason};

/// The version of the schema.
const VERSION: &str = "1.3.0";
/// `class_uid` of a Detection Finding.
const CLASS: u64 = 2004;
/// `activity_id`: a finding was created.
const CREATE: u64 = 1;

/// `severity_id` of the schema.
#[derive(Debug, Clone, Copy)]
enum Severity {
    Medium = 3,
    High = 4,
    Critical = 5,
}

/// `confidence_id` of the schema.
#[derive(Debug, Clone, Copy)]
enum Confidence {
    Low = 1,
    Medium = 2,
    High = 3,
}

/// One finding for the boundary, one for each strong indicator that set it, and one for each suspect.
///
/// `now` is when the findings are made. Their ids do not depend on it, so a repeat can be recognised.
///
/// # Errors
/// Never for documents made here; the serializer's error otherwise.
pub fn findings(document: &BoundaryDocument, now: Timestamp) -> Result<Vec<u8>, serde_json::Error> {
    let mut found = Vec::new();
    if let Some(boundary) = &document.boundary {
        found.push(of_boundary(boundary, &document.actors, now));
        // Neither an act of the actor alone nor what was left out as the owner's is a detection.
        let strong = boundary
            .reasons
            .iter()
            .filter(|reason| reason.indicator != ACT && reason.indicator != OWNER);
        found.extend(strong.map(|reason| of_reason(reason, Severity::High, Confidence::High, now)));
    }
    let suspects = document.suspects.iter();
    found.extend(suspects.map(|reason| of_reason(reason, Severity::Medium, Confidence::Low, now)));
    let mut lines = Vec::new();
    for finding in found {
        serde_json::to_writer(&mut lines, &finding)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn of_boundary(boundary: &Boundary, actors: &[ActorSummary], now: Timestamp) -> Value {
    let mut evidences: Vec<Value> = boundary.reasons.iter().map(evidence).collect();
    evidences.extend(actors.iter().flat_map(of_actor));
    let first = boundary.reasons.first();
    let confidence = if actors.iter().any(|actor| actor.confirmed) {
        Confidence::High
    } else {
        Confidence::Medium
    };
    finding(
        &json!({
            "uid": uid("boundary", first),
            "title": "Event boundary",
            "desc": format!(
                "Recovery points from {} on may hold what the intruder did. Not later than {}, floor {}{}.",
                boundary.best,
                boundary.not_later_than,
                boundary.floor,
                if boundary.unbounded { "; the actor is there when the logs begin" } else { "" }
            ),
            "created_time": now.as_millisecond(),
            "first_seen_time": boundary.best.as_millisecond(),
            "analytic": {"uid": "boundary", "name": "Event boundary", "type_id": 2, "type": "Behavioral"},
        }),
        Severity::Critical,
        confidence,
        &evidences,
        boundary.best,
        now,
    )
}

fn of_reason(reason: &Reason, severity: Severity, confidence: Confidence, now: Timestamp) -> Value {
    finding(
        &json!({
            "uid": uid(&reason.indicator, Some(reason)),
            "title": reason.indicator,
            "desc": reason.what,
            "created_time": now.as_millisecond(),
            "first_seen_time": reason.at.as_millisecond(),
            "analytic": {"uid": reason.indicator, "name": reason.indicator, "type_id": 1, "type": "Rule"},
        }),
        severity,
        confidence,
        &[evidence(reason)],
        reason.at,
        now,
    )
}

fn finding(
    info: &Value,
    severity: Severity,
    confidence: Confidence,
    evidences: &[Value],
    start: Timestamp,
    now: Timestamp,
) -> Value {
    let message = info.get("title").cloned().unwrap_or(Value::Null);
    json!({
        "activity_id": CREATE,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + CREATE,
        "time": now.as_millisecond(),
        "start_time": start.as_millisecond(),
        "severity_id": severity as u64,
        "severity": format!("{severity:?}"),
        "confidence_id": confidence as u64,
        "confidence": format!("{confidence:?}"),
        "status_id": 1,
        "status": "New",
        "message": message,
        "metadata": {
            "version": VERSION,
            "product": {"name": "Blackstart", "vendor_name": "Blackstart", "version": env!("CARGO_PKG_VERSION")},
        },
        "finding_info": info,
        "evidences": evidences,
    })
}

/// The same finding has the same id, whenever it is made.
fn uid(indicator: &str, reason: Option<&Reason>) -> String {
    reason.map_or_else(
        || indicator.to_owned(),
        |reason| {
            format!(
                "{indicator}/{}/{}",
                reason.evidence.sha256, reason.evidence.record
            )
        },
    )
}

fn evidence(reason: &Reason) -> Value {
    json!({"data": {
        "time": reason.at,
        "what": reason.what,
        "indicator": reason.indicator,
        "object": reason.evidence.object,
        "sha256": reason.evidence.sha256,
        "record": reason.evidence.record,
        "event_id": reason.evidence.event_id,
    }})
}

/// Who acted and from where; each must say at least one of the schema's evidence artifacts.
fn of_actor(actor: &ActorSummary) -> Vec<Value> {
    let users = actor
        .principals
        .iter()
        .map(|principal| json!({"actor": {"user": {"uid": principal}}}));
    let keys = actor
        .credentials
        .iter()
        .map(|credential| json!({"actor": {"user": {"credential_uid": credential}}}));
    let addresses = actor.addresses.iter().map(|address| {
        let field = if address.parse::<std::net::IpAddr>().is_ok() {
            "ip"
        } else {
            "svc_name"
        };
        json!({"src_endpoint": {field: address}})
    });
    users.chain(keys).chain(addresses).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::artifact::Digest;
    use crate::timeline::{Coverage, Evidence, SCHEMA};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn reason(indicator: &str, time: &str, record: u64) -> Reason {
        Reason {
            at: at(time),
            what: "stop: \"everything\"\n".to_owned(),
            indicator: indicator.to_owned(),
            evidence: Evidence {
                object: "s3://logs/o".to_owned(),
                sha256: Digest::of(b"o"),
                record,
                event_id: format!("e{record}"),
            },
        }
    }

    fn document() -> BoundaryDocument {
        let set = |text: &str| BTreeSet::from([text.to_owned()]);
        BoundaryDocument {
            schema: SCHEMA.to_owned(),
            boundary: Some(Boundary {
                best: at("2026-01-01T00:00:00Z"),
                not_later_than: at("2026-01-01T00:08:00Z"),
                floor: at("2026-01-01T00:00:00Z"),
                unbounded: false,
                reasons: vec![
                    reason(ACT, "2026-01-01T00:00:00Z", 0),
                    reason("cloudtrail.stop-logging", "2026-01-01T00:08:00Z", 1),
                ],
            }),
            actors: vec![ActorSummary {
                principals: set("arn:aws:iam::111111111111:user/u"),
                credentials: set("AKIA1"),
                addresses: BTreeSet::from(["198.51.100.7".to_owned(), "backup.amazonaws.com".to_owned()]),
                indicators: set("cloudtrail.stop-logging"),
                confirmed: true,
            }],
            suspects: vec![reason("s3.delete-buckets", "2026-01-01T00:09:00Z", 2)],
            coverage: Coverage {
                objects: 1,
                records: 3,
                first: None,
                last: None,
                gaps: Vec::new(),
                ..Coverage::default()
            },
        }
    }

    fn lines(document: &BoundaryDocument, now: &str) -> Vec<Value> {
        let lines = findings(document, at(now)).unwrap();
        lines
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// What the schema requires of a Detection Finding and of the objects in it.
    #[test]
    fn every_finding_has_what_the_schema_requires() {
        let found = lines(&document(), "2026-01-02T00:00:00Z");
        assert_eq!(found.len(), 3);
        for finding in &found {
            for field in [
                "activity_id",
                "category_uid",
                "class_uid",
                "type_uid",
                "time",
                "severity_id",
            ] {
                assert!(finding[field].is_u64(), "{field} of {finding}");
            }
            assert_eq!(finding["class_uid"], 2004);
            assert_eq!(finding["category_uid"], 2);
            assert_eq!(finding["type_uid"], 200_401);
            assert_eq!(finding["time"], 1_767_312_000_000_u64);
            assert!(finding["metadata"]["version"].as_str().unwrap().starts_with("1."));
            assert!(finding["metadata"]["product"]["vendor_name"].is_string());
            let info = &finding["finding_info"];
            assert!(!info["uid"].as_str().unwrap().is_empty());
            assert!(info["title"].is_string() && info["first_seen_time"].is_u64());
            assert!(info["analytic"]["type_id"].is_u64());
            for evidence in finding["evidences"].as_array().unwrap() {
                let known = ["actor", "src_endpoint", "data"];
                assert!(
                    known.iter().any(|field| evidence[field].is_object()),
                    "{evidence}"
                );
            }
        }
        assert_eq!(found[0]["evidences"].as_array().unwrap().len(), 2 + 4);
        assert_eq!(found[0]["finding_info"]["first_seen_time"], 1_767_225_600_000_u64);
        assert_eq!(found[2]["confidence_id"], 1, "a suspect is no certainty");
    }

    #[test]
    fn ids_are_unique_and_stay_when_the_findings_are_made_again() {
        let ids = |now: &str| -> Vec<String> {
            let found = lines(&document(), now);
            found
                .iter()
                .map(|f| f["finding_info"]["uid"].as_str().unwrap().to_owned())
                .collect()
        };
        let first = ids("2026-01-02T00:00:00Z");
        assert_eq!(first, ids("2026-03-02T00:00:00Z"));
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
    }

    #[test]
    fn what_was_left_out_as_the_owners_is_evidence_and_no_finding() {
        let mut document = document();
        let before = lines(&document, "2026-01-02T00:00:00Z");
        let boundary = document.boundary.as_mut().unwrap();
        let owners = Reason {
            indicator: OWNER.to_owned(),
            ..boundary.reasons[0].clone()
        };
        boundary.reasons.push(owners);
        let found = lines(&document, "2026-01-02T00:00:00Z");
        assert_eq!(found.len(), before.len());
        assert_eq!(found[1..], before[1..]);
    }

    #[test]
    fn without_indicator_there_is_no_finding() {
        let nothing = BoundaryDocument {
            boundary: None,
            suspects: Vec::new(),
            ..document()
        };
        assert!(lines(&nothing, "2026-01-02T00:00:00Z").is_empty());
    }
}
