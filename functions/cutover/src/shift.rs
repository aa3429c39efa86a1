//! The records: changed share by share, each batch a compare-and-set, and back the same way.

use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::SHIFT_TRAFFIC;
use blackstart_core::dns::message::RecordType;
use blackstart_core::dns::{Course, TrafficChange, TrafficStep};
use blackstart_core::journal::{Event, Journal, StepState};
use blackstart_core::ledger::Key;
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::TrafficProgress;
use jiff::{SignedDuration, Timestamp};

use crate::CutoverError;
use crate::context::{Context, Open};
use crate::lease;
use crate::references::is_done;
use crate::traffic::not_yet;
use crate::world::World;

/// Longer than a change of records takes to reach all authoritative servers: by the Route 53 documentation that is
/// 60 seconds under normal conditions.
const PROPAGATION: SignedDuration = SignedDuration::from_secs(300);

impl<W: World, R: Records, C, N> Context<'_, W, R, C, N> {
    /// The way of traffic with the run's health check in it, once there is one.
    pub(crate) async fn course(&self, open: &Open) -> Result<Course, CutoverError> {
        let course = open.document.course();
        Ok(match self.check().await? {
            Some(check) => course.with_check(&check),
            None => course,
        })
    }

    /// How many steps of the way the live records are on, or what somebody else made of them.
    pub(crate) async fn place(
        &self,
        open: &Open,
        course: &Course,
    ) -> Result<Result<usize, Vec<String>>, CutoverError> {
        let zone = self.deps.world.records(&open.document.traffic.zone).await?;
        Ok(course.place(&zone.records))
    }

    /// Takes the next step of traffic in one batch that fails if the records are not exactly as recorded. A step whose
    /// answers are not yet known to be served by all servers has no next one.
    pub(crate) async fn shift_traffic(&self, open: &mut Open) -> Result<TrafficProgress, CutoverError> {
        let course = self.course(open).await?;
        if self.check().await?.is_none() {
            return Err(CutoverError::Foreign(
                "records without a health check would count as healthy".to_owned(),
            ));
        }
        open.log.refresh(&self.deps.records).await?;
        let steps = course.steps();
        let served = served(&steps, &open.log.journal);
        let settled = served
            .checked_sub(1)
            .and_then(|last| steps.get(last))
            .is_none_or(|last| open.log.journal.state(&last.id) != StepState::Applied);
        let mut taken = served;
        if let Some(step) = steps.get(served).filter(|_| settled) {
            let lease = self.lease("records").await?;
            let outcome = self.shift_leased(open, &course, served, step).await;
            lease::release(&self.deps.records, lease).await;
            outcome?;
            taken += 1;
        }
        let shown = taken.checked_sub(1).and_then(|last| steps.get(last));
        Ok(TrafficProgress {
            progress: Progress::Done,
            observed: shown.map_or_else(String::new, |step| step.change.diff().join("\n")),
            wait_seconds: 0,
            remaining: remaining(&course, taken),
        })
    }

    async fn shift_leased(
        &self,
        open: &mut Open,
        course: &Course,
        at: usize,
        step: &TrafficStep,
    ) -> Result<(), CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        if is_done(open.log.journal.state(&step.id)) {
            return Ok(());
        }
        let id = step.id.clone();
        match self.place(open, course).await? {
            Err(differences) => return self.traffic_conflict(open, &id, differences).await,
            Ok(place) if place > at => {}
            // A person who put the records right may have put them where they were before an earlier step.
            Ok(place) => {
                let change = course.between(place, at + 1);
                let intent = Event::Intent {
                    step: id.clone(),
                    before: digest_of_lines(&change.inverse().diff()),
                    after: digest_of_lines(&change.diff()),
                };
                self.record(open, intent).await?;
                if let Err(error) = self.change(&id, &change).await {
                    self.record_failed_shift(open, id, &error).await?;
                    return Err(error.into());
                }
                if self.place(open, course).await? != Ok(at + 1) {
                    let reason = "the records do not read back as written".to_owned();
                    self.record(open, Event::OutcomeUnknown { step: id, reason })
                        .await?;
                    return Err(CutoverError::NotReadBack { what: change.zone });
                }
            }
        }
        self.record(open, Event::Applied { step: id }).await
    }

    async fn record_failed_shift(
        &self,
        open: &mut Open,
        step: String,
        error: &PortError,
    ) -> Result<(), CutoverError> {
        let event = match error {
            PortError::Refused { why, .. } | PortError::NotFound { why, .. } => Event::Refused {
                step,
                reason: why.clone(),
            },
            PortError::OutcomeUnknown { why, .. } => Event::OutcomeUnknown {
                step,
                reason: why.clone(),
            },
            PortError::Transient { .. } => return Ok(()),
        };
        self.record(open, event).await
    }

    async fn change(&self, step: &str, change: &TrafficChange) -> Result<(), PortError> {
        let id = self.deps.world.change_records(&self.run, change).await?;
        let key = self.change_of(step);
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

    /// Where the id of the change behind a step is kept: that of another step says nothing about this one.
    fn change_of(&self, step: &str) -> Key {
        self.fact(&format!("change#{step}"))
    }

    /// Why the change behind a step may not have reached all servers yet. Where its id was lost, the servers themselves
    /// are asked; but they answer the same values for every share, so a share waits [`PROPAGATION`] besides.
    async fn not_propagated(&self, step: &TrafficStep, shares: bool) -> Result<Option<String>, CutoverError> {
        let known = self.deps.records.get::<String>(&self.change_of(&step.id)).await?;
        if let Some(id) = known {
            let synced = self.deps.world.in_sync(&id.document).await?;
            return Ok((!synced).then(|| format!("change {} is pending", id.document)));
        }
        if !shares {
            return Ok(None);
        }
        let (key, now) = (
            self.fact(&format!("change-lost#{}", step.id)),
            self.deps.world.now(),
        );
        self.deps.records.put_new(&key, &now).await?;
        let since = self.deps.records.get::<Timestamp>(&key).await?;
        let waited = since.map_or(SignedDuration::ZERO, |since| now.duration_since(since.document));
        Ok((waited < PROPAGATION).then(|| {
            format!(
                "the id of the change of `{}` was lost, so its propagation is waited out ({} s of {} s)",
                step.id,
                waited.as_secs(),
                PROPAGATION.as_secs()
            )
        }))
    }

    /// Records that somebody else changed the records; they are left alone.
    async fn traffic_conflict(
        &self,
        open: &mut Open,
        step: &str,
        differences: Vec<String>,
    ) -> Result<(), CutoverError> {
        let event = Event::Conflict {
            step: step.to_owned(),
            observed: digest_of_lines(&differences),
        };
        self.record(open, event).await?;
        Err(CutoverError::Drifted(differences))
    }

    /// Asks whether the last step has reached all servers and what it names proves what it is, and records the step as
    /// verified when that is so.
    pub(crate) async fn await_sync(&self, open: &mut Open) -> Result<TrafficProgress, CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        let course = self.course(open).await?;
        let steps = course.steps();
        let served = served(&steps, &open.log.journal);
        let Some((last, step)) = served
            .checked_sub(1)
            .and_then(|last| Some((last, steps.get(last)?)))
        else {
            return Err(CutoverError::Foreign("no traffic was moved yet".to_owned()));
        };
        match self.place(open, &course).await? {
            Ok(place) if place == served => {}
            Ok(place) if place > served => {
                return Ok(not_yet("another executor takes the next step".to_owned()));
            }
            Ok(place) => return Err(CutoverError::Drifted(course.between(place, served).diff())),
            Err(differences) => return Err(CutoverError::Drifted(differences)),
        }
        if let Some(pending) = self.not_propagated(step, course.length() > 1).await? {
            return Ok(not_yet(pending));
        }
        let zone = &open.document.traffic.zone;
        let servers = self.deps.world.name_servers(zone).await?;
        if servers.is_empty() {
            return Ok(not_yet(format!("zone `{zone}` names no servers to ask")));
        }
        for server in &servers {
            if let Some(missing) = self.missing_at(server, &step.change).await {
                return Ok(not_yet(missing));
            }
        }
        if let Some(missing) = self.untrusted_endpoint().await {
            return Ok(not_yet(missing));
        }
        self.settle(open, &step.id).await?;
        let remaining = remaining(&course, last + 1);
        let hold = if remaining > 0 {
            open.document.hold_seconds
        } else {
            0
        };
        Ok(TrafficProgress {
            progress: Progress::Done,
            observed: format!(
                "{} authoritative servers answer as wanted, {} % with the new environment",
                servers.len(),
                step.share
            ),
            wait_seconds: step.change.old_answers_live().max(hold),
            remaining,
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

    /// Whether everything that was moved is still served, at the end.
    pub(crate) async fn verify_traffic(&self, open: &mut Open) -> Result<u32, CutoverError> {
        let course = self.course(open).await?;
        match self.place(open, &course).await? {
            Ok(place) if place == course.length() => {}
            Ok(place) => {
                let differences = course.between(place, course.length()).diff();
                self.traffic_conflict(open, SHIFT_TRAFFIC, differences).await?;
            }
            Err(differences) => self.traffic_conflict(open, SHIFT_TRAFFIC, differences).await?,
        }
        self.settle(open, blackstart_core::cutover::PREPARE_TRAFFIC)
            .await?;
        let steps = course.steps();
        for step in &steps {
            self.settle(open, &step.id).await?;
        }
        Ok(u32::try_from(steps.len()).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// Applies the inverse batch of a step of traffic, which fails if the records are not exactly as this run wrote
    /// them.
    pub(crate) async fn revert_shift(&self, open: &mut Open, step: &str) -> Result<(), CutoverError> {
        let course = self.course(open).await?;
        let at = course.steps().iter().position(|known| known.id == step);
        let at = at.ok_or_else(|| CutoverError::UnknownStep(step.to_owned()))?;
        let lease = self.lease("records").await?;
        let outcome = self.revert_shift_leased(open, &course, at, step.to_owned()).await;
        lease::release(&self.deps.records, lease).await;
        outcome
    }

    async fn revert_shift_leased(
        &self,
        open: &mut Open,
        course: &Course,
        at: usize,
        step: String,
    ) -> Result<(), CutoverError> {
        self.record(open, Event::RevertIntent { step: step.clone() })
            .await?;
        match self.place(open, course).await? {
            Err(differences) => return self.traffic_conflict(open, &step, differences).await,
            Ok(place) if place <= at => {}
            Ok(place) => {
                let change = course.between(place, at);
                match self.change(&step, &change).await {
                    Ok(()) | Err(PortError::OutcomeUnknown { .. }) => {}
                    Err(error @ PortError::Transient { .. }) => return Err(error.into()),
                    Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                        let reason = error.to_string();
                        self.record(open, Event::RevertFailed { step, reason }).await?;
                        return Err(error.into());
                    }
                }
                if self.place(open, course).await? != Ok(at) {
                    return Err(CutoverError::NotReadBack { what: change.zone });
                }
            }
        }
        self.record(open, Event::Reverted { step }).await
    }
}

/// How many steps from the first one on are done.
fn served(steps: &[TrafficStep], journal: &Journal) -> usize {
    let done = |step: &&TrafficStep| is_done(journal.state(&step.id));
    steps.iter().take_while(done).count()
}

fn remaining(course: &Course, taken: usize) -> u32 {
    u32::try_from(course.length().saturating_sub(taken)).unwrap_or(u32::MAX)
}

fn digest_of_lines(lines: &[String]) -> Digest {
    Digest::of(lines.join("\n").as_bytes())
}
