//! Stage 5, first half: who else names the old account. Reads only.

use std::future::Future;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::documents::Reading;
use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::plan::{Plan, SnapshotPlace};
use blackstart_core::references::services::Service;
use blackstart_core::references::{
    IdentifierMap, InvalidMap, InventoryDocument, Observed, inventory_of, merge,
};
use blackstart_core::run::{AccountId, RunId};
use blackstart_core::task::Task;
use blackstart_core::task::references::{AccountInventory, Inventoried, Operation, Siblings};
use serde::Serialize;

pub use checks::PolicyChecks;
pub use roles::{AssumedRoles, Sibling};

mod checks;
mod roles;
mod sibling;

/// Where documents of a run are kept.
pub trait Artifacts {
    /// Reads and checks a plan.
    fn plan(&self, plan: &ArtifactRef) -> impl Future<Output = Result<Plan, ArtifactError>> + Send;
    /// Reads an inventory.
    fn inventory(
        &self,
        inventory: &ArtifactRef,
    ) -> impl Future<Output = Result<InventoryDocument, ArtifactError>> + Send;
    /// Writes an inventory.
    fn put(
        &self,
        run: &RunId,
        path: &str,
        inventory: &InventoryDocument,
    ) -> impl Future<Output = Result<ArtifactRef, ArtifactError>> + Send;
}

impl Artifacts for ArtifactStore {
    async fn plan(&self, plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        Self::plan(self, plan).await
    }

    async fn inventory(&self, inventory: &ArtifactRef) -> Result<InventoryDocument, ArtifactError> {
        self.get_json(inventory).await
    }

    async fn put(
        &self,
        run: &RunId,
        path: &str,
        inventory: &InventoryDocument,
    ) -> Result<ArtifactRef, ArtifactError> {
        self.put_json(run, path, inventory).await
    }
}

/// The other accounts, read-only.
pub trait SiblingAccounts {
    /// An account, opened.
    type Account: SiblingDocuments + Sync;
    /// Assumes the reading role. `sought` are the accounts whose references are looked for.
    fn open(
        &self,
        run: &RunId,
        plan: &Plan,
        account: &AccountId,
        sought: Vec<String>,
    ) -> impl Future<Output = Result<Self::Account, PortError>> + Send;
    /// The newest Config snapshot of every region of an account, as stored.
    fn snapshots(
        &self,
        run: &RunId,
        plan: &Plan,
        place: &SnapshotPlace,
        account: &AccountId,
    ) -> impl Future<Output = Result<Vec<Snapshot>, PortError>> + Send;
}

/// A Config snapshot as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Region that it is of.
    pub region: String,
    /// Key of the object.
    pub key: String,
    /// Its bytes.
    pub stored: Vec<u8>,
}

/// What one account shows.
pub trait SiblingDocuments {
    /// Reads everything of a service in a region.
    fn read(
        &self,
        region: &str,
        service: &'static Service,
    ) -> impl Future<Output = Result<Vec<Reading>, PortError>> + Send;
    /// Active findings of the Access Analyzer of type `ACCOUNT`; `None` where there is none.
    fn findings(&self, region: &str)
    -> impl Future<Output = Result<Option<Vec<Observed>>, PortError>> + Send;
}

/// What the stage works with.
#[derive(Debug)]
pub struct Deps<A, S, C> {
    /// Documents of the run.
    pub artifacts: A,
    /// The other accounts.
    pub siblings: S,
    /// Checks of policies.
    pub checks: C,
}

/// The inventory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// An artifact cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A sibling did not answer, and may answer later.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The plan's identifiers contradict each other.
    #[error(transparent)]
    Map(#[from] InvalidMap),
    /// The payload names no run.
    #[error("the payload has no `run`")]
    NoRun,
    /// The account is not one of the plan's siblings.
    #[error("account {0} is not among `accounts.siblings` of the plan")]
    NotASibling(AccountId),
}

impl StageError for InventoryError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Artifact(error) => error.name(),
            Self::Port(error) => error.name(),
            Self::Map(_) | Self::NoRun => ErrorName::InvalidInput,
            Self::NotASibling(_) => ErrorName::PolicyRefused,
        }
    }
}

/// The answer to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Operation::Siblings`].
    Siblings(Siblings),
    /// To [`Operation::Inventory`].
    Inventory(AccountInventory),
    /// To [`Operation::Merge`].
    Merged(Inventoried),
}

/// Handles one task.
///
/// # Errors
/// [`InventoryError`]. What a sibling refuses to show is no error: it is listed in the inventory.
pub async fn handle<A, S, C>(task: Task<Operation>, deps: &Deps<A, S, C>) -> Result<Answer, InventoryError>
where
    A: Artifacts + Sync,
    S: SiblingAccounts + Sync,
    C: PolicyChecks + Sync,
{
    let run = task.run.ok_or(InventoryError::NoRun)?;
    match task.input {
        Operation::Siblings { plan } => {
            let plan = deps.artifacts.plan(&plan).await?;
            // A contradiction in the map is known here, before any account is read.
            IdentifierMap::of_plan(&plan)?;
            Ok(Answer::Siblings(Siblings {
                accounts: plan.accounts.siblings,
            }))
        }
        Operation::Inventory { plan, account } => {
            let plan = deps.artifacts.plan(&plan).await?;
            if !plan.accounts.siblings.contains(&account) {
                return Err(InventoryError::NotASibling(account));
            }
            let map = IdentifierMap::of_plan(&plan)?;
            let sibling = sibling::Reading {
                run: &run,
                plan: &plan,
                account: &account,
                map: &map,
                // What does not get through after several attempts is a gap: a service need not exist everywhere.
                patient: task.context.retry_count < sibling::PATIENT_ATTEMPTS,
            };
            let shown = sibling.read(&deps.siblings).await?;
            let mut inventory = inventory_of(shown.observed, shown.coverage, shown.failures, &map);
            if plan.references.policy_checks {
                let expand = plan.cutover.old_account_contained;
                checks::check(&deps.checks, &mut inventory, &map, expand).await;
                inventory = merge([inventory], &[]);
            }
            tracing::info!(
                %account,
                read = inventory.documents_read,
                documents = inventory.documents.len(),
                unhandled = inventory.unhandled.len(),
                gaps = inventory.failures.len(),
                "sibling read"
            );
            let path = format!("references/{account}.json");
            let inventory = deps.artifacts.put(&run, &path, &inventory).await?;
            Ok(Answer::Inventory(AccountInventory { inventory }))
        }
        Operation::Merge { plan, inventories } => {
            let plan = deps.artifacts.plan(&plan).await?;
            let mut read = Vec::with_capacity(inventories.len());
            for inventory in &inventories {
                read.push(deps.artifacts.inventory(inventory).await?);
            }
            let inventory = merge(read, &plan.references.waivers);
            let measure = inventory.measure;
            tracing::info!(
                documents = measure.documents,
                tokens = measure.tokens,
                handled = measure.handled,
                waived = measure.waived,
                unhandled = measure.unhandled,
                gaps = inventory.failures.len(),
                "inventory merged"
            );
            let inventory = deps
                .artifacts
                .put(&run, "references/inventory.json", &inventory)
                .await?;
            Ok(Answer::Merged(Inventoried {
                inventory,
                documents: measure.documents,
                tokens: measure.tokens,
                handled: measure.handled,
                unhandled: measure.unhandled,
            }))
        }
    }
}

#[cfg(test)]
mod tests;
