//! What an approver looks at before voting. Looking changes nothing.

use blackstart_aws::records::Records as _;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::gate::GateRecord;
use blackstart_core::approval::page::{self, Notice, Page, View};
use blackstart_core::approval::quorum::tally;
use blackstart_core::approval::vote::Vote;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::CutoverDocument;
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use blackstart_core::validation::SelectionDocument;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::session::key_of_page;
use super::{Caller, NoAnswer, TurnedAway};
use crate::settle::{moved, votes};
use crate::{Artifacts as _, Deps, Ports};

/// The gate that was opened last.
pub(crate) async fn current_gate<P: Ports>(
    run: &RunId,
    deps: &Deps<P>,
) -> Result<Option<GateRecord>, NoAnswer> {
    let gates = deps
        .records
        .query::<GateRecord>(&Key::run_partition(run), Key::GATE_PREFIX)
        .await?;
    let gates = gates.into_iter().map(|(_, gate)| gate.document);
    Ok(gates.max_by(|a, b| (a.opened, &a.digest).cmp(&(b.opened, &b.digest))))
}

/// The package of a gate, by the digest that is voted on.
pub(crate) async fn package_of<P: Ports>(
    gate: &GateRecord,
    deps: &Deps<P>,
) -> Result<DecisionPackage, NoAnswer> {
    let bytes = deps.artifacts.get(&gate.package).await?;
    let (sent, current) = (gate.digest.clone(), Digest::of(&bytes));
    if sent != current {
        let (sent, current) = (sent.short().to_owned(), current.short().to_owned());
        return Err(TurnedAway::OtherDigest { sent, current }.into());
    }
    serde_json::from_slice(&bytes).map_err(NoAnswer::Malformed)
}

/// What is before the approvers, with everything that was said about it.
pub(crate) struct Proposal {
    gate: GateRecord,
    package: DecisionPackage,
    selection: SelectionDocument,
    cutover: Option<CutoverDocument>,
    votes: Vec<Vote>,
    moved: bool,
}

/// Reads what is before the approvers of a run.
pub(crate) async fn proposal<P: Ports>(caller: &Caller, deps: &Deps<P>) -> Result<Proposal, NoAnswer> {
    let run = &caller.run.run;
    let gate = current_gate(run, deps)
        .await?
        .ok_or(TurnedAway::NothingToDecide)?;
    let package = package_of(&gate, deps).await?;
    let selection = deps.artifacts.get(&package.selection).await?;
    let selection: SelectionDocument = serde_json::from_slice(&selection).map_err(NoAnswer::Malformed)?;
    let cutover = match &package.finished {
        Some(finished) => {
            let bytes = deps.artifacts.get(&finished.cutover).await?;
            Some(serde_json::from_slice(&bytes).map_err(NoAnswer::Malformed)?)
        }
        None => None,
    };
    Ok(Proposal {
        cutover,
        votes: votes(&deps.records, &gate).await?,
        moved: moved(&deps.records, run, package.boundary).await?,
        selection,
        gate,
        package,
    })
}

impl Proposal {
    /// For programs.
    pub(crate) fn json(&self, caller: &Caller, now: Timestamp) -> Value {
        let rules = self.gate.rules(&caller.plan);
        let tally = tally(&self.votes, &rules, self.moved, now);
        let state: &str = (&self.gate.state).into();
        json!({
            "run": caller.run.run,
            "digest": self.gate.digest,
            "state": state,
            "boundary_moved": self.moved,
            "quorum": rules.quorum,
            "may_vote": rules.eligible,
            "requested_by": self.gate.requester,
            "you": caller.person,
            "votes": tally.counted.values().map(|vote| json!({
                "person": vote.person, "decision": vote.decision, "at": vote.at, "rationale": vote.rationale,
            })).collect::<Vec<_>>(),
            "minimum_rationale": rules.minimum_rationale,
            "considered": self.selection.considered,
            "package": self.package,
            "cutover": self.cutover,
        })
    }

    /// For people.
    pub(crate) fn page(
        &self,
        caller: &Caller,
        session: &str,
        notice: Option<Notice<'_>>,
        rationale: &str,
        now: Timestamp,
    ) -> Page {
        let rules = self.gate.rules(&caller.plan);
        page::decision(&View {
            package: &self.package,
            selection: &self.selection,
            cutover: self.cutover.as_ref(),
            gate: &self.gate,
            tally: &tally(&self.votes, &rules, self.moved, now),
            rules: &rules,
            moved: self.moved,
            person: &caller.person,
            form_key: &key_of_page(session, caller.run.run.as_str()),
            now,
            notice,
            rationale,
        })
    }
}
