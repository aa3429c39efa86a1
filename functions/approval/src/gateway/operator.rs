//! The answer of an operator to a cutover that waits for one.

use blackstart_aws::callbacks::Delivery;
use blackstart_aws::evidence::record_once;
use blackstart_aws::tokens::Wait;
use blackstart_core::approval::vote::check_rationale;
use blackstart_core::evidence::{Event, Kind};
use blackstart_core::task::cutover::OperatorChoice;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, NoAnswer, TurnedAway};
use crate::settle::{SettleError, deliver};
use crate::{Deps, Ports};

/// What an operator sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    choice: Choice,
    rationale: String,
}

#[derive(Debug, Clone, Copy, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum Choice {
    Resume,
    Revert,
    Abandon,
}

pub(crate) async fn choose<P: Ports>(
    caller: &Caller,
    answer: &Answer,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Value, NoAnswer> {
    check_rationale(&answer.rationale, caller.plan.approval.minimum_rationale)
        .map_err(TurnedAway::Rationale)?;
    let (person, rationale) = (caller.person.clone(), answer.rationale.clone());
    let choice = match answer.choice {
        Choice::Resume => OperatorChoice::Resume { person, rationale },
        Choice::Revert => OperatorChoice::Revert { person, rationale },
        Choice::Abandon => OperatorChoice::Abandon { person, rationale },
    };
    let output = serde_json::to_string(&choice).map_err(SettleError::Unwritable)?;
    let run = &caller.run.run;
    let tokens = deps.tokens();
    let taken = tokens
        .take(run, Wait::Operator, now)
        .await
        .map_err(SettleError::from)?;
    let taken = taken.ok_or(TurnedAway::NobodyWaits)?;
    let chosen: &str = answer.choice.into();
    let event = Event::new(Kind::OperatorAnswered, now)
        .fact("person", caller.person.as_str())
        .fact("identity", caller.identity.as_str())
        .fact("choice", chosen)
        .fact("rationale", answer.rationale.as_str())
        .fact("attempt", taken.attempt());
    // Before the run goes on: an answer that takes effect is in the evidence.
    if let Err(error) = record_once(&deps.records, run, event).await {
        tokens.give_back(taken).await.map_err(SettleError::from)?;
        return Err(error.into());
    }
    let (taken, delivery) = deliver(deps, taken, output).await?;
    tokens.spend(taken).await.map_err(SettleError::from)?;
    if delivery == Delivery::NotWaiting {
        return Err(TurnedAway::NobodyWaits.into());
    }
    Ok(json!({"run": run, "choice": chosen, "message": "the run goes on with your answer"}))
}
