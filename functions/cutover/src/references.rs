//! References: one effect at a time, each journalled before it happens.

use std::time::Duration;

use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::{ReferenceStep, Stand};
use blackstart_core::journal::{Event, StepKind, StepState};
use blackstart_core::references::entries::is_between;
use blackstart_core::references::{
    Disposition, Form, IdentifierMap, Shutout, Slot, canonical_digest_of, scan, shutout,
};
use blackstart_core::run::AccountId;
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::{Applied, Phase, Verified};

use crate::context::{Context, Open};
use crate::lease;
use crate::world::World;
use crate::{CutoverError, cutover_steps};

/// How often a written value is read until it appears, and how long between two reads.
const READ_BACKS: u32 = 20;
const READ_BACK_PAUSE: Duration = Duration::from_millis(500);
/// How often a write is tried whose principal is not visible yet, and how long between two attempts.
const PRINCIPAL_ATTEMPTS: u32 = 6;
const PRINCIPAL_PAUSE: Duration = Duration::from_secs(2);

impl<W: World, R: Records, C, N> Context<'_, W, R, C, N> {
    /// The live document; `None` when it is gone.
    pub(crate) async fn read(&self, slot: &Slot) -> Result<Option<String>, CutoverError> {
        match self.deps.world.document(&self.run, &self.plan, slot).await {
            Ok(text) => Ok(Some(text)),
            Err(PortError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn record(&self, open: &mut Open, event: Event) -> Result<(), CutoverError> {
        let spent = self.unrecorded();
        open.log
            .append(&self.deps.records, event, self.deps.world.now(), spent)
            .await?;
        self.was_recorded(spent);
        Ok(())
    }

    /// Applies the steps of one phase in one account, one after the other, as many as time allows.
    pub(crate) async fn apply(
        &self,
        open: &mut Open,
        phase: Phase,
        account: &AccountId,
    ) -> Result<Applied, CutoverError> {
        let steps: Vec<ReferenceStep> = open.document.steps_of(phase, account).cloned().collect();
        let mut applied = 0;
        for step in &steps {
            if !is_done(open.log.journal.state(&step.id)) {
                if !self.has_time() {
                    return Ok(Applied {
                        progress: Progress::Running,
                        applied,
                        spent: self.spent(),
                    });
                }
                self.apply_step(open, step).await?;
            }
            applied += 1;
        }
        Ok(Applied {
            progress: Progress::Done,
            applied,
            spent: self.spent(),
        })
    }

    async fn apply_step(&self, open: &mut Open, step: &ReferenceStep) -> Result<(), CutoverError> {
        let lease = lease::acquire(
            &self.deps.records,
            &step.slot.arn,
            &self.state.execution,
            self.deps.world.now(),
        )
        .await?;
        let outcome = self.apply_leased(open, step).await;
        lease::release(&self.deps.records, lease).await;
        outcome
    }

    async fn apply_leased(&self, open: &mut Open, step: &ReferenceStep) -> Result<(), CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        if is_done(open.log.journal.state(&step.id)) {
            return Ok(());
        }
        let live = self.read(&step.slot).await?;
        let digest = digest_of(live.as_deref());
        match stand(open, step, live.as_deref()) {
            Stand::AlreadyDone => {}
            Stand::NotYet | Stand::Drifted => return self.conflict(open, step, digest).await,
            Stand::Ready => {
                let intent = Event::Intent {
                    step: step.id.clone(),
                    before: digest,
                    after: step.after_digest(),
                };
                self.record(open, intent).await?;
                self.write_forward(open, step).await?;
                if !self.reads_back(&step.slot, &step.after_digest()).await? {
                    let reason = "the written value does not read back".to_owned();
                    self.record(
                        open,
                        Event::OutcomeUnknown {
                            step: step.id.clone(),
                            reason,
                        },
                    )
                    .await?;
                    return Err(CutoverError::NotReadBack {
                        what: step.slot.arn.clone(),
                    });
                }
            }
        }
        self.record(
            open,
            Event::Applied {
                step: step.id.clone(),
            },
        )
        .await
    }

    /// Writes *after*, and records what is not a success.
    async fn write_forward(&self, open: &mut Open, step: &ReferenceStep) -> Result<(), CutoverError> {
        let Err(error) = self.write(&step.slot, &step.after).await else {
            return Ok(());
        };
        let event = match &error {
            PortError::Refused { why, .. } | PortError::NotFound { why, .. } => Some(Event::Refused {
                step: step.id.clone(),
                reason: why.clone(),
            }),
            PortError::OutcomeUnknown { why, .. } => Some(Event::OutcomeUnknown {
                step: step.id.clone(),
                reason: why.clone(),
            }),
            PortError::Transient { .. } => None,
        };
        if let Some(event) = event {
            self.record(open, event).await?;
        }
        Err(error.into())
    }

    /// Writes a document. A principal that was just made may not be visible yet: that refusal alone is tried again.
    async fn write(&self, slot: &Slot, text: &str) -> Result<(), PortError> {
        let mut attempt = 1;
        loop {
            match self.write_in_time(slot, text).await {
                Err(PortError::Refused { why, .. })
                    if attempt < PRINCIPAL_ATTEMPTS && names_invisible_principal(&why) =>
                {
                    attempt += 1;
                    self.wait_for_propagation(PRINCIPAL_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads until the value is the wanted one, or not any longer.
    async fn reads_back(&self, slot: &Slot, wanted: &Digest) -> Result<bool, CutoverError> {
        for _ in 0..READ_BACKS {
            if digest_of(self.read(slot).await?.as_deref()) == *wanted {
                return Ok(true);
            }
            self.wait_for_propagation(READ_BACK_PAUSE).await;
        }
        Ok(false)
    }

    /// Records that somebody else changed the document; it is left alone.
    async fn conflict(
        &self,
        open: &mut Open,
        step: &ReferenceStep,
        observed: Digest,
    ) -> Result<(), CutoverError> {
        let event = Event::Conflict {
            step: step.id.clone(),
            observed,
        };
        self.record(open, event).await?;
        Err(CutoverError::Drifted(vec![step.slot.arn.clone()]))
    }

    /// Reads everything back; after the last phase also that the old account is shut out of every document.
    pub(crate) async fn verify(&self, open: &mut Open, phase: Phase) -> Result<Verified, CutoverError> {
        let steps = open.document.steps.clone();
        let mut verified = self.verify_contained(open).await?;
        let mut still_trusted = Vec::new();
        for step in &steps {
            if step.phase > phase {
                continue;
            }
            let live = self.read(&step.slot).await?;
            let digest = digest_of(live.as_deref());
            if open.document.stand(step, &digest) != Stand::AlreadyDone {
                return self
                    .conflict(open, step, digest)
                    .await
                    .map(|()| Verified { verified });
            }
            if phase == Phase::Contract {
                still_trusted.extend(self.admits_the_old_account(&step.slot, live.as_deref()));
            }
            self.settle(open, &step.id).await?;
            verified += 1;
        }
        if !still_trusted.is_empty() {
            still_trusted.dedup();
            return Err(CutoverError::StillTrusted(still_trusted));
        }
        if phase == Phase::Contract {
            verified += self.verify_traffic(open).await?;
            for step in cutover_steps(&open.document, StepKind::Contract) {
                self.record(open, Event::Contracted { step }).await?;
            }
        }
        Ok(Verified { verified })
    }

    /// Records a step as verified, and first as applied where the journal does not know yet.
    pub(crate) async fn settle(&self, open: &mut Open, step: &str) -> Result<(), CutoverError> {
        let state = open.log.journal.state(step);
        let step = step.to_owned();
        if !is_done(state) {
            self.record(open, Event::Applied { step: step.clone() }).await?;
        }
        if matches!(state, StepState::Verified | StepState::Contracted) {
            return Ok(());
        }
        self.record(open, Event::Verified { step }).await
    }

    /// Why a document still lets the old account in, if it does.
    fn admits_the_old_account(&self, slot: &Slot, text: Option<&str>) -> Vec<String> {
        let Some(text) = text else { return Vec::new() };
        let mut reasons = Vec::new();
        match IdentifierMap::new(self.package.identifiers.iter().cloned())
            .map_err(|error| error.to_string())
            .and_then(|map| scan(text, Form::from(slot.kind), &map).map_err(|error| error.to_string()))
        {
            Err(error) => reasons.push(format!("`{}`: {error}", slot.arn)),
            Ok(tokens) => {
                let left = tokens
                    .iter()
                    .filter(|token| token.disposition == Disposition::Rewrite);
                reasons.extend(
                    left.map(|token| format!("`{}` names `{}` at {}", slot.arn, token.old, token.path)),
                );
            }
        }
        match shutout(text, &self.plan.accounts.old) {
            Shutout::Denied => {}
            // It lets everybody in, the old account among them; it never named it, and no rewrite changes that.
            Shutout::AdmittedByWildcard { statement } => {
                tracing::warn!(arn = %slot.arn, statement, "a statement lets everybody in");
            }
            Shutout::AdmittedByName { statement } => {
                reasons.push(format!("`{}` admits it in statement {statement}", slot.arn));
            }
            Shutout::NotUnderstood { reason } => reasons.push(format!("`{}`: {reason}", slot.arn)),
        }
        reasons
    }

    /// Undoes one reference step: writes *before*, but only over *after*.
    pub(crate) async fn revert_reference(
        &self,
        open: &mut Open,
        step: &ReferenceStep,
    ) -> Result<(), CutoverError> {
        let lease = lease::acquire(
            &self.deps.records,
            &step.slot.arn,
            &self.state.execution,
            self.deps.world.now(),
        )
        .await?;
        let outcome = self.revert_leased(open, step).await;
        lease::release(&self.deps.records, lease).await;
        outcome
    }

    async fn revert_leased(&self, open: &mut Open, step: &ReferenceStep) -> Result<(), CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        if open.log.journal.state(&step.id) == StepState::Reverted {
            return Ok(());
        }
        let (id, before) = (step.id.clone(), step.before_digest());
        let interrupted = open.log.journal.was_interrupted(&id);
        self.record(open, Event::RevertIntent { step: id.clone() })
            .await?;
        let text = self.read(&step.slot).await?.unwrap_or_default();
        let live = canonical_digest_of(&text);
        // A person who put the document right may have put it where it was before an earlier step.
        if live != before && open.document.stand(step, &live) != Stand::NotYet {
            let half_ours = interrupted && is_between(&text, &step.before, &step.after);
            if live != step.after_digest() && !half_ours {
                return self.conflict(open, step, live).await;
            }
            match self.write(&step.slot, &step.before).await {
                Ok(()) | Err(PortError::OutcomeUnknown { .. }) => {}
                Err(error @ PortError::Transient { .. }) => return Err(error.into()),
                Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                    let reason = error.to_string();
                    self.record(open, Event::RevertFailed { step: id, reason })
                        .await?;
                    return Err(error.into());
                }
            }
            if !self.reads_back(&step.slot, &before).await? {
                // The next attempt reads first, and writes again only over *after*.
                return Err(CutoverError::NotReadBack {
                    what: step.slot.arn.clone(),
                });
            }
        }
        self.record(open, Event::Reverted { step: id }).await
    }
}

/// Whether the wanted value was read back once.
pub(crate) fn is_done(state: StepState) -> bool {
    matches!(
        state,
        StepState::Applied | StepState::Verified | StepState::Contracted
    )
}

/// How a live document stands to a step; one that is gone to none.
pub(crate) fn stand(open: &Open, step: &ReferenceStep, live: Option<&str>) -> Stand {
    open.document
        .stand_in(&open.log.journal, step, live.unwrap_or_default())
}

/// A document that is gone is a third state like any other.
fn digest_of(text: Option<&str>) -> Digest {
    canonical_digest_of(text.unwrap_or_default())
}

/// Whether a refusal says that a principal does not exist (IAM, KMS, S3 and SQS each have their own words).
fn names_invisible_principal(why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    why.contains("invalid principal") || why.contains("invalid value for the parameter policy")
}
