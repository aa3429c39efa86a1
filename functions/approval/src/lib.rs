//! Stage 3: a gate that approves exactly one thing.
//!
//! [`handle`] is what the state machine asks for: build the decision package, put it before the approvers, close
//! the gate when time is over. [`gateway::serve`] is where people look, vote, and answer for the operator.
#![warn(missing_docs)]

use std::future::Future;

use aws_config::SdkConfig;
use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::callbacks::StepFunctions;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::notices::Topic;
use blackstart_aws::sign_in::Issuer;
use blackstart_aws::tokens::{KmsKey, TokenStore};
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::run::RunId;

pub mod config;
pub mod gateway;
mod settle;
mod stage;

#[cfg(test)]
mod fakes;

pub use stage::{Answer, ApprovalError, handle};

/// Everything that the function reaches. All but the issuer are exchanged in tests.
#[derive(Debug, Clone)]
pub struct Deps<Records, Artifacts, Cipher, Callbacks, Notices> {
    /// The ledger.
    pub records: Records,
    /// The artifact bucket.
    pub artifacts: Artifacts,
    /// The key of the task tokens.
    pub cipher: Cipher,
    /// Step Functions.
    pub callbacks: Callbacks,
    /// The topic that people listen to.
    pub notices: Notices,
    /// Where people sign in to the page; without one there is no page.
    pub issuer: Option<Issuer>,
}

impl Deps<Ledger, ArtifactStore, KmsKey, StepFunctions, Topic> {
    /// The real ones.
    #[must_use]
    pub fn of(own: &SdkConfig, config: &config::Config) -> Self {
        Self {
            records: Ledger::new(own, config.ledger_table.clone()),
            artifacts: ArtifactStore::new(own, config.artifact_bucket.clone()),
            cipher: KmsKey::new(own, config.token_key.clone()),
            callbacks: StepFunctions::new(own),
            notices: Topic::new(own, config.notification_topic.clone()),
            issuer: config.sign_in.clone().map(|settings| Issuer::new(own, settings)),
        }
    }
}

impl<R, A, K, C, N> Deps<R, A, K, C, N>
where
    R: blackstart_aws::records::Records,
    K: blackstart_aws::tokens::Cipher,
{
    pub(crate) fn tokens(&self) -> TokenStore<'_, R, K> {
        TokenStore::new(&self.records, &self.cipher)
    }
}

/// Documents by digest.
pub trait Artifacts: Send + Sync {
    /// Reads the bytes of an artifact and compares their digest.
    fn get(&self, artifact: &ArtifactRef) -> impl Future<Output = Result<Vec<u8>, ArtifactError>> + Send;
    /// Writes a JSON document of a run.
    fn put(
        &self,
        run: &RunId,
        path: &str,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<ArtifactRef, ArtifactError>> + Send;
}

impl Artifacts for ArtifactStore {
    async fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        Self::get(self, artifact).await
    }

    async fn put(&self, run: &RunId, path: &str, bytes: Vec<u8>) -> Result<ArtifactRef, ArtifactError> {
        Self::put(self, run, path, "application/json", bytes).await
    }
}
