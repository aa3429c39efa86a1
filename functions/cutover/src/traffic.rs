//! What traffic waits for: the nonce, the health check, the new environment itself.

use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::PREPARE_TRAFFIC;
use blackstart_core::dns::{Endpoint, Health, endpoints, health, host, seen_unhealthy};
use blackstart_core::journal::{Event, StepState};
use blackstart_core::ledger::Key;
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::TrafficProgress;

use crate::CutoverError;
use crate::context::{Context, Open};
use crate::lease;
use crate::references::is_done;
use crate::world::{CheckSettings, World};

/// What is known of a health check: it was seen unhealthy once, and the nonce was published for it.
const GATE_CLOSES: &str = "closed";
const NONCE_SERVED: &str = "served";
/// What stands in place of the nonce until the checkers have been seen not to find it.
const NOT_YET: &str = "blackstart: the nonce of the run is not served yet";

impl<W: World, R: Records, C, N> Context<'_, W, R, C, N> {
    /// What only the rebuilt environment of this run serves.
    pub(crate) fn nonce(&self) -> String {
        let text = format!("{} {}", self.run, self.approved.digest);
        format!("blackstart-{}", Digest::of(text.as_bytes()))
    }

    pub(crate) fn fact(&self, name: &str) -> Key {
        Key {
            pk: Key::run_partition(&self.run),
            sk: format!("CUTOVER#{}#{name}", self.approved.digest),
        }
    }

    pub(crate) async fn check(&self) -> Result<Option<String>, CutoverError> {
        let found = self.deps.records.get::<String>(&self.fact("check")).await?;
        Ok(found.map(|found| found.document))
    }

    /// Creates the health check while the nonce is not served yet: it has to be seen unhealthy once.
    pub(crate) async fn prepare_traffic(&self, open: &mut Open) -> Result<TrafficProgress, CutoverError> {
        let lease = self.lease("prepare").await?;
        let outcome = self.prepare_leased(open).await;
        lease::release(&self.deps.records, lease).await;
        outcome?;
        Ok(TrafficProgress {
            progress: Progress::Done,
            observed: "the health check exists, and the nonce is not served yet".to_owned(),
            wait_seconds: 0,
            remaining: 0,
        })
    }

    async fn prepare_leased(&self, open: &mut Open) -> Result<(), CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        let step = PREPARE_TRAFFIC.to_owned();
        if is_done(open.log.journal.state(&step)) {
            return Ok(());
        }
        let nonce = self.nonce();
        let intent = Event::Intent {
            step: step.clone(),
            before: Digest::of(b""),
            after: Digest::of(nonce.as_bytes()),
        };
        self.record(open, intent).await?;
        if let Err(error) = self.prepare(&nonce).await {
            if let PortError::OutcomeUnknown { why, .. } = &error {
                let reason = why.clone();
                self.record(open, Event::OutcomeUnknown { step, reason }).await?;
            }
            return Err(error.into());
        }
        self.record(open, Event::Applied { step }).await
    }

    /// The lease on what a step of traffic changes.
    pub(crate) async fn lease(&self, what: &str) -> Result<lease::Lease, CutoverError> {
        let name = format!("zone/{}/{what}", self.package.zone);
        lease::acquire(
            &self.deps.records,
            &name,
            &self.state.execution,
            self.deps.world.now(),
        )
        .await
    }

    async fn prepare(&self, nonce: &str) -> Result<(), PortError> {
        self.publish(NOT_YET).await?;
        let check = self.create_check(nonce).await?;
        self.deps
            .records
            .put_new(&self.fact("check"), &check)
            .await
            .map_err(|error| PortError::Transient {
                what: "remembering the health check".to_owned(),
                why: error.to_string(),
            })?;
        Ok(())
    }

    /// Puts a text where the new environment serves the nonce from.
    async fn publish(&self, text: &str) -> Result<(), PortError> {
        let place = &self.plan.cutover.health.nonce;
        self.deps
            .world
            .publish_nonce(&self.run, &self.plan, place, text)
            .await
    }

    /// Whether something is known of this very check.
    async fn is_known(&self, what: &str, check: &str) -> Result<bool, CutoverError> {
        let known = self.deps.records.get::<String>(&self.fact(what)).await?;
        Ok(known.is_some_and(|known| known.document == check))
    }

    async fn make_known(&self, what: &str, check: &str) -> Result<(), CutoverError> {
        let (key, check) = (self.fact(what), check.to_owned());
        match self.deps.records.get::<String>(&key).await? {
            Some(held) => self.deps.records.replace(&key, held.version, &check).await?,
            None => self.deps.records.put_new(&key, &check).await?,
        };
        Ok(())
    }

    async fn create_check(&self, nonce: &str) -> Result<String, PortError> {
        let plan = &self.plan.cutover.health;
        // 64 hexadecimal digits: the longest reference that Route 53 takes.
        let reference = Digest::of(nonce.as_bytes()).to_string();
        self.deps
            .world
            .create_check(&CheckSettings {
                reference,
                address: plan.address.clone(),
                port: plan.port,
                path: plan.path.clone(),
                nonce: nonce.to_owned(),
                https: plan.tls.as_ref().and_then(|_| self.first_name()),
            })
            .await
    }

    /// The id of the health check that may exist. One that was created without our hearing of it is found by asking
    /// for it again.
    async fn check_to_delete(&self) -> Result<Option<String>, CutoverError> {
        if let Some(check) = self.check().await? {
            return Ok(Some(check));
        }
        match self.create_check(&self.nonce()).await {
            Ok(check) => Ok(Some(check)),
            Err(PortError::Refused { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the checkers, and the new environment itself.
    pub(crate) async fn probe(&self) -> Result<TrafficProgress, CutoverError> {
        let check = self
            .check()
            .await?
            .ok_or_else(|| CutoverError::Foreign("there is no health check to ask".to_owned()))?;
        let reports = self.deps.world.check_reports(&check).await?;
        // First that the gate was seen closed, then the nonce: whoever dies in between publishes it again.
        if !self.is_known(GATE_CLOSES, &check).await? {
            if let Err(missing) = seen_unhealthy(&reports) {
                return Ok(not_yet(missing));
            }
            self.make_known(GATE_CLOSES, &check).await?;
        }
        if !self.is_known(NONCE_SERVED, &check).await? {
            self.publish(&self.nonce()).await?;
            self.make_known(NONCE_SERVED, &check).await?;
            return Ok(not_yet(
                "the checkers do not find the nonce, which is published now".to_owned(),
            ));
        }
        if let Some(missing) = self.untrusted_endpoint().await {
            return Ok(not_yet(missing));
        }
        let found_by_us = self.finds_the_nonce().await;
        Ok(match health(&reports, found_by_us) {
            Health::Serves => TrafficProgress {
                progress: Progress::Done,
                observed: format!("{} checkers and we find the nonce", reports.len()),
                wait_seconds: 0,
                remaining: 0,
            },
            Health::NotYet { missing } => not_yet(missing),
        })
    }

    /// The first name whose traffic moves, as a host is called.
    fn first_name(&self) -> Option<String> {
        self.package.names.first().map(|name| host(&name.name))
    }

    /// Whether we find the nonce where the checkers look for it.
    async fn finds_the_nonce(&self) -> bool {
        let plan = &self.plan.cutover.health;
        let seen = match (&plan.tls, self.first_name()) {
            (Some(tls), Some(name)) => {
                let endpoint = Endpoint {
                    name,
                    address: plan.address.clone(),
                    port: plan.port,
                };
                let seen = self.deps.world.secure_health_document(&endpoint, tls, &plan.path);
                seen.await
                    .inspect_err(
                        |error| tracing::warn!(%endpoint, %error, "the health document is not to be had"),
                    )
                    .ok()
            }
            _ => {
                let url = format!("http://{}:{}{}", bracketed(&plan.address), plan.port, plan.path);
                self.deps.world.health_document(&url).await
            }
        };
        seen.is_some_and(|text| text.contains(&self.nonce()))
    }

    /// The first place to which traffic moves that does not prove by its certificate what it is, for people. None where
    /// the plan serves nothing by TLS.
    pub(crate) async fn untrusted_endpoint(&self) -> Option<String> {
        let tls = self.plan.cutover.health.tls.as_ref()?;
        for endpoint in endpoints(&self.package.names, tls.port) {
            if let Err(untrusted) = self.deps.world.certificate(&endpoint, tls).await {
                return Some(format!("{endpoint}: {untrusted}"));
            }
        }
        None
    }

    /// Deletes the health check. The nonce stays: it says nothing and does nothing.
    pub(crate) async fn revert_prepare(&self, open: &mut Open) -> Result<(), CutoverError> {
        let step = PREPARE_TRAFFIC.to_owned();
        let lease = self.lease("prepare").await?;
        let outcome = self.revert_prepare_leased(open, step).await;
        lease::release(&self.deps.records, lease).await;
        outcome
    }

    async fn revert_prepare_leased(&self, open: &mut Open, step: String) -> Result<(), CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        if open.log.journal.state(&step) == StepState::Reverted {
            return Ok(());
        }
        self.record(open, Event::RevertIntent { step: step.clone() })
            .await?;
        if let Some(check) = self.check_to_delete().await? {
            match self.deps.world.delete_check(&check).await {
                Ok(()) => {}
                Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                    let reason = error.to_string();
                    self.record(open, Event::RevertFailed { step, reason }).await?;
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.record(open, Event::Reverted { step }).await
    }
}

/// Ask again later.
pub(crate) fn not_yet(observed: String) -> TrafficProgress {
    TrafficProgress {
        progress: Progress::Running,
        observed,
        wait_seconds: 0,
        remaining: 0,
    }
}

/// An IPv6 address in a URL stands in brackets.
fn bracketed(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}
