//! Secrets Manager: new values, made by the service and stored by it.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use blackstart_core::rotation::SecretValue;

use crate::port::{Effect, PortError, classify};

/// Secrets Manager in one account and region.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    /// Secrets Manager under this configuration.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// A new random value of letters and digits, made by the service. It stores nothing.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn random(&self, length: u16) -> Result<SecretValue, PortError> {
        let what = "asking for a random value";
        let answer = self
            .client
            .get_random_password()
            .password_length(i64::from(length))
            // Punctuation breaks consumers that put the value into a URL or a shell; length makes up for it.
            .exclude_punctuation(true)
            .include_space(false)
            .send()
            .await
            .map_err(|error| classify(what, Effect::Read, &error))?;
        match answer.random_password {
            Some(value) if value.len() >= usize::from(length) => Ok(SecretValue::new(value)),
            _ => Err(PortError::Transient {
                what: what.to_owned(),
                why: "the answer is too short".to_owned(),
            }),
        }
    }

    /// The versions of a secret: version id to staging labels. Versions without a label may be missing.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn versions(&self, name: &str) -> Result<BTreeMap<String, BTreeSet<String>>, PortError> {
        let answer = self
            .client
            .describe_secret()
            .secret_id(name)
            .send()
            .await
            .map_err(|error| classify(format!("describing secret `{name}`"), Effect::Read, &error))?;
        Ok(answer
            .version_ids_to_stages
            .unwrap_or_default()
            .into_iter()
            .map(|(version, labels)| (version, labels.into_iter().collect()))
            .collect())
    }

    /// The value of a version with this id, or of the one that consumers read.
    ///
    /// # Errors
    /// [`PortError`]; a binary secret is [`PortError::Refused`].
    pub async fn value(&self, name: &str, version: Option<&str>) -> Result<SecretValue, PortError> {
        let what = format!("reading secret `{name}`");
        let answer = self
            .client
            .get_secret_value()
            .secret_id(name)
            .set_version_id(version.map(str::to_owned))
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        answer
            .secret_string
            .map(SecretValue::new)
            .ok_or_else(|| PortError::Refused {
                what,
                why: "it is binary".to_owned(),
            })
    }

    /// Stores a value as a new current version with this id. `false`: that version exists already and was not changed.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn put(&self, name: &str, version: &str, value: &SecretValue) -> Result<bool, PortError> {
        let answer = self
            .client
            .put_secret_value()
            .secret_id(name)
            .client_request_token(version)
            .secret_string(value.expose())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(service)) if service.err().is_resource_exists_exception() => Ok(false),
            // The token makes a repeat harmless: the version of the lost answer is found.
            Err(error) => Err(classify(
                format!("storing a new value of secret `{name}`"),
                Effect::IdempotentWrite,
                &error,
            )),
        }
    }

    /// Takes a staging label from a version. A label that is elsewhere by now is left alone: look again.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn take_label(&self, name: &str, version: &str, label: &str) -> Result<(), PortError> {
        let answer = self
            .client
            .update_secret_version_stage()
            .secret_id(name)
            .version_stage(label)
            .remove_from_version_id(version)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            // What an earlier request, whose answer was lost, has done already.
            Err(SdkError::ServiceError(service)) if service.err().is_invalid_parameter_exception() => Ok(()),
            Err(error) => Err(classify(
                format!("taking label `{label}` from a version of secret `{name}`"),
                Effect::IdempotentWrite,
                &error,
            )),
        }
    }
}
