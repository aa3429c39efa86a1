//! What is sent for copies and their settings, and what is read from the answers.

use std::collections::BTreeSet;

use blackstart_core::plan::{ExpiryRule, FixUp};
use blackstart_core::restore::fix_up::Settings;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::run::RunId;
use serde_json::{Value, json};

use super::*;
use crate::signed::Signed;
use crate::signed::testing::{Asked, Wire};

fn reader(wire: &Wire) -> ContentReader {
    let config = wire.config();
    ContentReader {
        others: CloudControl::over(
            Signed::over(&config, wire.connector()),
            Some("arn:role".to_owned()),
        ),
        ..ContentReader::new(&config, None)
    }
}

fn run() -> RunId {
    RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
}

fn sent(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).unwrap()
}

/// What Cloud Control answers for a resource with these properties.
fn described(properties: &Value) -> String {
    json!({"ResourceDescription": {"Properties": properties.to_string()}}).to_string()
}

#[tokio::test(flavor = "current_thread")]
async fn two_resources_of_a_run_are_marked_by_requests_of_their_own() {
    let wire = Wire::new(|asked| match asked.target.as_str() {
        "CloudApiService.GetResource" => (
            200,
            described(&json!({"Tags": [{"Key": "team", "Value": "orders"}]})),
        ),
        _ => (
            200,
            json!({"ProgressEvent": {"OperationStatus": "IN_PROGRESS"}}).to_string(),
        ),
    });
    let reader = reader(&wire);
    let arns = [
        (ResourceType::Rds, "arn:aws:rds:eu-west-1:333333333333:db:orders"),
        (
            ResourceType::Ebs,
            "arn:aws:ec2:eu-west-1:333333333333:volume/vol-1",
        ),
    ];
    for (resource_type, arn) in arns {
        let marked = reader.mark(resource_type, "orders", arn, &run()).await;
        assert_eq!(marked, Ok(false));
    }
    let updates: Vec<Value> = wire
        .asked()
        .iter()
        .filter(|asked| asked.target == "CloudApiService.UpdateResource")
        .map(sent)
        .collect();
    assert_eq!(updates.len(), 2);
    for (update, identifier) in updates.iter().zip(["orders", "vol-1"]) {
        assert_eq!(update["Identifier"], identifier);
        assert_eq!(update.get("ClientToken"), None, "{update}");
        let patch: Value = serde_json::from_str(update["PatchDocument"].as_str().unwrap()).unwrap();
        assert_eq!(patch[0]["path"], "/Tags");
        assert_eq!(
            patch[0]["value"],
            json!([
                {"Key": "team", "Value": "orders"},
                {"Key": "blackstart:run", "Value": "orders-0123456789ab"},
            ])
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn notifications_are_added_to_those_that_are_there() {
    let wire = Wire::new(|asked| {
        let there = "<NotificationConfiguration><QueueConfiguration><Id>orders</Id>\
            <Queue>arn:aws:sqs:eu-west-1:333333333333:orders</Queue><Event>s3:ObjectCreated:*</Event>\
            </QueueConfiguration></NotificationConfiguration>";
        let answer = if asked.method == "GET" { there } else { "" };
        (200, answer.to_owned())
    });
    let fix_up = FixUp::EventNotifications {};
    let reader = reader(&wire);
    let put = reader.put_back(ResourceType::S3, "orders", "arn:aws:s3:::orders", &fix_up);
    assert_eq!(put.await, Ok(()));
    let asked = wire.asked();
    let sent = &asked.last().unwrap().body;
    assert!(
        sent.contains("arn:aws:sqs:eu-west-1:333333333333:orders")
            && sent.contains("<EventBridgeConfiguration"),
        "{sent}"
    );
}

/// What the settings of a bucket with these lifecycle rules say of them.
async fn lifecycle(rules: &'static str) -> BTreeSet<ExpiryRule> {
    let wire = Wire::new(move |asked| {
        let answer = ["lifecycle", "versioning", "notification", "tagging"]
            .into_iter()
            .find(|of| asked.uri.contains(of));
        let answer = match answer {
            Some("lifecycle") => format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>"),
            Some("versioning") => "<VersioningConfiguration/>".to_owned(),
            Some("notification") => "<NotificationConfiguration/>".to_owned(),
            _ => "<Tagging><TagSet/></Tagging>".to_owned(),
        };
        (200, answer)
    });
    let reader = reader(&wire);
    let settings = reader
        .settings(ResourceType::S3, "orders", "arn:aws:s3:::orders")
        .await;
    let Ok(Settings::Bucket(bucket)) = settings else {
        panic!("{settings:?}")
    };
    bucket.lifecycle
}

#[tokio::test(flavor = "current_thread")]
async fn only_a_rule_that_does_what_a_plan_can_say_counts_as_there() {
    let wanted = BTreeSet::from([ExpiryRule {
        id: "old".to_owned(),
        prefix: "tmp/".to_owned(),
        days: Some(30),
        noncurrent_days: None,
    }]);
    let same = "<Rule><ID>old</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status>\
        <Expiration><Days>30</Days></Expiration></Rule>";
    assert_eq!(lifecycle(same).await, wanted);
    let others = [
        "<Rule><ID>old</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Disabled</Status>\
         <Expiration><Days>30</Days></Expiration></Rule>",
        "<Rule><ID>old</ID><Filter><And><Prefix>tmp/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>\
         <Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>",
        "<Rule><ID>old</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status>\
         <Transition><Days>7</Days><StorageClass>GLACIER</StorageClass></Transition>\
         <Expiration><Days>30</Days></Expiration></Rule>",
        "<Rule><ID>old</ID><Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter>\
         <Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>",
    ];
    for rules in others {
        assert_ne!(lifecycle(rules).await, wanted, "{rules}");
    }
    let disabled_beside = "<Rule><ID>old</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status>\
        <Expiration><Days>30</Days></Expiration></Rule><Rule><ID>x</ID><Filter/><Status>Disabled</Status>\
        <Expiration><Days>1</Days></Expiration></Rule>";
    assert_eq!(lifecycle(disabled_beside).await, wanted);
}

#[tokio::test(flavor = "current_thread")]
async fn a_file_system_that_nothing_here_can_tag_is_restored_and_never_called_gone() {
    let wire = Wire::new(|_| (500, String::new()));
    let reader = reader(&wire);
    let arn = "arn:aws:fsx:eu-west-1:333333333333:file-system/fs-1";
    assert_eq!(
        reader.mark(ResourceType::Fsx, "files", arn, &run()).await,
        Ok(true)
    );
    assert_eq!(
        reader.copy(ResourceType::Fsx, "files", arn).await,
        Ok(CopyState::Unknown)
    );
    let nameless = "arn:aws:ec2:eu-west-1:333333333333:volume/";
    assert_eq!(
        reader.copy(ResourceType::Ebs, "disk", nameless).await,
        Ok(CopyState::Unknown)
    );
    assert!(wire.asked().is_empty());
}
