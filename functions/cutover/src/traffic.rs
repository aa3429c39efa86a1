//! Traffic: the nonce, the health check, the records.

use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::{PREPARE_TRAFFIC, SHIFT_TRAFFIC};
use blackstart_core::dns::message::RecordType;
use blackstart_core::dns::{Health, Image, TrafficChange, health, seen_unhealthy};
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

    fn fact(&self, name: &str) -> Key {
        Key {
            pk: Key::run_partition(&self.run),
            sk: format!("CUTOVER#{}#{name}", self.approved.digest),
        }
    }

    async fn check(&self) -> Result<Option<String>, CutoverError> {
        let found = self.deps.records.get::<String>(&self.fact("check")).await?;
        Ok(found.map(|found| found.document))
    }

    /// The change of records with the run's health check in it, once there is one.
    pub(crate) async fn bound_traffic(&self, open: &Open) -> Result<TrafficChange, CutoverError> {
        Ok(match self.check().await? {
            Some(check) => open.document.traffic.with_check(&check),
            None => open.document.traffic.clone(),
        })
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
    async fn lease(&self, what: &str) -> Result<lease::Lease, CutoverError> {
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
        let plan = &self.plan.cutover.health;
        let url = format!("http://{}:{}{}", bracketed(&plan.address), plan.port, plan.path);
        let seen = self.deps.world.health_document(&url).await;
        let found_by_us = seen.is_some_and(|text| text.contains(&self.nonce()));
        Ok(match health(&reports, found_by_us) {
            Health::Serves => TrafficProgress {
                progress: Progress::Done,
                observed: format!("{} checkers and we find the nonce", reports.len()),
                wait_seconds: 0,
            },
            Health::NotYet { missing } => not_yet(missing),
        })
    }

    /// Changes the records in one batch that fails if they are not exactly as recorded.
    pub(crate) async fn shift_traffic(&self, open: &mut Open) -> Result<TrafficProgress, CutoverError> {
        let change = self.bound_traffic(open).await?;
        if self.check().await?.is_none() {
            return Err(CutoverError::Foreign(
                "records without a health check would count as healthy".to_owned(),
            ));
        }
        if !is_done(open.log.journal.state(SHIFT_TRAFFIC)) {
            let lease = self.lease("records").await?;
            let outcome = self.shift_leased(open, &change).await;
            lease::release(&self.deps.records, lease).await;
            outcome?;
        }
        Ok(TrafficProgress {
            progress: Progress::Done,
            observed: change.diff().join("\n"),
            wait_seconds: 0,
        })
    }

    async fn shift_leased(&self, open: &mut Open, change: &TrafficChange) -> Result<(), CutoverError> {
        let step = SHIFT_TRAFFIC.to_owned();
        open.log.refresh(&self.deps.records).await?;
        if is_done(open.log.journal.state(&step)) {
            return Ok(());
        }
        match self.image(change).await? {
            Image::After => {}
            Image::Third { differences } => return self.traffic_conflict(open, differences).await,
            Image::Before => {
                let intent = Event::Intent {
                    step: step.clone(),
                    before: digest_of_lines(&change.inverse().diff()),
                    after: digest_of_lines(&change.diff()),
                };
                self.record(open, intent).await?;
                if let Err(error) = self.change(change).await {
                    let event = match &error {
                        PortError::Refused { why, .. } | PortError::NotFound { why, .. } => {
                            Some(Event::Refused {
                                step,
                                reason: why.clone(),
                            })
                        }
                        PortError::OutcomeUnknown { why, .. } => Some(Event::OutcomeUnknown {
                            step,
                            reason: why.clone(),
                        }),
                        PortError::Transient { .. } => None,
                    };
                    if let Some(event) = event {
                        self.record(open, event).await?;
                    }
                    return Err(error.into());
                }
                if let Image::Before | Image::Third { .. } = self.image(change).await? {
                    let reason = "the records do not read back as written".to_owned();
                    self.record(open, Event::OutcomeUnknown { step, reason }).await?;
                    return Err(CutoverError::NotReadBack {
                        what: change.zone.clone(),
                    });
                }
            }
        }
        self.record(open, Event::Applied { step }).await
    }

    async fn change(&self, change: &TrafficChange) -> Result<(), PortError> {
        let id = self.deps.world.change_records(&self.run, change).await?;
        let key = self.fact("change");
        let kept = match self.deps.records.get::<String>(&key).await {
            Ok(Some(held)) => self.deps.records.replace(&key, held.version, &id).await,
            Ok(None) => self.deps.records.put_new(&key, &id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            // The records say what was done; only the wait for all servers cannot ask for the change by its id.
            tracing::warn!(%error, change = %id, "the id of the change was not kept");
        }
        Ok(())
    }

    async fn image(&self, change: &TrafficChange) -> Result<Image, CutoverError> {
        let zone = self.deps.world.records(&change.zone).await?;
        Ok(change.classify(&zone.records))
    }

    /// Records that somebody else changed the records; they are left alone.
    pub(crate) async fn traffic_conflict(
        &self,
        open: &mut Open,
        differences: Vec<String>,
    ) -> Result<(), CutoverError> {
        let event = Event::Conflict {
            step: SHIFT_TRAFFIC.to_owned(),
            observed: digest_of_lines(&differences),
        };
        self.record(open, event).await?;
        Err(CutoverError::Drifted(differences))
    }

    /// Asks whether the change has reached all servers.
    pub(crate) async fn await_sync(&self, open: &Open) -> Result<TrafficProgress, CutoverError> {
        let change = self.bound_traffic(open).await?;
        if let Image::Before | Image::Third { .. } = self.image(&change).await? {
            return Err(CutoverError::Drifted(change.diff()));
        }
        let known = self.deps.records.get::<String>(&self.fact("change")).await?;
        // Where the id of the change is not known, the servers themselves are.
        if let Some(id) = known
            && !self.deps.world.in_sync(&id.document).await?
        {
            return Ok(not_yet(format!("change {} is pending", id.document)));
        }
        let servers = self.deps.world.name_servers(&change.zone).await?;
        if servers.is_empty() {
            return Ok(not_yet(format!("zone `{}` names no servers to ask", change.zone)));
        }
        for server in &servers {
            if let Some(missing) = self.missing_at(server, &change).await {
                return Ok(not_yet(missing));
            }
        }
        Ok(TrafficProgress {
            progress: Progress::Done,
            observed: format!("{} authoritative servers answer as wanted", servers.len()),
            wait_seconds: change.old_answers_live(),
        })
    }

    /// What a server does not answer yet as wanted, for people.
    async fn missing_at(&self, server: &str, change: &TrafficChange) -> Option<String> {
        for ((name, record_type), wanted) in change.served() {
            let Some(kind) = RecordType::named(&record_type) else {
                continue;
            };
            let missing = match self.deps.world.ask(server, &name, kind).await {
                Ok(found) if found.is_empty() => "nothing".to_owned(),
                Ok(found) if found.iter().all(|value| wanted.contains(value)) => continue,
                Ok(found) => found.join(" "),
                Err(error) => error.to_string(),
            };
            return Some(format!("{server} answers for {name} {record_type}: {missing}"));
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

    /// Applies the inverse batch, which fails if the records are not exactly as this run wrote them.
    pub(crate) async fn revert_shift(&self, open: &mut Open) -> Result<(), CutoverError> {
        let change = self.bound_traffic(open).await?;
        let lease = self.lease("records").await?;
        let outcome = self.revert_shift_leased(open, &change).await;
        lease::release(&self.deps.records, lease).await;
        outcome
    }

    async fn revert_shift_leased(&self, open: &mut Open, change: &TrafficChange) -> Result<(), CutoverError> {
        let step = SHIFT_TRAFFIC.to_owned();
        self.record(open, Event::RevertIntent { step: step.clone() })
            .await?;
        match self.image(change).await? {
            Image::Before => {}
            Image::Third { differences } => return self.traffic_conflict(open, differences).await,
            Image::After => {
                match self.change(&change.inverse()).await {
                    Ok(()) | Err(PortError::OutcomeUnknown { .. }) => {}
                    Err(error @ PortError::Transient { .. }) => return Err(error.into()),
                    Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                        let reason = error.to_string();
                        self.record(open, Event::RevertFailed { step, reason }).await?;
                        return Err(error.into());
                    }
                }
                if let Image::After | Image::Third { .. } = self.image(change).await? {
                    return Err(CutoverError::NotReadBack {
                        what: change.zone.clone(),
                    });
                }
            }
        }
        self.record(open, Event::Reverted { step }).await
    }
}

/// Ask again later.
fn not_yet(observed: String) -> TrafficProgress {
    TrafficProgress {
        progress: Progress::Running,
        observed,
        wait_seconds: 0,
    }
}

fn digest_of_lines(lines: &[String]) -> Digest {
    Digest::of(lines.join("\n").as_bytes())
}

/// An IPv6 address in a URL stands in brackets.
fn bracketed(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}
