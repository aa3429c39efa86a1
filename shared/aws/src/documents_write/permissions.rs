//! Permissions of a Lambda function: statements are added and removed one by one, each against the revision that the
//! one before left.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::FunctionUrlAuthType;
use blackstart_core::references::entries::{
    NotEntries, changes, entries_text, idempotency_name, permission_entries, permission_of,
};
use serde_json::Value;

use crate::documents::policy_of;
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(config: &SdkConfig, arn: &str) -> Result<Option<String>, PortError> {
    let Some((policy, _)) = policy_of(&Client::new(config), arn).await? else {
        return Ok(None);
    };
    let entries = permission_entries(&policy).map_err(|error| refused(arn, &error))?;
    Ok(Some(entries_text(entries.into_iter().map(|(_, entry)| entry))))
}

pub(super) async fn write(config: &SdkConfig, arn: &str, wanted: &str) -> Result<(), PortError> {
    let lambda = Client::new(config);
    let (statements, mut revision) = live(&lambda, arn).await?;
    let text = entries_text(statements.iter().map(|(_, entry)| entry.clone()));
    let changes = changes(&text, wanted).map_err(|error| refused(arn, &error))?;
    for entry in &changes.make {
        let permission = permission_of(entry).map_err(|error| refused(arn, &error))?;
        let what = format!("adding a permission to `{arn}`");
        lambda
            .add_permission()
            .function_name(arn)
            .statement_id(idempotency_name(entry))
            .action(permission.action)
            .principal(permission.principal)
            .set_source_arn(permission.source_arn)
            .set_source_account(permission.source_account)
            .set_principal_org_id(permission.principal_org_id)
            .set_event_source_token(permission.event_source_token)
            .set_function_url_auth_type(
                permission
                    .function_url_auth_type
                    .map(|kind| FunctionUrlAuthType::from(kind.as_str())),
            )
            .set_revision_id(revision)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
        revision = live(&lambda, arn).await?.1;
    }
    for entry in &changes.take_away {
        for (id, _) in statements.iter().filter(|(_, live)| live == entry) {
            let what = format!("removing permission `{id}` of `{arn}`");
            lambda
                .remove_permission()
                .function_name(arn)
                .statement_id(id)
                .set_revision_id(revision)
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
            revision = live(&lambda, arn).await?.1;
        }
    }
    Ok(())
}

type Live = (Vec<(String, Value)>, Option<String>);

/// The statements by id, and the revision of the policy.
async fn live(lambda: &Client, arn: &str) -> Result<Live, PortError> {
    match policy_of(lambda, arn).await? {
        Some((policy, revision)) => {
            let entries = permission_entries(&policy).map_err(|error| refused(arn, &error))?;
            Ok((entries, revision))
        }
        None => Ok((Vec::new(), None)),
    }
}

fn refused(arn: &str, error: &NotEntries) -> PortError {
    PortError::Refused {
        what: format!("changing the permissions of `{arn}`"),
        why: error.to_string(),
    }
}
