//! Reads the policy documents of an account: one reader per service behind one registry. Nothing in here writes.

use aws_config::{Region, SdkConfig};
use blackstart_core::references::{DocumentKind, Slot};
use blackstart_core::run::AccountId;
use futures_util::{StreamExt as _, stream};

use crate::port::PortError;

mod bucket;
mod key;
mod queue;
mod role;

/// Documents of one account that are read at once. Far below every service's request rate.
const AT_ONCE: usize = 8;

/// A document that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub slot: Slot,
    /// Its text, where the listing already brings it.
    pub text: Option<String>,
}

/// A document that was read, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Where it is.
    pub slot: Slot,
    /// Its text; `None` where the resource has no policy.
    pub text: Result<Option<String>, PortError>,
}

/// The readers of one account.
#[derive(Debug, Clone)]
pub struct Documents {
    pub(crate) config: SdkConfig,
    pub(crate) account: AccountId,
    pub(crate) partition: String,
    pub(crate) region: String,
}

impl Documents {
    /// The readers of this account, with a configuration whose credentials are of that account.
    #[must_use]
    pub fn new(config: SdkConfig, account: AccountId, partition: &str) -> Self {
        let region = config
            .region()
            .map_or_else(|| "us-east-1".to_owned(), |region| region.as_ref().to_owned());
        Self {
            config,
            account,
            partition: partition.to_owned(),
            region,
        }
    }

    /// Lists every place of this kind, page by page.
    ///
    /// # Errors
    /// [`PortError`] as the service answers.
    pub async fn list(&self, kind: DocumentKind) -> Result<Vec<Listed>, PortError> {
        match kind {
            DocumentKind::RoleTrust => role::list(self).await,
            DocumentKind::BucketPolicy => bucket::list(self).await,
            DocumentKind::QueuePolicy => queue::list(self).await,
            DocumentKind::KeyPolicy => key::list(self).await,
        }
    }

    /// Reads one document as it is now; `None` where the resource, or its policy, does not exist.
    ///
    /// # Errors
    /// [`PortError`] as the service answers.
    pub async fn read(&self, slot: &Slot) -> Result<Option<String>, PortError> {
        let text = match slot.kind {
            DocumentKind::RoleTrust => role::read(self, slot).await,
            DocumentKind::BucketPolicy => bucket::read(self, slot).await,
            DocumentKind::QueuePolicy => queue::read(self, slot).await,
            DocumentKind::KeyPolicy => key::read(self, slot).await,
        };
        match text {
            Err(PortError::NotFound { .. }) => Ok(None),
            other => other,
        }
    }

    /// Lists and reads every document of this kind, several at once, ordered by slot.
    ///
    /// # Errors
    /// [`PortError`] when the listing fails; a document that cannot be read is in the answer.
    pub async fn read_all(&self, kind: DocumentKind) -> Result<Vec<Read>, PortError> {
        let listed = Box::pin(self.list(kind)).await?;
        let mut read: Vec<Read> = stream::iter(listed)
            .map(|Listed { slot, text }| async move {
                let text = match text {
                    Some(text) => Ok(Some(text)),
                    // Boxed, or the type of four services' requests at once is too deep for the compiler.
                    None => Box::pin(self.read(&slot)).await,
                };
                Read { slot, text }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        read.sort_by(|one, other| one.slot.cmp(&other.slot));
        Ok(read)
    }

    pub(crate) fn slot(&self, kind: DocumentKind, region: &str, arn: String) -> Slot {
        Slot {
            account: self.account.clone(),
            region: region.to_owned(),
            kind,
            arn,
        }
    }

    /// The configuration for another region of the same account.
    pub(crate) fn in_region(&self, region: &str) -> SdkConfig {
        if region.is_empty() || region == self.region {
            return self.config.clone();
        }
        self.config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .build()
    }
}

/// The last part of an ARN: what stands after the last of these separators.
pub(crate) fn name_of(arn: &str, separator: char) -> &str {
    arn.rsplit(separator).next().unwrap_or(arn)
}
