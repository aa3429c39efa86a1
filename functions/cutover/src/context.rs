//! What every operation starts from: the approved package, the plan, the cutover plan and its journal.

use std::time::Duration;

use blackstart_aws::records::Records;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::enforce::{check_approved, check_boundary, check_executable};
use blackstart_core::approval::gate::{GateRecord, GateState};
use blackstart_core::approval::second;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::cutover::CutoverDocument;
use blackstart_core::items::ItemsRecord;
use blackstart_core::journal::{Entry, StepState};
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::StateContext;
use blackstart_core::task::cutover::Approved;
use blackstart_core::timeline::CurrentBoundary;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::log::{self, Log};
use crate::pace::Keeper;
use crate::world::World;
use crate::{CutoverError, Deps, TIME_FOR_STEPS};

/// One invocation.
pub(crate) struct Context<'a, W, R, C, N> {
    pub(crate) deps: &'a Deps<W, R, C, N>,
    pub(crate) run: RunId,
    pub(crate) state: &'a StateContext,
    pub(crate) approved: &'a Approved,
    pub(crate) package: DecisionPackage,
    pub(crate) plan: Plan,
    pub(crate) began: Timestamp,
    pub(crate) pace: Keeper,
}

/// What an invocation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To have an effect, or to prepare one. The first effect must begin while the approval is good.
    Effect,
    /// To settle what was begun, and to ask people. Never too late.
    Aftermath,
}

/// A cutover plan with its journal.
pub(crate) struct Open {
    pub(crate) document: CutoverDocument,
    pub(crate) log: Log,
}

impl<'a, W: World, R: Records, C, N> Context<'a, W, R, C, N> {
    /// Loads what was approved, and refuses anything else.
    pub(crate) async fn load(
        deps: &'a Deps<W, R, C, N>,
        run: RunId,
        state: &'a StateContext,
        approved: &'a Approved,
        purpose: Purpose,
        began: Timestamp,
    ) -> Result<Self, CutoverError> {
        let gate = deps
            .records
            .get::<GateRecord>(&Key::gate(&run, &approved.digest))
            .await?
            .ok_or(CutoverError::NeverAsked)?;
        let bytes = deps.world.artifact(&approved.package).await?;
        // An approval that lapses half-way must not leave things half done: the time counts for the first effect.
        let begins = purpose == Purpose::Effect && Log::is_empty(&deps.records, &run).await?;
        let package = if begins {
            check_executable(&bytes, &approved.digest, &gate.document, began)?
        } else {
            check_approved(&bytes, &approved.digest, &gate.document)?
        };
        if package.run != run {
            return Err(CutoverError::Foreign(format!(
                "package {} is that of run `{}`",
                approved.digest, package.run
            )));
        }
        if package.plan != approved.plan {
            return Err(CutoverError::Foreign(
                "the recovery plan is not that of the package".to_owned(),
            ));
        }
        let plan = Plan::parse(&deps.world.artifact(&approved.plan).await?)
            .map_err(blackstart_aws::artifacts::ArtifactError::from)?;
        Ok(Self {
            deps,
            run,
            state,
            approved,
            package,
            plan,
            began,
            pace: Keeper::default(),
        })
    }

    /// Refuses while an item of the workload is open: data without its approved point, a credential that is not new.
    pub(crate) async fn items_are_settled(&self) -> Result<(), CutoverError> {
        let record = self
            .deps
            .records
            .get::<ItemsRecord>(&Key::items(&self.run))
            .await?;
        let record = record.as_ref().map(|found| &found.document);
        match ItemsRecord::refusal(record, &self.approved.digest) {
            Some(unsettled) => Err(unsettled.into()),
            None => Ok(()),
        }
    }

    /// Refuses when late evidence moved the event boundary. Asked before the first effect only.
    pub(crate) async fn boundary_is_unmoved(&self) -> Result<(), CutoverError> {
        let current = self
            .deps
            .records
            .get::<CurrentBoundary>(&Key::boundary(&self.run))
            .await?
            .ok_or_else(|| CutoverError::Foreign("the run has no event boundary".to_owned()))?;
        Ok(check_boundary(&self.package, &current.document)?)
    }

    /// Where the plan asks for a second gate: whether it approved exactly this cutover plan. Its time counts for the
    /// first step; what was begun in time is carried through.
    pub(crate) async fn second_gate_is_passed(
        &self,
        cutover: &ArtifactRef,
        open: &Open,
    ) -> Result<(), CutoverError> {
        if !self.plan.approval.second_gate {
            return Ok(());
        }
        let begun = open
            .log
            .journal
            .states()
            .any(|(_, state)| state != StepState::Planned);
        let gates = self
            .deps
            .records
            .query::<GateRecord>(&Key::run_partition(&self.run), Key::GATE_PREFIX)
            .await?;
        for (_, gate) in gates {
            let gate = gate.document;
            if !matches!(gate.state, GateState::Approved { .. }) || gate.digest == self.approved.digest {
                continue;
            }
            let bytes = self.deps.world.artifact(&gate.package).await?;
            let package = check_approved(&bytes, &gate.digest, &gate)?;
            if second::is_for(&package, &self.approved.digest, cutover) {
                if !begun {
                    check_executable(&bytes, &gate.digest, &gate, self.began)?;
                    self.boundary_is_unmoved().await?;
                }
                return Ok(());
            }
        }
        Err(CutoverError::NotApprovedAgain)
    }

    /// The cutover plan and its journal, if this plan is the one that the journal was opened for.
    pub(crate) async fn open(&self, cutover: &ArtifactRef) -> Result<Open, CutoverError> {
        match self.opened().await? {
            Some((found, open)) if found.sha256 == cutover.sha256 => Ok(open),
            _ => Err(CutoverError::Foreign(
                "the journal was opened for another cutover plan".to_owned(),
            )),
        }
    }

    /// The cutover plan that the journal was opened for; `None` before that.
    pub(crate) async fn opened(&self) -> Result<Option<(ArtifactRef, Open)>, CutoverError> {
        let entries = log::entries(&self.deps.records, &self.run).await?;
        let Some((package, cutover)) = log::last_opened(&entries) else {
            return Ok(None);
        };
        if *package != self.approved.digest {
            return Err(CutoverError::Foreign(
                "the journal was opened for another package".to_owned(),
            ));
        }
        let document: CutoverDocument = self.json(cutover).await?;
        if document.package != self.approved.digest {
            return Err(CutoverError::Foreign(
                "the cutover plan was made from another package".to_owned(),
            ));
        }
        let log = self.log(&document, &entries)?;
        Ok(Some((cutover.clone(), Open { document, log })))
    }

    /// The journal of a cutover plan, written to in the name of this state.
    pub(crate) fn log(&self, document: &CutoverDocument, entries: &[Entry]) -> Result<Log, CutoverError> {
        let by = format!("{} of {}", self.state.state, self.state.execution);
        Log::replay(&self.run, by, &document.journal_steps(), entries)
    }

    pub(crate) async fn json<T: DeserializeOwned>(&self, artifact: &ArtifactRef) -> Result<T, CutoverError> {
        let bytes = self.deps.world.artifact(artifact).await?;
        serde_json::from_slice(&bytes).map_err(|source| CutoverError::Malformed {
            what: artifact.key.clone(),
            source,
        })
    }

    /// Whether there is time for another step.
    pub(crate) fn has_time(&self) -> bool {
        let spent = self.deps.world.now().duration_since(self.began);
        Duration::try_from(spent).is_ok_and(|spent| spent < TIME_FOR_STEPS)
    }
}
