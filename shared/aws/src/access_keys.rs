//! Access keys of IAM users: made, taken out of use, deleted.

use aws_sdk_iam::Client;
use aws_sdk_iam::error::SdkError;
use aws_sdk_iam::types::StatusType;
use blackstart_core::rebuild::request::RUN_TAG;
use blackstart_core::rotation::{AccessKey, SecretValue};
use jiff::Timestamp;

use crate::port::{Effect, PortError, classify};

/// Access keys of one account.
#[derive(Debug, Clone)]
pub struct AccessKeys {
    client: Client,
}

impl AccessKeys {
    /// IAM under this configuration.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// The keys of a user, without their secret halves: IAM never shows those again.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn of(&self, user: &str) -> Result<Vec<AccessKey>, PortError> {
        let mut keys = Vec::new();
        let mut pages = self
            .client
            .list_access_keys()
            .user_name(user)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                classify(
                    format!("listing the access keys of user `{user}`"),
                    Effect::Read,
                    &error,
                )
            })?;
            keys.extend(page.access_key_metadata.into_iter().filter_map(|key| {
                Some(AccessKey {
                    created: key
                        .create_date
                        .and_then(|at| Timestamp::from_second(at.secs()).ok())
                        .unwrap_or(Timestamp::UNIX_EPOCH),
                    id: key.access_key_id?,
                    active: key.status != Some(StatusType::Inactive),
                })
            }));
        }
        keys.sort();
        Ok(keys)
    }

    /// The run whose tag the user carries. [`PortError::NotFound`]: there is no such user.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn run_of(&self, user: &str) -> Result<Option<String>, PortError> {
        let answer = self
            .client
            .get_user()
            .user_name(user)
            .send()
            .await
            .map_err(|error| classify(format!("reading user `{user}`"), Effect::Read, &error))?;
        let tags = answer.user.and_then(|user| user.tags).unwrap_or_default();
        Ok(tags
            .into_iter()
            .find(|tag| tag.key == RUN_TAG)
            .map(|tag| tag.value))
    }

    /// Makes a key and returns its id and its secret half, which is told only now.
    ///
    /// A repeat makes another one. That is harmless: every key but the one that consumers read is taken out of use.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn make(&self, user: &str) -> Result<(String, SecretValue), PortError> {
        let what = format!("making an access key for user `{user}`");
        let answer = self
            .client
            .create_access_key()
            .user_name(user)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        answer
            .access_key
            .map(|key| (key.access_key_id, SecretValue::new(key.secret_access_key)))
            .ok_or_else(|| PortError::Transient {
                what,
                why: "the answer holds no key".to_owned(),
            })
    }

    /// Takes a key out of use.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn deactivate(&self, user: &str, id: &str) -> Result<(), PortError> {
        self.client
            .update_access_key()
            .user_name(user)
            .access_key_id(id)
            .status(StatusType::Inactive)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("taking access key `{id}` of user `{user}` out of use"),
                    Effect::IdempotentWrite,
                    &error,
                )
            })?;
        Ok(())
    }

    /// Deletes a key; one that is gone already is no error.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn delete(&self, user: &str, id: &str) -> Result<(), PortError> {
        let answer = self
            .client
            .delete_access_key()
            .user_name(user)
            .access_key_id(id)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_no_such_entity_exception() => Ok(()),
            Err(error) => Err(classify(
                format!("deleting access key `{id}` of user `{user}`"),
                Effect::IdempotentWrite,
                &error,
            )),
        }
    }
}
