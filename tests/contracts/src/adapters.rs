//! Every request of an adapter is permitted to whom it is made for, and nothing is permitted that no adapter asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use blackstart_core::rebuild::surroundings::Kind;
use blackstart_core::references::services::Reader;

use crate::{repository, template};

/// A role or policy: the file that creates it, and its logical id.
type Grantor = (&'static str, &'static str);

const RECORDS: Grantor = ("template.yaml", "RunRecordsPolicy");
const VALIDATION: Grantor = ("infra/accounts/validation.yaml", "ValidationRole");
const REBUILD: Grantor = ("infra/accounts/rebuild.yaml", "RebuildRole");
const VAULT_REQUESTER: Grantor = ("infra/accounts/rebuild.yaml", "VaultRequesterRole");
const LOG_READER: Grantor = ("infra/accounts/log-archive.yaml", "LogReaderRole");
const READER: Grantor = ("infra/accounts/sibling.yaml", "ReferenceReaderRole");
const WRITER: Grantor = ("infra/accounts/sibling.yaml", "ReferenceWriterRole");
const CONTAINMENT: Grantor = ("infra/accounts/management.yaml", "ContainmentRole");
const CUTOVER: Grantor = ("template.yaml", "CutoverRole");
const REFERENCES: Grantor = ("template.yaml", "ReferencesRole");
const CLIENT_SECRET: Grantor = ("template.yaml", "ReadClientSecret");
const APPROVAL: Grantor = ("template.yaml", "ApprovalRole");
const GATE: Grantor = ("template.yaml", "GateRole");
const INTAKE: Grantor = ("template.yaml", "IntakeRole");
const REPORT: Grantor = ("template.yaml", "ReportRole");
const TOKEN_KEY: Grantor = ("template.yaml", "TokenKey");
const TRIAL_TOKEN_KEY: Grantor = ("template.yaml", "TrialTokenKey");
const EVIDENCE_KEY: Grantor = ("template.yaml", "EvidenceKey");

/// Module of `blackstart-aws`, IAM prefix of its service where it is one, and who grants what it asks for.
const ADAPTERS: [(&str, &str, &[Grantor]); 29] = [
    ("access_keys", "iam", &[REBUILD]),
    ("analyzer", "", &[READER, REFERENCES]),
    ("artifacts", "s3", &[RECORDS]),
    ("backup", "backup", &[VALIDATION, REBUILD]),
    ("callbacks", "states", &[GATE, INTAKE]),
    ("certificates", "", &[REBUILD]),
    ("check_function", "", &[VALIDATION, REBUILD]),
    ("cloud_control", "", &[VALIDATION, REBUILD]),
    ("cloudformation", "cloudformation", &[REBUILD]),
    ("configuration", "", &[VALIDATION]),
    ("databases", "", &[REBUILD]),
    ("content", "", &[VALIDATION, REBUILD]),
    ("documents", "", &[READER]),
    ("documents_write", "", &[WRITER]),
    ("guardduty", "guardduty", &[INTAKE]),
    ("histories", "states", &[REPORT]),
    ("hooks", "lambda", &[REBUILD]),
    ("ledger", "dynamodb", &[RECORDS, GATE]),
    ("logs", "s3", &[LOG_READER]),
    ("notices", "sns", &[CUTOVER, APPROVAL]),
    ("organizations", "organizations", &[CONTAINMENT]),
    ("parameters", "", &[REBUILD]),
    ("route53", "route53", &[CUTOVER]),
    ("secretsmanager", "secretsmanager", &[REBUILD]),
    ("sign_in", "", &[CLIENT_SECRET]),
    ("signer", "kms", &[EVIDENCE_KEY]),
    ("surroundings", "", &[REBUILD]),
    ("tokens", "kms", &[TOKEN_KEY, TRIAL_TOKEN_KEY]),
    ("vault_access", "", &[VAULT_REQUESTER]),
];

/// Requests whose permission has another name, or whose adapter speaks to several services.
const NAMED_OTHERWISE: [(&str, &str); 72] = [
    ("add_permission", "lambda:AddPermission"),
    ("create_grant", "kms:CreateGrant"),
    ("describe_event_bus", "events:DescribeEventBus"),
    (
        "get_account_authorization_details",
        "iam:GetAccountAuthorizationDetails",
    ),
    (
        "get_backup_vault_access_policy",
        "backup:GetBackupVaultAccessPolicy",
    ),
    (
        "describe_continuous_backups",
        "dynamodb:DescribeContinuousBackups",
    ),
    ("describe_time_to_live", "dynamodb:DescribeTimeToLive"),
    ("create_backup_access_point", "backup:CreateBackupAccessPoint"),
    ("delete_backup_access_point", "backup:DeleteBackupAccessPoint"),
    ("describe_backup_access_point", "backup:DescribeBackupAccessPoint"),
    ("get_bucket_acl", "s3:GetBucketAcl"),
    ("get_bucket_versioning", "s3:GetBucketVersioning"),
    ("get_layer_version_policy", "lambda:GetLayerVersionPolicy"),
    ("get_policy", "lambda:GetPolicy"),
    (
        "get_recovery_point_restore_metadata",
        "backup:GetRecoveryPointRestoreMetadata",
    ),
    ("get_topic_attributes", "sns:GetTopicAttributes"),
    ("invoke", "lambda:InvokeFunction"),
    ("list_aliases", "lambda:ListAliases"),
    ("list_backup_vaults", "backup:ListBackupVaults"),
    ("list_event_buses", "events:ListEventBuses"),
    ("list_functions", "lambda:ListFunctions"),
    ("list_grants", "kms:ListGrants"),
    ("list_layer_versions", "lambda:ListLayerVersions"),
    ("list_layers", "lambda:ListLayers"),
    ("list_rules", "events:ListRules"),
    ("list_secrets", "secretsmanager:ListSecrets"),
    ("list_tables", "dynamodb:ListTables"),
    ("list_targets_by_rule", "events:ListTargetsByRule"),
    ("list_topics", "sns:ListTopics"),
    (
        "put_backup_vault_access_policy",
        "backup:PutBackupVaultAccessPolicy",
    ),
    ("put_permission", "events:PutPermission"),
    ("remove_permission", "lambda:RemovePermission"),
    ("revoke_grant", "kms:RevokeGrant"),
    ("set_topic_attributes", "sns:SetTopicAttributes"),
    // Settings of a restored bucket or table.
    (
        "get_bucket_lifecycle_configuration",
        "s3:GetLifecycleConfiguration",
    ),
    (
        "get_bucket_notification_configuration",
        "s3:GetBucketNotification",
    ),
    (
        "put_bucket_lifecycle_configuration",
        "s3:PutLifecycleConfiguration",
    ),
    (
        "put_bucket_notification_configuration",
        "s3:PutBucketNotification",
    ),
    ("put_bucket_versioning", "s3:PutBucketVersioning"),
    ("update_continuous_backups", "dynamodb:UpdateContinuousBackups"),
    ("update_table", "dynamodb:UpdateTable"),
    ("update_time_to_live", "dynamodb:UpdateTimeToLive"),
    // Parts of an object are put like an object (S3 user guide, "Multipart upload API and permissions").
    ("create_multipart_upload", "s3:PutObject"),
    ("upload_part", "s3:PutObject"),
    ("complete_multipart_upload", "s3:PutObject"),
    // Several services call theirs so; each is named where it is asked.
    (
        "get_resource_policy",
        "dynamodb:GetResourcePolicy secretsmanager:GetResourcePolicy",
    ),
    (
        "put_resource_policy",
        "dynamodb:PutResourcePolicy secretsmanager:PutResourcePolicy",
    ),
    ("delete_bucket", "s3:DeleteBucket"),
    ("delete_objects", "s3:DeleteObject"),
    ("delete_table", "dynamodb:DeleteTable"),
    ("describe_table", "dynamodb:DescribeTable"),
    ("get_bucket_policy", "s3:GetBucketPolicy"),
    ("get_bucket_tagging", "s3:GetBucketTagging"),
    ("get_key_policy", "kms:GetKeyPolicy"),
    ("get_object", "s3:GetObject"),
    ("get_queue_attributes", "sqs:GetQueueAttributes"),
    ("get_queue_url", "sqs:GetQueueUrl"),
    ("get_role", "iam:GetRole"),
    ("list_buckets", "s3:ListAllMyBuckets"),
    ("list_keys", "kms:ListKeys"),
    ("list_object_versions", "s3:ListBucketVersions"),
    ("list_objects_v2", "s3:ListBucket"),
    ("list_queues", "sqs:ListQueues"),
    ("list_roles", "iam:ListRoles"),
    ("list_tags_of_resource", "dynamodb:ListTagsOfResource"),
    ("put_bucket_policy", "s3:PutBucketPolicy"),
    ("put_bucket_tagging", "s3:PutBucketTagging"),
    ("put_key_policy", "kms:PutKeyPolicy"),
    ("set_queue_attributes", "sqs:SetQueueAttributes"),
    ("tag_resource", "dynamodb:TagResource"),
    // A transaction of puts needs the permission of a put.
    ("transact_write_items", "dynamodb:PutItem"),
    ("update_assume_role_policy", "iam:UpdateAssumeRolePolicy"),
];

/// Words with which the name of a request begins.
const VERBS: [&str; 18] = [
    "add", "change", "create", "delete", "describe", "detect", "execute", "get", "list", "put", "remove",
    "revoke", "send", "set", "start", "tag", "transact", "update",
];

/// Requests of one word.
const SINGLE_WORDS: [&str; 7] = ["decrypt", "encrypt", "invoke", "publish", "query", "scan", "sign"];

/// The text of an adapter: its file, and those of its folder.
fn source(adapter: &str) -> Option<String> {
    let file = format!("shared/aws/src/{adapter}.rs");
    if !repository::path(&file).exists() {
        return None;
    }
    let plain = |path: &str| {
        let text = repository::text(path);
        text.split("#[cfg(test)]").next().unwrap().to_owned()
    };
    let mut text = plain(&file);
    let folder = format!("shared/aws/src/{adapter}");
    if repository::path(&folder).is_dir() {
        for name in repository::names(&folder) {
            if name.ends_with(".rs") && name != "tests.rs" {
                text.push_str(&plain(&format!("{folder}/{name}")));
            }
        }
    }
    Some(text)
}

/// The requests of an adapter: every `.name()` without arguments that is named like one.
fn requests(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for call in text.split('.').skip(1) {
        let Some((name, _)) = call.split_once("()") else {
            continue;
        };
        let verb = name.split('_').next().unwrap();
        if SINGLE_WORDS.contains(&name) || (name.contains('_') && VERBS.contains(&verb)) {
            found.insert(name.to_owned());
        }
    }
    found
}

/// The permissions of everything that an adapter asks: of its requests, of what it signs itself, and of what Cloud
/// Control asks on its behalf.
fn permissions(adapter: &str, service: &str, text: &str) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = requests(text)
        .iter()
        .flat_map(|request| {
            permission(service, request)
                .split(' ')
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    for mark in ["permission: ", "operation("] {
        let arguments = text.split(mark).skip(1);
        let signed = arguments.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        needed.extend(signed.map(str::to_owned));
    }
    if adapter == "surroundings" {
        needed.extend(Kind::all().map(|kind| kind.permission().to_owned()));
    }
    if adapter == "documents" {
        for service in blackstart_core::references::services::SERVICES {
            if let Reader::CloudControl(rule) = service.reader {
                needed.extend(rule.permissions.iter().map(|permission| (*permission).to_owned()));
            }
        }
    }
    needed
}

fn permission(service: &str, request: &str) -> String {
    if let Some((_, action)) = NAMED_OTHERWISE.iter().find(|(name, _)| *name == request) {
        return (*action).to_owned();
    }
    if request == "scan" {
        return "dynamodb:Scan".to_owned();
    }
    if request == "invoke" {
        return "lambda:InvokeFunction".to_owned();
    }
    assert!(!service.is_empty(), "name the permission for `{request}`");
    let action: String = request
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_uppercase())
        })
        .collect();
    format!("{service}:{action}")
}

fn granted((file, id): Grantor) -> BTreeSet<String> {
    let template = template::load(file);
    let resource = &template["Resources"][id];
    let statements = match resource["Type"].as_str().unwrap() {
        "AWS::IAM::Role" => template::role_statements(&template, &resource["Properties"]),
        "AWS::IAM::ManagedPolicy" | "AWS::IAM::RolePolicy" => {
            template::statements(&resource["Properties"]["PolicyDocument"])
        }
        "AWS::KMS::Key" => template::statements(&resource["Properties"]["KeyPolicy"]),
        other => panic!("{id} is a {other}"),
    };
    statements.iter().flat_map(template::actions).collect()
}

#[test]
fn every_request_of_an_adapter_is_permitted() {
    for (adapter, service, grantors) in ADAPTERS {
        let Some(text) = source(adapter) else { continue };
        let granted: BTreeSet<String> = grantors.iter().flat_map(|grantor| granted(*grantor)).collect();
        let asked = permissions(adapter, service, &text);
        assert!(
            !asked.is_empty(),
            "{adapter} asks for nothing: is the search for requests broken?"
        );
        for needed in asked {
            assert!(
                granted.contains(&needed),
                "{adapter} needs {needed}, but nobody grants it"
            );
        }
    }
}

/// Permissions that belong to a request by another name, or to something that is no request of an adapter.
const ALSO_NEEDED: [&str; 36] = [
    // Cloud Control API removes a trial with the permissions of whoever asked for that.
    "rds:DeleteDBCluster",
    "rds:DeleteDBInstance",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "ec2:CreateTags",
    "ec2:DeleteVolume",
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeInstanceCreditSpecifications",
    "ec2:DescribeInstances",
    "ec2:DescribeTags",
    "ec2:DescribeVolumeAttribute",
    "ec2:DescribeVolumes",
    "ec2:TerminateInstances",
    "elasticfilesystem:DeleteFileSystem",
    "elasticfilesystem:DescribeBackupPolicy",
    "elasticfilesystem:DescribeFileSystemPolicy",
    "elasticfilesystem:DescribeFileSystems",
    "elasticfilesystem:DescribeLifecycleConfiguration",
    "elasticfilesystem:DescribeReplicationConfigurations",
    "elasticfilesystem:TagResource",
    // AWS Backup opens the session with the permissions of whoever asked for the vault.
    "mpa:StartSession",
    // RDS makes and rotates the secret of a password with the permissions of whoever asked for that.
    "kms:DescribeKey",
    "secretsmanager:CreateSecret",
    "secretsmanager:RotateSecret",
    "secretsmanager:TagResource",
    // Making a parameter with tags.
    "ssm:AddTagsToResource",
    // The writer reads sets of entries with the code of the reader.
    "kms:ListGrants",
    "lambda:GetPolicy",
    // Reading a version, and deleting one, are permissions of their own.
    "s3:GetObjectVersion",
    "s3:DeleteObjectVersion",
    // Passing a role is part of starting a job or a stack.
    "iam:PassRole",
    // Reading an answer that was sealed with the key of the bucket or of the logs.
    "kms:Decrypt",
    "kms:GenerateDataKey",
    // Publishing the nonce, which cutover does by itself.
    "s3:PutObject",
    // Tracing.
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

#[test]
fn nothing_is_permitted_in_another_account_that_no_adapter_asks_for() {
    let mut asked: BTreeMap<Grantor, BTreeSet<String>> = BTreeMap::new();
    for (adapter, service, grantors) in ADAPTERS {
        // An adapter that is not written yet cannot be compared, and neither can those who grant for it.
        let needed: Option<BTreeSet<String>> =
            source(adapter).map(|text| permissions(adapter, service, &text));
        for grantor in grantors {
            match &needed {
                Some(needed) => asked.entry(*grantor).or_default().extend(needed.iter().cloned()),
                None => drop(asked.entry(*grantor).or_default().insert("*".to_owned())),
            }
        }
    }
    for grantor in [
        RECORDS,
        VALIDATION,
        REBUILD,
        VAULT_REQUESTER,
        LOG_READER,
        READER,
        WRITER,
    ] {
        let asked = &asked[&grantor];
        let idle: Vec<_> = granted(grantor)
            .into_iter()
            .filter(|action| !asked.contains(action) && !ALSO_NEEDED.contains(&action.as_str()))
            .collect();
        assert!(
            idle.is_empty() || asked.contains("*"),
            "{grantor:?} permits {idle:?}, which nobody asks for"
        );
    }
}

#[test]
fn every_module_that_sends_requests_is_compared() {
    let known: BTreeSet<&str> = ADAPTERS.iter().map(|(adapter, _, _)| *adapter).collect();
    for name in repository::names("shared/aws/src") {
        let Some(module) = name.strip_suffix(".rs") else {
            continue;
        };
        let text = fs::read_to_string(repository::path("shared/aws/src").join(&name)).unwrap();
        // Assuming a role is compared in `permissions`.
        let sends = text.contains(".send()") && module != "clients";
        assert!(
            !sends || known.contains(module),
            "`{module}` sends requests: say here who permits them"
        );
    }
}
