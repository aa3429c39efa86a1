use super::*;
use crate::plan::RuleFile;
use crate::validation::testing::plan;

const KEY: &str = "arn:aws:kms:us-east-1:444444444444:key/0b5c2fb7-1c1e-4a5c-9b1a-0f8b0e6f2c11";

fn template() -> Value {
    json!({
        "Parameters": {"Key": {"Type": "String", "Default": KEY}},
        "Resources": {
            "Data": {"Type": "AWS::S3::Bucket", "Properties": {
                "BucketName": "orders-data",
                "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "Key"}}}
                ]},
                "VersioningConfiguration": {"Status": "Enabled"},
            }},
            "Open": {"Type": "AWS::S3::Bucket"},
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
                "SSESpecification": {"SSEEnabled": "true"},
            }},
        }
    })
}

fn known(resource: &str, logical_id: &str, template: &Value) -> KnownGood {
    KnownGood {
        resource: resource.to_owned(),
        template: RuleFile {
            key: "templates/orders.json".to_owned(),
            sha256: Digest::of(template.to_string().as_bytes()),
        },
        logical_id: logical_id.to_owned(),
        parameters: BTreeMap::new(),
        not_compared: not_carried(match resource {
            "data" => ResourceType::S3,
            _ => ResourceType::DynamoDb,
        })
        .iter()
        .map(|name| ((*name).to_owned(), LOST.to_owned()))
        .collect(),
    }
}

const LOST: &str = "a backup does not carry it";

/// What the layer says of properties that the plan does not want compared.
fn left_out(resource_type: ResourceType) -> impl Iterator<Item = String> {
    not_carried(resource_type)
        .iter()
        .map(|name| format!("`{name}` is not compared: {LOST}"))
}

/// A bucket as the template declares it.
fn bucket() -> Observed {
    Observed(BTreeMap::from([(
        "BucketEncryption",
        Observation::Is(encryption(KEY)),
    )]))
}

fn encryption(key: &str) -> Value {
    json!({"ServerSideEncryptionConfiguration": [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    ]})
}

fn table() -> Observed {
    let mut all: BTreeMap<&'static str, Observation> = compared(ResourceType::DynamoDb)
        .iter()
        .map(|name| (*name, Observation::Absent))
        .collect();
    all.extend([
        (
            "KeySchema",
            Observation::Is(json!([{"AttributeName": "id", "KeyType": "HASH"}])),
        ),
        (
            "AttributeDefinitions",
            Observation::Is(json!([{"AttributeName": "id", "AttributeType": "S"}])),
        ),
        ("BillingMode", Observation::Is(json!("PAY_PER_REQUEST"))),
        (
            "SSESpecification",
            Observation::Is(json!({"SSEEnabled": true, "KMSMasterKeyId": KEY})),
        ),
    ]);
    Observed(all)
}

fn said(known: &KnownGood, template: &Value, observed: &Observed) -> LayerVerdict {
    let plan = plan();
    let resource = plan
        .resources
        .iter()
        .find(|resource| resource.id == known.resource)
        .unwrap();
    let declared = Declared::read(known, resource, Some(template.to_string().as_bytes())).unwrap();
    judge(&plan, known, resource, &declared, observed)
}

#[test]
fn what_is_as_declared_is_clean() {
    let template = template();
    for (id, logical_id, resource_type, observed, first) in [
        (
            "data",
            "Data",
            ResourceType::S3,
            bucket(),
            "1 properties are as the template declares",
        ),
        (
            "table",
            "Table",
            ResourceType::DynamoDb,
            table(),
            "6 properties are as the template declares",
        ),
    ] {
        let told = said(&known(id, logical_id, &template), &template, &observed);
        assert_eq!(told.verdict, Verdict::Clean, "{told:?}");
        let expected: Vec<String> = std::iter::once(first.to_owned())
            .chain(left_out(resource_type))
            .collect();
        assert_eq!(told.reasons, expected);
    }
}

/// Whatever a throw-away copy looks like, and whether the template declares it or leaves it at its default.
#[test]
fn what_no_backup_brings_back_is_never_evidence() {
    let template = template();
    let on_the_copy = [
        ("BucketPolicy", Observation::Absent),
        ("ReplicationConfiguration", Observation::Absent),
        ("VersioningConfiguration", Observation::Absent),
    ];
    for logical_id in ["Data", "Open"] {
        for name in not_carried(ResourceType::S3) {
            let mut known = known("data", logical_id, &template);
            known.not_compared.remove(*name);
            let mut observed = bucket();
            if logical_id == "Open" {
                observed.0.insert("BucketEncryption", Observation::Absent);
            }
            observed.0.extend(on_the_copy.clone());
            let told = said(&known, &template, &observed);
            assert_eq!(told.verdict, Verdict::Unknown, "{logical_id} {name}: {told:?}");
            let why = format!("no backup brings `{name}` back");
            assert!(
                told.reasons.iter().any(|reason| reason.contains(&why)),
                "{told:?}"
            );
        }
    }
    for name in not_carried(ResourceType::DynamoDb) {
        let mut known = known("table", "Table", &template);
        known.not_compared.remove(*name);
        let mut observed = table();
        observed.0.insert(name, Observation::Absent);
        assert_eq!(
            said(&known, &template, &observed).verdict,
            Verdict::Unknown,
            "{name}"
        );
    }
}

#[test]
fn every_single_difference_is_a_reason() {
    let template = template();
    let changes: [(&str, &'static str, Observation); 6] = [
        ("data", "BucketEncryption", Observation::Absent),
        (
            "data",
            "BucketEncryption",
            Observation::Is(encryption(&KEY.replace("0b5c", "ffff"))),
        ),
        (
            "table",
            "KeySchema",
            Observation::Is(json!([{"AttributeName": "no", "KeyType": "HASH"}])),
        ),
        ("table", "BillingMode", Observation::Absent),
        ("table", "SSESpecification", Observation::Absent),
        (
            "table",
            "GlobalSecondaryIndexes",
            Observation::Is(json!([{
                "IndexName": "i", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"}
            }])),
        ),
    ];
    for (id, name, observation) in changes {
        let (known, mut observed) = match id {
            "data" => (known("data", "Data", &template), bucket()),
            _ => (known("table", "Table", &template), table()),
        };
        observed.0.insert(name, observation);
        let told = said(&known, &template, &observed);
        assert_eq!(told.verdict, Verdict::Unknown, "{name}: {told:?}");
        assert!(
            told.reasons
                .iter()
                .any(|reason| reason.starts_with(&format!("`{name}` is "))),
            "{told:?}"
        );
    }
}

#[test]
fn a_key_of_a_stranger_taints() {
    let template = template();
    let mut observed = bucket();
    let strange = KEY.replace("444444444444", "666666666666");
    observed
        .0
        .insert("BucketEncryption", Observation::Is(encryption(&strange)));
    let told = said(&known("data", "Data", &template), &template, &observed);
    assert_eq!(told.verdict, Verdict::Tainted);
    assert!(
        told.reasons.iter().any(|reason| reason.contains("666666666666")),
        "{told:?}"
    );
}

#[test]
fn what_cannot_be_compared_is_unknown_unless_the_plan_says_why() {
    let mut template = template();
    template["Resources"]["Table"]["Properties"]["ImportSourceSpecification"] = json!({"InputFormat": "CSV"});
    template["Resources"]["Table"]["Properties"]["BillingMode"] = json!({"Fn::GetAtt": "x.y"});
    let mut observed = table();
    observed
        .0
        .insert("KeySchema", Observation::Unreadable("denied".to_owned()));
    observed.0.remove("LocalSecondaryIndexes");
    let mut known = known("table", "Table", &template);
    let told = said(&known, &template, &observed);
    assert_eq!(told.verdict, Verdict::Unknown);
    assert_eq!(told.reasons.len(), 5 + 3, "{told:?}");
    for name in [
        "ImportSourceSpecification",
        "BillingMode",
        "KeySchema",
        "LocalSecondaryIndexes",
    ] {
        assert_eq!(
            said(&known, &template, &observed).verdict,
            Verdict::Unknown,
            "{name}"
        );
        known.not_compared.insert(name.to_owned(), LOST.to_owned());
    }
    let told = said(&known, &template, &observed);
    assert_eq!(told.verdict, Verdict::Clean, "{told:?}");
    let named = told.reasons.iter().filter(|reason| reason.contains(LOST));
    assert_eq!(named.count(), 4 + 3);
}

#[test]
fn nothing_compared_proves_nothing() {
    let template = template();
    let mut known = known("data", "Data", &template);
    for name in compared(ResourceType::S3) {
        known.not_compared.insert((*name).to_owned(), "no".to_owned());
    }
    assert_eq!(said(&known, &template, &bucket()).verdict, Verdict::Unknown);
}

#[test]
fn a_template_that_says_nothing_is_an_error_with_its_reason() {
    let plan = plan();
    let template = template();
    let text = template.to_string();
    let good = known("data", "Data", &template);
    let why = |known: &KnownGood, bytes| Declared::read(known, &plan.resources[0], bytes).unwrap_err();
    assert!(why(&good, None).contains("when the run was opened"));
    assert!(why(&good, Some(b"{}")).contains("digest"));
    assert!(why(&known("data", "Table", &template), Some(text.as_bytes())).contains("AWS::S3::Bucket"));
    let list = json!([]);
    assert!(why(&known("data", "Data", &list), Some(b"[]")).contains("not a JSON object"));
}
