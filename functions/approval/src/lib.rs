//! Stage 3: a gate that approves exactly one thing.
//!
//! [`handle`] is what the state machine asks for: build the decision package, put it before the approvers, close
//! the gate when time is over. [`gateway::serve`] is where people look, vote, and answer for the operator.
#![warn(missing_docs)]

use std::future::Future;

use aws_config::SdkConfig;
use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::callbacks::{Callbacks, StepFunctions};
use blackstart_aws::clients::Accounts;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::notices::{Notices, Topic};
use blackstart_aws::records::Records;
use blackstart_aws::sign_in::Issuer;
use blackstart_aws::tokens::{Cipher, KmsKey, TokenStore};
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::run::RunId;

pub mod config;
mod error;
pub mod gateway;
mod settle;
mod stage;
pub mod team;

#[cfg(test)]
mod fakes;

pub use error::ApprovalError;
use team::{RebuildAccount, VaultAccess};

pub use stage::{Answer, handle};

/// What the function reaches: AWS itself, or what a test puts in its place.
pub trait Ports {
    /// The ledger.
    type Records: Records;
    /// The artifact bucket.
    type Artifacts: Artifacts;
    /// The key of the task tokens.
    type Cipher: Cipher;
    /// Step Functions.
    type Callbacks: Callbacks;
    /// The topic that people listen to.
    type Notices: Notices;
    /// The rebuild account, as far as asking for a vault goes.
    type Vaults: VaultAccess;
}

/// AWS itself.
#[derive(Debug)]
pub enum Aws {}

impl Ports for Aws {
    type Records = Ledger;
    type Artifacts = ArtifactStore;
    type Cipher = KmsKey;
    type Callbacks = StepFunctions;
    type Notices = Topic;
    type Vaults = RebuildAccount;
}

/// Everything that the function reaches. All but the issuer are exchanged in tests.
pub struct Deps<P: Ports> {
    /// The ledger.
    pub records: P::Records,
    /// The artifact bucket.
    pub artifacts: P::Artifacts,
    /// The key of the task tokens.
    pub cipher: P::Cipher,
    /// Step Functions.
    pub callbacks: P::Callbacks,
    /// The topic that people listen to.
    pub notices: P::Notices,
    /// Where access to a guarded vault is asked for.
    pub vaults: P::Vaults,
    /// Origin of the page, to which notices lead; `None` where there is no page.
    pub page: Option<String>,
    /// Where people sign in to the page; without one there is no page.
    pub issuer: Option<Issuer>,
}

impl<P: Ports> std::fmt::Debug for Deps<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps")
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

impl Deps<Aws> {
    /// The real ones.
    #[must_use]
    pub fn of(own: &SdkConfig, config: &config::Config) -> Self {
        Self {
            records: Ledger::new(own, config.ledger_table.clone()),
            artifacts: ArtifactStore::new(own, config.artifact_bucket.clone()),
            cipher: KmsKey::new(own, config.token_key.clone()),
            callbacks: StepFunctions::new(own),
            notices: Topic::new(own, config.notification_topic.clone()),
            vaults: RebuildAccount(Accounts::new(own.clone(), config.external_id.clone())),
            page: config.page.clone(),
            issuer: config.sign_in.clone().map(|settings| Issuer::new(own, settings)),
        }
    }
}

impl<P: Ports> Deps<P> {
    pub(crate) fn tokens(&self) -> TokenStore<'_, P::Records, P::Cipher> {
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
