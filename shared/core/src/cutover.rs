//! Stage 5: the steps of a cutover.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::dns::{Course, TrafficChange, TrafficStage};
use crate::journal::{self, Journal, StepState};
use crate::references::entries::is_between;
use crate::references::{Slot, canonical_digest_of};
use crate::run::AccountId;
use crate::task::cutover::Phase;

pub mod contain;
mod plan;
pub mod rate;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod waits;

pub use plan::{CutoverFacts, CutoverRefused, plan};
pub use session::session_policy;
pub use status::{STATE_HEADING, Standing, Status};
pub use waits::spent;

/// The schema of a cutover plan.
pub const SCHEMA: &str = "blackstart.cutover/1";
/// Step id: the nonce is published and the health check created.
pub const PREPARE_TRAFFIC: &str = "prepare-traffic";
pub use crate::dns::SHIFT_TRAFFIC;

/// Every step of a cutover with its *before* and *after*: what the executor does without further choices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutoverDocument {
    /// Always `blackstart.cutover/1`.
    pub schema: String,
    /// Digest of the approved decision package from which it was computed.
    pub package: Digest,
    /// The policies that cut the old account off, in order; empty where that is done by other means, or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contain: Vec<contain::ContainStep>,
    /// The reference steps in order.
    pub steps: Vec<ReferenceStep>,
    /// The change of records.
    pub traffic: TrafficChange,
    /// What is served on the way, where traffic moves share by share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic_stages: Vec<TrafficStage>,
    /// Seconds for which each stage is looked at before the next step.
    #[serde(default)]
    pub hold_seconds: u32,
}

/// One change of one document in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceStep {
    /// Step id, stable over repeats: phase, account and digest of the slot.
    pub id: String,
    /// Where the document is.
    pub slot: Slot,
    /// The account that holds it.
    pub account: AccountId,
    /// In which phase it changes.
    pub phase: Phase,
    /// The document before the step.
    pub before: String,
    /// The document after the step.
    pub after: String,
    /// What the prover showed, for people.
    pub proof: String,
}

impl ReferenceStep {
    /// Digest of the canonical form of *before*.
    #[must_use]
    pub fn before_digest(&self) -> Digest {
        canonical_digest_of(&self.before)
    }

    /// Digest of the canonical form of *after*.
    #[must_use]
    pub fn after_digest(&self) -> Digest {
        canonical_digest_of(&self.after)
    }
}

/// How a live value stands to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// The recorded *before*: the step can be done.
    Ready,
    /// An earlier step of the same document has to be done first.
    NotYet,
    /// The wanted *after*, or that of a later step of the same document.
    AlreadyDone,
    /// Neither: somebody else changed it. Left alone.
    Drifted,
}

impl CutoverDocument {
    /// The steps as the journal knows them, in the order in which they are done.
    #[must_use]
    pub fn journal_steps(&self) -> Vec<journal::Step> {
        let of_phase = |phase| {
            let kind = match phase {
                Phase::Expand => journal::StepKind::Expand,
                Phase::Contract => journal::StepKind::Contract,
            };
            self.steps
                .iter()
                .filter(move |step| step.phase == phase)
                .map(move |step| journal::Step {
                    id: step.id.clone(),
                    kind,
                })
        };
        let fixed = |id: &str, kind| journal::Step {
            id: id.to_owned(),
            kind,
        };
        let mut steps: Vec<journal::Step> = self
            .contain
            .iter()
            .map(|step| fixed(&step.id, journal::StepKind::Contain))
            .collect();
        steps.push(fixed(PREPARE_TRAFFIC, journal::StepKind::Prepare));
        steps.extend(of_phase(Phase::Expand));
        let shifts = self.course().steps();
        steps.extend(
            shifts
                .iter()
                .map(|step| fixed(&step.id, journal::StepKind::Traffic)),
        );
        steps.extend(of_phase(Phase::Contract));
        steps
    }

    /// The way of traffic.
    #[must_use]
    pub fn course(&self) -> Course {
        Course::new(&self.traffic, &self.traffic_stages)
    }

    /// The accounts with steps, in order.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountId> {
        let accounts: BTreeSet<&AccountId> = self.steps.iter().map(|step| &step.account).collect();
        accounts.into_iter().cloned().collect()
    }

    /// The step with this id.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&ReferenceStep> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The steps of one phase in one account.
    pub fn steps_of<'a>(
        &'a self,
        phase: Phase,
        account: &'a AccountId,
    ) -> impl Iterator<Item = &'a ReferenceStep> {
        self.steps
            .iter()
            .filter(move |step| step.phase == phase && step.account == *account)
    }

    /// How the live text of a step's document stands to the step, where the journal says how far each step is.
    ///
    /// Grants and permissions are written entry by entry. What an interrupted write of ours left behind is written
    /// again; the same text without an intent of ours is somebody else's.
    #[must_use]
    pub fn stand_in(&self, journal: &Journal, step: &ReferenceStep, live: &str) -> Stand {
        let stand = self.stand(step, &canonical_digest_of(live));
        if stand != Stand::Drifted {
            return stand;
        }
        let interrupted = self.steps.iter().find(|other| {
            other.slot == step.slot
                && journal.state(&other.id) == StepState::Intended
                && is_between(live, &other.before, &other.after)
        });
        match interrupted.map(|other| other.phase.cmp(&step.phase)) {
            Some(Ordering::Equal) => Stand::Ready,
            Some(Ordering::Less) => Stand::NotYet,
            Some(Ordering::Greater) => Stand::AlreadyDone,
            None => Stand::Drifted,
        }
    }

    /// How the live value of a step's document stands to the step.
    ///
    /// A document with several steps runs through a chain of values; whatever value of the chain is live says how
    /// far it is.
    #[must_use]
    pub fn stand(&self, step: &ReferenceStep, live: &Digest) -> Stand {
        if *live == step.after_digest() {
            return Stand::AlreadyDone;
        }
        if *live == step.before_digest() {
            return Stand::Ready;
        }
        for other in self.steps.iter().filter(|other| other.slot == step.slot) {
            if other.phase > step.phase && *live == other.after_digest() {
                return Stand::AlreadyDone;
            }
            if other.phase < step.phase && *live == other.before_digest() {
                return Stand::NotYet;
            }
        }
        Stand::Drifted
    }
}
