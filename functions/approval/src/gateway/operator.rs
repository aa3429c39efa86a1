//! The answer of an operator to a cutover that waits for one.

use blackstart_aws::callbacks::Delivery;
use blackstart_aws::evidence::record_once;
use blackstart_aws::records::Records as _;
use blackstart_aws::tokens::{Wait, open_question};
use blackstart_core::approval::vote::check_rationale;
use blackstart_core::evidence::{Event, Kind};
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use blackstart_core::task::cutover::{OperatorChoice, Question};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, NoAnswer, TurnedAway};
use crate::settle::{SettleError, deliver};
use crate::{Deps, Ports};

/// What an operator sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    question: String,
    choice: Choice,
    rationale: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Resume,
    Revert,
    Abandon,
}

/// What the run asks an operator now. Looking changes nothing.
pub(crate) async fn asked<P: Ports>(caller: &Caller, deps: &Deps<P>) -> Result<Value, NoAnswer> {
    let run = &caller.run.run;
    let open = open_question(&deps.records, run).await?;
    let (question, since) = open.ok_or(TurnedAway::NobodyWaits)?;
    Ok(json!({"run": run, "question": question, "asked": since}))
}

/// An answer, as the ledger keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    choice: OperatorChoice,
    identity: String,
    at: Timestamp,
}

/// The one answer to a question: the first that was written down, in the evidence whoever comes back to it. One that may
/// already have taken effect cannot be followed by another.
async fn binding<P: Ports>(
    run: &RunId,
    question: &Question,
    said: &Said,
    deps: &Deps<P>,
) -> Result<Said, NoAnswer> {
    let key = Key::operator_answer(run, question);
    let binding = if deps.records.put_new(&key, said).await? {
        said.clone()
    } else {
        let first = deps.records.get::<Said>(&key).await?;
        first.map_or_else(|| said.clone(), |first| first.document)
    };
    let event = Event::new(Kind::OperatorAnswered, binding.at)
        .fact("person", binding.choice.person())
        .fact("identity", binding.identity.as_str())
        .fact("choice", binding.choice.chosen())
        .fact("rationale", binding.choice.rationale())
        .fact("question", question.to_string());
    record_once(&deps.records, run, event).await?;
    Ok(binding)
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
    let run = &caller.run.run;
    let tokens = deps.tokens();
    let taken = tokens
        .take(run, Wait::Operator, now)
        .await
        .map_err(SettleError::from)?;
    let taken = taken.ok_or(TurnedAway::NobodyWaits)?;
    let question = Question::of_attempt(taken.attempt());
    if answer.question != question.to_string() {
        tokens.give_back(taken).await.map_err(SettleError::from)?;
        let current = question.to_string();
        return Err(TurnedAway::OtherQuestion { current }.into());
    }
    let said = Said {
        choice,
        identity: caller.identity.clone(),
        at: now,
    };
    // Before the run goes on: an answer that takes effect is in the evidence, and there is one.
    let binding = match binding(run, &question, &said, deps).await {
        Ok(binding) => binding,
        Err(error) => {
            tokens.give_back(taken).await.map_err(SettleError::from)?;
            return Err(error);
        }
    };
    let output = serde_json::to_string(&binding.choice).map_err(SettleError::Unwritable)?;
    let (taken, delivery) = deliver(deps, taken, output).await?;
    tokens.spend(taken).await.map_err(SettleError::from)?;
    if delivery == Delivery::NotWaiting {
        return Err(TurnedAway::NobodyWaits.into());
    }
    if binding.choice != said.choice {
        let (chosen, by) = (binding.choice.chosen(), binding.choice.person().to_owned());
        return Err(TurnedAway::Answered { chosen, by }.into());
    }
    let chosen = binding.choice.chosen();
    Ok(json!({"run": run, "choice": chosen, "message": "the run goes on with your answer"}))
}
