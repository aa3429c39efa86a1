use serde_json::{Value, json};

use super::super::lines::line_of;
use super::super::tests::{PLAN, problems, sound};
use super::*;

/// The plan with these fix-ups of its bucket, its table, and a file system.
fn with_fix_ups(bucket: &Value, table: &Value, files: &Value) -> Value {
    let mut plan = sound();
    plan["resources"][0]["fix_ups"] = bucket.clone();
    plan["resources"][1]["fix_ups"] = table.clone();
    let file_system = json!({
        "id": "orders-files",
        "arn": "arn:aws:fsx:eu-central-1:999999999999:file-system/fs-1",
        "type": "FSx",
        "restore_to": "orders-files-restored",
        "fix_ups": files,
    });
    plan["resources"].as_array_mut().unwrap().push(file_system);
    let asked =
        json!({"check": "function", "resource": "orders-files", "function": "blackstart-check-files"});
    plan["validation"]["invariants"]
        .as_array_mut()
        .unwrap()
        .push(asked);
    plan
}

fn with_seam(seam: Value) -> Value {
    let mut plan = sound();
    plan["resources"][1]["seam"] = seam;
    plan
}

#[test]
fn every_fix_up_that_its_type_can_have_is_taken() {
    let plan = with_fix_ups(
        &json!([
            {"kind": "versioning"},
            {"kind": "event_notifications"},
            {"kind": "lifecycle", "rules": [{"id": "old", "noncurrent_days": 30}]},
            {"kind": "tags", "tags": {"team": "orders"}},
        ]),
        &json!([
            {"kind": "time_to_live", "attribute": "expires"},
            {"kind": "stream", "view": "KEYS_ONLY"},
            {"kind": "point_in_time_recovery"},
            {"kind": "deletion_protection"},
            {"kind": "hook", "name": "scaling", "function": "blackstart-hook-scaling", "restores": ["autoscaling"]},
            {"kind": "without", "what": ["alarms"], "reason": "they are in the stack"},
        ]),
        &json!([]),
    );
    assert_eq!(problems(&plan), Vec::<String>::new());
}

#[test]
fn a_fix_up_that_its_type_cannot_have_is_found_at_its_place() {
    for only_for_tables in [
        json!({"kind": "time_to_live", "attribute": "expires"}),
        json!({"kind": "stream", "view": "KEYS_ONLY"}),
        json!({"kind": "point_in_time_recovery"}),
        json!({"kind": "deletion_protection"}),
    ] {
        let plan = with_fix_ups(&json!([only_for_tables]), &json!([]), &json!([]));
        assert_eq!(problems(&plan), ["resources[0].fix_ups[0]"], "{only_for_tables}");
    }
    for only_for_buckets in [
        json!({"kind": "versioning"}),
        json!({"kind": "event_notifications"}),
        json!({"kind": "lifecycle", "rules": [{"id": "a", "days": 1}]}),
    ] {
        let plan = with_fix_ups(&json!([]), &json!([only_for_buckets]), &json!([]));
        assert_eq!(problems(&plan), ["resources[1].fix_ups[0]"], "{only_for_buckets}");
    }
    for not_for_file_systems in [
        json!({"kind": "properties", "properties": {"WeeklyMaintenanceStartTime": "1:05:00"}}),
        json!({"kind": "tags", "tags": {"team": "orders"}}),
    ] {
        let plan = with_fix_ups(&json!([]), &json!([]), &json!([not_for_file_systems]));
        assert_eq!(
            problems(&plan),
            ["resources[2].fix_ups[0]"],
            "{not_for_file_systems}"
        );
    }
}

#[test]
fn a_fix_up_that_says_too_little_or_too_much_is_found() {
    for bad in [
        json!({"kind": "time_to_live", "attribute": ""}),
        json!({"kind": "stream", "view": "EVERYTHING"}),
        json!({"kind": "tags", "tags": {}}),
        json!({"kind": "tags", "tags": {"blackstart:run": "mine"}}),
        json!({"kind": "hook", "name": " ", "function": "f", "restores": ["autoscaling"]}),
        json!({"kind": "hook", "name": "n", "function": "arn:aws:lambda:f", "restores": ["autoscaling"]}),
        json!({"kind": "hook", "name": "n", "function": "f", "restores": []}),
        json!({"kind": "without", "what": ["autoscalling"], "reason": "r"}),
        json!({"kind": "without", "what": ["autoscaling"], "reason": " "}),
    ] {
        let plan = with_fix_ups(&json!([]), &json!([bad]), &json!([]));
        assert_eq!(problems(&plan), ["resources[1].fix_ups[0]"], "{bad}");
    }
    for rules in [
        json!([]),
        json!([{"id": "", "days": 1}]),
        json!([{"id": "a"}]),
        json!([{"id": "a", "days": 0}]),
        json!([{"id": "a", "days": 1}, {"id": "a", "days": 2}]),
    ] {
        let plan = with_fix_ups(
            &json!([{"kind": "lifecycle", "rules": rules}]),
            &json!([]),
            &json!([]),
        );
        assert_eq!(problems(&plan), ["resources[0].fix_ups[0]"], "{rules}");
    }
}

#[test]
fn a_seam_names_a_stack_and_something_in_it() {
    let into_the_app = json!({"by": "parameter", "stack": "orders-app", "parameter": "DataBucket"});
    assert_eq!(problems(&with_seam(into_the_app)), Vec::<String>::new());
    for (seam, at) in [
        (
            json!({"by": "parameter", "stack": "elsewhere", "parameter": "DataBucket"}),
            "resources[1].seam.stack",
        ),
        (
            json!({"by": "import", "stack": "elsewhere", "logical_id": "Table"}),
            "resources[1].seam.stack",
        ),
        (
            json!({"by": "parameter", "stack": "orders-app", "parameter": "Databucket"}),
            "resources[1].seam.parameter",
        ),
        (
            json!({"by": "import", "stack": "orders-app", "logical_id": "orders-table"}),
            "resources[1].seam.logical_id",
        ),
        (
            json!({"by": "import", "stack": "orders-app", "logical_id": ""}),
            "resources[1].seam.logical_id",
        ),
        (
            json!({
                "by": "import", "stack": "orders-app", "logical_id": "Table",
                "properties": {"KMSMasterKeyId": "arn:aws:kms:eu-central-1:999999999999:key/k"}
            }),
            "resources[1].seam.properties",
        ),
    ] {
        let mut plan = with_seam(seam.clone());
        let types = plan["rebuild"]["allowed_resource_types"].as_array_mut().unwrap();
        types.push(json!("AWS::DynamoDB::Table"));
        assert_eq!(problems(&plan), [at], "{seam}");
    }
    let not_allowed = json!({"by": "import", "stack": "orders-app", "logical_id": "Table"});
    assert_eq!(problems(&with_seam(not_allowed)), ["resources[1].seam.by"]);
}

#[test]
fn a_resource_has_one_seam_of_one_kind() {
    let both =
        json!({"by": "parameter", "stack": "orders-app", "parameter": "DataBucket", "logical_id": "Table"});
    let told = Plan::parse(with_seam(both).to_string().as_bytes())
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("resources[1].seam") && told.contains("`logical_id`"),
        "{told}"
    );
    let neither = json!({"by": "hand", "stack": "orders-app"});
    let told = Plan::parse(with_seam(neither).to_string().as_bytes())
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("resources[1].seam") && told.contains("`hand`"),
        "{told}"
    );
}

#[test]
fn two_resources_do_not_take_the_same_place_in_a_stack() {
    let seam = json!({"by": "parameter", "stack": "orders-app", "parameter": "DataBucket"});
    let mut plan = with_seam(seam.clone());
    plan["resources"][0]["seam"] = seam;
    assert_eq!(problems(&plan), ["resources[1].seam.parameter"]);
}

#[test]
fn all_problems_of_fix_ups_and_seams_are_told_at_once_with_their_lines() {
    let text = PLAN
        .replace(
            "\"restore_to\": \"orders-data-restored\"\n",
            "\"restore_to\": \"orders-data-restored\",\n      \"fix_ups\": [\n        {\"kind\": \"versioning\"},\n        \
             {\"kind\": \"stream\", \"view\": \"NO\"}\n      ]\n",
        )
        .replace(
            "\"restore_to\": \"orders-restored\"\n",
            "\"restore_to\": \"orders-restored\",\n      \"seam\": {\n        \"by\": \"parameter\",\n        \
             \"stack\": \"elsewhere\",\n        \"parameter\": \"Table\"\n      }\n",
        );
    let found = Plan::parse(text.as_bytes()).unwrap_err().0;
    let line = |needle: &str| text.lines().position(|line| line.contains(needle)).unwrap() + 1;
    let places: Vec<(&str, usize)> = found
        .iter()
        .map(|problem| (problem.at.as_str(), line_of(&text, &problem.at)))
        .collect();
    let stream = line("\"view\": \"NO\"");
    assert_eq!(
        places,
        [
            ("resources[0].fix_ups[1]", stream),
            ("resources[0].fix_ups[1]", stream),
            ("resources[1].seam.stack", line("elsewhere")),
        ],
        "{found:#?}"
    );
}

fn said(resource_type: ResourceType, fix_up: Value) -> Vec<String> {
    let mut plan = Plan::parse(PLAN.as_bytes()).unwrap();
    let resource = plan.resources.first_mut().unwrap();
    resource.resource_type = resource_type;
    resource.fix_ups = vec![serde_json::from_value(fix_up).unwrap()];
    let found = plan.fix_up_problems();
    found.into_iter().map(|problem| problem.what).collect()
}

#[test]
fn a_fix_up_opens_nothing_and_names_nothing_of_the_old_account() {
    let properties = |properties: Value| json!({"kind": "properties", "properties": properties});
    let old = "arn:aws:iam::999999999999:root";
    let settled = [
        (ResourceType::Rds, json!({"PubliclyAccessible": true})),
        (ResourceType::Rds, json!({"publiclyaccessible": true})),
        (ResourceType::Rds, json!({"VPCSecurityGroups": ["sg-1"]})),
        (ResourceType::S3, json!({"PublicAccessBlockConfiguration": {}})),
        (ResourceType::Ec2, json!({"NetworkInterfaces": []})),
    ];
    for (resource_type, set) in settled {
        let found = said(resource_type, properties(set.clone()));
        assert!(
            found.iter().any(|what| what.contains("must not set")),
            "{set}: {found:?}"
        );
    }
    let policy = json!({"FileSystemPolicy": {"Statement": [{"Principal": {"AWS": old}}]}});
    let named = [
        (ResourceType::Efs, properties(policy)),
        (ResourceType::S3, json!({"kind": "tags", "tags": {"owner": old}})),
    ];
    for (resource_type, fix_up) in named {
        assert_eq!(said(resource_type, fix_up), ["names the old account"]);
    }
    let fine = properties(json!({"BackupRetentionPeriod": 7, "DeletionProtection": true}));
    assert_eq!(said(ResourceType::Rds, fine), Vec::<String>::new());
}
