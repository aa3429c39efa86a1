//! Values for the tests of this domain.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Candidate, RecoverySet};
use crate::plan::{Plan, ResourceType};

/// Minutes after the beginning of 2026.
pub(super) fn at(minutes: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

/// A set of one bucket, `minutes` after the beginning of 2026.
pub(super) fn set(id: &str, minutes: i64) -> RecoverySet {
    let point = Candidate {
        arn: format!("arn:aws:backup:us-east-1:111111111111:recovery-point:{id}"),
        resource_type: ResourceType::S3,
        begun: None,
        latest: at(minutes),
        bytes: None,
    };
    RecoverySet {
        id: id.to_owned(),
        newest: at(minutes),
        oldest: at(minutes),
        points: BTreeMap::from([("data".to_owned(), point)]),
    }
}

/// A plan with one bucket, `data`, and one table, `table`.
pub(super) fn plan() -> Plan {
    serde_json::from_value(serde_json::json!({
        "schema": "blackstart.plan/1",
        "workload": "orders",
        "region": "us-east-1",
        "accounts": {
            "old": "444444444444", "validation": "222222222222", "rebuild": "333333333333",
            "log_archive": "555555555555", "siblings": []
        },
        "timeline": { "sources": [] },
        "resources": [
            { "id": "data", "arn": "arn:aws:s3:::orders-data", "type": "S3", "restore_to": "orders-new" },
            {
                "id": "table", "arn": "arn:aws:dynamodb:us-east-1:444444444444:table/orders",
                "type": "DynamoDB", "restore_to": "orders"
            }
        ],
        "validation": { "vault": { "name": "orders" } },
        "approval": { "approvers": [], "quorum": 1 },
        "rebuild": { "stacks": [], "allowed_resource_types": [] },
        "references": {},
        "cutover": {
            "zone": "Z1", "names": [],
            "health": {
                "address": "127.0.0.1", "port": 80, "path": "/",
                "nonce": { "bucket": "b", "key": "k" }
            }
        }
    }))
    .unwrap()
}

/// Reproducible random bytes: sha256 in counter mode.
pub(super) fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};

    (0_u64..)
        .flat_map(|i| {
            let mut input = seed.to_le_bytes().to_vec();
            input.extend(i.to_le_bytes());
            Sha256::digest(input)
        })
        .take(length)
        .collect()
}
