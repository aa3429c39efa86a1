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
            "DataPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {
                "Bucket": {"Ref": "Data"},
                "PolicyDocument": {"Statement": [{"Effect": "Deny", "Principal": "*"}]},
            }},
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
        not_compared: BTreeMap::new(),
    }
}

/// A bucket as the template declares it.
fn bucket() -> Observed {
    Observed(BTreeMap::from([
        ("BucketEncryption", Observation::Is(encryption(KEY))),
        (
            "BucketPolicy",
            Observation::Is(json!({"Statement": [{"Effect": "Deny", "Principal": "*"}]})),
        ),
        (
            "PublicAccessBlockConfiguration",
            Observation::Is(json!({
                "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true
            })),
        ),
        ("ReplicationConfiguration", Observation::Absent),
        (
            "VersioningConfiguration",
            Observation::Is(json!({"Status": "Enabled"})),
        ),
    ]))
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
    let data = said(&known("data", "Data", &template), &template, &bucket());
    assert_eq!(
        data,
        LayerVerdict::new(Verdict::Clean, "5 properties are as the template declares")
    );
    let table = said(&known("table", "Table", &template), &template, &table());
    assert_eq!(
        table,
        LayerVerdict::new(Verdict::Clean, "9 properties are as the template declares")
    );
}

#[test]
fn every_single_difference_is_a_reason() {
    let template = template();
    let changes: [(&str, &'static str, Observation); 14] = [
        ("data", "BucketEncryption", Observation::Absent),
        (
            "data",
            "BucketEncryption",
            Observation::Is(encryption(&KEY.replace("0b5c", "ffff"))),
        ),
        ("data", "BucketPolicy", Observation::Absent),
        (
            "data",
            "BucketPolicy",
            Observation::Is(json!({"Statement": [{"Effect": "Allow", "Principal": "*"}]})),
        ),
        ("data", "PublicAccessBlockConfiguration", Observation::Absent),
        (
            "data",
            "PublicAccessBlockConfiguration",
            Observation::Is(json!({"BlockPublicAcls": true})),
        ),
        (
            "data",
            "ReplicationConfiguration",
            Observation::Is(
                json!({"Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::elsewhere"}}]}),
            ),
        ),
        (
            "data",
            "VersioningConfiguration",
            Observation::Is(json!({"Status": "Suspended"})),
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
            "StreamSpecification",
            Observation::Is(json!({"StreamViewType": "NEW_IMAGE"})),
        ),
        (
            "table",
            "TimeToLiveSpecification",
            Observation::Is(json!({"Enabled": true, "AttributeName": "t"})),
        ),
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
    template["Resources"]["Data"]["Properties"]["LifecycleConfiguration"] = json!({"Rules": []});
    template["Resources"]["Data"]["Properties"]["VersioningConfiguration"] =
        json!({"Status": {"Fn::GetAtt": "x.y"}});
    let mut observed = bucket();
    observed
        .0
        .insert("BucketPolicy", Observation::Unreadable("denied".to_owned()));
    observed.0.remove("ReplicationConfiguration");
    let mut known = known("data", "Data", &template);
    let told = said(&known, &template, &observed);
    assert_eq!(told.verdict, Verdict::Unknown);
    assert_eq!(told.reasons.len(), 5, "{told:?}");
    for name in [
        "LifecycleConfiguration",
        "VersioningConfiguration",
        "BucketPolicy",
        "ReplicationConfiguration",
    ] {
        let mut less = known.clone();
        less.not_compared = known.not_compared.clone();
        known
            .not_compared
            .insert(name.to_owned(), "a backup does not carry it".to_owned());
        assert_eq!(
            said(&less, &template, &observed).verdict,
            Verdict::Unknown,
            "{name}"
        );
    }
    let told = said(&known, &template, &observed);
    assert_eq!(told.verdict, Verdict::Clean, "{told:?}");
    assert!(
        told.reasons
            .iter()
            .filter(|reason| reason.contains("does not carry it"))
            .count()
            == 4
    );
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
