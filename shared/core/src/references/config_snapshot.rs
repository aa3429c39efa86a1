//! The catch-all: the full text of an AWS Config snapshot, for every resource type that no reader reads.
//!
//! AWS Config cannot be asked for an account id inside a policy (no policy is a queryable property), but it delivers
//! every configuration item it has to S3: `[PREFIX/]AWSLogs/ACCOUNT/Config/REGION/YYYY/M/D/ConfigSnapshot/…json.gz`,
//! one object with a list `configurationItems`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::document::{Resource, Source};
use super::inventory::{Configuration, Observed};
use super::{Form, IdentifierMap, scan};
use crate::run::AccountId;
use crate::timeline::object::{Unreadable, inflate};

/// Most bytes that a snapshot may inflate to: a quarter of the function's memory.
pub const SNAPSHOT_LIMIT: usize = 512 << 20;

/// A Config snapshot cannot be read: nothing can be said about what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSnapshot {
    /// Its bytes.
    #[error(transparent)]
    Object(#[from] Unreadable),
    /// Its JSON.
    #[error("it is no Config snapshot: {0}")]
    NotASnapshot(String),
}

#[derive(Deserialize)]
struct Snapshot<'s> {
    #[serde(borrow, rename = "configurationItems")]
    items: Vec<&'s RawValue>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "awsAccountId", default)]
    account: String,
    #[serde(rename = "awsRegion", default)]
    region: String,
    #[serde(rename = "resourceType", default)]
    kind: String,
    #[serde(rename = "ARN", alias = "arn", default)]
    arn: String,
    #[serde(rename = "resourceId", default)]
    id: String,
    #[serde(rename = "configurationItemStatus", default)]
    status: String,
}

/// Every configuration item of this sibling in a stored snapshot that names the old environment, with its full text,
/// and how many items of it there are.
///
/// Deleted resources are left out, and so is what belongs to another account.
///
/// # Errors
/// [`InvalidSnapshot`]; a snapshot with one item that is not understood is not understood.
pub fn observed_in_snapshot(
    stored: &[u8],
    sibling: &AccountId,
    map: &IdentifierMap,
) -> Result<(Vec<Observed>, u64), InvalidSnapshot> {
    let text = inflate(stored, SNAPSHOT_LIMIT)?;
    let no_snapshot = |error: serde_json::Error| InvalidSnapshot::NotASnapshot(error.to_string());
    let snapshot: Snapshot<'_> = serde_json::from_slice(&text).map_err(no_snapshot)?;
    let mut observed = Vec::new();
    let mut items = 0;
    for raw in snapshot.items {
        let item: Item = serde_json::from_str(raw.get()).map_err(no_snapshot)?;
        if item.account != sibling.as_str() || item.status.starts_with("ResourceDeleted") {
            continue;
        }
        items += 1;
        // Most items name nothing. What cannot be read is kept, so that it becomes a gap and not a silence.
        if scan(raw.get(), Form::Config, map).is_ok_and(|tokens| tokens.is_empty()) {
            continue;
        }
        let name = if item.arn.is_empty() { item.id } else { item.arn };
        observed.push(Observed::Configuration(Configuration {
            resource: Resource {
                account: sibling.clone(),
                name,
                region: if item.region == "global" {
                    String::new()
                } else {
                    item.region
                },
                kind: item.kind,
            },
            part: String::new(),
            form: Form::Config,
            text: raw.get().to_owned(),
            source: Source::ConfigSnapshot,
        }));
    }
    Ok((observed, items))
}

/// Of the keys of a delivery channel's bucket, the newest snapshot per region of this account.
///
/// The date in a key is not padded (`2026/1/9`), so keys do not sort by time; the stamp in the object's name does.
pub fn newest_snapshots<'k>(
    keys: impl IntoIterator<Item = &'k str>,
    sibling: &AccountId,
) -> BTreeMap<String, &'k str> {
    let mut newest: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    let marker = format!("AWSLogs/{sibling}/Config/");
    for key in keys {
        let Some((_, below)) = key.split_once(marker.as_str()) else {
            continue;
        };
        let mut parts = below.split('/');
        let (Some(region), Some(name)) = (parts.next(), parts.next_back()) else {
            continue;
        };
        if !below.contains("/ConfigSnapshot/") {
            continue;
        }
        // `ACCOUNT_Config_REGION_ConfigSnapshot_20261122T080000Z_ID.json.gz`
        let Some((_, stamp)) = name.split_once("_ConfigSnapshot_") else {
            continue;
        };
        let known = newest.entry(region.to_owned()).or_insert((stamp, key));
        if stamp > known.0 {
            *known = (stamp, key);
        }
    }
    newest
        .into_iter()
        .map(|(region, (_, key))| (region, key))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SIBLING: &str = "555555555555";

    fn account(id: &str) -> AccountId {
        AccountId::try_from(id.to_owned()).unwrap()
    }

    fn map() -> IdentifierMap {
        IdentifierMap::of_accounts(&account("111111111111"), &account("222222222222")).unwrap()
    }

    fn item(kind: &str, arn: &str, configuration: &Value) -> Value {
        json!({"configurationItemVersion": "1.3", "configurationItemCaptureTime": "2026-11-22T08:00:00.000Z",
            "configurationStateId": 1_764_000_000_111_i64, "awsAccountId": SIBLING, "configurationItemStatus": "OK",
            "resourceType": kind, "resourceId": "r", "ARN": arn, "awsRegion": "us-east-1", "tags": {},
            "relatedEvents": [], "relationships": [], "configuration": configuration, "supplementaryConfiguration": {}})
    }

    fn found(items: &[Value]) -> Vec<String> {
        let snapshot =
            json!({"fileVersion": "1.0", "configSnapshotId": "x", "configurationItems": items}).to_string();
        let (observed, _) = observed_in_snapshot(snapshot.as_bytes(), &account(SIBLING), &map()).unwrap();
        observed
            .into_iter()
            .map(|one| match one {
                Observed::Configuration(one) => one.resource.name,
                Observed::Document { .. } => panic!("a snapshot holds no documents"),
            })
            .collect()
    }

    #[test]
    fn only_live_resources_of_the_sibling_that_name_the_old_account_are_kept() {
        let naming = json!({"endpoint": "arn:aws:sqs:us-east-1:111111111111:q"});
        let mut deleted = item("AWS::SNS::Subscription", "deleted", &naming);
        deleted["configurationItemStatus"] = json!("ResourceDeleted");
        let mut foreign = item("AWS::SNS::Subscription", "foreign", &naming);
        foreign["awsAccountId"] = json!("666666666666");
        let escaped = json!({"policy": json!({"Statement": [{"Effect": "Allow", "Principal": {"AWS": "111111111111"}}]}).to_string()});
        let items = [
            item("AWS::SNS::Subscription", "plain", &naming),
            item("AWS::FSx::FileSystem", "other", &json!({"size": "9111111111111"})),
            item("AWS::MSK::Cluster", "in a string", &escaped),
            deleted,
            foreign,
        ];
        assert_eq!(found(&items), ["plain", "in a string"]);
    }

    #[test]
    fn what_is_no_snapshot_is_an_error_and_not_an_empty_one() {
        for text in [
            "",
            "{}",
            r#"{"configurationItems":[1]}"#,
            r#"{"configurationItems":[{"awsAccountId":"#,
        ] {
            assert!(
                observed_in_snapshot(text.as_bytes(), &account(SIBLING), &map()).is_err(),
                "{text}"
            );
        }
        assert!(matches!(
            observed_in_snapshot(&[0x1f, 0x8b, 8], &account(SIBLING), &map()),
            Err(InvalidSnapshot::Object(Unreadable::DamagedGzip))
        ));
    }

    #[test]
    fn the_newest_snapshot_of_each_region_is_read_by_its_stamp() {
        let key = |date: &str, region: &str, stamp: &str| {
            format!(
                "org/AWSLogs/{SIBLING}/Config/{region}/{date}/ConfigSnapshot/{SIBLING}_Config_{region}_ConfigSnapshot_{stamp}_a.json.gz"
            )
        };
        let keys = [
            key("2026/9/30", "us-east-1", "20260930T080000Z"),
            key("2026/11/2", "us-east-1", "20261102T080000Z"),
            key("2026/10/9", "eu-west-1", "20261009T080000Z"),
            format!(
                "org/AWSLogs/{SIBLING}/Config/us-east-1/2026/11/3/ConfigHistory/x_ConfigSnapshot_9.json.gz"
            ),
            "org/AWSLogs/666666666666/Config/us-east-1/2026/11/3/ConfigSnapshot/x_ConfigSnapshot_9.json.gz"
                .to_owned(),
        ];
        let newest = newest_snapshots(keys.iter().map(String::as_str), &account(SIBLING));
        assert_eq!(newest.len(), 2);
        assert_eq!(newest["us-east-1"], keys[1]);
        assert_eq!(newest["eu-west-1"], keys[2]);
    }
}
