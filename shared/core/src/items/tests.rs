use serde_json::json;

use super::*;
use crate::rebuild::BuiltStack;
use crate::restore::RestoredResource;
use crate::rotation::RotatedCredential;

const PLAN: &[u8] = include_bytes!("../../../../tests/data/plan/orders.json");
const PACKAGE: &[u8] = include_bytes!("../../../../tests/data/plan/orders-package.json");

/// The plan whose first stack has these resources, classified so.
fn plan_of(resources: &Value, items: &Value) -> (Plan, BTreeMap<String, Template>) {
    let mut document: Value = serde_json::from_slice(PLAN).unwrap();
    document["rebuild"]["stacks"][0]["items"] = items.clone();
    document["rebuild"]["stacks"][0]["parameters"] = json!({"Name": "orders-restored"});
    document["rotation"]["credentials"] = json!([
        {"kind": "access_key", "user": "mailer", "secret": "orders/mailer"},
        {"kind": "hook", "name": "certificate", "function": "renew"},
    ]);
    let plan = Plan::parse(document.to_string().as_bytes()).unwrap();
    let body = json!({ "Resources": resources }).to_string();
    let template = Template {
        digest: Digest::of(body.as_bytes()),
        body,
    };
    let name = plan.rebuild.stacks[0].name.clone();
    (plan, BTreeMap::from([(name, template)]))
}

fn problems(resources: &Value, items: &Value) -> Vec<String> {
    let (plan, templates) = plan_of(resources, items);
    let found = classify(&plan, &templates).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

fn kind(kind: &str) -> Value {
    json!({ "Type": kind })
}

#[test]
fn every_item_is_classified_once_by_what_it_holds() {
    let resources = json!({
        "Queue": kind("AWS::SQS::Queue"),
        "Pages": kind("AWS::S3::Bucket"),
        "Table": kind("AWS::DynamoDB::Table"),
        "ApiKey": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "orders/api-key"}},
        "Mailer": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": {"Fn::Sub": "orders/mailer"}}},
    });
    let items = json!({
        "Pages": {"class": "rebuild", "reason": "the deployment fills it"},
        "Table": {"class": "restore", "resource": "orders-table"},
    });
    let (plan, templates) = plan_of(&resources, &items);
    let found: Vec<_> = classify(&plan, &templates)
        .unwrap()
        .into_iter()
        .map(|item| (item.item, item.class, item.by))
        .collect();
    let row = |item: &str, class, by: &str| (item.to_owned(), class, by.to_owned());
    assert_eq!(
        found,
        [
            row("arn:aws:s3:::orders-data", Class::Restore, "orders-data"),
            row("certificate", Class::Rotate, "certificate"),
            row("mailer", Class::Rotate, "mailer"),
            row("orders-foundation/ApiKey", Class::Rotate, "orders/api-key"),
            row("orders-foundation/Mailer", Class::Rotate, "orders/mailer"),
            row("orders-foundation/Pages", Class::Rebuild, "orders-foundation"),
            row("orders-foundation/Queue", Class::Rebuild, "orders-foundation"),
            row("orders-foundation/Table", Class::Restore, "orders-table"),
        ]
    );
}

#[test]
fn what_is_unclassified_or_two_things_is_named_where_the_plan_should_say_it() {
    let bucket = json!({ "Data": kind("AWS::S3::Bucket") });
    let secret =
        json!({ "Key": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "orders/other"}} });
    let two = json!({
        "A": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "orders/api-key"}},
        "B": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "orders/api-key"}},
    });
    let taken =
        json!({ "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": {"Ref": "Name"}}} });
    let at = "rebuild.stacks[0].items.";
    for (resources, items, place, what) in [
        (&bucket, json!({}), "Data", "can hold data"),
        (&secret, json!({}), "Key", "is a credential"),
        (&two, json!({}), "B", "stands for `orders-foundation/A` already"),
        (
            &taken,
            json!({"Table": {"class": "rebuild", "reason": "empty"}}),
            "Table",
            "`orders-table` is restored to",
        ),
        (
            &bucket,
            json!({"Data": {"class": "rebuild", "reason": " "}}),
            "Data",
            "says no reason",
        ),
        (
            &bucket,
            json!({"Data": {"class": "restore", "resource": "x"}}),
            "Data",
            "no resource of the plan",
        ),
        (
            &secret,
            json!({"Key": {"class": "rotate", "credential": "x"}}),
            "Key",
            "no credential of the plan",
        ),
        (
            &json!({ "Queue": kind("AWS::SQS::Queue") }),
            json!({"Data": {"class": "rebuild", "reason": "r"}}),
            "Data",
            "no resource of the stack's template",
        ),
    ] {
        let found = problems(resources, &items);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("{at}{place}: ")) && found[0].contains(what),
            "{found:?}"
        );
    }
}

fn world() -> (
    RebuildDocument,
    DecisionPackage,
    RestoreDocument,
    RotationDocument,
) {
    let (plan, templates) = plan_of(&json!({ "Queue": kind("AWS::SQS::Queue") }), &json!({}));
    let package: DecisionPackage = serde_json::from_slice(PACKAGE).unwrap();
    let rebuilt = RebuildDocument {
        schema: crate::rebuild::SCHEMA.to_owned(),
        stacks: vec![BuiltStack {
            name: "orders-foundation".to_owned(),
            id: "arn".to_owned(),
            template: Digest::of(b"t"),
            outputs: BTreeMap::new(),
        }],
        isolation: Vec::new(),
        items: classify(&plan, &templates).unwrap(),
    };
    let restored = RestoreDocument {
        schema: crate::restore::SCHEMA.to_owned(),
        resources: package
            .restores
            .iter()
            .map(|planned| RestoredResource {
                resource: planned.resource.clone(),
                resource_type: planned.resource_type,
                recovery_point: planned.recovery_point.clone(),
                arn: "arn".to_owned(),
                entries: 1,
                manifest: planned.manifest.clone(),
            })
            .collect(),
    };
    let rotated = RotationDocument {
        schema: crate::rotation::SCHEMA.to_owned(),
        rotated: plan
            .rotation
            .names()
            .into_iter()
            .map(|name| RotatedCredential {
                name: name.to_owned(),
                version: "1".to_owned(),
            })
            .collect(),
    };
    (rebuilt, package, restored, rotated)
}

#[test]
fn nothing_is_cut_over_while_an_item_is_open() {
    let digest = Digest::of(b"package");
    let refusal = |rows: Vec<Row>| {
        let record = ItemsRecord {
            package: digest.clone(),
            rows,
        };
        ItemsRecord::refusal(Some(&record), &digest).map(|refused| refused.to_string())
    };
    let (rebuilt, package, restored, rotated) = world();
    assert_eq!(
        refusal(settle(&rebuilt, &package, Some(&restored), Some(&rotated))),
        None
    );
    assert_eq!(ItemsRecord::refusal(None, &digest), Some(Unsettled::NeverLooked));

    let mut stale = rotated.clone();
    stale.rotated.retain(|done| done.name != "certificate");
    let mut newer = restored.clone();
    newer.resources[0].recovery_point.push_str("-newer");
    let mut other = restored.clone();
    other.resources[1].manifest = Digest::of(b"other");
    let mut unbuilt = rebuilt.clone();
    unbuilt.stacks.clear();
    for (rows, open) in [
        (
            settle(&rebuilt, &package, Some(&restored), Some(&stale)),
            "`certificate`: it was not made new",
        ),
        (
            settle(&rebuilt, &package, Some(&newer), Some(&rotated)),
            "was approved",
        ),
        (
            settle(&rebuilt, &package, Some(&other), Some(&rotated)),
            "does not hold what was validated",
        ),
        (
            settle(&rebuilt, &package, None, Some(&rotated)),
            "it was not restored",
        ),
        (
            settle(&unbuilt, &package, Some(&restored), Some(&rotated)),
            "was not built",
        ),
    ] {
        let refused = refusal(rows).unwrap();
        assert!(refused.contains(open), "{refused}");
    }
}
