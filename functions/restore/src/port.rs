//! What the stage needs from outside, and AWS as the one that provides it.

use std::collections::BTreeMap;
use std::future::Future;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::backup::{Backup, RestoreJob, StartRestore};
use blackstart_aws::check_function::CheckFunctions;
use blackstart_aws::clients::{Accounts, Assume, SdkConfig};
use blackstart_aws::cloudformation::CloudFormation;
use blackstart_aws::content::{Content, ContentReader};
use blackstart_aws::gate::{GateRefused, approved_package, package_in_execution, unmoved_boundary};
use blackstart_aws::hooks::Hooks;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::port::PortError;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::plan::{FixUp, Invariant, Plan, Resource, Vault};
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::rebuild::change_set::ObservedChangeSet;
use blackstart_core::rebuild::drift::ResourceDrift;
use blackstart_core::rebuild::isolation::StackResource;
use blackstart_core::rebuild::request::{drift_read_policy, execution_role};
use blackstart_core::rebuild::waves::ObservedStack;
use blackstart_core::restore::RestoreDocument;
use blackstart_core::restore::fix_up::Settings;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::request::{
    RestoreRequest, adoption_policy, removal_policy, restore_role, session_policy,
};
use blackstart_core::rotation::hook::{HookAnswer, HookRequest};
use blackstart_core::run::RunId;
use blackstart_core::validation::ContentManifest;
use blackstart_core::validation::check_function::{Called, Question};
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
    /// What a recovery point remembers of its resource.
    fn original(
        &self,
        vault: &Vault,
        point: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, PortError>> + Send;
    /// Asks a function of the plan for a verdict.
    fn ask(
        &self,
        function: &str,
        question: &Question,
        seconds: u16,
    ) -> impl Future<Output = Result<Called, PortError>> + Send;
    /// Asks for a restore job.
    fn job(&self, id: &str) -> impl Future<Output = Result<RestoreJob, PortError>> + Send;
    /// The restored resource as it is now.
    fn copy(
        &self,
        resource: &Resource,
        arn: &str,
    ) -> impl Future<Output = Result<CopyState, PortError>> + Send;
    /// Gives it the tag of the run; whether it has it now.
    fn mark(
        &self,
        resource: &Resource,
        arn: &str,
        run: &RunId,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
    /// Removes it with everything in it.
    fn remove(&self, resource: &Resource, arn: &str) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Reads what was restored under this name.
    fn content(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
    ) -> impl Future<Output = Result<Content, PortError>> + Send;
}

/// Putting settings back, and having stacks take what was restored.
pub trait Adopter: Send + Sync {
    /// The settings of a restored resource; as properties of a template where that is asked for.
    fn settings(
        &self,
        resource: &Resource,
        arn: &str,
        as_properties: bool,
    ) -> impl Future<Output = Result<Settings, PortError>> + Send;
    /// Asks for a setting.
    fn put_back(
        &self,
        resource: &Resource,
        arn: &str,
        fix_up: &FixUp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Asks a hook of the workload.
    fn ask_hook(
        &self,
        function: &str,
        request: &HookRequest,
    ) -> impl Future<Output = Result<HookAnswer, PortError>> + Send;
    /// A stack as it is now.
    fn stack(&self, name: &str) -> impl Future<Output = Result<Option<ObservedStack>, PortError>> + Send;
    /// The resources of a stack.
    fn stack_resources(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Vec<StackResource>, PortError>> + Send;
    /// The template of a stack.
    fn stack_template(&self, name: &str) -> impl Future<Output = Result<String, PortError>> + Send;
    /// A change set of a stack.
    fn change_set(
        &self,
        stack: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<ObservedChangeSet>, PortError>> + Send;
    /// Asks for the change set by which a stack takes a resource.
    fn propose(
        &self,
        stack: &str,
        name: &str,
        parameters: &BTreeMap<String, String>,
        taking: &Taking,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Has a change set executed.
    fn execute(
        &self,
        stack: &str,
        change_set: &str,
        token: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Compares one resource of a stack with its template.
    fn drift(
        &self,
        stack: &str,
        logical_id: &str,
    ) -> impl Future<Output = Result<ResourceDrift, PortError>> + Send;
}

/// Opens the rebuild account of a plan.
pub trait RebuildAccount: Sync {
    /// Restoring in it.
    type Restorer: Restorer;
    /// Adopting in it.
    type Adopter: Adopter;
    /// Assumes the plan's rebuild role for this run.
    fn open(
        &self,
        plan: &Plan,
        run: &RunId,
    ) -> impl Future<Output = Result<Self::Restorer, PortError>> + Send;
    /// The same, for what the restored resources need before they are the workload's.
    fn open_for_adoption(
        &self,
        plan: &Plan,
        run: &RunId,
    ) -> impl Future<Output = Result<Self::Adopter, PortError>> + Send;
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

pub use blackstart_aws::cloudformation::Taking;

/// The rebuild account, through an assumed role.
#[derive(Debug, Clone)]
pub struct AwsRebuildAccount(pub Accounts);

/// AWS Backup, S3 and DynamoDB in the rebuild account.
#[derive(Debug, Clone)]
pub struct AwsRestorer {
    backup: Backup,
    reader: ContentReader,
    functions: CheckFunctions,
    role_arn: String,
}

impl AwsRebuildAccount {
    async fn session(
        accounts: &Accounts,
        plan: &Plan,
        run: &RunId,
        session_policy: String,
    ) -> Result<SdkConfig, PortError> {
        accounts
            .assume(&Assume {
                partition: &plan.partition,
                account: &plan.accounts.rebuild,
                role: &plan.roles.rebuild,
                run,
                region: &plan.region,
                session_policy: Some(session_policy),
            })
            .await
    }

    async fn enter(
        &self,
        plan: &Plan,
        run: &RunId,
        session_policy: String,
    ) -> Result<AwsRestorer, PortError> {
        let config = Self::session(&self.0, plan, run, session_policy).await?;
        Ok(AwsRestorer {
            backup: Backup::new(&config),
            reader: ContentReader::new(&config, Some(execution_role(plan))),
            functions: CheckFunctions::new(&config),
            role_arn: restore_role(plan),
        })
    }
}

/// Settings, hooks and stacks in the rebuild account.
#[derive(Debug, Clone)]
pub struct AwsAdopter {
    reader: ContentReader,
    hooks: Hooks,
    stacks: CloudFormation,
    role_arn: String,
}

impl Adopter for AwsAdopter {
    async fn settings(
        &self,
        resource: &Resource,
        arn: &str,
        as_properties: bool,
    ) -> Result<Settings, PortError> {
        if as_properties {
            return self.reader.properties(resource.resource_type, arn).await;
        }
        self.reader
            .settings(resource.resource_type, &resource.restore_to, arn)
            .await
    }

    async fn put_back(&self, resource: &Resource, arn: &str, fix_up: &FixUp) -> Result<(), PortError> {
        self.reader
            .put_back(resource.resource_type, &resource.restore_to, arn, fix_up)
            .await
    }

    async fn ask_hook(&self, function: &str, request: &HookRequest) -> Result<HookAnswer, PortError> {
        self.hooks.ask(function, request).await
    }

    async fn stack(&self, name: &str) -> Result<Option<ObservedStack>, PortError> {
        self.stacks.stack(name).await
    }

    async fn stack_resources(&self, name: &str) -> Result<Vec<StackResource>, PortError> {
        self.stacks.resources(name).await
    }

    async fn stack_template(&self, name: &str) -> Result<String, PortError> {
        Ok(self.stacks.template(name).await?.unwrap_or_default())
    }

    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ObservedChangeSet>, PortError> {
        self.stacks.change_set(stack, name).await
    }

    async fn propose(
        &self,
        stack: &str,
        name: &str,
        parameters: &BTreeMap<String, String>,
        taking: &Taking,
    ) -> Result<(), PortError> {
        self.stacks
            .propose_taking(stack, name, parameters, taking, &self.role_arn)
            .await
            .map(|_| ())
    }

    async fn execute(&self, stack: &str, change_set: &str, token: &str) -> Result<(), PortError> {
        self.stacks.execute(stack, change_set, token).await
    }

    async fn drift(&self, stack: &str, logical_id: &str) -> Result<ResourceDrift, PortError> {
        self.stacks.resource_drift(stack, logical_id).await
    }
}

impl RebuildAccount for AwsRebuildAccount {
    type Restorer = AwsRestorer;
    type Adopter = AwsAdopter;

    async fn open_for_adoption(&self, plan: &Plan, run: &RunId) -> Result<AwsAdopter, PortError> {
        let accounts = self.0.with_policies([drift_read_policy(plan)]);
        let config = Self::session(&accounts, plan, run, adoption_policy(plan)).await?;
        Ok(AwsAdopter {
            reader: ContentReader::new(&config, Some(execution_role(plan))),
            hooks: Hooks::new(&config),
            stacks: CloudFormation::new(&config),
            role_arn: execution_role(plan),
        })
    }

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

    async fn original(&self, vault: &Vault, point: &str) -> Result<BTreeMap<String, String>, PortError> {
        self.backup.restore_metadata(vault, point).await
    }

    async fn ask(&self, function: &str, question: &Question, seconds: u16) -> Result<Called, PortError> {
        self.functions
            .ask(function, question, seconds)
            .await
            .map_err(|error| PortError::Refused {
                what: format!("asking function `{function}`"),
                why: error.to_string(),
            })
    }

    async fn mark(&self, resource: &Resource, arn: &str, run: &RunId) -> Result<bool, PortError> {
        self.reader
            .mark(resource.resource_type, &resource.restore_to, arn, run)
            .await
    }

    async fn remove(&self, resource: &Resource, arn: &str) -> Result<(), PortError> {
        self.reader
            .remove(resource.resource_type, &resource.restore_to, arn)
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
