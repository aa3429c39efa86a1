//! What the stage needs from outside, and AWS as the one that provides it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use blackstart_aws::access_keys::AccessKeys;
use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::certificates::Certificates;
use blackstart_aws::clients::Accounts;
use blackstart_aws::databases::Databases;
use blackstart_aws::evidence::{EvidenceError, record_once};
use blackstart_aws::gate::{GateRefused, approved_package, package_in_execution, unmoved_boundary};
use blackstart_aws::hooks::Hooks;
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_aws::parameters::Parameters;
use blackstart_aws::port::PortError;
use blackstart_aws::secretsmanager::SecretsManager;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::evidence::Event;
use blackstart_core::items::ItemsRecord;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{DatabaseKind, Plan};
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::restore::RestoreDocument;
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::rotation::certificate::Certificate;
use blackstart_core::rotation::database::MasterPassword;
use blackstart_core::rotation::hook::{HookAnswer, HookRequest};
use blackstart_core::rotation::managed::ManagedPassword;
use blackstart_core::rotation::{AccessKey, RotationDocument, SecretValue, session_policy};
use blackstart_core::run::{RunId, RunRecord};
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
    /// The run's own record.
    fn record_of(&self, run: &RunId) -> impl Future<Output = Result<Option<RunRecord>, LedgerError>> + Send;
    /// What was rebuilt.
    fn rebuilt(
        &self,
        document: &ArtifactRef,
    ) -> impl Future<Output = Result<RebuildDocument, ArtifactError>> + Send;
    /// What was restored, if it was.
    fn restored(
        &self,
        run: &RunId,
    ) -> impl Future<Output = Result<Option<RestoreDocument>, ArtifactError>> + Send;
    /// Notes what became of every item of the workload, in place of an earlier note.
    fn settle(
        &self,
        run: &RunId,
        items: &ItemsRecord,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
    /// Keeps the document of what was rotated.
    fn keep(
        &self,
        run: &RunId,
        document: &RotationDocument,
    ) -> impl Future<Output = Result<ArtifactRef, ArtifactError>> + Send;
}

/// The credentials of the rebuild account.
pub trait Credentials: Send + Sync {
    /// A new random value.
    fn random(&self, length: u16) -> impl Future<Output = Result<SecretValue, PortError>> + Send;
    /// Version id of a secret to staging labels.
    fn versions(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, BTreeSet<String>>, PortError>> + Send;
    /// The value of a version, or of the current one.
    fn value(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> impl Future<Output = Result<SecretValue, PortError>> + Send;
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
    /// The access keys of a user.
    fn access_keys(&self, user: &str) -> impl Future<Output = Result<Vec<AccessKey>, PortError>> + Send;
    /// Makes an access key: its id and its secret half.
    fn make_access_key(
        &self,
        user: &str,
    ) -> impl Future<Output = Result<(String, SecretValue), PortError>> + Send;
    /// Takes an access key out of use.
    fn deactivate(&self, user: &str, id: &str) -> impl Future<Output = Result<(), PortError>> + Send;
    /// The run whose tag a user carries.
    fn run_of_user(&self, user: &str) -> impl Future<Output = Result<Option<String>, PortError>> + Send;
    /// The run whose tag a parameter carries.
    fn run_of_parameter(&self, name: &str) -> impl Future<Output = Result<Option<String>, PortError>> + Send;
    /// Deletes a parameter.
    fn delete_parameter(&self, name: &str) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Deletes an access key.
    fn delete_access_key(&self, user: &str, id: &str) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Version of a parameter to its labels.
    fn parameter_versions(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<BTreeMap<i64, BTreeSet<String>>, PortError>> + Send;
    /// Stores a value as the newest version of a parameter, with the tag of the run where the parameter is new;
    /// returns the version's number, or `None` where the parameter was made meanwhile.
    fn put_parameter(
        &self,
        name: &str,
        value: &SecretValue,
        new_for: Option<&RunId>,
    ) -> impl Future<Output = Result<Option<i64>, PortError>> + Send;
    /// Labels a version of a parameter.
    fn label_parameter(
        &self,
        name: &str,
        version: i64,
        label: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// What a database says about its master password.
    fn master_password(
        &self,
        of: DatabaseKind,
        database: &str,
    ) -> impl Future<Output = Result<MasterPassword, PortError>> + Send;
    /// Gives a database a new master password, and notes the version of the secret that it is of.
    fn set_master_password(
        &self,
        of: DatabaseKind,
        database: &str,
        password: &SecretValue,
        version: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// What a database says about a master password that RDS manages.
    fn managed_password(
        &self,
        of: DatabaseKind,
        database: &str,
    ) -> impl Future<Output = Result<ManagedPassword, PortError>> + Send;
    /// Has RDS manage the master password of a database, or make another where it does (`rotate`).
    fn manage_password(
        &self,
        of: DatabaseKind,
        database: &str,
        rotate: bool,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Writes the note of a rotation to a database.
    fn note_rotation(
        &self,
        of: DatabaseKind,
        database: &str,
        note: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// What ACM says of a certificate.
    fn certificate(&self, arn: &str) -> impl Future<Output = Result<Certificate, PortError>> + Send;
    /// Asks a hook of the workload.
    fn ask_hook(
        &self,
        function: &str,
        request: &HookRequest,
    ) -> impl Future<Output = Result<HookAnswer, PortError>> + Send;
}

/// Opens the rebuild account of a plan.
pub trait RebuildAccount: Sync {
    /// The credentials in it.
    type Credentials: Credentials;
    /// Assumes the plan's rebuild role for this run.
    fn open(
        &self,
        plan: &Plan,
        run: &RunId,
    ) -> impl Future<Output = Result<Self::Credentials, PortError>> + Send;
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

    async fn record_of(&self, run: &RunId) -> Result<Option<RunRecord>, LedgerError> {
        let found = self.ledger.get::<RunRecord>(&Key::run(run)).await?;
        Ok(found.map(|found| found.document))
    }

    async fn rebuilt(&self, document: &ArtifactRef) -> Result<RebuildDocument, ArtifactError> {
        self.artifacts.get_json(document).await
    }

    async fn restored(&self, run: &RunId) -> Result<Option<RestoreDocument>, ArtifactError> {
        match self.artifacts.find(run, "restore.json").await? {
            Some((artifact, _)) => self.artifacts.get_json(&artifact).await.map(Some),
            None => Ok(None),
        }
    }

    async fn settle(&self, run: &RunId, items: &ItemsRecord) -> Result<(), LedgerError> {
        let key = Key::items(run);
        if self.ledger.put_new(&key, items).await? {
            return Ok(());
        }
        // What another executor notes at the same time comes from the same documents.
        if let Some(noted) = self.ledger.get::<ItemsRecord>(&key).await?
            && noted.document != *items
        {
            self.ledger.replace(&key, noted.version, items).await?;
        }
        Ok(())
    }

    async fn keep(&self, run: &RunId, document: &RotationDocument) -> Result<ArtifactRef, ArtifactError> {
        self.artifacts.put_json(run, "rotation.json", document).await
    }
}

/// The rebuild account, through an assumed role.
#[derive(Debug, Clone)]
pub struct AwsRebuildAccount(pub Accounts);

/// Secrets Manager, IAM, the Parameter Store, RDS, ACM and hooks in the rebuild account.
#[derive(Debug, Clone)]
pub struct AwsCredentials {
    secrets: SecretsManager,
    keys: AccessKeys,
    parameters: Parameters,
    databases: Databases,
    certificates: Certificates,
    hooks: Hooks,
}

impl RebuildAccount for AwsRebuildAccount {
    type Credentials = AwsCredentials;

    async fn open(&self, plan: &Plan, run: &RunId) -> Result<AwsCredentials, PortError> {
        let config = self.0.in_rebuild_account(plan, run, session_policy(plan)).await?;
        Ok(AwsCredentials {
            secrets: SecretsManager::new(&config),
            keys: AccessKeys::new(&config),
            parameters: Parameters::new(&config),
            databases: Databases::new(&config),
            certificates: Certificates::new(&config),
            hooks: Hooks::new(&config),
        })
    }
}

impl Credentials for AwsCredentials {
    async fn random(&self, length: u16) -> Result<SecretValue, PortError> {
        self.secrets.random(length).await
    }

    async fn versions(&self, name: &str) -> Result<BTreeMap<String, BTreeSet<String>>, PortError> {
        self.secrets.versions(name).await
    }

    async fn value(&self, name: &str, version: Option<&str>) -> Result<SecretValue, PortError> {
        self.secrets.value(name, version).await
    }

    async fn put(&self, name: &str, version: &str, value: &SecretValue) -> Result<bool, PortError> {
        self.secrets.put(name, version, value).await
    }

    async fn take_label(&self, name: &str, version: &str, label: &str) -> Result<(), PortError> {
        self.secrets.take_label(name, version, label).await
    }

    async fn access_keys(&self, user: &str) -> Result<Vec<AccessKey>, PortError> {
        self.keys.of(user).await
    }

    async fn make_access_key(&self, user: &str) -> Result<(String, SecretValue), PortError> {
        self.keys.make(user).await
    }

    async fn deactivate(&self, user: &str, id: &str) -> Result<(), PortError> {
        self.keys.deactivate(user, id).await
    }

    async fn delete_access_key(&self, user: &str, id: &str) -> Result<(), PortError> {
        self.keys.delete(user, id).await
    }

    async fn parameter_versions(&self, name: &str) -> Result<BTreeMap<i64, BTreeSet<String>>, PortError> {
        self.parameters.versions(name).await
    }

    async fn put_parameter(
        &self,
        name: &str,
        value: &SecretValue,
        new_for: Option<&RunId>,
    ) -> Result<Option<i64>, PortError> {
        self.parameters.put(name, value, new_for).await
    }

    async fn run_of_user(&self, user: &str) -> Result<Option<String>, PortError> {
        self.keys.run_of(user).await
    }

    async fn run_of_parameter(&self, name: &str) -> Result<Option<String>, PortError> {
        self.parameters.run_of(name).await
    }

    async fn delete_parameter(&self, name: &str) -> Result<(), PortError> {
        self.parameters.delete(name).await
    }

    async fn label_parameter(&self, name: &str, version: i64, label: &str) -> Result<(), PortError> {
        self.parameters.label(name, version, label).await
    }

    async fn master_password(&self, of: DatabaseKind, database: &str) -> Result<MasterPassword, PortError> {
        self.databases.master_password(of, database).await
    }

    async fn set_master_password(
        &self,
        of: DatabaseKind,
        database: &str,
        password: &SecretValue,
        version: &str,
    ) -> Result<(), PortError> {
        self.databases
            .set_master_password(of, database, password, version)
            .await
    }

    async fn managed_password(&self, of: DatabaseKind, database: &str) -> Result<ManagedPassword, PortError> {
        self.databases.managed_password(of, database).await
    }

    async fn manage_password(&self, of: DatabaseKind, database: &str, rotate: bool) -> Result<(), PortError> {
        self.databases.manage_password(of, database, rotate).await
    }

    async fn note_rotation(&self, of: DatabaseKind, database: &str, note: &str) -> Result<(), PortError> {
        self.databases.note_rotation(of, database, note).await
    }

    async fn certificate(&self, arn: &str) -> Result<Certificate, PortError> {
        self.certificates.describe(arn).await
    }

    async fn ask_hook(&self, function: &str, request: &HookRequest) -> Result<HookAnswer, PortError> {
        self.hooks.ask(function, request).await
    }
}
