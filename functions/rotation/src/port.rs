//! What the stage needs from outside, and AWS as the one that provides it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::evidence::{EvidenceError, record_once};
use blackstart_aws::gate::{GateRefused, approved_package, package_in_execution, unmoved_boundary};
use blackstart_aws::ledger::Ledger;
use blackstart_aws::port::PortError;
use blackstart_aws::secretsmanager::SecretsManager;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::evidence::Event;
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::rotation::{RotationDocument, SecretValue, session_policy};
use blackstart_core::run::RunId;
use jiff::Timestamp;

/// The documents of the run, and its gate.
pub trait Run: Sync {
    /// The run's plan.
    fn plan(&self, plan: &ArtifactRef) -> impl Future<Output = Result<Plan, ArtifactError>> + Send;
    /// The package, if it is approved, and either its effects have begun in time or they may begin now.
    fn approved(
        &self,
        run: &RunId,
        package: &ArtifactRef,
        digest: &Digest,
        now: Timestamp,
    ) -> impl Future<Output = Result<DecisionPackage, GateRefused>> + Send;
    /// Records an effect in the chain of evidence, once.
    fn record(&self, run: &RunId, event: Event) -> impl Future<Output = Result<(), EvidenceError>> + Send;
    /// Keeps the document of what was rotated.
    fn keep(
        &self,
        run: &RunId,
        document: &RotationDocument,
    ) -> impl Future<Output = Result<ArtifactRef, ArtifactError>> + Send;
}

/// The secrets of the rebuild account.
pub trait Secrets: Send + Sync {
    /// A new random value.
    fn random(&self, length: u16) -> impl Future<Output = Result<SecretValue, PortError>> + Send;
    /// Version id to staging labels.
    fn versions(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, BTreeSet<String>>, PortError>> + Send;
    /// Stores a value as the new current version with this id. `false`: that version exists already.
    fn put(
        &self,
        name: &str,
        version: &str,
        value: &SecretValue,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
    /// Takes a staging label from a version.
    fn take_label(
        &self,
        name: &str,
        version: &str,
        label: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Opens the rebuild account of a plan.
pub trait RebuildAccount: Sync {
    /// The secrets in it.
    type Secrets: Secrets;
    /// Assumes the plan's rebuild role for this run.
    fn open(&self, plan: &Plan, run: &RunId)
    -> impl Future<Output = Result<Self::Secrets, PortError>> + Send;
}

/// Documents in S3, the gate in the ledger.
#[derive(Debug, Clone)]
pub struct AwsRun {
    /// The artifact bucket.
    pub artifacts: ArtifactStore,
    /// The ledger.
    pub ledger: Ledger,
}

impl Run for AwsRun {
    async fn plan(&self, plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        self.artifacts.plan(plan).await
    }

    async fn approved(
        &self,
        run: &RunId,
        package: &ArtifactRef,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<DecisionPackage, GateRefused> {
        // The restores are the first effect. Where they began in time, the rest is carried through.
        let begun = self.ledger.get::<RestoreRecord>(&Key::restore(run)).await?;
        if begun.is_some_and(|record| record.document.package == *digest) {
            package_in_execution(&self.artifacts, &self.ledger, run, package, digest).await
        } else {
            let package = approved_package(&self.artifacts, &self.ledger, run, package, digest, now).await?;
            unmoved_boundary(&self.ledger, &package).await?;
            Ok(package)
        }
    }

    async fn record(&self, run: &RunId, event: Event) -> Result<(), EvidenceError> {
        record_once(&self.ledger, run, event).await?;
        Ok(())
    }

    async fn keep(&self, run: &RunId, document: &RotationDocument) -> Result<ArtifactRef, ArtifactError> {
        self.artifacts.put_json(run, "rotation.json", document).await
    }
}

/// Secrets Manager in the rebuild account, through an assumed role.
#[derive(Debug, Clone)]
pub struct AwsRebuildAccount(pub Accounts);

impl RebuildAccount for AwsRebuildAccount {
    type Secrets = SecretsManager;

    async fn open(&self, plan: &Plan, run: &RunId) -> Result<SecretsManager, PortError> {
        let config = self
            .0
            .assume(&Assume {
                partition: &plan.partition,
                account: &plan.accounts.rebuild,
                role: &plan.roles.rebuild,
                run,
                region: &plan.region,
                session_policy: Some(session_policy(plan)),
            })
            .await?;
        Ok(SecretsManager::new(&config))
    }
}

impl Secrets for SecretsManager {
    async fn random(&self, length: u16) -> Result<SecretValue, PortError> {
        Self::random(self, length).await
    }

    async fn versions(&self, name: &str) -> Result<BTreeMap<String, BTreeSet<String>>, PortError> {
        Self::versions(self, name).await
    }

    async fn put(&self, name: &str, version: &str, value: &SecretValue) -> Result<bool, PortError> {
        Self::put(self, name, version, value).await
    }

    async fn take_label(&self, name: &str, version: &str, label: &str) -> Result<(), PortError> {
        Self::take_label(self, name, version, label).await
    }
}
