//! The siblings by way of their reading roles.

use blackstart_aws::analyzer::Analyzer;
use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::documents::{Documents, Reading};
use blackstart_aws::logs::LogBuckets;
use blackstart_aws::port::PortError;
use blackstart_aws::signed::Signed;
use blackstart_core::plan::{Plan, SnapshotPlace};
use blackstart_core::references::services::Service;
use blackstart_core::references::{Observed, newest_snapshots};
use blackstart_core::run::{AccountId, RunId};

use crate::{SiblingAccounts, SiblingDocuments, Snapshot};

/// Assumes the reading role of a sibling, and the log reader's for Config snapshots.
#[derive(Debug)]
pub struct AssumedRoles(pub Accounts);

/// One sibling under its reading role.
#[derive(Debug)]
pub struct Sibling {
    documents: Documents,
    signed: Signed,
    account: AccountId,
}

impl SiblingAccounts for AssumedRoles {
    type Account = Sibling;

    async fn open(
        &self,
        run: &RunId,
        plan: &Plan,
        account: &AccountId,
        sought: Vec<String>,
    ) -> Result<Sibling, PortError> {
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
        Ok(Sibling {
            signed: Signed::new(&config),
            documents: Documents::new(config, account.clone(), &plan.partition, sought),
            account: account.clone(),
        })
    }

    async fn snapshots(
        &self,
        run: &RunId,
        plan: &Plan,
        place: &SnapshotPlace,
        account: &AccountId,
    ) -> Result<Vec<Snapshot>, PortError> {
        let config = self
            .0
            .assume(&Assume {
                partition: &plan.partition,
                account: &plan.accounts.log_archive,
                role: &plan.roles.log_archive,
                run,
                region: &plan.region,
                session_policy: None,
            })
            .await?;
        let bucket = LogBuckets::new(&config);
        let prefix = format!("{}AWSLogs/{account}/Config/", place.prefix);
        let objects = bucket.list(&place.bucket, &prefix).await?;
        let keys = objects.iter().map(|object| object.key.as_str());
        let mut snapshots = Vec::new();
        for (region, key) in newest_snapshots(keys, account) {
            snapshots.push(Snapshot {
                region,
                key: key.to_owned(),
                stored: bucket.get(&place.bucket, key).await?,
            });
        }
        Ok(snapshots)
    }
}

impl SiblingDocuments for Sibling {
    async fn read(&self, region: &str, service: &'static Service) -> Result<Vec<Reading>, PortError> {
        if region.is_empty() {
            self.documents.read(service).await
        } else {
            Box::pin(self.documents.of_region(region).read(service)).await
        }
    }

    async fn findings(&self, region: &str) -> Result<Option<Vec<Observed>>, PortError> {
        Analyzer::over(self.signed.in_region(region))
            .findings(&self.account, region)
            .await
    }
}
