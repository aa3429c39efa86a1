//! Policies that are written whole, under whatever name the service has for that.

use aws_config::SdkConfig;
use blackstart_core::references::{DocumentKind, Slot};
use serde_json::{Value, json};

use super::last_part;
use crate::documents::{ECR, ECR_ENDPOINT};
use crate::port::{Effect, PortError, classify};
use crate::signed::{Operation, Protocol, Signed};

const GET_REPOSITORY_POLICY: Operation = Operation {
    endpoint: ECR_ENDPOINT,
    permission: "ecr:GetRepositoryPolicy",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: ECR,
        target: "AmazonEC2ContainerRegistry_V20150921.GetRepositoryPolicy",
    },
};

const SET_REPOSITORY_POLICY: Operation = Operation {
    endpoint: ECR_ENDPOINT,
    permission: "ecr:SetRepositoryPolicy",
    effect: Effect::Write,
    protocol: Protocol::Json {
        version: ECR,
        target: "AmazonEC2ContainerRegistry_V20150921.SetRepositoryPolicy",
    },
};

/// The revision of a table without a policy, in `PutResourcePolicy`.
const NO_POLICY: &str = "NO_POLICY";

pub(super) async fn read(config: &SdkConfig, slot: &Slot, what: &str) -> Result<Option<String>, PortError> {
    let arn = slot.arn.as_str();
    let text = match slot.kind {
        DocumentKind::TopicPolicy => aws_sdk_sns::Client::new(config)
            .get_topic_attributes()
            .topic_arn(arn)
            .send()
            .await
            .map_err(|error| classify(what, Effect::Read, &error))?
            .attributes
            .and_then(|mut attributes| attributes.remove("Policy")),
        DocumentKind::SecretPolicy => {
            aws_sdk_secretsmanager::Client::new(config)
                .get_resource_policy()
                .secret_id(arn)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Read, &error))?
                .resource_policy
        }
        DocumentKind::BusPolicy => {
            aws_sdk_eventbridge::Client::new(config)
                .describe_event_bus()
                .name(last_part(slot, '/')?)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Read, &error))?
                .policy
        }
        DocumentKind::TablePolicy => table(config, arn, what).await?.0,
        DocumentKind::VaultPolicy => {
            aws_sdk_backup::Client::new(config)
                .get_backup_vault_access_policy()
                .backup_vault_name(last_part(slot, ':')?)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Read, &error))?
                .policy
        }
        DocumentKind::RepositoryPolicy => {
            let answer = Signed::new(config)
                .json(
                    &GET_REPOSITORY_POLICY,
                    what,
                    "/",
                    &json!({ "repositoryName": repository(slot)? }),
                )
                .await?;
            answer
                .get("policyText")
                .and_then(Value::as_str)
                .map(str::to_owned)
        }
        DocumentKind::RoleTrust
        | DocumentKind::BucketPolicy
        | DocumentKind::QueuePolicy
        | DocumentKind::KeyPolicy
        | DocumentKind::KeyGrants
        | DocumentKind::FunctionPermissions => None,
    };
    Ok(text.filter(|text| !text.is_empty()))
}

pub(super) async fn write(config: &SdkConfig, slot: &Slot, what: &str, text: &str) -> Result<(), PortError> {
    let arn = slot.arn.as_str();
    match slot.kind {
        DocumentKind::TopicPolicy => {
            aws_sdk_sns::Client::new(config)
                .set_topic_attributes()
                .topic_arn(arn)
                .attribute_name("Policy")
                .attribute_value(text)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Write, &error))?;
        }
        DocumentKind::SecretPolicy => {
            aws_sdk_secretsmanager::Client::new(config)
                .put_resource_policy()
                .secret_id(arn)
                .resource_policy(text)
                .block_public_policy(true)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Write, &error))?;
        }
        DocumentKind::BusPolicy => {
            aws_sdk_eventbridge::Client::new(config)
                .put_permission()
                .event_bus_name(last_part(slot, '/')?)
                .policy(text)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Write, &error))?;
        }
        DocumentKind::TablePolicy => {
            // DynamoDB refuses the write if the policy is no longer the one that was just read.
            let (_, revision) = table(config, arn, what).await?;
            aws_sdk_dynamodb::Client::new(config)
                .put_resource_policy()
                .resource_arn(arn)
                .policy(text)
                .expected_revision_id(revision)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Write, &error))?;
        }
        DocumentKind::VaultPolicy => {
            aws_sdk_backup::Client::new(config)
                .put_backup_vault_access_policy()
                .backup_vault_name(last_part(slot, ':')?)
                .policy(text)
                .send()
                .await
                .map_err(|error| classify(what, Effect::Write, &error))?;
        }
        DocumentKind::RepositoryPolicy => {
            let request = json!({"repositoryName": repository(slot)?, "policyText": text, "force": false});
            Signed::new(config)
                .json(&SET_REPOSITORY_POLICY, what, "/", &request)
                .await?;
        }
        DocumentKind::RoleTrust
        | DocumentKind::BucketPolicy
        | DocumentKind::QueuePolicy
        | DocumentKind::KeyPolicy
        | DocumentKind::KeyGrants
        | DocumentKind::FunctionPermissions => {}
    }
    Ok(())
}

/// The policy of a table, and its revision.
async fn table(config: &SdkConfig, arn: &str, what: &str) -> Result<(Option<String>, String), PortError> {
    let answer = aws_sdk_dynamodb::Client::new(config)
        .get_resource_policy()
        .resource_arn(arn)
        .send()
        .await
        .map_err(|error| classify(what, Effect::Read, &error));
    match answer {
        Ok(answer) => Ok((
            answer.policy,
            answer.revision_id.unwrap_or_else(|| NO_POLICY.to_owned()),
        )),
        Err(PortError::NotFound { why, .. }) if why.starts_with("PolicyNotFound") => {
            Ok((None, NO_POLICY.to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// The name of a repository may contain slashes.
fn repository(slot: &Slot) -> Result<&str, PortError> {
    slot.arn
        .split_once(":repository/")
        .map(|(_, name)| name)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| PortError::Refused {
            what: format!("addressing `{}`", slot.arn),
            why: "it is not the ARN of a repository".to_owned(),
        })
}
