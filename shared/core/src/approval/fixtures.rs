//! One consistent run for the tests of this stage.

use serde_json::{Value, json};

use super::package::{Facts, PackageRefused, Referenced, Sealed, build};
use crate::artifact::{ArtifactRef, Digest};
use crate::plan::Plan;
use crate::rebuild::RebuildDocument;
use crate::references::InventoryDocument;
use crate::run::{Mode, RunId, WorkloadName};
use crate::timeline::BoundaryDocument;
use crate::validation::SelectionDocument;

pub(super) const NOW: &str = "2026-03-01T12:00:00Z";

pub(super) struct Inputs {
    pub(super) plan: Plan,
    pub(super) selection: SelectionDocument,
    pub(super) boundary: BoundaryDocument,
    pub(super) rebuild: RebuildDocument,
    pub(super) inventory: InventoryDocument,
    pub(super) requester: Option<String>,
}

impl Inputs {
    pub(super) fn build(&self) -> Result<Sealed, PackageRefused> {
        let workload = workload();
        build(&Facts {
            run: &RunId::of_execution(&workload, "x"),
            workload: &workload,
            mode: Mode::Drill,
            plan: Referenced {
                document: &self.plan,
                artifact: &artifact("plan"),
            },
            selection: Referenced {
                document: &self.selection,
                artifact: &artifact("selection"),
            },
            boundary: Referenced {
                document: &self.boundary,
                artifact: &artifact("boundary"),
            },
            rebuild: Referenced {
                document: &self.rebuild,
                artifact: &artifact("rebuild"),
            },
            inventory: Referenced {
                document: &self.inventory,
                artifact: &artifact("inventory"),
            },
            requester: self.requester.as_deref(),
            now: NOW.parse().unwrap(),
        })
    }
}

pub(super) fn workload() -> WorkloadName {
    WorkloadName::try_from("orders".to_owned()).unwrap()
}

pub(super) fn artifact(name: &str) -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: format!("runs/x/{name}.json"),
        version: None,
        sha256: Digest::of(name.as_bytes()),
        bytes: 1,
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(super) fn plan() -> Plan {
    parse(json!({
        "schema": "blackstart.plan/1", "workload": "orders", "region": "us-east-1",
        "accounts": {
            "old": "444444444444", "validation": "222222222222", "rebuild": "333333333333",
            "log_archive": "555555555555", "siblings": ["666666666666"],
        },
        "timeline": {"sources": [{"kind": "cloudtrail", "bucket": "logs"}]},
        "resources": [
            {"id": "data", "arn": "arn:aws:s3:::orders-data", "type": "S3", "restore_to": "orders-data-new"},
        ],
        "validation": {"vault": {"name": "vault"}},
        "approval": {
            "quorum": 2,
            "approvers": [
                {"person": "ada", "identities": ["arn:aws:iam::111111111111:user/ada"]},
                {"person": "bob", "identities": [
                    "arn:aws:iam::111111111111:role/people/Bob",
                    "arn:aws:sts::111111111111:assumed-role/Shared/bob",
                ]},
                {"person": "eve", "identities": ["arn:aws:sts::111111111111:assumed-role/Shared/eve"]},
            ],
        },
        "rebuild": {
            "stacks": [{"name": "app", "template": {"bucket": "t", "key": "k", "sha256": Digest::of(b"app")}}],
            "allowed_resource_types": ["AWS::S3::Bucket"],
        },
        "references": {"identifiers": [{"kind": "bucket", "old": "orders-data", "new": "orders-data-new"}]},
        "cutover": {
            "zone": "Z1",
            "names": [{"name": "orders.example.", "type": "A", "new": ["192.0.2.2"], "holding": ["192.0.2.9"]}],
            "health": {
                "address": "192.0.2.2", "port": 443, "path": "/health",
                "nonce": {"bucket": "n", "key": "nonce"},
            },
        },
    }))
}

pub(super) fn inputs() -> Inputs {
    let clean = json!({"verdict": "clean", "reasons": []});
    let point = json!({
        "arn": "arn:aws:backup:us-east-1:222222222222:recovery-point:1", "resource_type": "S3",
        "latest": "2026-02-20T00:00:00Z", "bytes": 9,
    });
    Inputs {
        plan: plan(),
        selection: parse(json!({
            "schema": "blackstart.selection/1",
            "set": {
                "id": "abc", "newest": "2026-02-20T00:00:00Z", "oldest": "2026-02-20T00:00:00Z",
                "points": {"data": point},
            },
            "verdict": {
                "set": "abc", "verdict": "clean", "at": NOW,
                "layers": {"malware_scan": clean, "trial_restore": clean, "content_scan": clean, "invariants": clean},
                "manifests": {"data": artifact("manifest")},
            },
            "boundary": {"boundary": "2026-02-21T00:00:00Z", "document": artifact("boundary")},
            "considered": [],
        })),
        boundary: parse(json!({
            "schema": "blackstart.boundary/1",
            "boundary": {
                "best": "2026-02-21T00:00:00Z", "not_later_than": "2026-02-21T02:00:00Z",
                "floor": "2026-02-20T22:00:00Z", "unbounded": true,
                "reasons": [record("2026-02-21T00:00:00Z", "ListBuckets by role/ci from 198.51.100.7")],
            },
            "actors": [],
            "suspects": [record("2026-02-21T05:00:00Z", "console login without a second factor")],
            "coverage": {
                "objects": 3, "records": 900, "first": "2026-02-20T00:00:00Z", "last": "2026-02-28T00:00:00Z",
                "gaps": [{"what": "trail of 2026-02-22", "reason": "StopLogging"}],
            },
        })),
        rebuild: parse(json!({
            "schema": "blackstart.rebuild/1",
            "stacks": [{"name": "app", "id": "arn:stack", "template": Digest::of(b"app"), "outputs": {}}],
            "isolation": [{"check": "egress", "status": "pass", "evidence": "no route"}],
        })),
        inventory: parse(json!({
            "schema": "blackstart.inventory/1", "documents_read": 9, "failures": [],
            "documents": [document("one", 1, 1), document("two", 2, 2)],
        })),
        requester: None,
    }
}

fn record(at: &str, what: &str) -> Value {
    json!({
        "at": at, "what": what, "indicator": "actor",
        "evidence": {"object": "s3://logs/a.json.gz", "sha256": Digest::of(b"a"), "record": 7, "event_id": "e"},
    })
}

pub(super) fn document(name: &str, tokens: u64, handled: u64) -> Value {
    json!({
        "slot": {
            "account": "666666666666", "region": "", "kind": "role_trust",
            "arn": format!("arn:aws:iam::666666666666:role/{name}"),
        },
        "text": "{}", "before": Digest::of(name.as_bytes()), "tokens": tokens, "handled": handled,
        "unhandled": if tokens > handled { json!(["sts:ExternalId"]) } else { json!([]) },
    })
}
