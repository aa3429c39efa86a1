//! Plan and precheck: nothing is touched.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_aws::records::Records;
use blackstart_core::artifact::{ArtifactRef, canonical_json};
use blackstart_core::cutover::{CutoverDocument, CutoverFacts, Stand, plan};
use blackstart_core::dns::{CheckPlan, fail_open};
use blackstart_core::journal::{Command, Event};
use blackstart_core::references::{InventoryDocument, Slot};
use blackstart_core::task::cutover::{Planned, Prechecked};

use crate::CutoverError;
use crate::context::{Context, Open};
use crate::references::stand;
use crate::world::World;

impl<W: World, R: Records, C, N> Context<'_, W, R, C, N> {
    /// Computes the cutover plan and opens the journal for it; a repeat finds the plan that was made first.
    pub(crate) async fn plan(&self) -> Result<Planned, CutoverError> {
        if let Some((cutover, open)) = self.opened().await? {
            if open.log.journal.next() == Command::Abandoned {
                return Err(CutoverError::GivenUp);
            }
            return Ok(self.planned(cutover, &open.document));
        }
        self.boundary_is_unmoved().await?;
        self.items_are_settled().await?;
        let inventory: InventoryDocument = self.json(&self.package.inventory).await?;
        let zone = self.deps.world.records(&self.package.zone).await?;
        let document = plan(&CutoverFacts {
            package: &self.package,
            digest: &self.approved.digest,
            inventory: &inventory,
            contain: self.plan.cutover.contain.as_ref(),
            zone: &zone,
            max_changed_percent: self.plan.cutover.max_changed_percent,
            max_deleted_percent: self.plan.cutover.max_deleted_percent,
        })?;
        let check = CheckPlan {
            https: self.plan.cutover.health.tls.is_some(),
            search: Some(self.nonce()),
            disabled: false,
            alarm_without_data_counts: false,
            waits_for_reports: true,
            own_tls_probe: self.plan.cutover.health.tls.is_some(),
        };
        let steps = document.course().steps();
        let open_ways: BTreeSet<String> = steps
            .iter()
            .flat_map(|step| fail_open(&step.change, &check))
            .map(|way| way.to_string())
            .collect();
        if !open_ways.is_empty() {
            let reasons = open_ways.into_iter().collect();
            return Err(blackstart_core::cutover::CutoverRefused(reasons).into());
        }
        let bytes = canonical_json(&document)?;
        let cutover = self
            .deps
            .world
            .put_artifact(&self.run, "cutover/plan.json", bytes)
            .await?;
        let mut log = self.log(&document, &[])?;
        log.refresh(&self.deps.records).await?;
        let opened = Event::Opened {
            package: self.approved.digest.clone(),
            cutover: cutover.clone(),
        };
        log.append(
            &self.deps.records,
            opened,
            self.deps.world.now(),
            self.unrecorded(),
        )
        .await?;
        // Another executor may have been first; its plan is the one in force.
        match self.opened().await? {
            Some((cutover, open)) => Ok(self.planned(cutover, &open.document)),
            None => Ok(self.planned(cutover, &document)),
        }
    }

    /// Compares every live value with the plan and names all that differ.
    pub(crate) async fn precheck(&self, open: &Open) -> Result<Prechecked, CutoverError> {
        let mut answer = Prechecked {
            ready: 0,
            already_done: 0,
        };
        let mut drifted = Vec::new();
        let live = self.live(&open.document).await?;
        for step in &open.document.steps {
            match stand(open, step, live.get(&step.slot).and_then(Option::as_deref)) {
                Stand::Ready | Stand::NotYet => answer.ready += 1,
                Stand::AlreadyDone => answer.already_done += 1,
                Stand::Drifted => drifted.push(step.slot.arn.clone()),
            }
        }
        self.policies_contain(open).await?;
        for step in &open.document.contain {
            if self.is_attached(step).await? {
                answer.already_done += 1;
            } else {
                answer.ready += 1;
            }
        }
        let course = self.course(open).await?;
        let length = u32::try_from(course.length()).unwrap_or(u32::MAX);
        match self.place(open, &course).await? {
            Ok(place) => {
                let done = u32::try_from(place).unwrap_or(u32::MAX);
                answer.already_done += done;
                answer.ready += length.saturating_sub(done);
            }
            Err(differences) => drifted.extend(differences),
        }
        if drifted.is_empty() {
            Ok(answer)
        } else {
            Err(CutoverError::Drifted(drifted))
        }
    }

    /// The live documents; `None` for one that is gone.
    async fn live(&self, document: &CutoverDocument) -> Result<BTreeMap<Slot, Option<String>>, CutoverError> {
        let mut live = BTreeMap::new();
        for step in &document.steps {
            if live.contains_key(&step.slot) {
                continue;
            }
            live.insert(step.slot.clone(), self.read(&step.slot).await?);
        }
        Ok(live)
    }

    fn planned(&self, cutover: ArtifactRef, document: &CutoverDocument) -> Planned {
        Planned {
            cutover,
            accounts: document.accounts(),
            steps: u32::try_from(document.steps.len()).unwrap_or(u32::MAX),
            second_gate: self.plan.approval.second_gate,
        }
    }
}
