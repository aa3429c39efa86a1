//! What the stage needs from outside, and AWS as the one that provides it.

use std::future::Future;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::backup::{Backup, RestoreJob, StartRestore};
use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::content::{Content, ContentReader};
use blackstart_aws::gate::{GateRefused, approved_package, package_in_execution, unmoved_boundary};
use blackstart_aws::ledger::Ledger;
use blackstart_aws::port::PortError;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::plan::{Invariant, Plan, Resource};
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::restore::RestoreDocument;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::request::{RestoreRequest, removal_policy, restore_role, session_policy};
use blackstart_core::run::RunId;
use blackstart_core::validation::ContentManifest;
use jiff::Timestamp;

/// The documents of the run, and its gate.
pub trait Run: Sync {
    /// The run's plan.
    fn plan(&self, plan: &ArtifactRef) -> impl Future<Output = Result<Plan, ArtifactError>> + Send;
    /// The package, if it is approved, its effects may begin now and the boundary has not moved.
    fn approved(
        &self,
        run: &RunId,
        package: &ArtifactRef,
        digest: &Digest,
        now: Timestamp,
    ) -> impl Future<Output = Result<DecisionPackage, GateRefused>> + Send;
    /// The package, if it is approved, for what continues effects that began in time.
    fn in_execution(
        &self,
        run: &RunId,
        package: &ArtifactRef,
        digest: &Digest,
    ) -> impl Future<Output = Result<DecisionPackage, GateRefused>> + Send;
    /// What was rebuilt.
    fn rebuilt(
        &self,
        document: &ArtifactRef,
    ) -> impl Future<Output = Result<RebuildDocument, ArtifactError>> + Send;
    /// A manifest of validated content.
    fn manifest(
        &self,
        manifest: &ArtifactRef,
    ) -> impl Future<Output = Result<ContentManifest, ArtifactError>> + Send;
    /// Keeps the document of what was restored.
    fn keep(
        &self,
        run: &RunId,
        document: &RestoreDocument,
    ) -> impl Future<Output = Result<ArtifactRef, ArtifactError>> + Send;
}

/// Restoring in the rebuild account.
pub trait Restorer: Send + Sync {
    /// Starts a restore and returns the job's id; a repeat with the same token returns the same.
    fn start(&self, request: &RestoreRequest) -> impl Future<Output = Result<String, PortError>> + Send;
    /// Asks for a restore job.
    fn job(&self, id: &str) -> impl Future<Output = Result<RestoreJob, PortError>> + Send;
    /// The restored resource as it is now.
    fn copy(
        &self,
        resource: &Resource,
        arn: &str,
    ) -> impl Future<Output = Result<CopyState, PortError>> + Send;
    /// Gives it the tag of the run.
    fn mark(
        &self,
        resource: &Resource,
        arn: &str,
        run: &RunId,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Removes it with everything in it.
    fn remove(&self, resource: &Resource) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Reads what was restored under this name.
    fn content(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
    ) -> impl Future<Output = Result<Content, PortError>> + Send;
}

/// Opens the rebuild account of a plan.
pub trait RebuildAccount: Sync {
    /// Restoring in it.
    type Restorer: Restorer;
    /// Assumes the plan's rebuild role for this run.
    fn open(
        &self,
        plan: &Plan,
        run: &RunId,
    ) -> impl Future<Output = Result<Self::Restorer, PortError>> + Send;
    /// The same, for removing the copy of one resource and nothing else.
    fn open_for_removal(
        &self,
        plan: &Plan,
        run: &RunId,
        resource: &Resource,
    ) -> impl Future<Output = Result<Self::Restorer, PortError>> + Send;
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
        let package = approved_package(&self.artifacts, &self.ledger, run, package, digest, now).await?;
        unmoved_boundary(&self.ledger, &package).await?;
        Ok(package)
    }

    async fn in_execution(
        &self,
        run: &RunId,
        package: &ArtifactRef,
        digest: &Digest,
    ) -> Result<DecisionPackage, GateRefused> {
        package_in_execution(&self.artifacts, &self.ledger, run, package, digest).await
    }

    async fn rebuilt(&self, document: &ArtifactRef) -> Result<RebuildDocument, ArtifactError> {
        self.artifacts.get_json(document).await
    }

    async fn manifest(&self, manifest: &ArtifactRef) -> Result<ContentManifest, ArtifactError> {
        self.artifacts.get_json(manifest).await
    }

    async fn keep(&self, run: &RunId, document: &RestoreDocument) -> Result<ArtifactRef, ArtifactError> {
        self.artifacts.put_json(run, "restore.json", document).await
    }
}

/// The rebuild account, through an assumed role.
#[derive(Debug, Clone)]
pub struct AwsRebuildAccount(pub Accounts);

/// AWS Backup, S3 and DynamoDB in the rebuild account.
#[derive(Debug, Clone)]
pub struct AwsRestorer {
    backup: Backup,
    reader: ContentReader,
    role_arn: String,
}

impl AwsRebuildAccount {
    async fn enter(
        &self,
        plan: &Plan,
        run: &RunId,
        session_policy: String,
    ) -> Result<AwsRestorer, PortError> {
        let config = self
            .0
            .assume(&Assume {
                partition: &plan.partition,
                account: &plan.accounts.rebuild,
                role: &plan.roles.rebuild,
                run,
                region: &plan.region,
                session_policy: Some(session_policy),
            })
            .await?;
        Ok(AwsRestorer {
            backup: Backup::new(&config),
            reader: ContentReader::new(&config),
            role_arn: restore_role(plan),
        })
    }
}

impl RebuildAccount for AwsRebuildAccount {
    type Restorer = AwsRestorer;

    async fn open(&self, plan: &Plan, run: &RunId) -> Result<AwsRestorer, PortError> {
        self.enter(plan, run, session_policy(plan)).await
    }

    async fn open_for_removal(
        &self,
        plan: &Plan,
        run: &RunId,
        resource: &Resource,
    ) -> Result<AwsRestorer, PortError> {
        self.enter(plan, run, removal_policy(plan, resource)).await
    }
}

impl Restorer for AwsRestorer {
    async fn start(&self, request: &RestoreRequest) -> Result<String, PortError> {
        self.backup
            .start_restore(StartRestore {
                point: &request.recovery_point,
                resource_type: request.resource_type,
                role_arn: &self.role_arn,
                metadata: request.metadata.clone(),
                token: &request.token,
            })
            .await
    }

    async fn job(&self, id: &str) -> Result<RestoreJob, PortError> {
        self.backup.restore_job(id).await
    }

    async fn copy(&self, resource: &Resource, arn: &str) -> Result<CopyState, PortError> {
        self.reader
            .copy(resource.resource_type, &resource.restore_to, arn)
            .await
    }

    async fn mark(&self, resource: &Resource, arn: &str, run: &RunId) -> Result<(), PortError> {
        self.reader
            .mark(resource.resource_type, &resource.restore_to, arn, run)
            .await
    }

    async fn remove(&self, resource: &Resource) -> Result<(), PortError> {
        self.reader
            .remove(resource.resource_type, &resource.restore_to)
            .await?;
        Ok(())
    }

    async fn content(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
    ) -> Result<Content, PortError> {
        self.reader.read(resource, name, invariants).await
    }
}
