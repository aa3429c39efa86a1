//! Contain: the organisation's policies that cut the old account off, each journalled before it is attached.

use std::time::Duration;

use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::contain::{ContainStep, contains};
use blackstart_core::journal::{Event, StepState};
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::Applied;

use crate::CutoverError;
use crate::context::{Context, Open};
use crate::lease;
use crate::references::is_done;
use crate::world::World;

/// How often it is read whether a policy is attached, and how long between two reads.
const READ_BACKS: u32 = 20;
const READ_BACK_PAUSE: Duration = Duration::from_millis(500);

/// Stands for *attached* and *not attached* where the journal wants digests of values.
fn digest_of(attached: bool) -> Digest {
    Digest::of(if attached { b"attached" } else { b"detached" })
}

impl<W: World, R: Records, C, N> Context<'_, W, R, C, N> {
    /// Attaches every policy of the plan. What was attached before is not ours to detach.
    pub(crate) async fn contain(&self, open: &mut Open) -> Result<Applied, CutoverError> {
        self.policies_contain(open).await?;
        let steps = open.document.contain.clone();
        let mut applied = 0;
        for step in &steps {
            if !is_done(open.log.journal.state(&step.id)) {
                let lease = self.lease_policy(step).await?;
                let outcome = self.attach_leased(open, step).await;
                lease::release(&self.deps.records, lease).await;
                outcome?;
            }
            applied += 1;
        }
        Ok(Applied {
            progress: Progress::Done,
            applied,
            spent: self.spent(),
        })
    }

    /// Whether every policy of the plan still denies what it has to deny.
    pub(crate) async fn policies_contain(&self, open: &Open) -> Result<(), CutoverError> {
        let mut problems = Vec::new();
        for step in &open.document.contain {
            let policy = self.deps.world.policy(&self.run, &self.plan, step).await?;
            if let Err(problem) = contains(&policy, &self.plan.accounts.old) {
                problems.push(format!("policy `{}`: {problem}", step.policy));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(CutoverError::ContainsNobody(problems))
        }
    }

    async fn lease_policy(&self, step: &ContainStep) -> Result<lease::Lease, CutoverError> {
        let name = format!("policy/{}/{}", step.policy, step.target);
        let now = self.deps.world.now();
        lease::acquire(&self.deps.records, &name, &self.state.execution, now).await
    }

    async fn attach_leased(&self, open: &mut Open, step: &ContainStep) -> Result<(), CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        let id = step.id.clone();
        if is_done(open.log.journal.state(&id)) {
            return Ok(());
        }
        if !self.is_attached(step).await? {
            let intent = Event::Intent {
                step: id.clone(),
                before: digest_of(false),
                after: digest_of(true),
            };
            self.record(open, intent).await?;
            let attached = self.deps.world.attach(&self.run, &self.plan, step, true).await;
            if let Err(error) = attached {
                let event = match &error {
                    PortError::Refused { why, .. } | PortError::NotFound { why, .. } => {
                        Some(Event::Refused {
                            step: id,
                            reason: why.clone(),
                        })
                    }
                    PortError::OutcomeUnknown { why, .. } => Some(Event::OutcomeUnknown {
                        step: id,
                        reason: why.clone(),
                    }),
                    PortError::Transient { .. } => None,
                };
                if let Some(event) = event {
                    self.record(open, event).await?;
                }
                return Err(error.into());
            }
            if !self.reads(step, true).await? {
                let reason = "the attachment does not read back".to_owned();
                self.record(open, Event::OutcomeUnknown { step: id, reason })
                    .await?;
                return Err(CutoverError::NotReadBack {
                    what: format!("policy {}", step.policy),
                });
            }
        }
        self.record(open, Event::Applied { step: id }).await
    }

    /// Detaches one policy that this run attached.
    pub(crate) async fn revert_contain(
        &self,
        open: &mut Open,
        step: &ContainStep,
    ) -> Result<(), CutoverError> {
        let lease = self.lease_policy(step).await?;
        let outcome = self.detach_leased(open, step).await;
        lease::release(&self.deps.records, lease).await;
        outcome
    }

    async fn detach_leased(&self, open: &mut Open, step: &ContainStep) -> Result<(), CutoverError> {
        open.log.refresh(&self.deps.records).await?;
        let id = step.id.clone();
        if open.log.journal.state(&id) == StepState::Reverted {
            return Ok(());
        }
        self.record(open, Event::RevertIntent { step: id.clone() })
            .await?;
        if self.is_attached(step).await? {
            let detached = self.deps.world.attach(&self.run, &self.plan, step, false).await;
            match detached {
                Ok(()) | Err(PortError::OutcomeUnknown { .. }) => {}
                Err(error @ PortError::Transient { .. }) => return Err(error.into()),
                Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                    let reason = error.to_string();
                    self.record(open, Event::RevertFailed { step: id, reason })
                        .await?;
                    return Err(error.into());
                }
            }
            if !self.reads(step, false).await? {
                return Err(CutoverError::NotReadBack {
                    what: format!("policy {}", step.policy),
                });
            }
        }
        self.record(open, Event::Reverted { step: id }).await
    }

    pub(crate) async fn is_attached(&self, step: &ContainStep) -> Result<bool, CutoverError> {
        Ok(self.deps.world.is_attached(&self.run, &self.plan, step).await?)
    }

    /// Reads until the policy is attached, or is not, as wanted; or not any longer.
    async fn reads(&self, step: &ContainStep, wanted: bool) -> Result<bool, CutoverError> {
        for _ in 0..READ_BACKS {
            if self.is_attached(step).await? == wanted {
                return Ok(true);
            }
            self.wait_for_propagation(READ_BACK_PAUSE).await;
        }
        Ok(false)
    }

    /// Whether the old account is still contained, as it was when everything else began.
    pub(crate) async fn verify_contained(&self, open: &mut Open) -> Result<u32, CutoverError> {
        let steps = open.document.contain.clone();
        let mut verified = 0;
        for step in &steps {
            if !self.is_attached(step).await? {
                let event = Event::Conflict {
                    step: step.id.clone(),
                    observed: digest_of(false),
                };
                self.record(open, event).await?;
                return Err(CutoverError::Drifted(vec![format!(
                    "policy {} was detached from {}",
                    step.policy, step.target
                )]));
            }
            self.settle(open, &step.id).await?;
            verified += 1;
        }
        Ok(verified)
    }
}
