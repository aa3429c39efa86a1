//! What the stage needs from outside, and AWS as the one that provides it.

use std::future::Future;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::clients::Accounts;
use blackstart_aws::cloudformation::{CloudFormation, NewStack, Proposed};
use blackstart_aws::port::PortError;
use blackstart_aws::surroundings::Surroundings;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::plan::{Plan, TemplateRef};
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::rebuild::change_set::ObservedChangeSet;
use blackstart_core::rebuild::drift::{Detection, ResourceDrift};
use blackstart_core::rebuild::failure::StackEvent;
use blackstart_core::rebuild::isolation::StackResource;
use blackstart_core::rebuild::request::{drift_read_policy, session_policy};
use blackstart_core::rebuild::surroundings::{self, Survey};
use blackstart_core::rebuild::waves::ObservedStack;
use blackstart_core::run::{RunId, RunRecord};

/// Reading the plan and the templates, and writing what was built.
pub trait Documents: Sync {
    /// The run's plan.
    fn plan(&self, plan: &ArtifactRef) -> impl Future<Output = Result<Plan, ArtifactError>> + Send;
    /// A template's bytes, whatever they are: the caller compares the digest.
    fn template(&self, place: &TemplateRef) -> impl Future<Output = Result<Vec<u8>, ArtifactError>> + Send;
    /// Keeps the document of a rebuilt environment.
    fn keep(
        &self,
        run: &RunId,
        document: &RebuildDocument,
    ) -> impl Future<Output = Result<ArtifactRef, ArtifactError>> + Send;
}

/// The stacks of the rebuild account.
pub trait Stacks: Send + Sync {
    /// The stack of this name or id.
    fn stack(&self, name: &str) -> impl Future<Output = Result<Option<ObservedStack>, PortError>> + Send;
    /// Asks for the change set of a new stack.
    fn propose(&self, new: &NewStack) -> impl Future<Output = Result<Proposed, PortError>> + Send;
    /// The stack's change set of this name.
    fn change_set(
        &self,
        stack: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<ObservedChangeSet>, PortError>> + Send;
    /// Has the change set with this id executed.
    fn execute(
        &self,
        stack: &str,
        change_set: &str,
        token: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Asks for the deletion of the stack with this id.
    fn delete(&self, id: &str, token: &str) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Its events.
    fn events(&self, name: &str) -> impl Future<Output = Result<Vec<StackEvent>, PortError>> + Send;
    /// Its resources.
    fn resources(&self, name: &str) -> impl Future<Output = Result<Vec<StackResource>, PortError>> + Send;
    /// Asks for a comparison of the stack with its template; `None` while another one is at work.
    fn detect_drift(&self, name: &str) -> impl Future<Output = Result<Option<String>, PortError>> + Send;
    /// What became of it.
    fn detection(&self, id: &str) -> impl Future<Output = Result<Option<Detection>, PortError>> + Send;
    /// What the latest one said of each resource.
    fn drifts(&self, name: &str) -> impl Future<Output = Result<Vec<ResourceDrift>, PortError>> + Send;
    /// Its template.
    fn template(&self, name: &str) -> impl Future<Output = Result<Option<String>, PortError>> + Send;
}

/// Opens the rebuild account of a plan.
pub trait Builders: Sync {
    /// The stacks in it.
    type Stacks: Stacks;
    /// Assumes the plan's rebuild role for this run.
    fn open(
        &self,
        plan: &Plan,
        run: &RunRecord,
    ) -> impl Future<Output = Result<Self::Stacks, PortError>> + Send;
    /// Looks at what else the account holds, in a session that can do nothing else.
    fn survey(&self, plan: &Plan, run: &RunRecord) -> impl Future<Output = Result<Survey, PortError>> + Send;
}

/// Documents in S3.
#[derive(Debug, Clone)]
pub struct AwsDocuments(pub ArtifactStore);

impl Documents for AwsDocuments {
    async fn plan(&self, plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        self.0.plan(plan).await
    }

    async fn template(&self, place: &TemplateRef) -> Result<Vec<u8>, ArtifactError> {
        let (_, bytes) = self
            .0
            .adopt_version(&place.bucket, &place.key, place.version.as_deref())
            .await?;
        Ok(bytes)
    }

    async fn keep(&self, run: &RunId, document: &RebuildDocument) -> Result<ArtifactRef, ArtifactError> {
        self.0.put_json(run, "rebuild.json", document).await
    }
}

/// CloudFormation in the rebuild account, through an assumed role.
#[derive(Debug, Clone)]
pub struct AwsBuilders(pub Accounts);

impl Builders for AwsBuilders {
    type Stacks = CloudFormation;

    async fn open(&self, plan: &Plan, run: &RunRecord) -> Result<CloudFormation, PortError> {
        let config = self
            .0
            .in_mode(run.mode)
            .with_policies([drift_read_policy(plan)])
            .in_rebuild_account(plan, &run.run, session_policy(plan))
            .await?;
        Ok(CloudFormation::new(&config))
    }

    async fn survey(&self, plan: &Plan, run: &RunRecord) -> Result<Survey, PortError> {
        let config = self
            .0
            .in_mode(run.mode)
            .in_rebuild_account(plan, &run.run, surroundings::session_policy())
            .await?;
        Ok(Survey {
            home: self.0.home().await?,
            found: Surroundings::new(&config).look_around().await?,
        })
    }
}

impl Stacks for CloudFormation {
    async fn stack(&self, name: &str) -> Result<Option<ObservedStack>, PortError> {
        Self::stack(self, name).await
    }

    async fn propose(&self, new: &NewStack) -> Result<Proposed, PortError> {
        Self::propose(self, new).await
    }

    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ObservedChangeSet>, PortError> {
        Self::change_set(self, stack, name).await
    }

    async fn execute(&self, stack: &str, change_set: &str, token: &str) -> Result<(), PortError> {
        Self::execute(self, stack, change_set, token).await
    }

    async fn delete(&self, id: &str, token: &str) -> Result<(), PortError> {
        Self::delete(self, id, token).await
    }

    async fn events(&self, name: &str) -> Result<Vec<StackEvent>, PortError> {
        Self::events(self, name).await
    }

    async fn resources(&self, name: &str) -> Result<Vec<StackResource>, PortError> {
        Self::resources(self, name).await
    }

    async fn detect_drift(&self, name: &str) -> Result<Option<String>, PortError> {
        Self::detect_drift(self, name).await
    }

    async fn detection(&self, id: &str) -> Result<Option<Detection>, PortError> {
        Self::detection(self, id).await
    }

    async fn drifts(&self, name: &str) -> Result<Vec<ResourceDrift>, PortError> {
        Self::drifts(self, name).await
    }

    async fn template(&self, name: &str) -> Result<Option<String>, PortError> {
        Self::template(self, name).await
    }
}
