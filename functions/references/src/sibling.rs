//! Everything that one sibling shows, by every source of the plan, and what it does not.

use std::collections::BTreeSet;

use blackstart_aws::documents::Unread;
use blackstart_aws::port::PortError;
use blackstart_core::plan::{Plan, SnapshotPlace};
use blackstart_core::references::services::{SERVICES, Scope, Service};
use blackstart_core::references::{Coverage, IdentifierMap, Observed, ReadFailure, observed_in_snapshot};
use blackstart_core::run::{AccountId, RunId};
use futures_util::{StreamExt as _, stream};

use crate::{SiblingAccounts, SiblingDocuments};

/// Services that are read at once.
const AT_ONCE: usize = 4;
/// How often the state machine may repeat the whole task before what does not get through is a gap.
pub(crate) const PATIENT_ATTEMPTS: u32 = 3;
/// Name of the Config snapshot in coverage and gaps.
const CONFIG_SNAPSHOT: &str = "config-snapshot";
/// Name of Access Analyzer in coverage and gaps.
const ACCESS_ANALYZER: &str = "access-analyzer";

/// The reading of one sibling.
pub(crate) struct Reading<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) plan: &'a Plan,
    pub(crate) account: &'a AccountId,
    pub(crate) map: &'a IdentifierMap,
    /// Whether what does not get through may be tried again later.
    pub(crate) patient: bool,
}

/// What a sibling shows.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) observed: Vec<Observed>,
    pub(crate) coverage: Vec<Coverage>,
    pub(crate) failures: Vec<ReadFailure>,
}

impl Reading<'_> {
    /// Reads the sibling. Only what may succeed later is an error.
    pub(crate) async fn read<S: SiblingAccounts + Sync>(&self, siblings: &S) -> Result<Shown, PortError> {
        let mut shown = Shown::default();
        let sought = self.map.old_accounts().map(str::to_owned).collect();
        match siblings.open(self.run, self.plan, self.account, sought).await {
            Ok(opened) => {
                self.services(&opened, &mut shown).await?;
                if self.plan.references.access_analyzer {
                    self.findings(&opened, &mut shown).await?;
                }
            }
            Err(error) => {
                let gap = self.gap("", "every-service", "every document".to_owned(), error)?;
                shown.failures.push(gap);
            }
        }
        if let Some(place) = &self.plan.references.config_snapshots {
            self.snapshots(siblings, place, &mut shown).await?;
        }
        Ok(shown)
    }

    fn regions(&self) -> BTreeSet<String> {
        let regions = &self.plan.references.regions;
        if regions.is_empty() {
            BTreeSet::from([self.plan.region.clone()])
        } else {
            regions.clone()
        }
    }

    async fn services<A: SiblingDocuments + Sync>(
        &self,
        opened: &A,
        shown: &mut Shown,
    ) -> Result<(), PortError> {
        let mut tasks: Vec<(String, &'static Service)> = Vec::new();
        for service in SERVICES {
            match service.scope {
                Scope::Global => tasks.push((String::new(), service)),
                Scope::Regional => tasks.extend(self.regions().into_iter().map(|region| (region, service))),
            }
        }
        let mut answers = stream::iter(tasks)
            .map(|(region, service)| async move {
                let answer = opened.read(&region, service).await;
                (region, service, answer)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((region, service, answer)) = answers.next().await {
            match answer {
                Ok(read) => {
                    shown
                        .coverage
                        .push(self.covered(&region, service.name, read.len()));
                    for one in read {
                        match one {
                            Ok(observed) => shown.observed.push(observed),
                            Err(Unread { what, error }) => {
                                shown.failures.push(self.gap(&region, service.name, what, error)?);
                            }
                        }
                    }
                }
                Err(error) => {
                    let what = format!("everything of {}", service.name);
                    shown.failures.push(self.gap(&region, service.name, what, error)?);
                }
            }
        }
        Ok(())
    }

    async fn findings<A: SiblingDocuments + Sync>(
        &self,
        opened: &A,
        shown: &mut Shown,
    ) -> Result<(), PortError> {
        for region in self.regions() {
            let what = "findings of external access".to_owned();
            match opened.findings(&region).await {
                Ok(Some(found)) => {
                    shown
                        .coverage
                        .push(self.covered(&region, ACCESS_ANALYZER, found.len()));
                    shown.observed.extend(found);
                }
                Ok(None) => shown.failures.push(self.missing(
                    &region,
                    ACCESS_ANALYZER,
                    what,
                    "there is no active analyzer of type ACCOUNT",
                )),
                Err(error) => shown
                    .failures
                    .push(self.gap(&region, ACCESS_ANALYZER, what, error)?),
            }
        }
        Ok(())
    }

    async fn snapshots<S: SiblingAccounts>(
        &self,
        siblings: &S,
        place: &SnapshotPlace,
        shown: &mut Shown,
    ) -> Result<(), PortError> {
        let snapshots = match siblings.snapshots(self.run, self.plan, place, self.account).await {
            Ok(snapshots) => snapshots,
            Err(error) => {
                let what = "the snapshots of AWS Config".to_owned();
                shown.failures.push(self.gap("", CONFIG_SNAPSHOT, what, error)?);
                return Ok(());
            }
        };
        let mut without = self.regions();
        for snapshot in snapshots {
            without.remove(&snapshot.region);
            match observed_in_snapshot(&snapshot.stored, self.account, self.map) {
                Ok((observed, items)) => {
                    let items = usize::try_from(items).unwrap_or(usize::MAX);
                    shown
                        .coverage
                        .push(self.covered(&snapshot.region, CONFIG_SNAPSHOT, items));
                    shown.observed.extend(observed);
                }
                Err(error) => shown.failures.push(self.missing(
                    &snapshot.region,
                    CONFIG_SNAPSHOT,
                    format!("`{}`", snapshot.key),
                    &error.to_string(),
                )),
            }
        }
        for region in without {
            let what = "the snapshot of AWS Config".to_owned();
            shown
                .failures
                .push(self.missing(&region, CONFIG_SNAPSHOT, what, "none was delivered"));
        }
        Ok(())
    }

    fn covered(&self, region: &str, service: &str, documents: usize) -> Coverage {
        Coverage {
            account: self.account.clone(),
            region: region.to_owned(),
            service: service.to_owned(),
            documents: documents as u64,
        }
    }

    fn missing(&self, region: &str, service: &str, what: String, reason: &str) -> ReadFailure {
        ReadFailure {
            account: self.account.clone(),
            region: region.to_owned(),
            service: service.to_owned(),
            what,
            reason: reason.to_owned(),
        }
    }

    fn gap(
        &self,
        region: &str,
        service: &str,
        what: String,
        error: PortError,
    ) -> Result<ReadFailure, PortError> {
        match error {
            PortError::Transient { .. } if self.patient => Err(error),
            PortError::Transient { .. }
            | PortError::Refused { .. }
            | PortError::NotFound { .. }
            | PortError::OutcomeUnknown { .. } => Ok(self.missing(region, service, what, &error.to_string())),
        }
    }
}
