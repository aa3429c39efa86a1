//! The recovery plan of the `orders` workload, and the templates that it names.

use std::collections::BTreeMap;

use blackstart_core::artifact::Digest;
use blackstart_core::plan::{InvalidPlan, Plan, ResourceType};
use blackstart_core::validation::configuration::not_carried;
use serde_json::{Value, json};

use super::workload::{BUCKET, CANARY, KEY, TABLE, VAULT};
use super::{LOG_BUCKET, LOG_PREFIX, PEOPLE, Scenario};
use crate::accounts::{LOG_ARCHIVE, OLD, REBUILD, RECOVERY, REGION, SIBLINGS, VALIDATION};
use crate::edge::{Front, HEALTH_PATH};
use crate::standin::DATA_KEY;
use crate::{NONCE_KEY, WEB_BUCKET};

/// Key of the plan in the plan bucket.
pub const PLAN_KEY: &str = "plans/orders.json";
/// Bucket to which the objects are restored.
pub const RESTORED_BUCKET: &str = "orders-data-333333333333";
/// Table to which the items are restored.
pub const RESTORED_TABLE: &str = "orders-restored";
/// What the stack of the application is built with until there is a bucket. No bucket can have this name.
pub const NOT_RESTORED_YET: &str = "NOT-RESTORED-YET";
/// The stack that takes bucket and table.
pub const APP_STACK: &str = "orders-app";
/// The parameter by which it takes the bucket.
pub const BUCKET_PARAMETER: &str = "DataBucket";
/// The name in its template under which it takes the table.
pub const TABLE_LOGICAL_ID: &str = "Table";
/// The user whose access key the workload sends mail with.
pub const MAILER: &str = "orders-mailer";
/// The name whose traffic moves.
pub const NAME: &str = "orders.example.com.";
/// The same, as a host is called.
pub const HOST: &str = "orders.example.com";
/// The approval team, in an organisation of its own.
pub const TEAM: &str = "arn:aws:mpa:us-east-1:777777777777:approval-team/recovery";
/// Address of the old environment.
pub const OLD_ADDRESS: &str = "198.51.100.10";
/// Address of the new environment: it is asked for its certificate, so it has to be there.
pub const NEW_ADDRESS: &str = "127.0.0.1";
/// Address of the holding page.
pub const HOLDING_ADDRESS: &str = "203.0.113.99";

/// The templates of the rebuilt workload: key in the plan bucket, and text.
pub const TEMPLATES: [(&str, &str); 2] = [
    (
        "templates/orders-foundation.json",
        include_str!("../../data/orders-foundation.json"),
    ),
    (
        "templates/orders-app.json",
        include_str!("../../data/orders-app.json"),
    ),
];

/// The plan's own YARA rules: key in the plan bucket, and text.
pub const RULES: (&str, &str) = ("rules/orders.yar", include_str!("../../data/orders.yar"));

/// The template with which recovery points are compared: key in the plan bucket, and text.
pub const KNOWN_GOOD: (&str, &str) = (
    "templates/orders-data.json",
    include_str!("../../data/orders-data.json"),
);

/// The plan, as its author would have written it.
///
/// # Errors
/// [`InvalidPlan`] when it does not fit the schema, which a test rules out.
pub fn plan(
    plan_bucket: &str,
    zone: &str,
    front: &Front,
    scenario: Scenario,
) -> Result<(Plan, Vec<u8>), InvalidPlan> {
    let mut document = document(plan_bucket, zone, front);
    if let Some(approval) = document.get_mut("approval").and_then(Value::as_object_mut) {
        approval.extend(of_scenario(scenario));
    }
    let text = document.to_string().into_bytes();
    Plan::parse(&text).map(|plan| (plan, text))
}

/// What the plan of a scenario says about the gate beside what all of them say.
fn of_scenario(scenario: Scenario) -> Option<(String, Value)> {
    let (field, value) = match scenario {
        Scenario::SecondGate => ("second_gate", json!(true)),
        Scenario::Expired => ("decide_within_minutes", json!(1)),
        Scenario::ApprovalTeam | Scenario::TeamRefused => ("outer_gate", json!({"team": TEAM})),
        Scenario::Incident
        | Scenario::Refused
        | Scenario::NoCleanPoint
        | Scenario::Crash
        | Scenario::Stuck
        | Scenario::LateEvidence => return None,
    };
    Some((field.to_owned(), value))
}

/// The template of one resource, and the properties that no backup brings back.
fn known_good(resource: &str, logical_id: &str, resource_type: ResourceType) -> Value {
    let not_compared: BTreeMap<&str, &str> = not_carried(resource_type)
        .iter()
        .map(|name| (*name, "AWS Backup does not bring it back"))
        .collect();
    json!({
        "resource": resource,
        "template": {"key": KNOWN_GOOD.0, "sha256": Digest::of(KNOWN_GOOD.1.as_bytes())},
        "logical_id": logical_id,
        "parameters": {"KeyArn": DATA_KEY},
        "not_compared": not_compared,
    })
}

/// The bucket: restored with a key of its own, its settings put back, and named to the application by a parameter.
fn data() -> Value {
    json!({
        "id": "orders-data",
        "type": "S3",
        "arn": format!("arn:aws:s3:::{BUCKET}"),
        "restore_to": RESTORED_BUCKET,
        // The points remember keys of the old account, which nobody in the new one may use.
        "metadata": {"EncryptionType": "SSE-S3"},
        "fix_ups": [
            {"kind": "versioning"},
            {"kind": "lifecycle", "rules": [{"id": "exports", "prefix": "exports/", "noncurrent_days": 30}]},
            {"kind": "event_notifications"},
            {"kind": "tags", "tags": {"team": "orders"}},
            {
                "kind": "without",
                "what": ["access_logging", "bucket_policy", "cors", "replication"],
                "reason": "only the application reads the bucket, by its role",
            },
        ],
        "seam": {"by": "parameter", "stack": APP_STACK, "parameter": BUCKET_PARAMETER},
    })
}

/// The table: its settings put back, and imported into the application's stack.
fn table() -> Value {
    json!({
        "id": "orders-table",
        "type": "DynamoDB",
        "arn": format!("arn:aws:dynamodb:{REGION}:{OLD}:table/{TABLE}"),
        "restore_to": RESTORED_TABLE,
        "metadata": {"encryptionType": "Default"},
        "fix_ups": [
            {"kind": "stream", "view": "NEW_AND_OLD_IMAGES"},
            {"kind": "point_in_time_recovery"},
            {"kind": "time_to_live", "attribute": "expires_at"},
            {"kind": "deletion_protection"},
            {"kind": "tags", "tags": {"team": "orders"}},
            {
                "kind": "without",
                "what": ["alarms", "autoscaling"],
                "reason": "capacity is on demand, and no alarm watched the old table",
            },
        ],
        // What the fix-ups put back stands in the template, too: else the first update of the stack takes it away.
        "seam": {
            "by": "import",
            "stack": APP_STACK,
            "logical_id": TABLE_LOGICAL_ID,
            "properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
                "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
                "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": true},
                "DeletionProtectionEnabled": true,
                "Tags": [{"Key": "team", "Value": "orders"}],
            },
        },
    })
}

fn document(plan_bucket: &str, zone: &str, front: &Front) -> Value {
    let stack = |name: &str, wave: u16, key: &str, parameters: Value, items: Value| {
        let text = TEMPLATES
            .iter()
            .find(|(at, _)| *at == key)
            .map_or("", |(_, text)| text);
        json!({
            "name": name,
            "wave": wave,
            "template": {"bucket": plan_bucket, "key": key, "sha256": Digest::of(text.as_bytes())},
            "parameters": parameters,
            "items": items,
        })
    };
    let approvers: Vec<Value> = PEOPLE
        .iter()
        .map(|person| json!({"person": person, "identities": [format!("arn:aws:iam::{RECOVERY}:user/{person}")]}))
        .collect();
    let waivers: Vec<Value> = SIBLINGS
        .iter()
        .flat_map(|account| super::partners::left_alone(account))
        .map(|document| json!({"document": document, "reason": "has its own owner, who moves it", "by": PEOPLE[0]}))
        .collect();
    json!({
        "schema": blackstart_core::plan::SCHEMA,
        "workload": "orders",
        "region": REGION,
        "accounts": {
            "old": OLD,
            "validation": VALIDATION,
            "rebuild": REBUILD,
            "log_archive": LOG_ARCHIVE,
            "siblings": SIBLINGS,
        },
        "timeline": {
            "sources": [{"kind": "cloudtrail", "bucket": LOG_BUCKET, "prefix": LOG_PREFIX}],
            "margin_minutes": 60,
        },
        "resources": [data(), table()],
        "validation": {
            "vault": {"name": VAULT, "account": RECOVERY},
            "layers": ["malware_scan", "trial_restore", "content_scan", "invariants", "configuration"],
            "configuration": [
                known_good("orders-data", "Data", ResourceType::S3),
                known_good("orders-table", "Orders", ResourceType::DynamoDb),
            ],
            // Bucket and table are backed up five minutes apart: a set is one of these pairs.
            "max_skew_minutes": 10,
            // Amounts of a drill, and nobody's prices.
            "cost": {
                "currency": "USD",
                "ceiling": "1.00",
                "prices": {
                    "S3": {"restored_per_gb": "1.00", "scanned_per_gb": "2.00"},
                    "DynamoDB": {"restored_per_gb": "1.00"},
                },
            },
            "yara_rules": [{"key": RULES.0, "sha256": Digest::of(RULES.1.as_bytes())}],
            "invariants": [
                {"check": "minimum_objects", "resource": "orders-data", "prefix": "invoices/", "minimum": 20},
                {"check": "minimum_items", "resource": "orders-table", "minimum": 20},
                {
                    "check": "required_attributes",
                    "resource": "orders-table",
                    "attributes": [KEY, "customer", "total", "status"],
                },
                {"check": "known_object", "resource": "orders-data", "key": CANARY.0, "sha256": Digest::of(CANARY.1)},
                {
                    "check": "known_item",
                    "resource": "orders-table",
                    "key": {KEY: {"S": "ord-000001"}},
                    "attributes": {"status": {"S": "shipped"}},
                },
            ],
        },
        "approval": {"approvers": approvers, "quorum": 1, "decide_within_minutes": 60},
        "rebuild": {
            "stacks": [
                stack(
                    "orders-foundation",
                    0,
                    "templates/orders-foundation.json",
                    json!({"WebBucketName": WEB_BUCKET}),
                    json!({
                        "WebBucket": {"class": "rebuild", "reason": "what it serves is put there by the deployment"},
                        "Carrier": {"class": "rotate", "credential": "orders/carrier"},
                    }),
                ),
                stack(
                    APP_STACK,
                    1,
                    "templates/orders-app.json",
                    json!({"DataBucket": NOT_RESTORED_YET}),
                    json!({}),
                ),
            ],
            "allowed_resource_types": [
                "AWS::DynamoDB::Table",
                "AWS::IAM::Role",
                "AWS::IAM::User",
                "AWS::S3::Bucket",
                "AWS::SQS::Queue",
                "AWS::SecretsManager::Secret",
            ],
        },
        "rotation": {
            "secrets": [{"name": "orders/api-key"}, {"name": "orders/carrier", "keys": ["password"]}],
            "credentials": [
                {"kind": "access_key", "user": MAILER, "secret": "orders/mailer-key"},
                {"kind": "parameter", "name": "/orders/session-key"},
            ],
        },
        "references": {
            "config_snapshots": {"bucket": LOG_BUCKET},
            "access_analyzer": true,
            "waivers": waivers,
        },
        "cutover": {
            "zone": zone,
            "names": [{
                "name": NAME,
                "type": "A",
                "new": [NEW_ADDRESS],
                "holding": [HOLDING_ADDRESS],
                "ttl": 60,
            }],
            "health": {
                "address": NEW_ADDRESS,
                "port": front.port,
                "path": HEALTH_PATH,
                "tls": {
                    "port": front.port,
                    "authorities": {
                        "pem": front.authorities,
                        "sha256": Digest::of(front.authorities.as_bytes()),
                    },
                },
                "nonce": {"bucket": WEB_BUCKET, "key": NONCE_KEY},
            },
        },
        "targets": {"recovery_time_minutes": 60, "recovery_point_minutes": 24 * 60},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_and_its_templates_are_sound() {
        let front = Front {
            port: 8443,
            authorities: "-----BEGIN CERTIFICATE-----".to_owned(),
        };
        let (plan, _) = plan("plans", "Z123", &front, Scenario::ApprovalTeam).unwrap();
        for (stack, (key, text)) in plan.rebuild.stacks.iter().zip(TEMPLATES) {
            assert_eq!(stack.template.key, key);
            let template: Value = serde_json::from_str(text).unwrap();
            for resource in template["Resources"].as_object().unwrap().values() {
                let kind = resource["Type"].as_str().unwrap();
                assert!(plan.rebuild.allowed_resource_types.contains(kind), "{kind}");
            }
            assert!(!text.contains(OLD));
        }
        assert_eq!(
            plan.unlisted_losses(),
            [],
            "whatever a restore loses is put back or done without"
        );
    }
}
