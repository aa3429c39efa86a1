//! The plan, the siblings' documents and the records before anything happened.

use super::*;

/// A policy that nobody planned.
pub(in crate::tests) fn third_party() -> String {
    policy("arn:aws:iam::999999999999:root")
}

pub(super) fn policy(principal: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"},
    ]})
    .to_string()
}

pub(super) fn plan() -> Plan {
    serde_json::from_value(json!({
        "schema": "blackstart.plan/1", "workload": "orders", "region": "us-east-1",
        "accounts": {"old": OLD, "validation": "222222222222", "rebuild": NEW,
                     "log_archive": "555555555555", "siblings": SIBLINGS},
        "timeline": {"sources": [{"kind": "cloudtrail", "bucket": "logs"}]},
        "resources": [{"id": "data", "arn": "arn:aws:s3:::orders-data", "type": "S3", "restore_to": "new-data"}],
        "validation": {"vault": {"name": "vault"}},
        "approval": {"quorum": 1, "approvers": [
            {"person": "ada", "identities": ["arn:aws:iam::111111111111:user/ada"]}]},
        "rebuild": {"stacks": [], "allowed_resource_types": []},
        "references": {},
        "cutover": {
            "zone": "Z1",
            "names": [{"name": "shop.example.com.", "type": "A", "new": ["198.51.100.7"], "holding": ["203.0.113.9"]}],
            "health": {"address": "198.51.100.7", "port": 80, "path": "/health",
                       "nonce": {"bucket": "n", "key": "nonce"}},
        },
    }))
    .unwrap()
}

/// The policy that cuts the old account off.
pub(super) const QUARANTINE: &str = "p-quarantine";

pub(super) fn contain() -> ContainPlan {
    serde_json::from_value(json!({
        "account": "888888888888", "policies": [{"policy": QUARANTINE, "target": OLD}],
    }))
    .unwrap()
}

pub(super) fn deny_everything() -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
        .to_string()
}

pub(super) fn records() -> Vec<RecordSet> {
    serde_json::from_value(json!([
        {"name": "example.com.", "type": "NS", "ttl": 300, "values": ["ns1.example.net."]},
        {"name": "example.com.", "type": "SOA", "ttl": 300, "values": ["x"]},
        {"name": "shop.example.com.", "type": "A", "ttl": 300, "values": ["192.0.2.2", "192.0.2.1"]},
    ]))
    .unwrap()
}

pub(super) fn documents(siblings: &[String], each: usize) -> Vec<ReferenceDocument> {
    siblings
        .iter()
        .flat_map(|account| {
            (0..each).map(move |i| {
                let text = policy(&format!("arn:aws:iam::{OLD}:role/app{i}"));
                serde_json::from_value(json!({
                    "slot": {"account": account, "region": "", "kind": "role_trust",
                             "arn": format!("arn:aws:iam::{account}:role/partner{i}")},
                    "before": canonical_digest_of(&text), "text": text, "tokens": 1, "handled": 1, "unhandled": [],
                }))
                .unwrap()
            })
        })
        .collect()
}
