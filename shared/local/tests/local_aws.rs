//! The local AWS, started for real and asked by the AWS SDK.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it")]

use std::collections::BTreeMap;
use std::path::Path;

use aws_config::SdkConfig;
use aws_sdk_backup::types::{
    MalwareScanner, RestoreJobStatus, RestoreValidationStatus, ScanMode, ScanResultStatus, ScanState,
};
use aws_sdk_route53::types as dns;
use blackstart_local::accounts::{OLD, REBUILD, RECOVERY, VALIDATION};
use blackstart_local::organisation::{Organisation, Ready, Scenario};
use blackstart_local::outside::{self, End};
use blackstart_local::project::Project;
use blackstart_local::standin::{Content, Fault, Operation, RecoveryPoint, ScanOutcome, Table};
use blackstart_local::{LocalAws, deploy};
use jiff::Timestamp;

const VAULT: &str = "orders";

async fn start(enforce_policies: bool) -> LocalAws {
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let local = LocalAws::start(&project, enforce_policies).await.unwrap();
    // Each look is to see the next state of a job, however slow the machine is.
    local.standin().control().tell_of_jobs(false);
    local
}

fn bucket_point(number: u32, scan: ScanOutcome) -> RecoveryPoint {
    let at: Timestamp = format!("2023-07-10T{number:02}:00:00Z").parse().unwrap();
    RecoveryPoint {
        arn: format!("arn:aws:backup:us-east-1:{RECOVERY}:recovery-point:orders-data-{number}"),
        vault: VAULT.to_owned(),
        resource: "arn:aws:s3:::orders-data".to_owned(),
        status: "COMPLETED".to_owned(),
        initiated: at,
        created: at,
        completed: Some(at),
        deleted_at: None,
        content: Content::Objects(BTreeMap::from([("a/1.txt".to_owned(), b"one".to_vec())])),
        scan,
    }
}

fn table_point() -> RecoveryPoint {
    let item = BTreeMap::from([(
        "id".to_owned(),
        aws_sdk_dynamodb::types::AttributeValue::S("7".to_owned()),
    )]);
    RecoveryPoint {
        arn: format!("arn:aws:backup:us-east-1:{RECOVERY}:recovery-point:0cd1"),
        resource: format!("arn:aws:dynamodb:us-east-1:{OLD}:table/orders"),
        content: Content::Table(Table {
            partition_key: "id".to_owned(),
            items: vec![item],
        }),
        ..bucket_point(3, ScanOutcome::Clean)
    }
}

fn role(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/Restorer")
}

async fn assumed(local: &LocalAws, account: &str, name: &str) -> SdkConfig {
    let iam = aws_sdk_iam::Client::new(&local.root_of(account));
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{RECOVERY}"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    iam.create_role()
        .role_name(name)
        .assume_role_policy_document(trust)
        .send()
        .await
        .unwrap();
    let sts = aws_sdk_sts::Client::new(&local.root_of(RECOVERY));
    let session = sts
        .assume_role()
        .role_arn(format!("arn:aws:iam::{account}:role/{name}"))
        .role_session_name("test")
        .send()
        .await
        .unwrap()
        .credentials
        .unwrap();
    blackstart_local::accounts::with_credentials(
        &local.standin().endpoint(),
        aws_credential_types::Credentials::new(
            session.access_key_id,
            session.secret_access_key,
            Some(session.session_token),
            None,
            "test",
        ),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_listed_by_page_and_restored_for_real_in_the_callers_account() {
    let local = start(false).await;
    let control = local.standin().control();
    control.add_vault(RECOVERY, VAULT, [VALIDATION, REBUILD]);
    for number in 1..=3 {
        control.add_recovery_point(RECOVERY, bucket_point(number, ScanOutcome::Clean));
    }
    control.add_recovery_point(RECOVERY, table_point());
    let backup = aws_sdk_backup::Client::new(&assumed(&local, REBUILD, "Restorer").await);

    let listed: Vec<_> = backup
        .list_recovery_points_by_backup_vault()
        .backup_vault_name(VAULT)
        .backup_vault_account_id(RECOVERY)
        .by_resource_type("S3")
        .max_results(2)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .unwrap();
    assert_eq!(listed.len(), 3);
    let unshared = aws_sdk_backup::Client::new(&local.standin_root_of(OLD));
    let refused = unshared
        .list_recovery_points_by_backup_vault()
        .backup_vault_name(VAULT)
        .backup_vault_account_id(RECOVERY)
        .send()
        .await
        .unwrap_err();
    assert!(
        refused
            .as_service_error()
            .unwrap()
            .is_resource_not_found_exception()
    );

    let start = || {
        backup
            .start_restore_job()
            .recovery_point_arn(bucket_point(1, ScanOutcome::Clean).arn)
            .iam_role_arn(role(REBUILD))
            .idempotency_token("run-1")
            .metadata("destinationBucketName", "restored")
            .metadata("NewBucket", "true")
            .send()
    };
    let job = start().await.unwrap().restore_job_id.unwrap();
    assert_eq!(
        start().await.unwrap().restore_job_id.unwrap(),
        job,
        "twice is once"
    );
    let describe = || backup.describe_restore_job().restore_job_id(&job).send();
    assert_eq!(describe().await.unwrap().status, Some(RestoreJobStatus::Pending));
    assert_eq!(describe().await.unwrap().created_resource_arn, None);
    let done = describe().await.unwrap();
    assert_eq!(done.status, Some(RestoreJobStatus::Completed));
    assert_eq!(
        done.created_resource_arn.as_deref(),
        Some("arn:aws:s3:::restored")
    );
    let s3 = aws_sdk_s3::Client::new(&local.root_of(REBUILD));
    let object = s3
        .get_object()
        .bucket("restored")
        .key("a/1.txt")
        .send()
        .await
        .unwrap();
    assert_eq!(object.body.collect().await.unwrap().to_vec(), b"one");

    let validate = |status| {
        backup
            .put_restore_validation_result()
            .restore_job_id(&job)
            .validation_status(status)
            .send()
    };
    validate(RestoreValidationStatus::Failed).await.unwrap();
    let fixed = validate(RestoreValidationStatus::Successful).await.unwrap_err();
    assert!(fixed.as_service_error().unwrap().is_invalid_request_exception());

    control.disturb(Operation::StartRestoreJob, Fault::AnsweredAfterTheFact);
    let table = || {
        backup
            .start_restore_job()
            .recovery_point_arn(table_point().arn)
            .iam_role_arn(role(REBUILD))
            .idempotency_token("run-2")
            .metadata("targetTableName", "orders")
            .send()
    };
    // The SDK's own retry meets the token of the job that was begun all the same.
    let job = table().await.unwrap().restore_job_id.unwrap();
    assert_eq!(control.restore_jobs(), 2);
    for _ in 0..3 {
        backup
            .describe_restore_job()
            .restore_job_id(&job)
            .send()
            .await
            .unwrap();
    }
    let dynamodb = aws_sdk_dynamodb::Client::new(&local.root_of(REBUILD));
    let items = dynamodb.scan().table_name("orders").send().await.unwrap();
    assert_eq!(items.count, 1);
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_can_end_with_issues_and_still_find_no_threats() {
    let local = start(false).await;
    let control = local.standin().control();
    control.add_vault(RECOVERY, VAULT, [VALIDATION]);
    for (number, outcome) in [
        (1, ScanOutcome::Clean),
        (2, ScanOutcome::CleanWithIssues),
        (3, ScanOutcome::NoResult),
    ] {
        control.add_recovery_point(RECOVERY, bucket_point(number, outcome));
    }
    let backup = aws_sdk_backup::Client::new(&assumed(&local, VALIDATION, "Restorer").await);
    let mut ends = Vec::new();
    for number in 1..=3 {
        let job = backup
            .start_scan_job()
            .backup_vault_name(VAULT)
            .recovery_point_arn(bucket_point(number, ScanOutcome::Clean).arn)
            .iam_role_arn(role(VALIDATION))
            .scanner_role_arn(role(VALIDATION))
            .scan_mode(ScanMode::FullScan)
            .malware_scanner(MalwareScanner::Guardduty)
            .send()
            .await
            .unwrap()
            .scan_job_id;
        let describe = || backup.describe_scan_job().scan_job_id(&job).send();
        assert_eq!(describe().await.unwrap().state, ScanState::Created);
        assert_eq!(describe().await.unwrap().state, ScanState::Running);
        let end = describe().await.unwrap();
        ends.push((end.state, end.scan_result.map(|result| result.scan_result_status)));
    }
    assert_eq!(
        ends,
        [
            (ScanState::Completed, Some(ScanResultStatus::NoThreatsFound)),
            (
                ScanState::CompletedWithIssues,
                Some(ScanResultStatus::NoThreatsFound)
            ),
            (ScanState::Completed, None),
        ]
    );
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_look_for_real_and_answers_follow_them() {
    let local = start(false).await;
    let route53 = aws_sdk_route53::Client::new(&local.standin_root_of(RECOVERY));
    let zone = route53
        .create_hosted_zone()
        .name("example.com.")
        .caller_reference("1")
        .send()
        .await
        .unwrap()
        .hosted_zone
        .unwrap()
        .id;
    let zone = zone.trim_start_matches("/hostedzone/");
    let check = route53
        .create_health_check()
        .caller_reference("1")
        .health_check_config(
            dns::HealthCheckConfig::builder()
                .r#type(dns::HealthCheckType::HttpStrMatch)
                .ip_address("127.0.0.1")
                .port(i32::from(local.edge().port()))
                .resource_path(blackstart_local::edge::HEALTH_PATH)
                .search_string("nonce-1")
                .request_interval(10)
                .failure_threshold(1)
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap()
        .health_check
        .unwrap()
        .id;
    let status = || route53.get_health_check_status().health_check_id(&check).send();
    assert!(
        status().await.unwrap().health_check_observations.is_empty(),
        "nobody has looked at a fresh check"
    );
    let record = |value: &str, role: dns::ResourceRecordSetFailover, check: Option<&str>| {
        dns::Change::builder()
            .action(dns::ChangeAction::Create)
            .resource_record_set(
                dns::ResourceRecordSet::builder()
                    .name("orders.example.com.")
                    .r#type(dns::RrType::A)
                    .set_identifier(value)
                    .failover(role)
                    .ttl(60)
                    .resource_records(dns::ResourceRecord::builder().value(value).build().unwrap())
                    .set_health_check_id(check.map(str::to_owned))
                    .build()
                    .unwrap(),
            )
            .build()
            .unwrap()
    };
    let change = route53
        .change_resource_record_sets()
        .hosted_zone_id(zone)
        .change_batch(
            dns::ChangeBatch::builder()
                .changes(record(
                    "192.0.2.1",
                    dns::ResourceRecordSetFailover::Primary,
                    Some(&check),
                ))
                .changes(record(
                    "192.0.2.2",
                    dns::ResourceRecordSetFailover::Secondary,
                    None,
                ))
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap()
        .change_info
        .unwrap();
    let mut synced = false;
    for _ in 0..3 {
        let seen = route53.get_change().id(&change.id).send().await.unwrap();
        synced |= seen.change_info.unwrap().status == dns::ChangeStatus::Insync;
    }
    assert!(synced);
    let answer = || async {
        route53
            .test_dns_answer()
            .hosted_zone_id(zone)
            .record_name("orders.example.com")
            .record_type(dns::RrType::A)
            .send()
            .await
            .unwrap()
            .record_data
    };
    assert_eq!(
        answer().await,
        ["192.0.2.2"],
        "the new environment does not serve yet"
    );

    let s3 = aws_sdk_s3::Client::new(&local.root_of(REBUILD));
    s3.create_bucket()
        .bucket(blackstart_local::WEB_BUCKET)
        .send()
        .await
        .unwrap();
    s3.put_object()
        .bucket(blackstart_local::WEB_BUCKET)
        .key(blackstart_local::NONCE_KEY)
        .body(b"nonce-1".to_vec().into())
        .send()
        .await
        .unwrap();
    let seen = status().await.unwrap().health_check_observations;
    let successes = seen
        .iter()
        .filter_map(|seen| seen.status_report.as_ref()?.status.as_deref())
        .filter(|status| status.starts_with("Success"))
        .count();
    assert!(successes >= 3, "{seen:?}");
    assert_eq!(answer().await, ["192.0.2.1"]);
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_ends_with_the_value_that_holds_it() {
    let local = start(false).await;
    let endpoint = local.endpoint();
    assert!(
        reqwest::get(format!("{endpoint}/_ministack/health"))
            .await
            .is_ok()
    );
    drop(local);
    assert!(
        reqwest::get(format!("{endpoint}/_ministack/health"))
            .await
            .is_err()
    );
}

/// The project's own template with empty functions: what is tested is the deployment.
fn template_with_empty_functions(project: &Project, folder: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(project.root().join("template.yaml")).unwrap();
    for line in text.lines() {
        if let Some((_, path)) = line.split_once("CodeUri: ") {
            std::fs::create_dir_all(folder.join(path.trim())).unwrap();
            std::fs::write(folder.join(path.trim()).join("bootstrap"), "#!/bin/sh\n").unwrap();
        }
        if let Some((_, path)) = line.split_once("DefinitionUri: ") {
            let to = folder.join(path.trim());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(project.root().join(path.trim()), to).unwrap();
        }
    }
    let template = folder.join("template.yaml");
    std::fs::write(&template, text).unwrap();
    template
}

/// An approver may call the gate and nothing else, and no role lets anyone in but the function that it is for.
async fn permissions_are_enforced(local: &LocalAws, ready: &Ready) {
    let ada = ready.people.get("ada").unwrap().clone();
    let at = |endpoint: String| blackstart_local::accounts::with_credentials(&endpoint, ada.clone());
    let refused = aws_sdk_backup::Client::new(&at(local.standin().endpoint()))
        .list_recovery_points_by_backup_vault()
        .backup_vault_name("orders-vault")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        refused.into_service_error().meta().code(),
        Some("AccessDeniedException")
    );
    let refused = aws_sdk_dynamodb::Client::new(&at(local.endpoint()))
        .list_tables()
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        refused.into_service_error().meta().code(),
        Some("AccessDeniedException")
    );

    let root = aws_sdk_sts::Client::new(&local.root_of(RECOVERY));
    let refused = root
        .assume_role()
        .role_arn("arn:aws:iam::555555555555:role/BlackstartReferenceWriter")
        .role_session_name("test")
        .external_id("local-drill-external-id")
        .source_identity("orders-0123456789ab")
        .send()
        .await
        .unwrap_err();
    assert_eq!(refused.into_service_error().meta().code(), Some("AccessDenied"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_project_deploys_into_a_small_organisation_that_is_untouched_before_a_run() {
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let local = start(true).await;
    let organisation = Organisation::establish(&local, &project, Scenario::Incident)
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let template = template_with_empty_functions(&project, folder.path());
    let deployed = deploy::deploy(&local, &template, &organisation.parameters())
        .await
        .unwrap();
    let ready = organisation.publish(&local, &deployed).await.unwrap();
    permissions_are_enforced(&local, &ready).await;

    let s3 = aws_sdk_s3::Client::new(&local.root_of(RECOVERY));
    let plan = s3
        .get_object()
        .bucket(deployed.output("PlanBucket").unwrap())
        .key("plans/orders.json")
        .send()
        .await
        .unwrap();
    let plan = plan.body.collect().await.unwrap().to_vec();
    assert_eq!(blackstart_core::plan::Plan::parse(&plan).unwrap(), ready.plan);

    let untouched = outside::checks(&local, &organisation, End::Untouched)
        .await
        .unwrap();
    for check in &untouched {
        assert!(check.holds, "{}: {}", check.what, check.seen);
    }
    let siblings = outside::checks(&local, &organisation, End::CutOver)
        .await
        .unwrap_err();
    assert!(
        siblings.to_string().contains("orders-data-333333333333"),
        "{siblings}"
    );
    local.stop().await;
}
