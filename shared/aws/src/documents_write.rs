//! Reads and writes one document in a sibling, under a session that can do nothing else.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use blackstart_core::references::{DocumentKind, Slot, url_decoded};

use crate::port::{Effect, PortError, classify};

mod grants;
mod permissions;
mod policies;

/// The one name under which a KMS key has a policy.
const KEY_POLICY: &str = "default";

/// One document of a sibling.
///
/// The configuration is that of a session for this document alone. Writes are not repeated by the SDK: after an
/// unclear answer, whoever journals the write reads first.
#[derive(Debug, Clone)]
pub struct DocumentSession {
    config: SdkConfig,
    slot: Slot,
}

impl DocumentSession {
    /// The document in this place, under this session.
    #[must_use]
    pub fn new(config: &SdkConfig, slot: Slot) -> Self {
        Self {
            config: config.to_builder().retry_config(RetryConfig::disabled()).build(),
            slot,
        }
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::NotFound`] when the resource or its document does not exist.
    pub async fn read(&self) -> Result<String, PortError> {
        let what = format!("reading `{}`", self.slot.arn);
        let text = match self.slot.kind {
            DocumentKind::RoleTrust => aws_sdk_iam::Client::new(&self.config)
                .get_role()
                .role_name(last_part(&self.slot, '/')?)
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::Read, &error))?
                .role
                .and_then(|role| role.assume_role_policy_document)
                .map(|text| url_decoded(&text).into_owned()),
            DocumentKind::BucketPolicy => {
                crate::artifacts::s3_client(&self.config)
                    .get_bucket_policy()
                    .bucket(last_part(&self.slot, ':')?)
                    .expected_bucket_owner(self.slot.account.as_str())
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::Read, &error))?
                    .policy
            }
            DocumentKind::QueuePolicy => aws_sdk_sqs::Client::new(&self.config)
                .get_queue_attributes()
                .queue_url(self.queue_url().await?)
                .attribute_names(QueueAttributeName::Policy)
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::Read, &error))?
                .attributes
                .and_then(|mut attributes| attributes.remove(&QueueAttributeName::Policy)),
            DocumentKind::KeyPolicy => {
                aws_sdk_kms::Client::new(&self.config)
                    .get_key_policy()
                    .key_id(&self.slot.arn)
                    .policy_name(KEY_POLICY)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::Read, &error))?
                    .policy
            }
            DocumentKind::KeyGrants => Some(grants::read(&self.config, &self.slot.arn).await?),
            DocumentKind::FunctionPermissions => permissions::read(&self.config, &self.slot.arn).await?,
            DocumentKind::TopicPolicy
            | DocumentKind::SecretPolicy
            | DocumentKind::RepositoryPolicy
            | DocumentKind::BusPolicy
            | DocumentKind::TablePolicy
            | DocumentKind::VaultPolicy => policies::read(&self.config, &self.slot, &what).await?,
        };
        text.ok_or_else(|| PortError::NotFound {
            what,
            why: "the resource has no such document".to_owned(),
        })
    }

    /// Writes the document whole. Grants and function permissions are sets of entries: those that are missing are
    /// made first, and only then those that are too many are taken away.
    ///
    /// # Errors
    /// [`PortError`]; after [`PortError::OutcomeUnknown`] the document must be read before anything else.
    pub async fn write(&self, text: &str) -> Result<(), PortError> {
        let what = format!("writing `{}`", self.slot.arn);
        match self.slot.kind {
            DocumentKind::RoleTrust => {
                aws_sdk_iam::Client::new(&self.config)
                    .update_assume_role_policy()
                    .role_name(last_part(&self.slot, '/')?)
                    .policy_document(text)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
            }
            DocumentKind::BucketPolicy => {
                crate::artifacts::s3_client(&self.config)
                    .put_bucket_policy()
                    .bucket(last_part(&self.slot, ':')?)
                    .expected_bucket_owner(self.slot.account.as_str())
                    .policy(text)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
            }
            DocumentKind::QueuePolicy => {
                aws_sdk_sqs::Client::new(&self.config)
                    .set_queue_attributes()
                    .queue_url(self.queue_url().await?)
                    .attributes(QueueAttributeName::Policy, text)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
            }
            DocumentKind::KeyPolicy => {
                aws_sdk_kms::Client::new(&self.config)
                    .put_key_policy()
                    .key_id(&self.slot.arn)
                    .policy_name(KEY_POLICY)
                    .policy(text)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
            }
            DocumentKind::KeyGrants => grants::write(&self.config, &self.slot.arn, text).await?,
            DocumentKind::FunctionPermissions => {
                permissions::write(&self.config, &self.slot.arn, text).await?;
            }
            DocumentKind::TopicPolicy
            | DocumentKind::SecretPolicy
            | DocumentKind::RepositoryPolicy
            | DocumentKind::BusPolicy
            | DocumentKind::TablePolicy
            | DocumentKind::VaultPolicy => policies::write(&self.config, &self.slot, &what, text).await?,
        }
        Ok(())
    }

    async fn queue_url(&self) -> Result<String, PortError> {
        let what = format!("finding `{}`", self.slot.arn);
        let name = last_part(&self.slot, ':')?;
        let answer = aws_sdk_sqs::Client::new(&self.config)
            .get_queue_url()
            .queue_name(name)
            .queue_owner_aws_account_id(self.slot.account.as_str())
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        answer.queue_url.ok_or_else(|| PortError::NotFound {
            what,
            why: "the answer names no queue".to_owned(),
        })
    }
}

/// A resource is addressed by its name: a role without its path.
fn last_part(slot: &Slot, separator: char) -> Result<&str, PortError> {
    slot.arn
        .rsplit_once(separator)
        .map(|(_, name)| name)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| PortError::Refused {
            what: format!("addressing `{}`", slot.arn),
            why: "it is not the ARN of such a resource".to_owned(),
        })
}

#[cfg(test)]
mod tests;
