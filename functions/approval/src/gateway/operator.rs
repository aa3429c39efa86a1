//! The answer of an operator to a cutover that waits for one.

use blackstart_aws::evidence::record;
use blackstart_aws::tokens::Wait;
use blackstart_core::approval::vote::check_rationale;
use blackstart_core::evidence::{Event, Kind};
use blackstart_core::task::cutover::OperatorChoice;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, NoAnswer, TurnedAway};
use crate::settle::{SettleError, Told, send};
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
    match send(deps, run, Wait::Operator, output, now).await? {
        Told::Now => {}
        Told::NothingToDo | Told::TooLate => return Err(TurnedAway::NobodyWaits.into()),
    }
    let chosen: &str = answer.choice.into();
    let event = Event::new(Kind::OperatorAnswered, now)
        .fact("person", caller.person.as_str())
        .fact("identity", caller.identity.as_str())
        .fact("choice", chosen)
        .fact("rationale", answer.rationale.as_str());
    record(&deps.records, run, event).await?;
    Ok(json!({"run": run, "choice": chosen, "message": "the run goes on with your answer"}))
}
