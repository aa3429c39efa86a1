//! Who may do what: the template, the roles of the other accounts, and the adapters that a function is built with.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_core::plan::Roles;
use blackstart_core::rebuild::request::DRIFT_READ_POLICY;
use serde_json::Value;

use crate::{repository, template};

/// A role in another account: the file that creates it, its logical id, its name in a plan, and the parameter of
/// `template.yaml` that lists it.
struct Foreign {
    file: &'static str,
    id: &'static str,
    name: String,
    parameter: &'static str,
}

fn foreign_roles() -> [Foreign; 7] {
    let roles = Roles::default();
    let role = |file, id, name, parameter| Foreign {
        file,
        id,
        name,
        parameter,
    };
    [
        role(
            "log-archive",
            "LogReaderRole",
            roles.log_archive,
            "LogReaderRoleArns",
        ),
        role(
            "validation",
            "ValidationRole",
            roles.validation,
            "ValidationRoleArns",
        ),
        role("rebuild", "RebuildRole", roles.rebuild, "RebuildRoleArns"),
        role(
            "rebuild",
            "VaultRequesterRole",
            roles.vault_requester,
            "VaultRequesterRoleArns",
        ),
        role(
            "sibling",
            "ReferenceReaderRole",
            roles.sibling_reader,
            "ReferenceReaderRoleArns",
        ),
        role(
            "sibling",
            "ReferenceWriterRole",
            roles.sibling_writer,
            "ReferenceWriterRoleArns",
        ),
        role(
            "management",
            "ContainmentRole",
            "BlackstartContainment".to_owned(),
            "ContainmentRoleArns",
        ),
    ]
}

/// Function (lower case, `gate` included) to the statements of its role.
fn functions(template: &Value) -> BTreeMap<String, Vec<Value>> {
    let roles = template::resources(template, "AWS::IAM::Role");
    template::resources(template, "AWS::Serverless::Function")
        .into_iter()
        .map(|(id, function)| {
            let role = function["Role"]["Fn::GetAtt"]
                .as_str()
                .unwrap()
                .strip_suffix(".Arn")
                .unwrap()
                .to_owned();
            let name = id.strip_suffix("Function").unwrap().to_lowercase();
            (name, template::role_statements(template, &roles[&role]))
        })
        .collect()
}

/// The functions that may do this.
fn holders(template: &Value, may: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    functions(template)
        .into_iter()
        .filter(|(_, statements)| statements.iter().any(&may))
        .map(|(name, _)| name)
        .collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// What it takes to assume a role as a session that names its run.
const ASSUMING: [&str; 3] = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"];

fn may_assume(statement: &Value, parameter: &str) -> bool {
    let actions = template::actions(statement);
    ASSUMING
        .iter()
        .all(|needed| actions.iter().any(|action| action == needed))
        && template::many(&statement["Resource"])
            .iter()
            .any(|resource| resource["Ref"] == parameter)
}

#[test]
fn only_cutover_can_write_in_a_sibling_and_only_references_reads_there() {
    let template = template::recovery_account();
    let assuming = |parameter: &str| holders(&template, |statement| may_assume(statement, parameter));
    assert_eq!(assuming("ReferenceWriterRoleArns"), set(["cutover"]));
    assert_eq!(assuming("ReferenceReaderRoleArns"), set(["references"]));
    assert_eq!(assuming("ContainmentRoleArns"), set(["cutover"]));
    assert_eq!(assuming("LogReaderRoleArns"), set(["references", "timeline"]));
    assert_eq!(assuming("VaultRequesterRoleArns"), set(["approval"]));
}

/// The functions that may answer a state of this machine that waits for a token.
fn answering(template: &Value, machine: &str) -> BTreeSet<String> {
    holders(template, |statement| {
        let answers = template::actions(statement)
            .iter()
            .any(|action| action.starts_with("states:SendTask"));
        let resources = template::many(&statement["Resource"]);
        answers
            && resources
                .iter()
                .any(|resource| resource == "*" || resource.to_string().contains(&format!("-{machine}\"")))
    })
}

#[test]
fn only_the_gate_answers_states_that_wait_for_people_and_opens_their_tokens() {
    let template = template::recovery_account();
    for machine in ["recovery", "cutover"] {
        assert_eq!(answering(&template, machine), set(["gate"]), "{machine}");
    }

    let keys = template::resources(&template, "AWS::KMS::Key");
    let opening: Vec<Value> = template::statements(&keys["TokenKey"]["KeyPolicy"])
        .into_iter()
        .filter(|statement| {
            template::actions(statement)
                .iter()
                .any(|action| action == "kms:Decrypt" || action == "kms:*")
        })
        .flat_map(|statement| template::many(&statement["Principal"]["AWS"]))
        .collect();
    assert_eq!(opening, [serde_json::json!({"Fn::GetAtt": "GateRole.Arn"})]);
}

/// Whoever hears the events of another account, or works there, can end no wait but that for a trial.
#[test]
fn waits_for_trials_have_a_key_and_senders_of_their_own() {
    let template = template::recovery_account();
    assert_eq!(answering(&template, "validation"), set(["intake", "validation"]));
    let only = |role: &str| [serde_json::json!({"Fn::GetAtt": format!("{role}.Arn")})];
    assert_eq!(
        users_of(&template, "TrialTokenKey", "kms:Decrypt"),
        only("IntakeRole")
    );
    assert_eq!(
        users_of(&template, "TrialTokenKey", "kms:Encrypt"),
        only("ValidationRole")
    );
}

#[test]
fn events_come_from_the_forwarding_roles_alone_and_reach_intake_as_they_are() {
    let template = template::recovery_account();
    let bus = &template::resources(&template, "AWS::Events::EventBus")["BackupEventBus"];
    let statements = template::statements(&bus["Policy"]);
    assert_eq!(statements.len(), 1);
    let statement = &statements[0];
    assert_eq!(template::actions(statement), ["events:PutEvents"]);
    assert_eq!(statement["Principal"]["AWS"]["Ref"], "BackupEventRoleArns");
    let rule = &template::resources(&template, "AWS::Events::Rule")["BackupEventRule"];
    let kinds = &rule["EventPattern"]["detail-type"];
    assert_eq!(
        statement["Condition"]["StringEquals"]["events:detail-type"],
        *kinds
    );
    assert_eq!(
        statement["Condition"]["ForAllValues:StringEquals"]["events:source"],
        rule["EventPattern"]["source"][0]
    );
    let target = &rule["Targets"][0];
    assert_eq!(target["Arn"]["Ref"], "IntakeFunction.Alias");
    assert!(
        target["InputTransformer"].is_null(),
        "what an event says is never put into a task"
    );
    // Who forwards trusts EventBridge for its own account, and may do no more.
    let account = template::load("infra/accounts/validation.yaml");
    let sent = &template::resources(&account, "AWS::Events::Rule")["BackupEvents"];
    let branches = sent["EventPattern"]["$or"].as_array().unwrap();
    let sent_kinds: Vec<&Value> = branches.iter().map(|branch| &branch["detail-type"][0]).collect();
    assert_eq!(sent_kinds, kinds.as_array().unwrap().iter().collect::<Vec<_>>());
    let policy = &template::resources(&account, "AWS::IAM::Policy")["ForwardBackupEvents"];
    let granted = template::statements(&policy["PolicyDocument"]);
    assert_eq!(granted.len(), 1);
    assert_eq!(template::actions(&granted[0]), ["events:PutEvents"]);
    assert_eq!(granted[0]["Resource"]["Ref"], "EventBusArn");
    let pattern = template["Parameters"]["BackupEventRoleArns"]["AllowedPattern"]
        .as_str()
        .unwrap();
    let role = &template::resources(&account, "AWS::IAM::Role")["BackupEventRole"];
    assert!(pattern.ends_with(&format!(":role/{}", role["RoleName"].as_str().unwrap())));
}

/// What one function may do to a key by the key's own policy, the account's administrators left out.
fn users_of(template: &Value, key: &str, action: &str) -> Vec<Value> {
    let keys = template::resources(template, "AWS::KMS::Key");
    template::statements(&keys[key]["KeyPolicy"])
        .into_iter()
        .filter(|statement| {
            template::actions(statement)
                .iter()
                .any(|allowed| allowed == action || allowed == "kms:*")
        })
        .flat_map(|statement| template::many(&statement["Principal"]["AWS"]))
        .collect()
}

#[test]
fn only_the_report_signs_evidence_and_writes_where_it_is_locked() {
    let template = template::recovery_account();
    assert_eq!(
        users_of(&template, "EvidenceKey", "kms:Sign"),
        [serde_json::json!({"Fn::GetAtt": "ReportRole.Arn"})]
    );
    let writing = holders(&template, |statement| {
        statement["Resource"].to_string().contains("EvidenceBucket")
            && template::actions(statement)
                .iter()
                .any(|action| !action.starts_with("s3:Get") && !action.starts_with("s3:List"))
    });
    assert_eq!(writing, set(["report"]));
    let buckets = template::resources(&template, "AWS::S3::Bucket");
    assert_eq!(buckets["EvidenceBucket"]["ObjectLockEnabled"], true);
}

#[test]
fn every_foreign_role_trusts_exactly_the_functions_that_may_assume_it() {
    let template = template::recovery_account();
    for role in foreign_roles() {
        let account = template::load(&format!("infra/accounts/{}.yaml", role.file));
        let properties = &template::resources(&account, "AWS::IAM::Role")[role.id];
        assert_eq!(properties["RoleName"], role.name);

        let trust = template::statements(&properties["AssumeRolePolicyDocument"]);
        assert_eq!(trust.len(), 1, "{}", role.id);
        assert_eq!(template::actions(&trust[0]), ASSUMING, "{}", role.id);
        let condition = &trust[0]["Condition"];
        let trusted: BTreeSet<String> = template::many(&condition["ArnEquals"]["aws:PrincipalArn"])
            .iter()
            .map(|arn| {
                let arn = arn["Fn::Sub"].as_str().unwrap();
                let name = arn
                    .split(":role/Blackstart")
                    .nth(1)
                    .unwrap()
                    .strip_suffix("Function")
                    .unwrap();
                name.to_lowercase()
            })
            .collect();
        assert_eq!(
            trusted,
            holders(&template, |statement| may_assume(statement, role.parameter)),
            "{}",
            role.id
        );
        assert_eq!(
            condition["StringEquals"]["sts:ExternalId"]["Ref"], "ExternalId",
            "{}",
            role.id
        );

        let pattern = template["Parameters"][role.parameter]["AllowedPattern"]
            .as_str()
            .unwrap();
        assert!(pattern.ends_with(&format!(":role/{}", role.name)), "{pattern}");
    }
}

#[test]
fn sessions_in_the_rebuild_account_name_their_run() {
    let account = template::load("infra/accounts/rebuild.yaml");
    for id in ["RebuildRole", "VaultRequesterRole"] {
        let role = &template::resources(&account, "AWS::IAM::Role")[id];
        let demanded = &template::statements(&role["AssumeRolePolicyDocument"])[0]["Condition"]["StringLike"];
        for key in ["sts:SourceIdentity", "aws:RequestTag/blackstart:run"] {
            assert!(demanded[key].is_string(), "{id} does not demand {key}");
        }
    }
}

#[test]
fn the_writer_names_its_run_and_can_gain_no_privilege() {
    let account = template::load("infra/accounts/sibling.yaml");
    let writer = &template::resources(&account, "AWS::IAM::Role")["ReferenceWriterRole"];
    let condition = &template::statements(&writer["AssumeRolePolicyDocument"])[0]["Condition"];
    assert!(condition["StringLike"]["sts:SourceIdentity"].is_string());
    assert_eq!(writer["PermissionsBoundary"]["Ref"], "ReferenceWriterBoundary");

    let writes: BTreeSet<String> = template::role_statements(&account, writer)
        .iter()
        .flat_map(template::actions)
        .filter(|action| {
            ![":Get", ":Describe", ":List"]
                .iter()
                .any(|read| action.contains(read))
        })
        .collect();
    assert_eq!(
        writes,
        set([
            "backup:PutBackupVaultAccessPolicy",
            "dynamodb:PutResourcePolicy",
            "ecr:SetRepositoryPolicy",
            "events:PutPermission",
            "iam:UpdateAssumeRolePolicy",
            "kms:CreateGrant",
            "kms:PutKeyPolicy",
            "kms:RevokeGrant",
            "lambda:AddPermission",
            "lambda:RemovePermission",
            "s3:PutBucketPolicy",
            "secretsmanager:PutResourcePolicy",
            "sns:SetTopicAttributes",
            "sqs:SetQueueAttributes"
        ])
    );
    let boundary = &template::resources(&account, "AWS::IAM::ManagedPolicy")["ReferenceWriterBoundary"];
    let allowed: BTreeSet<String> = template::statements(&boundary["PolicyDocument"])
        .iter()
        .filter(|statement| statement["Effect"] == "Allow")
        .flat_map(template::actions)
        .collect();
    let granted: BTreeSet<String> = template::role_statements(&account, writer)
        .iter()
        .flat_map(template::actions)
        .collect();
    assert_eq!(granted, allowed, "the boundary and the role must not drift apart");
}

#[test]
fn the_reader_only_reads() {
    let account = template::load("infra/accounts/sibling.yaml");
    let reader = &template::resources(&account, "AWS::IAM::Role")["ReferenceReaderRole"];
    for action in template::role_statements(&account, reader)
        .iter()
        .flat_map(template::actions)
    {
        let verb = action.split(':').nth(1).unwrap();
        assert!(
            // API Gateway's actions are HTTP methods.
            ["Describe", "Get", "GET", "List"]
                .iter()
                .any(|read| verb.starts_with(read)),
            "{action}"
        );
    }
}

/// What has a name of its own is bounded by that; the rest a session may change only under the tag of its run.
#[test]
fn a_trial_without_a_name_is_marked_and_removed_under_the_tag_of_the_session_alone() {
    const OWN: &str = "${aws:PrincipalTag/blackstart:run}";
    let account = template::load("infra/accounts/validation.yaml");
    let role = &template::resources(&account, "AWS::IAM::Role")["ValidationRole"];
    let mut bounded = BTreeSet::new();
    for statement in template::role_statements(&account, role) {
        for action in template::actions(&statement) {
            let (service, verb) = action.split_once(':').unwrap();
            if !["ec2", "elasticfilesystem"].contains(&service) || verb.starts_with("Describe") {
                continue;
            }
            let condition = &statement["Condition"];
            let key = if verb.contains("Tag") {
                assert_eq!(
                    condition["StringEqualsIfExists"]["aws:ResourceTag/blackstart:run"],
                    OWN
                );
                "aws:RequestTag/blackstart:run"
            } else {
                "aws:ResourceTag/blackstart:run"
            };
            assert_eq!(condition["StringEquals"][key], OWN, "{action}");
            bounded.insert(action);
        }
    }
    assert_eq!(
        bounded,
        set([
            "ec2:CreateTags",
            "ec2:DeleteVolume",
            "ec2:TerminateInstances",
            "elasticfilesystem:DeleteFileSystem",
            "elasticfilesystem:TagResource"
        ])
    );
}

/// Drift detection reads with the credentials of who asks for it: a role or a session without these has every restore
/// refused.
#[test]
fn drift_detection_may_read_every_type_that_the_isolation_checks_know_and_no_data() {
    let account = template::load("infra/accounts/rebuild.yaml");
    let policy = &template::resources(&account, "AWS::IAM::ManagedPolicy")["DriftReadPolicy"];
    assert_eq!(policy["ManagedPolicyName"], DRIFT_READ_POLICY);
    assert_eq!(policy["Roles"], serde_json::json!([{"Ref": "RebuildRole"}]));
    let actions: BTreeSet<String> = template::statements(&policy["PolicyDocument"])
        .iter()
        .filter(|statement| statement["Action"].get("Ref").is_none())
        .flat_map(template::actions)
        .collect();
    assert!(actions.contains("cloudformation:BatchDescribeTypeConfigurations"));

    let data = [
        "apigateway:GET/apikeys",
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:GetRecords",
        "dynamodb:Query",
        "dynamodb:Scan",
        "ec2:GetConsoleOutput",
        "ec2:GetPasswordData",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "lambda:InvokeFunction",
        "logs:FilterLogEvents",
        "logs:GetLogEvents",
        "rds:DownloadCompleteDBLogFile",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucketVersions",
        "secretsmanager:BatchGetSecretValue",
        "secretsmanager:GetSecretValue",
        "sqs:ReceiveMessage",
        "ssm:GetParameter",
        "ssm:GetParameterHistory",
        "ssm:GetParameters",
        "ssm:GetParametersByPath",
        "states:DescribeExecution",
        "states:GetExecutionHistory",
    ];
    for action in &actions {
        let verb = action.split(':').nth(1).unwrap();
        let reads = ["BatchDescribe", "Describe", "Get", "GET", "List"];
        assert!(reads.iter().any(|read| verb.starts_with(read)), "{action}");
        let allowed = |data: &&str| match action.strip_suffix('*') {
            Some(beginning) => data.starts_with(beginning),
            None => *data == action,
        };
        assert_eq!(
            data.iter().find(|data| allowed(data)),
            None,
            "{action} reads data"
        );
    }

    let exposure = repository::text("shared/core/src/rebuild/exposure.rs");
    let exposure = exposure.split("#[cfg(test)]").next().unwrap();
    let services: BTreeSet<&str> = actions
        .iter()
        .map(|action| action.split(':').next().unwrap())
        .collect();
    for kind in exposure.split("\"AWS::").skip(1) {
        let service = kind.split("::").next().unwrap();
        let prefix = match service {
            "ApiGatewayV2" => "apigateway".to_owned(),
            "ApplicationAutoScaling" => "application-autoscaling".to_owned(),
            "CertificateManager" => "acm".to_owned(),
            "EFS" => "elasticfilesystem".to_owned(),
            "ElasticLoadBalancing" | "ElasticLoadBalancingV2" => "elasticloadbalancing".to_owned(),
            "StepFunctions" => "states".to_owned(),
            "VpcLattice" => "vpc-lattice".to_owned(),
            other => other.to_lowercase(),
        };
        assert!(
            services.contains(prefix.as_str()),
            "nothing of `AWS::{service}` is read"
        );
    }
}

/// Actions for which IAM knows no resource to narrow them to, or whose resource cannot be known beforehand.
const WITHOUT_RESOURCE: [&str; 47] = [
    "access-analyzer:CheckNoNewAccess",
    "access-analyzer:ValidatePolicy",
    "backup:CreateBackupAccessPoint",
    "backup:DescribeRestoreJob",
    "backup:DescribeScanJob",
    "backup:GetRecoveryPointRestoreMetadata",
    "backup:ListRestoreJobs",
    "backup:PutRestoreValidationResult",
    "backup:StartRestoreJob",
    "backup:StartScanJob",
    "cloudformation:DeleteResource",
    "cloudformation:DescribeStackDriftDetectionStatus",
    "cloudformation:GetResource",
    "cloudformation:UpdateResource",
    "ec2:DescribeAddresses",
    "ec2:DescribeClientVpnEndpoints",
    "ec2:DescribeEgressOnlyInternetGateways",
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeInstanceCreditSpecifications",
    "ec2:DescribeInstances",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNatGateways",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeTransitGatewayAttachments",
    "ec2:DescribeTags",
    "ec2:DescribeVolumeAttribute",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeVpnConnections",
    "ec2:DescribeVpnGateways",
    "iam:ListRoles",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "route53:CreateHealthCheck",
    "secretsmanager:GetRandomPassword",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

#[test]
fn a_wildcard_resource_is_given_only_where_there_is_no_other() {
    let mut files = vec!["template.yaml".to_owned()];
    files.extend(
        repository::names("infra/accounts")
            .iter()
            .map(|name| format!("infra/accounts/{name}")),
    );
    for file in files {
        let template = template::load(&file);
        for (id, role) in template::resources(&template, "AWS::IAM::Role") {
            for statement in template::role_statements(&template, &role) {
                let reads_everything = id == "ReferenceReaderRole";
                if statement["Resource"] != "*" || statement["Effect"] != "Allow" || reads_everything {
                    continue;
                }
                for action in template::actions(&statement) {
                    assert!(
                        WITHOUT_RESOURCE.contains(&action.as_str()),
                        "{file}: {id} may {action} on everything"
                    );
                }
            }
        }
    }
}

/// What `[...]` lists in one line of a manifest.
fn listed(line: &str) -> Vec<String> {
    let list = line
        .split('[')
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .unwrap_or("");
    list.split(',')
        .map(|item| item.trim().trim_matches('"').to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

/// The IAM prefixes of the services that a function is built to speak to, through the cargo features of `blackstart-aws`.
fn spoken(package: &str) -> BTreeSet<String> {
    let manifest = repository::text(&format!("functions/{package}/Cargo.toml"));
    let normal = manifest.split("[dev-dependencies]").next().unwrap();
    let mut open = listed(normal.split("blackstart-aws").nth(1).unwrap());
    let shared = repository::text("shared/aws/Cargo.toml");
    let features: BTreeMap<&str, Vec<String>> = shared
        .split("[features]")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| Some((line.split_once(" = ")?.0, listed(line))))
        .collect();
    let mut seen = BTreeSet::new();
    let mut services = BTreeSet::new();
    while let Some(feature) = open.pop() {
        if let Some(sdk) = feature.strip_prefix("dep:aws-sdk-") {
            let service = match sdk {
                "sfn" => "states",
                "eventbridge" => "events",
                named => named,
            };
            services.insert(service.to_owned());
        } else if feature == "parameters" {
            services.insert("ssm".to_owned());
        } else if feature == "analyzer" {
            services.insert("access-analyzer".to_owned());
        } else if seen.insert(feature.clone()) {
            open.extend(features.get(feature.as_str()).into_iter().flatten().cloned());
        }
    }
    services
}

fn services(statements: &[Value]) -> BTreeSet<String> {
    statements
        .iter()
        .flat_map(template::actions)
        .map(|action| action.split(':').next().unwrap().to_owned())
        .collect()
}

/// What a function may use: by its own role, by the roles that it may assume, and by the policy of the token key.
fn reachable_services(template: &Value, function: &str, statements: &[Value]) -> BTreeSet<String> {
    let mut reachable = services(statements);
    for role in foreign_roles() {
        if statements
            .iter()
            .any(|statement| may_assume(statement, role.parameter))
        {
            let account = template::load(&format!("infra/accounts/{}.yaml", role.file));
            let properties = &template::resources(&account, "AWS::IAM::Role")[role.id];
            reachable.extend(services(&template::role_statements(&account, properties)));
        }
    }
    let (first, rest) = function.split_at(1);
    let role = format!("{}{rest}Role.Arn", first.to_uppercase());
    let keys = template::resources(template, "AWS::KMS::Key");
    let uses_a_key = ["TokenKey", "TrialTokenKey", "EvidenceKey"]
        .iter()
        .any(|key| keys[*key]["KeyPolicy"].to_string().contains(&role));
    if uses_a_key {
        reachable.insert("kms".to_owned());
    }
    reachable
}

#[test]
fn every_adapter_of_a_function_has_permissions_and_every_permission_an_adapter() {
    let template = template::recovery_account();
    let mut by_package: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for (function, statements) in functions(&template) {
        let package = if function == "gate" {
            "approval".to_owned()
        } else {
            function.clone()
        };
        let (own, reachable) = by_package.entry(package).or_default();
        own.extend(services(&statements));
        reachable.extend(reachable_services(&template, &function, &statements));
    }
    // What every function does without an adapter of its own: logs, traces, sessions, and the key of its records.
    let always = set(["logs", "xray", "sts", "kms"]);
    for (package, (own, reachable)) in by_package {
        let spoken = spoken(&package);
        let forbidden: Vec<_> = spoken.difference(&reachable).collect();
        let unused: Vec<_> = own
            .iter()
            .filter(|name| !spoken.contains(*name) && !always.contains(*name))
            .collect();
        assert!(
            forbidden.is_empty() && unused.is_empty(),
            "{package}: no permission for {forbidden:?}, no adapter for {unused:?}"
        );
    }
}

/// Gates, votes and evidence lie in the same table as the locks, the leases and the sealed tokens: only who has to take
/// one of these away again may delete.
#[test]
fn only_who_forgets_something_may_delete_from_the_ledger() {
    let template = template::recovery_account();
    let deletes = |statements: &[Value]| {
        statements
            .iter()
            .flat_map(template::actions)
            .any(|action| action == "dynamodb:DeleteItem")
    };
    let roles: BTreeSet<String> = template::resources(&template, "AWS::IAM::Role")
        .iter()
        .filter(|(_, role)| deletes(&template::role_statements(&template, role)))
        .map(|(id, _)| id.clone())
        .collect();
    let forgetful = ["ApprovalRole", "CutoverRole", "GateRole", "IntakeRole"];
    assert_eq!(roles, forgetful.map(str::to_owned).into());
}
