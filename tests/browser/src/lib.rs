//! Reports for tests in a real browser: hostile in every text, and as large as they get.

use std::collections::BTreeMap;

use blackstart_core::approval::vote::{Choice, Vote};
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::critical_path::{RecordedStep, Stage};
use blackstart_core::cutover::{CutoverDocument, ReferenceStep};
use blackstart_core::dns::{RecordSet, TrafficChange};
use blackstart_core::journal::{Entry, Event};
use blackstart_core::plan::Targets;
use blackstart_core::references::{DocumentKind, Slot};
use blackstart_core::report::trend::RunDurations;
use blackstart_core::report::{Facts, NamedDocument, OperatorAnswer, Report, State, build};
use blackstart_core::run::{
    AccountId, Conclusion, InvalidAccountId, InvalidWorkloadName, Mode, RunId, RunRecord, Trigger,
    WorkloadName,
};
use blackstart_core::task::cutover::Phase;
use blackstart_core::timeline::{Boundary, BoundaryDocument, Coverage, Evidence, Gap, Reason};
use jiff::{SignedDuration, Timestamp};

/// What an intruder would write into a name: markup, attributes, styles, addresses, controls.
pub const HOSTILE: &str = "</style></svg><script>window.hostile=1</script><img src=x onerror=\"window.hostile=1\">\
                           \"'><a href=\"javascript:alert(1)\">x</a>{background:url(http://127.0.0.1:9/)}\u{202e}\u{0}";

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Indicators of the timeline.
    pub indicators: i64,
    /// Reference changes.
    pub references: i64,
}

/// The largest report that has to open at once.
pub const LARGEST: Size = Size {
    indicators: 10_000,
    references: 5_000,
};

/// A fixture cannot be made: an id in it is wrong.
#[derive(Debug, thiserror::Error)]
pub enum BadFixture {
    /// An account id.
    #[error(transparent)]
    Account(#[from] InvalidAccountId),
    /// A workload name.
    #[error(transparent)]
    Workload(#[from] InvalidWorkloadName),
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_secs(1_780_000_000 + second))
        .unwrap_or_default()
}

fn artifact() -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: format!("runs/{HOSTILE}"),
        version: None,
        sha256: Digest::of(b""),
        bytes: 0,
    }
}

/// A report whose every text from outside is [`HOSTILE`].
///
/// # Errors
/// Never, unless this file is wrong.
pub fn hostile(size: Size) -> Result<Report, BadFixture> {
    let workload = WorkloadName::try_from("orders".to_owned())?;
    let run = RunId::of_execution(&workload, "x");
    let record = RunRecord {
        run,
        workload: workload.clone(),
        mode: Mode::Incident,
        plan: artifact(),
        trigger: Trigger::Manual {
            requested_by: HOSTILE.to_owned(),
            boundary: None,
        },
        execution: "x".to_owned(),
        started: at(0),
        conclusion: None,
    };
    let earlier = (1..=12).map(|n| RunDurations {
        schema: String::new(),
        run: RunId::of_execution(&workload, &n.to_string()),
        mode: Mode::Drill,
        started: at(-n * 604_800),
        conclusion: if n == 3 {
            Conclusion::Refused
        } else {
            Conclusion::Rehearsed
        },
        measured: 4_000.0,
        stages: BTreeMap::from([(Stage::Timeline, 100.0), (Stage::Approval, 2_000.0)]),
    });
    let facts = Facts {
        steps: steps(),
        earlier: earlier.collect(),
        boundary: Some(boundary()),
        seen: BTreeMap::from([(
            HOSTILE.to_owned(),
            (0..size.indicators).map(|n| (at(-n * 17), 1)).collect(),
        )]),
        votes: vec![Vote {
            at: at(500),
            person: HOSTILE.to_owned(),
            identity: HOSTILE.to_owned(),
            digest: Digest::of(b""),
            decision: Choice::Approve,
            rationale: HOSTILE.to_owned(),
        }],
        operators: vec![OperatorAnswer {
            at: at(550),
            person: HOSTILE.to_owned(),
            choice: HOSTILE.to_owned(),
            rationale: HOSTILE.to_owned(),
        }],
        cutover: Some(cutover(size.references)?),
        journal: vec![Entry {
            sequence: 1,
            at: at(600),
            by: HOSTILE.to_owned(),
            spent: blackstart_core::cutover::rate::Spent::default(),
            event: Event::Refused {
                step: HOSTILE.to_owned(),
                reason: HOSTILE.to_owned(),
            },
        }],
        documents: vec![NamedDocument {
            what: HOSTILE.to_owned(),
            proves: HOSTILE.to_owned(),
            artifact: artifact(),
        }],
        ..Facts::default()
    };
    let targets = Targets {
        recovery_time_minutes: Some(60),
        recovery_point_minutes: Some(15),
    };
    let state = State::concluded(Conclusion::Abandoned, HOSTILE.to_owned(), at(4_000));
    Ok(build(record, targets, state, facts))
}

fn steps() -> Vec<RecordedStep> {
    [
        ("Merge timeline", 0, 300),
        ("Judge set", 0, 200),
        ("Create stacks", 0, 250),
        ("Inventory sibling", 0, 90),
        ("Prepare decision", 300, 310),
        ("Await approval", 310, 500),
        ("Restore data", 500, 700),
        ("Rotate credentials", 700, 720),
        ("Plan cutover", 720, 900),
    ]
    .into_iter()
    .map(|(state, from, to)| RecordedStep {
        entered: at(from),
        began: at(from),
        ended: at(to),
        state: state.to_owned(),
        operation: String::new(),
        execution: "x".to_owned(),
        outcome: "ok".to_owned(),
        retry_count: 0,
    })
    .collect()
}

fn boundary() -> BoundaryDocument {
    let reason = Reason {
        at: at(-600),
        what: HOSTILE.to_owned(),
        indicator: HOSTILE.to_owned(),
        evidence: Evidence {
            object: format!(
                "s3://logs/AWSLogs/o-exampleorgid/111122223333/CloudTrail/us-east-1/2026/05/28/{HOSTILE}"
            ),
            sha256: Digest::of(b""),
            record: 7,
            event_id: HOSTILE.to_owned(),
        },
    };
    BoundaryDocument {
        schema: "blackstart.boundary/1".to_owned(),
        boundary: Some(Boundary {
            best: at(-600),
            not_later_than: at(-500),
            floor: at(-900),
            unbounded: true,
            reasons: vec![reason.clone(); 40],
        }),
        actors: Vec::new(),
        suspects: vec![reason; 3],
        coverage: Coverage {
            objects: 3,
            records: 10_000,
            first: Some(at(-90_000)),
            last: Some(at(0)),
            gaps: vec![Gap {
                what: HOSTILE.to_owned(),
                reason: HOSTILE.to_owned(),
            }],
            ..Coverage::default()
        },
    }
}

fn cutover(references: i64) -> Result<CutoverDocument, BadFixture> {
    let account = AccountId::try_from("222233334444".to_owned())?;
    let policy = |principal: &str, n: i64| {
        format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Sid\":\"S{n}\",\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\
             \"arn:aws:iam::{principal}:root\"}},\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":[\"arn:aws:s3:::shared-{n}\",\
             \"arn:aws:s3:::shared-{n}/*\"],\"Condition\":{{\"StringLike\":{{\"aws:RequestTag/x\":\"{HOSTILE}\"}}}}}}]}}"
        )
    };
    let steps = (0..references)
        .map(|n| ReferenceStep {
            id: format!("expand-{n}-{HOSTILE}"),
            slot: Slot {
                account: account.clone(),
                region: String::new(),
                kind: DocumentKind::BucketPolicy,
                arn: format!("arn:aws:s3:::shared-{n}"),
            },
            account: account.clone(),
            phase: Phase::Expand,
            before: policy("111122223333", n),
            after: policy("555566667777", n),
            proof: HOSTILE.to_owned(),
        })
        .collect();
    let record = |value: &str| RecordSet {
        name: format!("{HOSTILE}.example.org."),
        record_type: "A".to_owned(),
        set_identifier: None,
        failover: None,
        weight: None,
        ttl: Some(60),
        values: vec![value.to_owned()],
        alias: None,
        health_check: None,
    };
    Ok(CutoverDocument {
        schema: "blackstart.cutover/1".to_owned(),
        package: Digest::of(b""),
        contain: Vec::new(),
        steps,
        traffic: TrafficChange {
            zone: HOSTILE.to_owned(),
            before: vec![record("192.0.2.1")],
            after: vec![record("192.0.2.2")],
        },
        traffic_stages: Vec::new(),
        hold_seconds: 0,
    })
}
