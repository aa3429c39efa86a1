//! What stage 1 needs of the world.

use std::path::Path;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::env::StageSettings;
use blackstart_aws::ledger::{Ledger, LedgerError, Versioned};
use blackstart_aws::logs::LogBuckets;
use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::run::{RunId, Trigger};
use blackstart_core::task::timeline::BatchObject;
use blackstart_core::timeline::CurrentBoundary;

/// Bytes of a file that is held in memory while it is written.
const SMALL: u64 = 16 << 20;

/// Reads log buckets.
#[expect(
    async_fn_in_trait,
    reason = "the handler runs on one thread and asks for no `Send`"
)]
pub trait Logs {
    /// Every object under a prefix, in the order of its key.
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<BatchObject>, PortError>;
    /// The bytes of one object as stored.
    async fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>, PortError>;
    /// The signature in the metadata of a CloudTrail digest file.
    async fn signature(&self, bucket: &str, key: &str) -> Result<Option<String>, PortError>;
}

/// Artifacts, the ledger, and the way to the logs.
#[expect(
    async_fn_in_trait,
    reason = "the handler runs on one thread and asks for no `Send`"
)]
pub trait Deps {
    /// How logs are read.
    type Logs: Logs;
    /// The log archive, with a session that can read these buckets only.
    async fn logs(&self, plan: &Plan, run: &RunId) -> Result<Self::Logs, PortError>;
    /// Reads and checks the plan.
    async fn plan(&self, plan: &ArtifactRef) -> Result<Plan, ArtifactError>;
    /// Writes an artifact of the run.
    async fn put(
        &self,
        run: &RunId,
        path: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<ArtifactRef, ArtifactError>;
    /// Writes a file as an artifact of the run, without holding it in memory.
    async fn put_file(
        &self,
        run: &RunId,
        path: &str,
        content_type: &str,
        file: &Path,
    ) -> Result<ArtifactRef, ArtifactError>;
    /// Reads an artifact of the run in its newest version, if it exists.
    async fn find(&self, run: &RunId, path: &str) -> Result<Option<Vec<u8>>, ArtifactError>;
    /// The boundary as it stands.
    async fn boundary(&self, run: &RunId) -> Result<Option<Versioned<CurrentBoundary>>, LedgerError>;
    /// Sets the boundary if it still has the version `expected`, or if there is none and none is expected.
    async fn set_boundary(
        &self,
        run: &RunId,
        expected: Option<u64>,
        boundary: &CurrentBoundary,
    ) -> Result<bool, LedgerError>;
    /// What asked for the run, and what came while it was under way.
    async fn triggers(&self, run: &RunId) -> Result<Vec<Trigger>, LedgerError>;
}

/// The world as AWS offers it.
#[derive(Debug)]
pub struct Aws {
    accounts: Accounts,
    artifacts: ArtifactStore,
    ledger: Ledger,
}

impl Aws {
    /// Clients from the function's own configuration.
    #[must_use]
    pub fn new(own: aws_config::SdkConfig, settings: StageSettings) -> Self {
        Self {
            artifacts: ArtifactStore::new(&own, settings.artifact_bucket),
            ledger: Ledger::new(&own, settings.ledger_table),
            accounts: Accounts::new(own, settings.external_id),
        }
    }

    /// The ledger, for the harness.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Logs for LogBuckets {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<BatchObject>, PortError> {
        Self::list(self, bucket, prefix).await
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>, PortError> {
        Self::get(self, bucket, key).await
    }

    async fn signature(&self, bucket: &str, key: &str) -> Result<Option<String>, PortError> {
        Self::signature(self, bucket, key).await
    }
}

impl Deps for Aws {
    type Logs = LogBuckets;

    async fn logs(&self, plan: &Plan, run: &RunId) -> Result<LogBuckets, PortError> {
        let config = self
            .accounts
            .assume(&Assume {
                partition: &plan.partition,
                account: &plan.accounts.log_archive,
                role: &plan.roles.log_archive,
                run,
                region: &plan.region,
                session_policy: Some(session_policy(plan)),
            })
            .await?;
        Ok(LogBuckets::new(&config))
    }

    async fn plan(&self, plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        self.artifacts.plan(plan).await
    }

    async fn put(
        &self,
        run: &RunId,
        path: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<ArtifactRef, ArtifactError> {
        self.artifacts.put(run, path, content_type, bytes).await
    }

    async fn put_file(
        &self,
        run: &RunId,
        path: &str,
        content_type: &str,
        file: &Path,
    ) -> Result<ArtifactRef, ArtifactError> {
        // A small file is one request, signed with its content.
        match std::fs::metadata(file) {
            Ok(known) if known.len() <= SMALL => {
                let bytes = std::fs::read(file).map_err(|error| PortError::Refused {
                    what: format!("reading `{}`", file.display()),
                    why: error.to_string(),
                })?;
                self.artifacts.put(run, path, content_type, bytes).await
            }
            Ok(_) | Err(_) => self.artifacts.put_file(run, path, content_type, file).await,
        }
    }

    async fn find(&self, run: &RunId, path: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        Ok(self.artifacts.find(run, path).await?.map(|(_, bytes)| bytes))
    }

    async fn boundary(&self, run: &RunId) -> Result<Option<Versioned<CurrentBoundary>>, LedgerError> {
        self.ledger.get(&Key::boundary(run)).await
    }

    async fn set_boundary(
        &self,
        run: &RunId,
        expected: Option<u64>,
        boundary: &CurrentBoundary,
    ) -> Result<bool, LedgerError> {
        let key = Key::boundary(run);
        match expected {
            None => self.ledger.put_new(&key, boundary).await,
            Some(version) => self.ledger.replace(&key, version, boundary).await,
        }
    }

    async fn triggers(&self, run: &RunId) -> Result<Vec<Trigger>, LedgerError> {
        let prefix = Key::trigger(run, "").sk;
        let found = self
            .ledger
            .query::<Trigger>(&Key::run_partition(run), &prefix)
            .await?;
        Ok(found.into_iter().map(|(_, item)| item.document).collect())
    }
}

/// Reading the plan's log buckets, and nothing else: a session that leaks cannot roam.
fn session_policy(plan: &Plan) -> String {
    let buckets: std::collections::BTreeSet<_> = plan
        .timeline
        .sources
        .iter()
        .map(|source| blackstart_core::timeline::batches::place(source).0)
        .map(|bucket| format!("arn:{}:s3:::{bucket}", plan.partition))
        .collect();
    let objects: Vec<_> = buckets.iter().map(|bucket| format!("{bucket}/*")).collect();
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": buckets},
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": objects},
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
             "Condition": {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com*"}}},
        ],
    })
    .to_string()
}
