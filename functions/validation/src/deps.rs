//! What stage 2 reaches: the run's records, and the validation account.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::backup::{Backup, RestoreJob, ScanJob, StartRestore, StartScan};
use blackstart_aws::callbacks::StepFunctions;
use blackstart_aws::check_function::CheckFunctions;
use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::configuration::ConfigurationReader;
use blackstart_aws::content::{Content, ContentReader};
use blackstart_aws::ledger::{Ledger, LedgerError, Versioned};
use blackstart_aws::port::PortError;
use blackstart_aws::tokens::KmsKey;
use blackstart_aws::trial_waits::{TrialWaits, WaitError};
use blackstart_core::artifact::{ArtifactRef, NotCanonical};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Invariant, Plan, Resource, ResourceType, Vault};
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::resource::template_resource;
use blackstart_core::run::RunId;
use blackstart_core::task::approval::TaskToken;
use blackstart_core::validation::SetVerdict;
use blackstart_core::validation::access_point::AccessPointState;
use blackstart_core::validation::candidates::RecoveryPoint;
use blackstart_core::validation::check_function::{Called, Question};
use blackstart_core::validation::configuration::Observed;
use blackstart_core::validation::content::Signatures;
use blackstart_core::validation::trial::TrialRecord;
use blackstart_core::validation::wait::TrialOfJob;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Everything that the function reaches.
#[derive(Debug, Clone)]
pub struct Deps<R, E> {
    /// The run's records.
    pub records: R,
    /// The way into the validation account.
    pub enter: E,
}

/// The run's records: ledger items and artifacts.
pub trait RunRecords: Sync {
    /// Reads and checks the plan.
    fn plan(&self, plan: &ArtifactRef) -> impl Future<Output = Result<Plan, ArtifactError>> + Send;
    /// Reads a document.
    fn document<T: DeserializeOwned + Send>(
        &self,
        artifact: &ArtifactRef,
    ) -> impl Future<Output = Result<T, ArtifactError>> + Send;
    /// Reads a file that was frozen with the run, `runs/RUN/PATH`; nothing if there is none.
    fn frozen(
        &self,
        run: &RunId,
        path: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, ArtifactError>> + Send;
    /// Writes a document under `runs/RUN/PATH`.
    fn store<T: Serialize + Sync>(
        &self,
        run: &RunId,
        path: &str,
        document: &T,
    ) -> impl Future<Output = Result<ArtifactRef, ArtifactError>> + Send;
    /// Reads a ledger item.
    fn item<T: DeserializeOwned + Send>(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<Option<Versioned<T>>, LedgerError>> + Send;
    /// Writes a ledger item if its version is still the one given; 0 means that it must not exist.
    fn set_item<T: Serialize + Sync>(
        &self,
        key: &Key,
        version: u64,
        document: &T,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;
    /// All trials of the run.
    fn trials(&self, run: &RunId) -> impl Future<Output = Result<Vec<TrialRecord>, LedgerError>> + Send;
    /// All verdicts of the run, by set.
    fn verdicts(
        &self,
        run: &RunId,
    ) -> impl Future<Output = Result<BTreeMap<String, SetVerdict>, LedgerError>> + Send;
}

/// The waits of the state machine for trials.
pub trait Waits: Sync {
    /// Keeps the token of one attempt to wait; see [`TrialWaits::listen`].
    fn listen(
        &self,
        trial: &TrialOfJob,
        attempt: &str,
        token: &TaskToken,
        jobs: &[&str],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), WaitError>> + Send;
    /// Ends a wait by its token.
    fn wake(&self, token: &TaskToken) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The way into the validation account.
pub trait EnterAccount: Sync {
    /// The account, once entered.
    type Account: TrialAccount;
    /// Assumes the plan's validation role.
    fn enter(
        &self,
        plan: &Plan,
        run: &RunId,
    ) -> impl Future<Output = Result<Self::Account, PortError>> + Send;
}

/// The validation account.
pub trait TrialAccount: Sync {
    /// All recovery points of a resource.
    fn recovery_points(
        &self,
        vault: &Vault,
        resource_arn: &str,
    ) -> impl Future<Output = Result<Vec<RecoveryPoint>, PortError>> + Send;
    /// Starts a restore; see [`Backup::start_restore`].
    fn start_restore(
        &self,
        start: StartRestore<'_>,
    ) -> impl Future<Output = Result<String, PortError>> + Send;
    /// What a recovery point remembers of its resource; see [`Backup::restore_metadata`].
    fn restore_metadata(
        &self,
        vault: &Vault,
        point: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, PortError>> + Send;
    /// Asks for a restore job.
    fn restore_job(&self, id: &str) -> impl Future<Output = Result<RestoreJob, PortError>> + Send;
    /// Makes an access point; see [`Backup::create_access_point`].
    fn create_access_point(
        &self,
        name: &str,
        point: &str,
    ) -> impl Future<Output = Result<String, PortError>> + Send;
    /// Asks for an access point.
    fn access_point(&self, arn: &str) -> impl Future<Output = Result<AccessPointState, PortError>> + Send;
    /// Removes an access point. `false`: there was none.
    fn remove_access_point(&self, arn: &str) -> impl Future<Output = Result<bool, PortError>> + Send;
    /// Starts a malware scan; see [`Backup::start_scan`].
    fn start_scan(&self, start: StartScan<'_>) -> impl Future<Output = Result<String, PortError>> + Send;
    /// Asks for a malware scan.
    fn scan_job(&self, id: &str) -> impl Future<Output = Result<ScanJob, PortError>> + Send;
    /// Tells AWS Backup whether the restored resource is valid.
    fn put_validation_result(
        &self,
        id: &str,
        valid: bool,
        message: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Reads the restored bucket or table, and applies the rules to everything in it.
    fn read(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
        rules: &Arc<dyn Signatures>,
    ) -> impl Future<Output = Result<Content, PortError>> + Send;
    /// Reads how a restored bucket or table is configured, and what its recovery point says about the original.
    fn configuration(
        &self,
        vault: &Vault,
        point: &str,
        resource_type: ResourceType,
        name: &str,
    ) -> impl Future<Output = Result<Observed, PortError>> + Send;
    /// Asks a function for a verdict; see [`CheckFunctions::ask`].
    fn ask(
        &self,
        function: &str,
        question: &Question,
        seconds: u16,
    ) -> impl Future<Output = Result<Called, NotCanonical>> + Send;
    /// Whether something with this ARN is there: for what AWS removes long after it was asked to, or refuses to by then.
    fn is_there(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
    /// Asks for the removal of what was restored. `false`: there was none.
    fn remove(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
}

/// Ledger table and artifact bucket.
#[derive(Debug, Clone)]
pub struct Records {
    /// The ledger.
    pub ledger: Ledger,
    /// The artifacts.
    pub artifacts: ArtifactStore,
    /// The waits for trials, kept in the same ledger.
    pub waits: TrialWaits<Ledger, KmsKey, StepFunctions>,
}

impl Waits for Records {
    async fn listen(
        &self,
        trial: &TrialOfJob,
        attempt: &str,
        token: &TaskToken,
        jobs: &[&str],
        now: Timestamp,
    ) -> Result<(), WaitError> {
        self.waits.listen(trial, attempt, token, jobs, now).await
    }

    async fn wake(&self, token: &TaskToken) -> Result<(), PortError> {
        // A state that no longer waits was woken by somebody else.
        self.waits.wake(token).await.map(drop)
    }
}

impl RunRecords for Records {
    async fn plan(&self, plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        self.artifacts.plan(plan).await
    }

    async fn document<T: DeserializeOwned + Send>(&self, artifact: &ArtifactRef) -> Result<T, ArtifactError> {
        self.artifacts.get_json(artifact).await
    }

    async fn frozen(&self, run: &RunId, path: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        let found = self.artifacts.find(run, path).await?;
        Ok(found.map(|(_, bytes)| bytes))
    }

    async fn store<T: Serialize + Sync>(
        &self,
        run: &RunId,
        path: &str,
        document: &T,
    ) -> Result<ArtifactRef, ArtifactError> {
        self.artifacts.put_json(run, path, document).await
    }

    async fn item<T: DeserializeOwned + Send>(&self, key: &Key) -> Result<Option<Versioned<T>>, LedgerError> {
        self.ledger.get(key).await
    }

    async fn set_item<T: Serialize + Sync>(
        &self,
        key: &Key,
        version: u64,
        document: &T,
    ) -> Result<bool, LedgerError> {
        if version == 0 {
            self.ledger.put_new(key, document).await
        } else {
            self.ledger.replace(key, version, document).await
        }
    }

    async fn trials(&self, run: &RunId) -> Result<Vec<TrialRecord>, LedgerError> {
        let items = self
            .ledger
            .query::<TrialRecord>(&Key::run_partition(run), Key::TRIAL_PREFIX)
            .await?;
        Ok(items.into_iter().map(|(_, item)| item.document).collect())
    }

    async fn verdicts(&self, run: &RunId) -> Result<BTreeMap<String, SetVerdict>, LedgerError> {
        let items = self
            .ledger
            .query::<SetVerdict>(&Key::run_partition(run), Key::SET_VERDICT_PREFIX)
            .await?;
        Ok(items
            .into_iter()
            .map(|(_, item)| (item.document.set.clone(), item.document))
            .collect())
    }
}

/// Enters by assuming the plan's role.
#[derive(Debug, Clone)]
pub struct Enter {
    /// The roles.
    pub accounts: Accounts,
}

impl EnterAccount for Enter {
    type Account = Entered;

    async fn enter(&self, plan: &Plan, run: &RunId) -> Result<Entered, PortError> {
        let config = self
            .accounts
            .assume(&Assume {
                partition: &plan.partition,
                account: &plan.accounts.validation,
                role: &plan.roles.validation,
                run,
                region: &plan.region,
                session_policy: None,
            })
            .await?;
        Ok(Entered {
            backup: Backup::new(&config),
            configuration: ConfigurationReader::new(&config),
            content: ContentReader::new(&config, None),
            functions: CheckFunctions::new(&config),
            run: run.clone(),
        })
    }
}

/// The validation account by its adapters.
#[derive(Debug, Clone)]
pub struct Entered {
    run: RunId,
    backup: Backup,
    configuration: ConfigurationReader,
    content: ContentReader,
    functions: CheckFunctions,
}

impl TrialAccount for Entered {
    async fn recovery_points(
        &self,
        vault: &Vault,
        resource_arn: &str,
    ) -> Result<Vec<RecoveryPoint>, PortError> {
        self.backup.recovery_points(vault, resource_arn).await
    }

    async fn start_restore(&self, start: StartRestore<'_>) -> Result<String, PortError> {
        self.backup.start_restore(start).await
    }

    async fn restore_metadata(
        &self,
        vault: &Vault,
        point: &str,
    ) -> Result<BTreeMap<String, String>, PortError> {
        self.backup.restore_metadata(vault, point).await
    }

    async fn restore_job(&self, id: &str) -> Result<RestoreJob, PortError> {
        self.backup.restore_job(id).await
    }

    async fn create_access_point(&self, name: &str, point: &str) -> Result<String, PortError> {
        self.backup.create_access_point(name, point).await
    }

    async fn access_point(&self, arn: &str) -> Result<AccessPointState, PortError> {
        self.backup.access_point(arn).await
    }

    async fn remove_access_point(&self, arn: &str) -> Result<bool, PortError> {
        self.backup.remove_access_point(arn).await
    }

    async fn start_scan(&self, start: StartScan<'_>) -> Result<String, PortError> {
        self.backup.start_scan(start).await
    }

    async fn scan_job(&self, id: &str) -> Result<ScanJob, PortError> {
        self.backup.scan_job(id).await
    }

    async fn put_validation_result(&self, id: &str, valid: bool, message: &str) -> Result<(), PortError> {
        self.backup.put_validation_result(id, valid, message).await
    }

    async fn read(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
        rules: &Arc<dyn Signatures>,
    ) -> Result<Content, PortError> {
        self.content
            .read_closely(resource, name, invariants, Some(rules))
            .await
    }

    async fn configuration(
        &self,
        vault: &Vault,
        point: &str,
        resource_type: ResourceType,
        name: &str,
    ) -> Result<Observed, PortError> {
        self.configuration.read(vault, point, resource_type, name).await
    }

    async fn ask(&self, function: &str, question: &Question, seconds: u16) -> Result<Called, NotCanonical> {
        self.functions.ask(function, question, seconds).await
    }

    async fn is_there(&self, resource_type: ResourceType, name: &str, arn: &str) -> Result<bool, PortError> {
        // Of a type that Cloud Control API does not know, nothing says that it is gone.
        let unknown = template_resource(resource_type, arn).is_none();
        Ok(unknown || self.content.copy(resource_type, name, arn).await? != CopyState::Absent)
    }

    async fn remove(&self, resource_type: ResourceType, name: &str, arn: &str) -> Result<bool, PortError> {
        self.content
            .remove_trial(resource_type, name, arn, &self.run)
            .await
    }
}
