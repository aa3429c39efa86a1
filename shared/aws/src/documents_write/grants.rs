//! Grants of a KMS key: made under a name that makes a repetition harmless, and only then revoked.

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{GrantConstraints, GrantOperation};
use blackstart_core::references::entries::{changes, entries_text, idempotency_name};
use serde_json::{Map, Value};

use crate::documents::{entry_of_grant, grants_of};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(config: &SdkConfig, arn: &str) -> Result<String, PortError> {
    let grants = grants_of(&Client::new(config), arn).await?;
    Ok(entries_text(grants.iter().filter_map(entry_of_grant)))
}

pub(super) async fn write(config: &SdkConfig, arn: &str, wanted: &str) -> Result<(), PortError> {
    let kms = Client::new(config);
    let grants = grants_of(&kms, arn).await?;
    let live = entries_text(grants.iter().filter_map(entry_of_grant));
    let changes = changes(&live, wanted).map_err(|error| PortError::Refused {
        what: format!("changing the grants of `{arn}`"),
        why: error.to_string(),
    })?;
    for entry in &changes.make {
        create(&kms, arn, entry).await?;
    }
    for entry in &changes.take_away {
        for grant in grants
            .iter()
            .filter(|grant| entry_of_grant(grant).as_ref() == Some(entry))
        {
            let what = format!("revoking a grant of `{arn}`");
            kms.revoke_grant()
                .key_id(arn)
                .grant_id(grant.grant_id.clone().unwrap_or_default())
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
        }
    }
    Ok(())
}

async fn create(kms: &Client, arn: &str, entry: &Value) -> Result<(), PortError> {
    let what = format!("creating a grant of `{arn}`");
    let text = |member: &str| entry.get(member).and_then(Value::as_str).map(str::to_owned);
    let operations = entry
        .get("Operations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(GrantOperation::from)
        .collect();
    // With a name, KMS answers a repetition with the grant that is there; without one it makes another.
    let name = text("Name").unwrap_or_else(|| idempotency_name(entry));
    kms.create_grant()
        .key_id(arn)
        .name(name)
        .set_grantee_principal(text("GranteePrincipal"))
        .set_retiring_principal(text("RetiringPrincipal"))
        .set_operations(Some(operations))
        .set_constraints(
            entry
                .get("Constraints")
                .and_then(Value::as_object)
                .map(constraints),
        )
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
    Ok(())
}

fn constraints(members: &Map<String, Value>) -> GrantConstraints {
    let pairs = |name: &str| {
        let pairs = members.get(name)?.as_object()?;
        Some(
            pairs
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        )
    };
    GrantConstraints::builder()
        .set_encryption_context_equals(pairs("EncryptionContextEquals"))
        .set_encryption_context_subset(pairs("EncryptionContextSubset"))
        .build()
}
