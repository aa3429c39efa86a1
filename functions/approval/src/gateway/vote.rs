//! One vote: checked, written if the person has none, counted, and told to Step Functions if it decides.

use blackstart_aws::evidence::record_once;
use blackstart_aws::ledger::Versioned;
use blackstart_aws::records::Records as _;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::gate::{GateRecord, GateState};
use blackstart_core::approval::page::Notice;
use blackstart_core::approval::quorum::{Ignored, Outcome, admit};
use blackstart_core::approval::vote::{Ballot, Choice, Vote};
use blackstart_core::ledger::Key;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::request::{Body, malformed};
use super::response::Response;
use super::session::key_of_page;
use super::summary::{current_gate, package_of, proposal};
use super::{Caller, NoAnswer, TurnedAway};
use crate::settle::{Told, decide, moved, tell, vote_event};
use crate::{Deps, Ports};

/// A vote from the page: one form, shown to be from this session's own page, and answered by a page.
pub(crate) async fn by_form<P: Ports>(
    caller: &Caller,
    body: &Body,
    session: &str,
    page: bool,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Response, NoAnswer> {
    let run = &caller.run.run;
    let [digest, decision, rationale, key] = body.form(["digest", "decision", "rationale", "form_key"])?;
    if key != key_of_page(session, run.as_str()) {
        return Err(TurnedAway::OtherSite.into());
    }
    let ballot = Ballot {
        digest: digest
            .try_into()
            .map_err(|_| malformed("digest", "it is no digest"))?,
        decision: match decision.as_str() {
            "approve" => Choice::Approve,
            "refuse" => Choice::Refuse,
            _ => return Err(malformed("decision", "it is neither `approve` nor `refuse`").into()),
        },
        rationale: rationale.replace("\r\n", "\n"),
    };
    match Box::pin(vote(caller, &ballot, deps, now)).await {
        Ok(_) => Ok(Response::Elsewhere(format!("/runs/{run}#votes"), Vec::new())),
        Err(NoAnswer::TurnedAway(reason)) if page => {
            let proposal = Box::pin(proposal(caller, deps)).await?;
            let text = format!("Your vote was not taken: {reason}.");
            let notice = Notice {
                text: &text,
                bad: true,
            };
            let page = proposal.page(caller, session, Some(notice), &ballot.rationale, now);
            Err(NoAnswer::Shown(reason, Box::new(page)))
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn vote<P: Ports>(
    caller: &Caller,
    ballot: &Ballot,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Value, NoAnswer> {
    let run = &caller.run.run;
    let gate = gate_of(caller, ballot, deps).await?;
    let package = package_of(&gate.document, deps).await?;
    let vote = Vote {
        at: now,
        person: caller.person.clone(),
        identity: caller.identity.clone(),
        digest: ballot.digest.clone(),
        decision: ballot.decision,
        rationale: ballot.rationale.clone(),
    };

    let key = Key::vote(run, &ballot.digest, &caller.person);
    let mut earlier = document(&key, deps).await?;
    let repeated = earlier.as_ref().is_some_and(|earlier| same(earlier, &vote));
    if !repeated {
        if let Err(reason) = admit(&vote, &gate.document.rules(&caller.plan)) {
            // What the votes decide may be due all the same: the boundary moved, or time is over.
            settle(gate, caller, &package, deps, now).await?;
            return Err(turned_away(reason, &package).into());
        }
        if !gate.document.state.is_open() {
            settle(gate.clone(), caller, &package, deps, now).await?;
            return Err(decided(&gate.document.state).into());
        }
        if moved(&deps.records, run, package.boundary).await? {
            settle(gate, caller, &package, deps, now).await?;
            return Err(TurnedAway::Void.into());
        }
        if earlier.is_some() {
            return Err(TurnedAway::VotedAlready.into());
        }
        if !deps.records.put_new(&key, &vote).await? {
            // Ours all the same, if only the answer to the first attempt at this write was lost.
            earlier = document(&key, deps).await?.filter(|written| same(written, &vote));
            if earlier.is_none() {
                return Err(TurnedAway::VotedAlready.into());
            }
        }
    }
    let cast = earlier.unwrap_or(vote);
    record_once(&deps.records, run, vote_event(&cast)).await?;

    let (gate, pending, told) = settle(gate, caller, &package, deps, now).await?;
    let state: &str = (&gate.state).into();
    let mut answer = json!({
        "run": run,
        "digest": gate.digest,
        "state": state,
        "person": caller.person,
        "decision": cast.decision,
        "message": sentence(&gate.state, told),
    });
    if let (Some(Outcome::Pending { approvals, needed }), Some(fields)) = (pending, answer.as_object_mut()) {
        fields.insert("approvals".to_owned(), json!(approvals));
        fields.insert("needed".to_owned(), json!(needed));
    }
    Ok(answer)
}

async fn document<P: Ports>(key: &Key, deps: &Deps<P>) -> Result<Option<Vote>, NoAnswer> {
    let found = deps.records.get::<Vote>(key).await?;
    Ok(found.map(|found| found.document))
}

async fn gate_of<P: Ports>(
    caller: &Caller,
    ballot: &Ballot,
    deps: &Deps<P>,
) -> Result<Versioned<GateRecord>, NoAnswer> {
    let gate = deps
        .records
        .get::<GateRecord>(&Key::gate(&caller.run.run, &ballot.digest))
        .await?;
    if let Some(gate) = gate {
        return Ok(gate);
    }
    let current = current_gate(&caller.run.run, deps)
        .await?
        .ok_or(TurnedAway::NothingToDecide)?;
    let (sent, current) = (
        ballot.digest.short().to_owned(),
        current.digest.short().to_owned(),
    );
    Err(TurnedAway::OtherDigest { sent, current }.into())
}

async fn settle<P: Ports>(
    gate: Versioned<GateRecord>,
    caller: &Caller,
    package: &DecisionPackage,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<(GateRecord, Option<Outcome>, Told), NoAnswer> {
    let (gate, pending) = decide(&deps.records, gate, &caller.plan, package.boundary, now).await?;
    let told = tell(deps, &gate, now).await?;
    Ok((gate, pending, told))
}

fn decided(state: &GateState) -> TurnedAway {
    match state {
        GateState::Void { .. } => TurnedAway::Void,
        state @ (GateState::Open {}
        | GateState::Approved { .. }
        | GateState::Refused { .. }
        | GateState::Expired { .. }) => TurnedAway::Decided(state.into()),
    }
}

fn same(earlier: &Vote, vote: &Vote) -> bool {
    (
        &earlier.person,
        &earlier.digest,
        earlier.decision,
        &earlier.rationale,
    ) == (&vote.person, &vote.digest, vote.decision, &vote.rationale)
}

fn turned_away(reason: Ignored, package: &DecisionPackage) -> TurnedAway {
    match reason {
        Ignored::Requester => TurnedAway::Requester,
        Ignored::NotOnRoster => TurnedAway::NotOnRoster,
        Ignored::Late => TurnedAway::Expired(package.decide_by),
        Ignored::Rationale(why) => TurnedAway::Rationale(why),
        Ignored::SecondVote => TurnedAway::VotedAlready,
        Ignored::OtherDigest => TurnedAway::NothingToDecide,
    }
}

fn sentence(state: &GateState, told: Told) -> &'static str {
    match (state, told) {
        (GateState::Open {}, _) => "your vote is recorded; more approvals are needed",
        (_, Told::TooLate) => {
            "your vote is recorded; the run no longer waits for this decision: it has heard it, or its time was over"
        }
        (_, Told::Unsure) => {
            "your vote is recorded and the package is decided; whether the run was told is not known yet, so repeat your vote in a minute"
        }
        (GateState::Approved { .. }, _) => {
            "your vote is recorded; the package is approved and the run goes on"
        }
        (GateState::Refused { .. }, _) => "your vote is recorded; the package is refused, which is final",
        (GateState::Expired { .. }, _) => {
            "your vote is recorded, but the time to decide was over before a quorum"
        }
        (GateState::Void { .. }, _) => {
            "your vote is recorded, but the event boundary moved: this package is void and a new one follows"
        }
    }
}
