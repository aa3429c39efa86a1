use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::all;
use crate::timeline::cloudtrail::parse;
use crate::timeline::indicator::{Class, OMITTED, Table, Test};

fn record(service: &str, event: &str, request: &Value) -> Value {
    json!({
        "eventID": "e", "eventTime": "2026-01-01T00:00:00Z", "eventSource": format!("{service}.amazonaws.com"),
        "eventName": event, "recipientAccountId": "111111111111", "sourceIPAddress": "198.51.100.7",
        "userIdentity": {"type": "IAMUser", "userName": "ann", "arn": "arn:aws:iam::111111111111:user/ann", "accessKeyId": "AKIA1"},
        "requestParameters": request,
    })
}

fn matched(record: &Value) -> BTreeSet<String> {
    let text = json!({ "Records": [record] }).to_string();
    let read = parse(text.as_bytes());
    let (_, record) = read.records.first().expect("a record");
    Table::default()
        .matching(record)
        .iter()
        .map(|rule| rule.id.to_string())
        .collect()
}

/// Indicator, a request that it marks, and one that it does not.
fn requests() -> Vec<(&'static str, Value, Value)> {
    let everything = |effect: &str| {
        json!({"Statement": [{"Effect": effect, "Action": ["s3:GetObject", "*"], "Resource": "*"}]})
            .to_string()
    };
    let trust = |who: &str| json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": who}}}).to_string();
    let lifecycle = |days: u32, status: &str| json!({"LifecycleConfiguration": {"Rule": [{"Status": status, "Expiration": {"Days": days}}]}});
    let foreign = "arn:aws:iam::999988887777:root";
    let own = "arn:aws:iam::111111111111:root";
    vec![
        (
            "s3.customer-key-rewrite",
            json!({"x-amz-server-side-encryption-customer-algorithm": "AES256"}),
            json!({"x-amz-server-side-encryption": "AES256"}),
        ),
        (
            "s3.foreign-kms-key",
            json!({"x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:999988887777:key/k"}),
            json!({"x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:111111111111:key/k"}),
        ),
        (
            "s3.short-expiry",
            lifecycle(1, "Enabled"),
            lifecycle(400, "Enabled"),
        ),
        (
            "s3.short-expiry",
            lifecycle(7, "Enabled"),
            lifecycle(1, "Disabled"),
        ),
        (
            "s3.ransom-note",
            json!({"key": "HOW_TO_DECRYPT.txt"}),
            json!({"key": "report.txt"}),
        ),
        (
            "s3.replicate-abroad",
            json!({"ReplicationConfiguration": {"Rule": {"Destination": {"Account": "999988887777"}}}}),
            json!({"ReplicationConfiguration": {"Rule": {"Destination": {"Account": "111111111111"}}}}),
        ),
        (
            "s3.open-bucket-policy",
            json!({"bucketPolicy": {"Statement": [{"Principal": "*"}]}}),
            json!({"bucketPolicy": {"Statement": [{"Principal": {"AWS": own}}]}}),
        ),
        (
            "ec2.share-snapshot",
            json!({"createVolumePermission": {"add": {"items": [{"userId": "999988887777"}]}}}),
            json!({"createVolumePermission": {"remove": {"items": [{"userId": "999988887777"}]}}}),
        ),
        (
            "ec2.share-image",
            json!({"launchPermission": {"add": {"items": [{"group": "all"}]}}}),
            json!({"launchPermission": {"add": {"items": [{"userId": "111111111111"}]}}}),
        ),
        (
            "rds.delete-without-backup",
            json!({"skipFinalSnapshot": true}),
            json!({"skipFinalSnapshot": false}),
        ),
        (
            "rds.share-snapshot",
            json!({"attributeName": "restore", "valuesToAdd": ["999988887777"]}),
            json!({"attributeName": "restore", "valuesToRemove": ["999988887777"]}),
        ),
        (
            "rds.master-password",
            json!({"masterUserPassword": "****"}),
            json!({"allocatedStorage": 20}),
        ),
        (
            "s3.versioning-off",
            json!({"VersioningConfiguration": {"Status": "Suspended"}}),
            json!({"VersioningConfiguration": {"Status": "Enabled"}}),
        ),
        (
            "s3.retention-bypassed",
            json!({"bypassGovernanceRetention": true}),
            json!({"bypassGovernanceRetention": false}),
        ),
        (
            "kms.open-key-policy",
            json!({"policy": trust(foreign)}),
            json!({"policy": trust(own)}),
        ),
        (
            "kms.foreign-grant",
            json!({"granteePrincipal": foreign}),
            json!({"granteePrincipal": own}),
        ),
        (
            "backup.shorten-recovery-point",
            json!({"lifecycle": {"deleteAfterDays": 1}}),
            json!({"lifecycle": {"deleteAfterDays": 365}}),
        ),
        (
            "backup.open-vault",
            json!({"policy": trust("*")}),
            json!({"policy": trust(own)}),
        ),
        (
            "backup.lock-weakened",
            json!({"minRetentionDays": 1}),
            json!({"minRetentionDays": 30}),
        ),
        (
            "rds.protection-off",
            json!({"backupRetentionPeriod": 0}),
            json!({"backupRetentionPeriod": 7}),
        ),
        (
            "dynamodb.point-in-time-off",
            json!({"pointInTimeRecoverySpecification": {"pointInTimeRecoveryEnabled": false}}),
            json!({"pointInTimeRecoverySpecification": {"pointInTimeRecoveryEnabled": true}}),
        ),
        (
            "efs.backup-off",
            json!({"backupPolicy": {"status": "DISABLED"}}),
            json!({"backupPolicy": {"status": "ENABLED"}}),
        ),
        (
            "cloudtrail.narrow-selectors",
            json!({"eventSelectors": [{"includeManagementEvents": false}]}),
            json!({"eventSelectors": [{"includeManagementEvents": true, "readWriteType": "All"}]}),
        ),
        (
            "cloudtrail.narrow-selectors",
            json!({"advancedEventSelectors": [{"fieldSelectors": [
                {"field": "eventCategory", "equals": ["Management"]}, {"field": "readOnly", "equals": ["true"]}]}]}),
            json!({"advancedEventSelectors": [{"fieldSelectors": [
                {"field": "eventCategory", "equals": ["Management"]}]}]}),
        ),
        (
            "guardduty.disable-detector",
            json!({"enable": false}),
            json!({"enable": true}),
        ),
        (
            "guardduty.archive-filter",
            json!({"action": "ARCHIVE"}),
            json!({"action": "NOOP"}),
        ),
        (
            "securityhub.suppress",
            json!({"workflow": {"status": "SUPPRESSED"}}),
            json!({"workflow": {"status": "NOTIFIED"}}),
        ),
        (
            "logs.short-retention",
            json!({"retentionInDays": 1}),
            json!({"retentionInDays": 365}),
        ),
        (
            "iam.key-for-another",
            json!({"userName": "bob"}),
            json!({"userName": "ann"}),
        ),
        ("iam.key-for-another", json!({"userName": "bob"}), Value::Null),
        (
            "iam.password-for-another",
            json!({"userName": "bob"}),
            json!({"userName": "ann"}),
        ),
        (
            "iam.self-made-administrator",
            json!({"policyDocument": everything("Allow")}),
            json!({"policyDocument": everything("Deny")}),
        ),
        (
            "iam.attach-administrator",
            json!({"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
            json!({"policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
        ),
        (
            "iam.key-quarantined",
            json!({"policyArn": "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"}),
            json!({"policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
        ),
        (
            "iam.trust-abroad",
            json!({"policyDocument": trust(foreign)}),
            json!({"policyDocument": trust(own)}),
        ),
        (
            "iam.mfa-removed",
            json!({"userName": "bob"}),
            json!({"userName": "ann"}),
        ),
        (
            "lambda.open-function",
            json!({"principal": "*"}),
            json!({"principal": "s3.amazonaws.com"}),
        ),
        (
            "ssm.mass-read",
            json!({"withDecryption": true}),
            json!({"withDecryption": false}),
        ),
        (
            "ssm.batch-read",
            json!({"withDecryption": true}),
            json!({"withDecryption": false}),
        ),
        (
            "ec2.open-to-everyone",
            json!({"ipPermissions": {"items": [{"ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]}}),
            json!({"ipPermissions": {"items": [{"ipRanges": {"items": [{"cidrIp": "10.0.0.0/8"}]}}]}}),
        ),
    ]
}

#[test]
fn every_indicator_marks_its_example_and_leaves_the_look_alike() {
    let requests = requests();
    for indicator in all() {
        let own: Vec<_> = requests.iter().filter(|(id, ..)| *id == indicator.id).collect();
        let looks_beyond_the_request = indicator.id == "signin.console-without-mfa";
        if matches!(indicator.when, Test::Always) {
            assert!(own.is_empty(), "{} has no predicate", indicator.id);
            for event in indicator.events {
                let mut example = record(indicator.service, event, &json!({}));
                assert!(
                    matched(&example).contains(indicator.id),
                    "{} {event}",
                    indicator.id
                );
                example["errorCode"] = json!("AccessDenied");
                assert_eq!(
                    matched(&example).contains(indicator.id),
                    indicator.denied_counts,
                    "{} {event}",
                    indicator.id
                );
            }
        } else {
            assert!(
                !own.is_empty() || looks_beyond_the_request,
                "{} has no example",
                indicator.id
            );
        }
        for (id, hostile, harmless) in own {
            for event in indicator.events {
                let example = record(indicator.service, event, hostile);
                assert!(matched(&example).contains(*id), "{id} {event} misses {hostile}");
                let look_alike = record(indicator.service, event, harmless);
                assert!(
                    !matched(&look_alike).contains(*id),
                    "{id} {event} marks {harmless}"
                );
                let elsewhere = record("elsewhere", event, hostile);
                assert!(matched(&elsewhere).is_empty(), "{id} {event} of another service");
            }
        }
    }
}

#[test]
fn a_console_sign_in_is_judged_by_its_answer() {
    let mut example = record("signin", "ConsoleLogin", &Value::Null);
    example["responseElements"] = json!({"ConsoleLogin": "Success"});
    example["additionalEventData"] = json!({"MFAUsed": "No"});
    assert!(matched(&example).contains("signin.console-without-mfa"));
    example["additionalEventData"] = json!({"MFAUsed": "Yes"});
    assert!(matched(&example).is_empty());
}

#[test]
fn a_request_that_was_left_out_is_no_alibi() {
    let omitted = json!({"omitted": true, "reason": "requestParameters too large"});
    assert_eq!(
        matched(&record("iam", "PutUserPolicy", &omitted)),
        BTreeSet::from([OMITTED.id.to_owned()])
    );
}

#[test]
fn aws_services_and_backup_schedules_are_no_intruders() {
    let mut example = record("backup", "DeleteRecoveryPoint", &json!({}));
    example["userIdentity"] = json!({"type": "AWSService", "invokedBy": "backup.amazonaws.com"});
    assert!(matched(&example).is_empty());
}

#[test]
fn ids_are_unique_named_after_their_service_and_cited() {
    let mut ids = BTreeSet::new();
    for indicator in all() {
        assert!(ids.insert(indicator.id), "{} stands twice", indicator.id);
        assert!(
            !indicator.source.is_empty() && !indicator.title.is_empty(),
            "{}",
            indicator.id
        );
        assert!(!indicator.events.is_empty(), "{}", indicator.id);
        if let Class::Burst(threshold) = indicator.class {
            assert!((2..=32).contains(&threshold), "{}", indicator.id);
        }
    }
    assert!(ids.len() >= 60, "{}", ids.len());
}
