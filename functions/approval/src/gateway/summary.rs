//! What an approver looks at before voting. Looking changes nothing.

use blackstart_aws::records::Records;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::gate::GateRecord;
use blackstart_core::approval::quorum::tally;
use blackstart_core::artifact::Digest;
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Caller, NoAnswer, TurnedAway};
use crate::settle::{moved, votes};
use crate::{Artifacts, Deps};

/// The gate that was opened last.
pub(crate) async fn current_gate<R: Records, A, K, C, N>(
    run: &RunId,
    deps: &Deps<R, A, K, C, N>,
) -> Result<Option<GateRecord>, NoAnswer> {
    let gates = deps
        .records
        .query::<GateRecord>(&Key::run_partition(run), Key::GATE_PREFIX)
        .await?;
    let gates = gates.into_iter().map(|(_, gate)| gate.document);
    Ok(gates.max_by(|a, b| (a.opened, &a.digest).cmp(&(b.opened, &b.digest))))
}

/// The package of a gate, by the digest that is voted on.
pub(crate) async fn package_of<R, A: Artifacts, K, C, N>(
    gate: &GateRecord,
    deps: &Deps<R, A, K, C, N>,
) -> Result<DecisionPackage, NoAnswer> {
    let bytes = deps.artifacts.get(&gate.package).await?;
    let (sent, current) = (gate.digest.clone(), Digest::of(&bytes));
    if sent != current {
        let (sent, current) = (sent.short().to_owned(), current.short().to_owned());
        return Err(TurnedAway::OtherDigest { sent, current }.into());
    }
    serde_json::from_slice(&bytes).map_err(NoAnswer::Malformed)
}

pub(crate) async fn look<R: Records, A: Artifacts, K, C, N>(
    caller: &Caller,
    deps: &Deps<R, A, K, C, N>,
    now: Timestamp,
) -> Result<Value, NoAnswer> {
    let run = &caller.run.run;
    let gate = current_gate(run, deps)
        .await?
        .ok_or(TurnedAway::NothingToDecide)?;
    let package = package_of(&gate, deps).await?;
    let votes = votes(&deps.records, &gate).await?;
    let moved = moved(&deps.records, run, package.boundary).await?;
    let rules = gate.rules(&caller.plan);
    let tally = tally(&votes, &rules, moved, now);
    let state: &str = (&gate.state).into();
    Ok(json!({
        "run": run,
        "digest": gate.digest,
        "state": state,
        "boundary_moved": moved,
        "quorum": rules.quorum,
        "may_vote": rules.eligible,
        "requested_by": gate.requester,
        "you": caller.person,
        "votes": tally.counted.values().map(|vote| json!({
            "person": vote.person, "decision": vote.decision, "at": vote.at, "rationale": vote.rationale,
        })).collect::<Vec<_>>(),
        "minimum_rationale": rules.minimum_rationale,
        "package": package,
    }))
}
