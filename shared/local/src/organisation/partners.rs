//! What a sibling says about the old account in the services beyond roles, buckets, queues and keys.

use aws_sdk_dynamodb::types as table;
use aws_sdk_eventbridge::Client as Events;
use aws_sdk_kms::types::GrantOperation;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use blackstart_aws::port::Effect;
use blackstart_aws::signed::{Endpoint, Operation, Protocol, Signed};
use serde_json::{Value, json};

use super::siblings::Document;
use crate::LocalAws;
use crate::accounts::{LOG_ARCHIVE, OLD, REGION};
use crate::step::{Doing, StepFailed};

/// A zip file without entries: the function is never called.
const EMPTY_ZIP: [u8; 22] = *b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const FUNCTION: &str = "order-desk";
const REPOSITORY: &str = "orders/picker";
const BUS: &str = "orders";
const TABLE: &str = "order-lines";
const VAULT: &str = "partner-backups";

/// Resources of one sibling that name the old account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partners {
    topic: String,
    secret: String,
    table: String,
}

const fn ecr(permission: &'static str, target: &'static str) -> Operation {
    Operation {
        endpoint: Endpoint {
            id: "ECR",
            host: "api.ecr",
            signing: "ecr",
        },
        permission,
        effect: Effect::Write,
        protocol: Protocol::Json {
            version: "1.1",
            target,
        },
    }
}

const CREATE_REPOSITORY: Operation = ecr(
    "ecr:CreateRepository",
    "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
);
const SET_POLICY: Operation = ecr(
    "ecr:SetRepositoryPolicy",
    "AmazonEC2ContainerRegistry_V20150921.SetRepositoryPolicy",
);
const GET_POLICY: Operation = ecr(
    "ecr:GetRepositoryPolicy",
    "AmazonEC2ContainerRegistry_V20150921.GetRepositoryPolicy",
);

fn policy(sid: &str, action: &str, resource: Option<&str>) -> String {
    let principal = json!({"AWS": format!("arn:aws:iam::{OLD}:root")});
    let statement = match resource {
        Some(resource) => json!({
            "Sid": sid, "Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource,
        }),
        None => json!({"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": action}),
    };
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

impl Partners {
    /// Makes the resources and their policies.
    ///
    /// # Errors
    /// [`StepFailed`] when the emulator refuses one.
    pub async fn establish(local: &LocalAws, account: &str, key: &str) -> Result<Self, StepFailed> {
        let config = local.root_of(account);
        let step = |what: &str| format!("making {what} in {account}");

        aws_sdk_kms::Client::new(&config)
            .create_grant()
            .key_id(key)
            .grantee_principal(format!("arn:aws:iam::{OLD}:role/order-desk"))
            .operations(GrantOperation::Encrypt)
            .operations(GrantOperation::GenerateDataKey)
            .send()
            .await
            .doing(step("a grant"))?;

        let sns = aws_sdk_sns::Client::new(&config);
        let topic = sns.create_topic().name("order-news").send().await;
        let topic = topic.doing(step("a topic"))?.topic_arn.doing(step("a topic"))?;
        sns.set_topic_attributes()
            .topic_arn(&topic)
            .attribute_name("Policy")
            .attribute_value(policy("OrderNews", "sns:Publish", Some(&topic)))
            .send()
            .await
            .doing(step("the policy of a topic"))?;

        let lambda = aws_sdk_lambda::Client::new(&config);
        lambda
            .create_function()
            .function_name(FUNCTION)
            .runtime(Runtime::Providedal2023)
            .handler("bootstrap")
            .role(format!("arn:aws:iam::{account}:role/partner-orders"))
            .code(FunctionCode::builder().zip_file(Blob::new(EMPTY_ZIP)).build())
            .send()
            .await
            .doing(step("a function"))?;
        lambda
            .add_permission()
            .function_name(FUNCTION)
            .statement_id("order-desk")
            .action("lambda:InvokeFunction")
            .principal(OLD)
            .send()
            .await
            .doing(step("the permission of a function"))?;
        lambda
            .add_permission()
            .function_name(FUNCTION)
            .statement_id("order-files")
            .action("lambda:InvokeFunction")
            .principal("s3.amazonaws.com")
            .source_account(OLD)
            .source_arn("arn:aws:s3:::order-files")
            .send()
            .await
            .doing(step("the permission of a function"))?;

        let secrets = aws_sdk_secretsmanager::Client::new(&config);
        let secret = secrets
            .create_secret()
            .name("partner/order-desk")
            .secret_string("not a secret")
            .send()
            .await
            .doing(step("a secret"))?
            .arn
            .doing(step("a secret"))?;
        secrets
            .put_resource_policy()
            .secret_id(&secret)
            .resource_policy(policy("OrderDesk", "secretsmanager:GetSecretValue", Some("*")))
            .send()
            .await
            .doing(step("the policy of a secret"))?;

        let signed = Signed::new(&config);
        for (operation, request) in [
            (&CREATE_REPOSITORY, json!({ "repositoryName": REPOSITORY })),
            (
                &SET_POLICY,
                json!({"repositoryName": REPOSITORY, "policyText": policy("OrderDesk", "ecr:BatchGetImage", None)}),
            ),
        ] {
            signed
                .json(operation, "making a repository", "/", &request)
                .await
                .doing(step("a repository"))?;
        }

        let events = Events::new(&config);
        events
            .create_event_bus()
            .name(BUS)
            .send()
            .await
            .doing(step("an event bus"))?;
        let bus = format!("arn:aws:events:{REGION}:{account}:event-bus/{BUS}");
        events
            .put_permission()
            .event_bus_name(BUS)
            .policy(policy("OrderEvents", "events:PutEvents", Some(&bus)))
            .send()
            .await
            .doing(step("the policy of an event bus"))?;

        // What nobody rewrites: the plan waives it by name.
        let reach = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": format!("arn:aws:iam::{OLD}:role/order-desk"),
        }]});
        aws_sdk_iam::Client::new(&config)
            .put_role_policy()
            .role_name("partner-billing")
            .policy_name("reach-order-desk")
            .policy_document(reach.to_string())
            .send()
            .await
            .doing(step("an identity policy"))?;

        let table = make_table(local, account).await?;
        deliver_snapshot(local, account).await?;
        let control = local.standin().control();
        control.add_vault(account, VAULT, []);
        control.add_analyzer(
            account,
            vec![json!({
                "id": "finding-1",
                "resource": format!("arn:aws:iam::{account}:role/partner-orders"),
                "resourceType": "AWS::IAM::Role",
                "resourceOwnerAccount": account,
                "status": "ACTIVE",
                "principal": {"AWS": OLD},
                "action": ["sts:AssumeRole"],
            })],
        );
        control.set_vault_policy(
            account,
            VAULT,
            policy("OrderDesk", "backup:CopyIntoBackupVault", Some("*")),
        );
        Ok(Self { topic, secret, table })
    }

    /// Kind and ARN of each place; `regional` makes an ARN of a service and the rest.
    pub(super) fn places(&self, regional: &dyn Fn(&str, &str) -> String) -> Vec<(&'static str, String)> {
        vec![
            ("topic_policy", self.topic.clone()),
            (
                "function_permissions",
                regional("lambda", &format!("function:{FUNCTION}")),
            ),
            ("secret_policy", self.secret.clone()),
            (
                "repository_policy",
                regional("ecr", &format!("repository/{REPOSITORY}")),
            ),
            ("bus_policy", regional("events", &format!("event-bus/{BUS}"))),
            ("table_policy", self.table.clone()),
            (
                "vault_policy",
                regional("backup", &format!("backup-vault:{VAULT}")),
            ),
        ]
    }

    /// Reads the documents as they stand now.
    ///
    /// # Errors
    /// [`StepFailed`] when one cannot be read.
    pub async fn documents(
        &self,
        local: &LocalAws,
        account: &str,
        key: &str,
    ) -> Result<Vec<Document>, StepFailed> {
        let config = local.root_of(account);
        let step = |what: &str| format!("reading {what} in {account}");
        let grants = aws_sdk_kms::Client::new(&config)
            .list_grants()
            .key_id(key)
            .send()
            .await
            .doing(step("the grants of a key"))?
            .grants
            .unwrap_or_default();
        let topic = aws_sdk_sns::Client::new(&config)
            .get_topic_attributes()
            .topic_arn(&self.topic)
            .send()
            .await
            .doing(step("the policy of a topic"))?
            .attributes
            .and_then(|mut attributes| attributes.remove("Policy"));
        let function = aws_sdk_lambda::Client::new(&config)
            .get_policy()
            .function_name(FUNCTION)
            .send()
            .await
            .doing(step("the permissions of a function"))?
            .policy;
        let secret = aws_sdk_secretsmanager::Client::new(&config)
            .get_resource_policy()
            .secret_id(&self.secret)
            .send()
            .await
            .doing(step("the policy of a secret"))?
            .resource_policy;
        let repository = Signed::new(&config)
            .json(
                &GET_POLICY,
                "reading a repository",
                "/",
                &json!({ "repositoryName": REPOSITORY }),
            )
            .await
            .doing(step("the policy of a repository"))?;
        let bus = Events::new(&config)
            .describe_event_bus()
            .name(BUS)
            .send()
            .await
            .doing(step("the policy of an event bus"))?
            .policy;
        let table = aws_sdk_dynamodb::Client::new(&config)
            .get_resource_policy()
            .resource_arn(&self.table)
            .send()
            .await
            .doing(step("the policy of a table"))?
            .policy;
        let grantees: Vec<String> = grants
            .into_iter()
            .filter_map(|grant| grant.grantee_principal)
            .collect();
        Ok([
            (format!("grants of key {key}"), Some(grantees.join(" "))),
            ("policy of topic order-news".to_owned(), topic),
            (format!("permissions of function {FUNCTION}"), function),
            ("policy of secret partner/order-desk".to_owned(), secret),
            (
                format!("policy of repository {REPOSITORY}"),
                repository
                    .get("policyText")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            ),
            (format!("policy of event bus {BUS}"), bus),
            (format!("policy of table {TABLE}"), table),
            (
                format!("policy of vault {VAULT}"),
                local.standin().control().vault_policy(account, VAULT),
            ),
        ]
        .into_iter()
        .map(|(name, text)| Document {
            name: format!("{name} in {account}"),
            text: text.unwrap_or_default(),
        })
        .collect())
    }
}

/// The references in a sibling that nobody rewrites, as a waiver calls them.
#[must_use]
pub fn left_alone(account: &str) -> [String; 2] {
    [
        format!("arn:aws:iam::{account}:role/partner-billing#policy/reach-order-desk"),
        cluster(account),
    ]
}

fn cluster(account: &str) -> String {
    format!("arn:aws:kafka:{REGION}:{account}:cluster/order-stream")
}

/// A snapshot of AWS Config: a role, which is read anyway, and a cluster, which only Config shows.
async fn deliver_snapshot(local: &LocalAws, account: &str) -> Result<(), StepFailed> {
    let item = |kind: &str, region: &str, arn: String, configuration: Value| {
        json!({
            "configurationItemVersion": "1.3", "configurationItemStatus": "OK", "awsAccountId": account,
            "awsRegion": region, "resourceType": kind, "resourceId": arn, "ARN": arn,
            "configuration": configuration, "supplementaryConfiguration": {}, "tags": {}, "relationships": [],
        })
    };
    let trust = policy("OrderDesk", "sts:AssumeRole", None);
    let role = item(
        "AWS::IAM::Role",
        "global",
        format!("arn:aws:iam::{account}:role/partner-orders"),
        json!({ "assumeRolePolicyDocument": trust }),
    );
    let items = [
        role,
        item(
            "AWS::MSK::Cluster",
            REGION,
            cluster(account),
            json!({"ClusterPolicy": policy("OrderDesk", "kafka:CreateVpcConnection", Some("*"))}),
        ),
    ];
    let snapshot = json!({"fileVersion": "1.0", "configSnapshotId": "drill", "configurationItems": items});
    let key = format!(
        "AWSLogs/{account}/Config/{REGION}/2023/7/10/ConfigSnapshot/\
         {account}_Config_{REGION}_ConfigSnapshot_20230710T080000Z_drill.json.gz"
    );
    aws_sdk_s3::Client::new(&local.root_of(LOG_ARCHIVE))
        .put_object()
        .bucket(super::LOG_BUCKET)
        .key(key)
        .body(super::workload::gzip(snapshot.to_string().as_bytes())?.into())
        .send()
        .await
        .doing(format!("delivering a snapshot of AWS Config for {account}"))?;
    Ok(())
}

async fn make_table(local: &LocalAws, account: &str) -> Result<String, StepFailed> {
    let step = || format!("making a table in {account}");
    let dynamodb = aws_sdk_dynamodb::Client::new(&local.root_of(account));
    let definition = table::AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(table::ScalarAttributeType::S)
        .build()
        .doing(step())?;
    let key = table::KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(table::KeyType::Hash)
        .build()
        .doing(step())?;
    let arn = dynamodb
        .create_table()
        .table_name(TABLE)
        .attribute_definitions(definition)
        .key_schema(key)
        .billing_mode(table::BillingMode::PayPerRequest)
        .send()
        .await
        .doing(step())?
        .table_description
        .and_then(|description| description.table_arn)
        .doing(step())?;
    dynamodb
        .put_resource_policy()
        .resource_arn(&arn)
        .policy(policy("OrderDesk", "dynamodb:GetItem", Some(&arn)))
        .send()
        .await
        .doing(step())?;
    Ok(arn)
}
