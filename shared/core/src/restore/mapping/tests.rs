use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::rebuild::{BuiltStack, RebuildDocument};

const OLD: &str = "111111111111";
const NEW: &str = "333333333333";

fn plan() -> Plan {
    let mut plan = Plan::parse(include_bytes!("../../../../../tests/data/plan/orders.json")).unwrap();
    plan.accounts.old = OLD.to_owned().try_into().unwrap();
    plan.accounts.rebuild = NEW.to_owned().try_into().unwrap();
    plan
}

fn rebuilt() -> RebuildDocument {
    RebuildDocument {
        schema: crate::rebuild::SCHEMA.to_owned(),
        stacks: vec![BuiltStack {
            name: "network".to_owned(),
            id: "arn:stack".to_owned(),
            template: crate::artifact::Digest::of(b"t"),
            outputs: pairs(&[("Subnets", "orders-private"), ("Group", "sg-0aaaaaaaaaaaaaaa1")]),
        }],
        isolation: Vec::new(),
        items: Vec::new(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn declared(
    resource_type: ResourceType,
    metadata: &[(&str, &str)],
    identifiers: &[(&str, &str)],
) -> Result<Declared, Vec<Problem>> {
    let mut plan = plan();
    plan.restore.identifiers = pairs(identifiers);
    let resource = plan.resources.first_mut().unwrap();
    resource.id = "db".to_owned();
    resource.resource_type = resource_type;
    resource.restore_to = "orders-restored".to_owned();
    resource.metadata = pairs(metadata);
    let resource = resource.clone();
    Declared::of(&plan, &resource, &rebuilt())
}

/// What AWS Backup remembers of a database instance.
fn of_a_database() -> BTreeMap<String, String> {
    pairs(&[
        ("AllocatedStorage", "200"),
        ("AutoMinorVersionUpgrade", "true"),
        ("AvailabilityZone", "eu-central-1b"),
        ("DBInstanceClass", "db.r6g.large"),
        ("DBInstanceIdentifier", "orders"),
        ("DBName", "orders"),
        ("DBParameterGroupName", "orders-postgres16"),
        ("DBSubnetGroupName", "orders-old"),
        ("DomainIAMRoleName", ""),
        ("Engine", "postgres"),
        (
            "InformationalOnly:KmsKeyId",
            "arn:aws:kms:eu-central-1:111111111111:key/0b5c2fb7-1c1e-4a5c-9b1a-0f8b0e6f2c11",
        ),
        ("MultiAZ", "true"),
        ("OptionGroupName", "default:postgres-16"),
        ("Port", "5432"),
        ("PubliclyAccessible", "true"),
        ("StorageType", "gp3"),
        (
            "VpcSecurityGroupIds",
            "[\"sg-0123456789abcdef0\",\"sg-0fedcba9876543210\"]",
        ),
        ("aws:backup:request-id", "13a8f3fd-0d0c-4ad6-91d2-2c4c5c0a4d9e"),
    ])
}

#[test]
fn a_database_comes_up_in_the_network_of_the_plan() {
    let declared = declared(
        ResourceType::Rds,
        &[("dbsubnetgroupname", "${network.Subnets}")],
        &[
            ("sg-0123456789abcdef0", "${network.Group}"),
            ("sg-0fedcba9876543210", "sg-0aaaaaaaaaaaaaaa2"),
            ("orders-postgres16", "orders-postgres16"),
        ],
    )
    .unwrap();
    let mapped = declared.map(&of_a_database()).unwrap();
    assert_eq!(
        mapped,
        pairs(&[
            ("AllocatedStorage", "200"),
            ("AutoMinorVersionUpgrade", "true"),
            ("DBInstanceClass", "db.r6g.large"),
            ("DBInstanceIdentifier", "orders-restored"),
            ("DBParameterGroupName", "orders-postgres16"),
            ("DomainIAMRoleName", ""),
            ("Engine", "postgres"),
            ("MultiAZ", "true"),
            ("OptionGroupName", "default:postgres-16"),
            ("Port", "5432"),
            ("PubliclyAccessible", "false"),
            ("StorageType", "gp3"),
            (
                "VpcSecurityGroupIds",
                "[\"sg-0aaaaaaaaaaaaaaa1\",\"sg-0aaaaaaaaaaaaaaa2\"]"
            ),
            ("dbsubnetgroupname", "orders-private"),
        ])
    );
}

#[test]
fn everything_unmapped_is_named_at_once() {
    let problems = declared(
        ResourceType::Rds,
        &[],
        &[("sg-0123456789abcdef0", "sg-0aaaaaaaaaaaaaaa1")],
    )
    .unwrap()
    .map(&of_a_database())
    .unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 4, "{text:?}");
    assert!(
        text[0].starts_with("restores.db.metadata.DBParameterGroupName: `orders-postgres16`"),
        "{text:?}"
    );
    assert!(
        text[1].starts_with("restores.db.metadata.DBSubnetGroupName: `orders-old`"),
        "{text:?}"
    );
    assert!(
        text[2].starts_with("restores.db.metadata.DBSubnetGroupName: is missing"),
        "{text:?}"
    );
    assert!(
        text[3].starts_with("restores.db.metadata.VpcSecurityGroupIds: `sg-0fedcba9876543210`"),
        "{text:?}"
    );
}

#[test]
fn a_database_without_a_network_is_not_restored() {
    let problems = declared(ResourceType::Aurora, &[], &[])
        .unwrap()
        .map(&BTreeMap::new())
        .unwrap_err();
    let at: Vec<&str> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(
        at,
        [
            "restores.db.metadata.DBSubnetGroupName",
            "restores.db.metadata.VpcSecurityGroupIds"
        ]
    );
}

#[test]
fn the_key_of_a_bucket_or_table_is_mapped_or_chosen_anew() {
    let key = "arn:aws:kms:eu-central-1:111111111111:key/0b5c2fb7-1c1e-4a5c-9b1a-0f8b0e6f2c11";
    let original = pairs(&[
        ("DestinationBucketName", "orders-data"),
        ("NewBucket", "false"),
        ("EncryptionType", "SSE-KMS"),
        ("KMSKey", key),
    ]);
    let problems = declared(ResourceType::S3, &[], &[])
        .unwrap()
        .map(&original)
        .unwrap_err();
    assert!(problems[0].to_string().contains(key), "{problems:?}");
    assert_eq!(problems.len(), 1, "the key is named once, with its ARN");

    let new = "arn:aws:kms:eu-central-1:333333333333:key/1c6d30c8-2d2f-4b6d-8c2b-1f9c1f703d22";
    let mapped = declared(ResourceType::S3, &[], &[(key, new)])
        .unwrap()
        .map(&original)
        .unwrap();
    assert_eq!(
        (mapped["EncryptionType"].as_str(), mapped["KMSKey"].as_str()),
        ("SSE-KMS", new)
    );
    assert_eq!(
        (
            mapped["NewBucket"].as_str(),
            mapped["DestinationBucketName"].as_str()
        ),
        ("true", "orders-restored")
    );

    let chosen = declared(ResourceType::S3, &[("EncryptionType", "SSE-S3")], &[])
        .unwrap()
        .map(&original)
        .unwrap();
    assert_eq!(chosen.get("KMSKey"), None);
    assert_eq!(chosen["EncryptionType"], "SSE-S3");
    let table = declared(ResourceType::DynamoDb, &[("encryptionType", "Default")], &[]).unwrap();
    let mapped = table
        .map(&pairs(&[
            ("originalTableName", "orders"),
            ("encryptionType", "KMS"),
            ("kmsMasterKeyArn", key),
        ]))
        .unwrap();
    assert_eq!(
        mapped,
        pairs(&[
            ("encryptionType", "Default"),
            ("targetTableName", "orders-restored")
        ])
    );
}

#[test]
fn a_machine_keeps_neither_interfaces_nor_keys_nor_code_of_the_old_account() {
    let original = pairs(&[
        ("InstanceType", "m6i.large"),
        ("KeyName", "ops"),
        ("UserData", "IyEvYmluL3No"),
        ("VpcId", "vpc-0123456789abcdef0"),
        ("SubnetId", "subnet-0123456789abcdef0"),
        ("SecurityGroupIds", "[\"sg-0123456789abcdef0\"]"),
        ("IamInstanceProfileName", "orders-web"),
        (
            "NetworkInterfaces",
            "[{\"NetworkInterfaceId\":\"eni-0123456789abcdef0\",\"PrivateIpAddress\":\"10.0.0.7\"}]",
        ),
    ]);
    let mapped = declared(
        ResourceType::Ec2,
        &[
            ("SubnetId", "subnet-0aaaaaaaaaaaaaaa1"),
            ("SecurityGroupIds", "[\"${network.Group}\"]"),
        ],
        &[("orders-web", "orders-web-new")],
    )
    .unwrap()
    .map(&original)
    .unwrap();
    assert_eq!(
        mapped,
        pairs(&[
            ("IamInstanceProfileName", "orders-web-new"),
            ("InstanceType", "m6i.large"),
            ("RequireIMDSv2", "true"),
            ("SecurityGroupIds", "[\"sg-0aaaaaaaaaaaaaaa1\"]"),
            ("SubnetId", "subnet-0aaaaaaaaaaaaaaa1"),
        ])
    );
}

#[test]
fn a_file_system_names_its_source_and_nothing_else_of_the_old_account() {
    let original = pairs(&[
        ("file-system-id", "fs-0123456789abcdef0"),
        ("newFileSystem", "false"),
        ("PerformanceMode", "generalPurpose"),
        ("KmsKeyId", "alias/orders"),
    ]);
    let refused = declared(ResourceType::Efs, &[], &[])
        .unwrap()
        .map(&original)
        .unwrap_err();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].to_string().contains("`alias/orders`"), "{refused:?}");
    let mapped = declared(ResourceType::Efs, &[("KmsKeyId", "alias/orders-new")], &[])
        .unwrap()
        .map(&original)
        .unwrap();
    assert_eq!(mapped["file-system-id"], "fs-0123456789abcdef0");
    assert_eq!(mapped["newFileSystem"], "true");
    assert_eq!(mapped["CreationToken"], "orders-restored");
}

#[test]
fn nested_settings_of_a_file_share_are_looked_through() {
    let original = pairs(&[(
        "WindowsConfiguration",
        "{\"ActiveDirectoryId\":\"d-0123456789\",\"PreferredSubnetId\":\"subnet-0123456789abcdef0\",\"ThroughputCapacity\":32}",
    )]);
    let refused = declared(ResourceType::Fsx, &NETWORK, &[("d-0123456789", "d-9876543210")])
        .unwrap()
        .map(&original)
        .unwrap_err();
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].to_string().contains("`subnet-0123456789abcdef0`"),
        "{refused:?}"
    );
}

const NETWORK: [(&str, &str); 2] = [
    ("SubnetIds", "[\"subnet-0aaaaaaaaaaaaaaa1\"]"),
    ("SecurityGroupIds", "[\"sg-0aaaaaaaaaaaaaaa1\"]"),
];

#[test]
fn a_file_share_has_a_network_of_the_plan_and_a_volume_that_of_its_file_system() {
    let missing = |original: &[(&str, &str)], metadata: &[(&str, &str)]| {
        declared(ResourceType::Fsx, metadata, &[])
            .unwrap()
            .map(&pairs(original))
            .err()
            .unwrap_or_default()
    };
    let share = [("StorageType", "SSD")];
    let both = missing(&share, &[]);
    assert_eq!(
        both.len(),
        2,
        "no recovery point remembers security groups: {both:?}"
    );
    assert!(
        both[0].to_string().contains("SecurityGroupIds: is missing"),
        "{both:?}"
    );
    assert_eq!(missing(&share, &NETWORK), []);
    let svm = [(
        "ontapConfiguration",
        r#"{"storageVirtualMachineId":"svm-0aaaaaaaaaaaaaaa1"}"#,
    )];
    assert_eq!(missing(&[("name", "orders")], &svm), []);
}

#[test]
fn an_output_that_no_stack_has_is_named() {
    let missing = declared(
        ResourceType::Rds,
        &[("DBSubnetGroupName", "${network.Nothing}")],
        &[],
    )
    .unwrap_err();
    assert_eq!(
        missing[0].to_string(),
        "restores.db.metadata.DBSubnetGroupName: stack `network` has no output `Nothing`"
    );
    for bad in ["${", "${a}", "${.b}", "${a.}", "x ${a.b"] {
        assert_eq!(placeholders(bad), Err(NoPlaceholder), "{bad}");
    }
}

const TYPES: [ResourceType; 8] = [
    ResourceType::S3,
    ResourceType::DynamoDb,
    ResourceType::Rds,
    ResourceType::Aurora,
    ResourceType::Ebs,
    ResourceType::Ec2,
    ResourceType::Efs,
    ResourceType::Fsx,
];

/// An identifier of the old account and one of the new, of the same kind.
fn identifier() -> impl Strategy<Value = (String, String)> {
    let kind = prop::sample::select(vec!["vpc", "subnet", "sg", "eni", "vol", "svm", "mrk", "snap"]);
    prop_oneof![
        (kind, 0_u64..1 << 40)
            .prop_map(|(kind, n)| (format!("{kind}-0{n:016x}"), format!("{kind}-1{n:016x}"))),
        (0_u64..1 << 40).prop_map(|n| {
            let key = |account: &str, first: u32| {
                format!("arn:aws:kms:eu-central-1:{account}:key/{first:08x}-0000-4000-8000-{n:012x}")
            };
            (key(OLD, 1), key(NEW, 2))
        }),
        "[a-z]{3,8}".prop_map(|name| {
            (
                format!("arn:aws:iam::{OLD}:role/{name}"),
                format!("arn:aws:iam::{NEW}:role/{name}"),
            )
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_identifier_of_the_old_account_survives(
        resource_type in prop::sample::select(&TYPES[..]),
        values in prop::collection::btree_map(
            prop::sample::select(vec!["Alpha", "BetaIds", "Gamma", "KmsKeyId", "lustreConfiguration"]),
            (prop::collection::vec(identifier(), 1..4), any::<bool>()),
            0..5,
        ),
        mapped in prop::collection::vec(any::<bool>(), 24),
    ) {
        let mut original = BTreeMap::new();
        let mut identifiers = BTreeMap::new();
        let mut left = BTreeSet::new();
        let mut choice = mapped.into_iter();
        for (key, (ids, as_list)) in values {
            let names: Vec<&str> = ids.iter().map(|(old, _)| old.as_str()).collect();
            let text = if as_list { format!("{names:?}") } else { format!("{{\"a\":{{\"b\":\"{}\"}}}}", names.join(",")) };
            original.insert(key.to_owned(), text);
            for (old, new) in ids {
                if choice.next().unwrap_or(true) {
                    identifiers.insert(old, new);
                } else {
                    left.insert(old);
                }
            }
        }
        left.retain(|old| !identifiers.contains_key(old));
        let mut plan = plan();
        plan.restore.identifiers = identifiers.clone();
        let resource = plan.resources.first_mut().unwrap();
        resource.resource_type = resource_type;
        resource.metadata = pairs(&[
            ("DBSubnetGroupName", "new"), ("SubnetId", "subnet-0aaaaaaaaaaaaaaa1"),
            ("SubnetIds", "[\"subnet-0aaaaaaaaaaaaaaa1\"]"),
            ("VpcSecurityGroupIds", "[\"sg-0aaaaaaaaaaaaaaa1\"]"), ("SecurityGroupIds", "[\"sg-0aaaaaaaaaaaaaaa1\"]"), ("availabilityZone", "a"),
        ]);
        let resource = resource.clone();
        let declared = Declared::of(&plan, &resource, &rebuilt()).unwrap();
        let survivors = |metadata: &BTreeMap<String, String>| -> Vec<String> {
            let text = metadata.values().cloned().collect::<Vec<_>>().join("\n");
            identifiers.keys().chain(&left).filter(|old| text.contains(old.as_str())).cloned().collect()
        };
        match declared.map(&original) {
            Ok(metadata) => {
                prop_assert!(left.is_empty(), "{left:?} was let through");
                prop_assert_eq!(survivors(&metadata), Vec::<String>::new());
                prop_assert!(!metadata.values().any(|value| value.contains(OLD)));
            }
            Err(problems) => {
                let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                for old in &left {
                    prop_assert!(text.contains(old.as_str()), "{old} is not named in {text}");
                }
                prop_assert!(!left.is_empty(), "{text}");
            }
        }
    }
}
