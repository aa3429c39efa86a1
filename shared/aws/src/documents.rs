//! Reads what an account says about others: one reader per service of the registry
//! ([`blackstart_core::references::services`]). Nothing in here writes.

use std::future::Future;

use aws_config::{Region, SdkConfig};
use blackstart_core::references::services::{Native, Reader, Service};
use blackstart_core::references::{Configuration, DocumentKind, Form, Observed, Resource, Slot, Source};
use blackstart_core::run::AccountId;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::port::PortError;
use crate::signed::Signed;

mod acl;
mod bucket;
mod bus;
mod cloud_control;
mod function;
mod glue;
mod grants;
mod identity;
mod key;
mod layer;
mod queue;
mod repository;
mod role;
mod rule;
mod search;
mod secret;
mod sharing;
mod stream_policy;
mod table;
mod topic;
mod vault;

#[cfg(feature = "document-writes")]
pub(crate) use function::policy_of;
#[cfg(feature = "document-writes")]
pub(crate) use grants::{entry_of_grant, grants_of};
#[cfg(feature = "document-writes")]
pub(crate) use repository::{API as ECR, SERVICE as ECR_ENDPOINT};

/// Resources of one service that are read at once. Far below every service's request rate.
const AT_ONCE: usize = 8;

/// What was read, or could not be.
pub type Reading = Result<Observed, Unread>;

/// One resource that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What was being read.
    pub what: String,
    /// Why it failed.
    pub error: PortError,
}

/// The readers of one account in one region.
#[derive(Debug, Clone)]
pub struct Documents {
    pub(crate) config: SdkConfig,
    pub(crate) account: AccountId,
    pub(crate) partition: String,
    pub(crate) region: String,
    signed: Signed,
    sought: Vec<String>,
}

impl Documents {
    /// The readers of this account, with a configuration whose credentials are of that account.
    ///
    /// `sought` are the accounts whose references are looked for: who shares images with whom can only be asked by
    /// name.
    #[must_use]
    pub fn new(config: SdkConfig, account: AccountId, partition: &str, sought: Vec<String>) -> Self {
        let region = config
            .region()
            .map_or_else(|| "us-east-1".to_owned(), |region| region.as_ref().to_owned());
        Self {
            signed: Signed::new(&config),
            config,
            account,
            partition: partition.to_owned(),
            region,
            sought,
        }
    }

    /// The same readers in another region, under the same session.
    #[must_use]
    pub fn of_region(&self, region: &str) -> Self {
        Self {
            config: self.in_region(region),
            signed: self.signed.in_region(region),
            region: region.to_owned(),
            ..self.clone()
        }
    }

    /// Reads everything of a service, several resources at once, every page.
    ///
    /// # Errors
    /// [`PortError`] when the service cannot be listed; a resource that cannot be read is in the answer.
    pub async fn read(&self, service: &'static Service) -> Result<Vec<Reading>, PortError> {
        // Boxed, or the type of twenty services' requests at once is too deep for the compiler.
        let reading: BoxFuture<'_, Result<Vec<Reading>, PortError>> = match service.reader {
            Reader::CloudControl(rule) => cloud_control::read(self, rule).boxed(),
            Reader::Native(native) => match native {
                Native::Roles => role::read(self).boxed(),
                Native::IdentityPolicies => identity::read(self).boxed(),
                Native::Buckets => bucket::read(self).boxed(),
                Native::BucketAcls => acl::read(self).boxed(),
                Native::Queues => queue::read(self).boxed(),
                Native::Keys => key::read(self).boxed(),
                Native::KeyGrants => grants::read(self).boxed(),
                Native::Topics => topic::read(self).boxed(),
                Native::Functions => function::read(self).boxed(),
                Native::Layers => layer::read(self).boxed(),
                Native::Secrets => secret::read(self).boxed(),
                Native::Repositories => repository::read(self).boxed(),
                Native::Buses => bus::read(self).boxed(),
                Native::Rules => rule::read(self).boxed(),
                Native::Tables => table::read(self).boxed(),
                Native::Vaults => vault::read(self).boxed(),
                Native::Streams => stream_policy::read(self).boxed(),
                Native::SharedImages => sharing::images(self).boxed(),
                Native::ResourceShares => sharing::resource_shares(self).boxed(),
                Native::GlueCatalog => glue::read(self).boxed(),
                Native::SearchDomains => search::read(self).boxed(),
            },
        };
        reading.await
    }

    /// Reads several things at once; what each says, one after the other.
    pub(crate) async fn each<T, F, R>(&self, items: Vec<T>, read: F) -> Vec<Reading>
    where
        F: Fn(T) -> R,
        R: Future<Output = Vec<Reading>>,
    {
        stream::iter(items)
            .map(read)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// A document with a writer, as it was read. A resource without a policy has no text.
    pub(crate) fn document(
        &self,
        kind: DocumentKind,
        region: &str,
        arn: String,
        text: Result<Option<String>, PortError>,
    ) -> Reading {
        let text = match text {
            Ok(text) => text,
            Err(PortError::NotFound { .. }) => None,
            Err(error) => {
                return Err(Unread {
                    what: format!("{kind} of `{arn}`"),
                    error,
                });
            }
        };
        let slot = Slot {
            account: self.account.clone(),
            region: region.to_owned(),
            kind,
            arn,
        };
        Ok(Observed::Document { slot, text })
    }

    /// A policy or configuration without a writer.
    pub(crate) fn configuration(
        &self,
        kind: &str,
        region: &str,
        name: &str,
        part: impl Into<String>,
        form: Form,
        text: String,
    ) -> Reading {
        Ok(Observed::Configuration(Configuration {
            resource: Resource {
                account: self.account.clone(),
                name: name.to_owned(),
                region: region.to_owned(),
                kind: kind.to_owned(),
            },
            part: part.into(),
            form,
            text,
            source: Source::Reader,
        }))
    }

    pub(crate) fn signed(&self) -> &Signed {
        &self.signed
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

#[cfg(test)]
mod tests;
