//! Stage 5, first half: who else names the old account. Reads only.

use std::future::Future;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::documents::{Documents, Read};
use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::plan::Plan;
use blackstart_core::references::{
    DocumentKind, IdentifierMap, InvalidMap, InventoryDocument, ReadFailure, inventory_of, merge,
};
use blackstart_core::run::{AccountId, RunId};
use blackstart_core::task::Task;
use blackstart_core::task::references::{AccountInventory, Inventoried, Operation, Siblings};
use serde::Serialize;
use strum::IntoEnumIterator as _;

pub mod config;

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
    /// Assumes the reading role.
    fn open(
        &self,
        run: &RunId,
        plan: &Plan,
        account: &AccountId,
    ) -> impl Future<Output = Result<Self::Account, PortError>> + Send;
}

/// The documents of one account.
pub trait SiblingDocuments {
    /// Lists and reads every document of this kind.
    fn read_all(&self, kind: DocumentKind) -> impl Future<Output = Result<Vec<Read>, PortError>> + Send;
}

impl SiblingDocuments for Documents {
    async fn read_all(&self, kind: DocumentKind) -> Result<Vec<Read>, PortError> {
        Box::pin(Self::read_all(self, kind)).await
    }
}

/// The siblings by way of their reading roles.
#[derive(Debug)]
pub struct AssumedRoles(pub Accounts);

impl SiblingAccounts for AssumedRoles {
    type Account = Documents;

    async fn open(&self, run: &RunId, plan: &Plan, account: &AccountId) -> Result<Documents, PortError> {
        let config = self
            .0
            .assume(&Assume {
                partition: &plan.partition,
                account,
                role: &plan.roles.sibling_reader,
                run,
                region: &plan.region,
                session_policy: None,
            })
            .await?;
        Ok(Documents::new(config, account.clone(), &plan.partition))
    }
}

/// What the stage works with.
#[derive(Debug)]
pub struct Deps<A, S> {
    /// Documents of the run.
    pub artifacts: A,
    /// The other accounts.
    pub siblings: S,
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
pub async fn handle<A, S>(task: Task<Operation>, deps: &Deps<A, S>) -> Result<Answer, InventoryError>
where
    A: Artifacts + Sync,
    S: SiblingAccounts + Sync,
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
            let (read, failures) = read_sibling(&run, &plan, &account, &deps.siblings).await?;
            let inventory = inventory_of(read, failures, &map);
            tracing::info!(
                %account,
                read = inventory.documents_read,
                documents = inventory.documents.len(),
                failures = inventory.failures.len(),
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
            let (inventory, counted) = merge(read, &plan.references.waivers);
            let inventory = deps
                .artifacts
                .put(&run, "references/inventory.json", &inventory)
                .await?;
            Ok(Answer::Merged(Inventoried {
                inventory,
                documents: counted.documents,
                tokens: counted.tokens,
                handled: counted.handled,
                unhandled: counted.unhandled,
            }))
        }
    }
}

type SiblingRead = (
    Vec<(blackstart_core::references::Slot, Option<String>)>,
    Vec<ReadFailure>,
);

/// Everything that the sibling shows, and what it does not. Only what may succeed later is an error.
async fn read_sibling<S: SiblingAccounts>(
    run: &RunId,
    plan: &Plan,
    account: &AccountId,
    siblings: &S,
) -> Result<SiblingRead, PortError> {
    let mut read = Vec::new();
    let mut failures = Vec::new();
    let failure = |what: String, error: PortError| match error {
        PortError::Transient { .. } => Err(error),
        PortError::Refused { .. } | PortError::NotFound { .. } | PortError::OutcomeUnknown { .. } => {
            Ok(ReadFailure {
                account: account.clone(),
                what,
                reason: error.to_string(),
            })
        }
    };
    let opened = match siblings.open(run, plan, account).await {
        Ok(opened) => opened,
        Err(error) => {
            failures.push(failure("every document".to_owned(), error)?);
            return Ok((read, failures));
        }
    };
    for kind in DocumentKind::iter() {
        match opened.read_all(kind).await {
            Ok(documents) => {
                for Read { slot, text } in documents {
                    match text {
                        Ok(text) => read.push((slot, text)),
                        Err(error) => failures.push(failure(format!("{kind} of `{}`", slot.arn), error)?),
                    }
                }
            }
            Err(error) => failures.push(failure(format!("every {kind}"), error)?),
        }
    }
    Ok((read, failures))
}

#[cfg(test)]
mod tests;
