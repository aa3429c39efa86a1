//! Traffic: the nonce, the health check, the records.

use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::{PREPARE_TRAFFIC, SHIFT_TRAFFIC};
use blackstart_core::dns::{Health, Image, TrafficChange, health};
use blackstart_core::journal::{Event, StepState};
use blackstart_core::ledger::Key;
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::TrafficProgress;

use crate::CutoverError;
use crate::context::{Context, Open};
use crate::lease;
use crate::references::is_done;
use crate::world::{CheckSettings, World};

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

    /// Publishes the nonce and creates the health check.
    pub(crate) async fn prepare_traffic(&self, open: &mut Open) -> Result<TrafficProgress, CutoverError> {
        let lease = self.lease("prepare").await?;
        let outcome = self.prepare_leased(open).await;
        lease::release(&self.deps.records, lease).await;
        outcome?;
        Ok(TrafficProgress {
            progress: Progress::Done,
            observed: "the nonce is published and the health check exists".to_owned(),
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
        let plan = &self.plan.cutover.health;
        self.deps
            .world
            .publish_nonce(&self.run, &self.plan, &plan.nonce, nonce)
            .await?;
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
        let plan = &self.plan.cutover.health;
        let url = format!("http://{}:{}{}", bracketed(&plan.address), plan.port, plan.path);
        let seen = self.deps.world.health_document(&url).await;
        let found_by_us = seen.is_some_and(|text| text.contains(&self.nonce()));
        Ok(match health(&reports, found_by_us) {
            Health::Serves => TrafficProgress {
                progress: Progress::Done,
                observed: format!("{} checkers and we find the nonce", reports.len()),
            },
            Health::NotYet { missing } => TrafficProgress {
                progress: Progress::Running,
                observed: missing,
            },
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
        let (done, observed) = match known {
            Some(id) => {
                let done = self.deps.world.in_sync(&id.document).await?;
                (done, format!("change {}", id.document))
            }
            None => (
                true,
                "the records are as wanted; the id of the change is not known".to_owned(),
            ),
        };
        Ok(TrafficProgress {
            progress: if done { Progress::Done } else { Progress::Running },
            observed,
        })
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
