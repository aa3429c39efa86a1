//! The stacks: made wave by wave, what stands in their way named or removed, and removed again.

use std::collections::BTreeMap;

use blackstart_aws::cloudformation::NewStack;
use blackstart_aws::records::Records;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, Stack};
use blackstart_core::rebuild::change_set::{self, Proposal};
use blackstart_core::rebuild::earlier;
use blackstart_core::rebuild::failure::first_cause;
use blackstart_core::rebuild::request::{execution_role, request_token, stack_tags};
use blackstart_core::rebuild::templates::Template;
use blackstart_core::rebuild::waves::{self, Advance, ObservedStack, Removal, StackState};
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::restore::removal::stacks_removable;
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::Progress;
use blackstart_core::task::rebuild::Advanced;

use crate::port::{Builders, Documents, Stacks};
use crate::{Deps, RebuildError, read_templates, record_of};

/// The stacks as they are, and what each is to this run.
pub(crate) struct Observed {
    pub(crate) stacks: BTreeMap<String, ObservedStack>,
    pub(crate) states: BTreeMap<String, StackState>,
}

pub(crate) async fn observe(
    run: &RunId,
    plan: &Plan,
    account: &impl Stacks,
) -> Result<Observed, RebuildError> {
    let mut observed = Observed {
        stacks: BTreeMap::new(),
        states: BTreeMap::new(),
    };
    for stack in &plan.rebuild.stacks {
        let found = account.stack(&stack.name).await?;
        let state = StackState::of(run, &stack.template.sha256, found.as_ref());
        observed.states.insert(stack.name.clone(), state);
        if let Some(found) = found {
            observed.stacks.insert(stack.name.clone(), found);
        }
    }
    Ok(observed)
}

/// Asks the ledger about every earlier run that left a stack: what may not be removed is foreign.
async fn keep_what_is_needed(
    plan: &Plan,
    observed: &mut Observed,
    records: &impl Records,
) -> Result<(), RebuildError> {
    for state in observed.states.values_mut() {
        let StackState::Earlier { run, .. } = &*state else {
            continue;
        };
        let about = records.get::<RunRecord>(&Key::run(run)).await?;
        let restores = records.get::<RestoreRecord>(&Key::restore(run)).await?;
        let asked = earlier::removable(
            &plan.workload,
            run,
            about.as_ref().map(|found| &found.document),
            restores.as_ref().map(|found| &found.document),
        );
        if let Err(kept) = asked {
            let why = kept.to_string();
            *state = StackState::Foreign { why };
        }
    }
    Ok(())
}

pub(crate) async fn advance<D: Documents, L: Records, B: Builders>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<D, L, B>,
) -> Result<Advanced, RebuildError> {
    let about = record_of(run, &deps.records).await?;
    let account = deps.builders.open(plan, &about).await?;
    let mut observed = observe(run, plan, &account).await?;
    keep_what_is_needed(plan, &mut observed, &deps.records).await?;
    let mut requested = Vec::new();
    let mut cleared = Vec::new();
    let progress = match waves::advance(&plan.rebuild.stacks, &observed.states) {
        Advance::Done => Progress::Done,
        Advance::Wait => Progress::Running,
        Advance::Stop(blocked) => return Err(explain(&blocked, &account).await),
        Advance::Clear(left) => {
            for stack in left {
                if let Some(found) = observed.stacks.get(&stack.name) {
                    account
                        .delete(&found.id, &request_token(run, stack, "clear"))
                        .await?;
                    tracing::info!(stack = %stack.name, id = %found.id, "deletion of what an earlier run left requested");
                    cleared.push(stack.name.clone());
                }
            }
            Progress::Running
        }
        Advance::Start(missing) => {
            let checked = read_templates(plan, deps).await?;
            let mut refused = Vec::new();
            for stack in missing {
                let Some(template) = checked.get(&stack.name) else {
                    continue;
                };
                let proposed = observed.states.get(&stack.name) == Some(&StackState::Proposed);
                match build(run, plan, stack, template, proposed, &account).await? {
                    Step::Waits => {}
                    Step::Requested => requested.push(stack.name.clone()),
                    Step::Refused(mut why) => {
                        why.extend(cause_of(&stack.name, &account).await);
                        refused.push(format!(
                            "the change set of stack `{}` is not executed: {}",
                            stack.name,
                            why.join("; ")
                        ));
                    }
                }
            }
            if !refused.is_empty() {
                return Err(RebuildError::Blocked(refused));
            }
            Progress::Running
        }
    };
    Ok(Advanced {
        progress,
        requested,
        cleared,
    })
}

/// What became of one stack in one call.
enum Step {
    /// Its change set is being made or executed.
    Waits,
    /// Its creation was asked for.
    Requested,
    /// It is not created, for these reasons.
    Refused(Vec<String>),
}

/// One step of one stack: asks for its change set, or has it executed once it is known to do what the template says.
async fn build(
    run: &RunId,
    plan: &Plan,
    stack: &Stack,
    template: &Template,
    proposed: bool,
    account: &impl Stacks,
) -> Result<Step, RebuildError> {
    let name = change_set::name(run);
    let found = if proposed {
        account.change_set(&stack.name, &name).await?
    } else {
        None
    };
    match change_set::judge(plan, run, stack, template, found.as_ref()) {
        Proposal::Ask => {
            let asked = account
                .propose(&NewStack {
                    name: stack.name.clone(),
                    change_set: name,
                    template: template.body.clone(),
                    parameters: stack.parameters.clone(),
                    tags: stack_tags(run, &template.digest),
                    role_arn: execution_role(plan),
                    on_failure: plan.rebuild.on_failure,
                    token: request_token(run, stack, "propose"),
                })
                .await?;
            tracing::info!(stack = %stack.name, wave = stack.wave, ?asked, "change set requested");
            Ok(Step::Waits)
        }
        Proposal::Wait => Ok(Step::Waits),
        Proposal::Execute(id) => {
            account
                .execute(&stack.name, &id, &request_token(run, stack, "create"))
                .await?;
            tracing::info!(stack = %stack.name, wave = stack.wave, change_set = %id, "stack requested");
            Ok(Step::Requested)
        }
        Proposal::Refuse(why) => Ok(Step::Refused(why)),
    }
}

pub(crate) async fn clean_up<D: Documents, L: Records, B: Builders>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<D, L, B>,
) -> Result<Advanced, RebuildError> {
    let about = record_of(run, &deps.records).await?;
    let restores = deps.records.get::<RestoreRecord>(&Key::restore(run)).await?;
    stacks_removable(run, Some(&about), restores.as_ref().map(|found| &found.document))?;
    let account = deps.builders.open(plan, &about).await?;
    let observed = observe(run, plan, &account).await?;
    let mut requested = Vec::new();
    let progress = match waves::removal(&plan.rebuild.stacks, &observed.states) {
        Removal::Done => Progress::Done,
        Removal::Wait => Progress::Running,
        Removal::Stop(stuck) => return Err(explain(&stuck, &account).await),
        Removal::Delete(stacks) => {
            for stack in stacks {
                if let Some(found) = observed.stacks.get(&stack.name) {
                    account
                        .delete(&found.id, &request_token(run, stack, "delete"))
                        .await?;
                    tracing::info!(stack = %stack.name, id = %found.id, "deletion requested");
                    requested.push(stack.name.clone());
                }
            }
            Progress::Running
        }
    };
    Ok(Advanced {
        progress,
        requested,
        cleared: Vec::new(),
    })
}

/// The first real cause among a stack's events. Not knowing it must not hide the failure.
async fn cause_of(name: &str, account: &impl Stacks) -> Option<String> {
    let events = account.events(name).await.ok()?;
    first_cause(&events)
}

/// One sentence per stack that stands in the way, with the first real cause where it failed.
pub(crate) async fn explain(blocked: &[(&Stack, StackState)], account: &impl Stacks) -> RebuildError {
    let mut sentences = Vec::new();
    for (stack, state) in blocked {
        let name = &stack.name;
        sentences.push(match state {
            StackState::Foreign { why } => {
                format!("stack `{name}` is not this run's: {why}; delete or rename one of the two")
            }
            StackState::Failed { status } => {
                match cause_of(name, account).await {
                    Some(cause) => format!("stack `{name}` is {status}: {cause}"),
                    None => format!("stack `{name}` is {status}, and its events do not say why"),
                }
            }
            StackState::Deleting => format!("stack `{name}` is being deleted"),
            StackState::Changed { status } => format!(
                "stack `{name}` was changed since this run made it, it is {}: look at its events and delete it",
                status.escape_debug()
            ),
            StackState::Earlier { run, phase } => format!(
                "stack `{name}` is what the run `{run}` left, and cannot be removed ({phase:?}): look at its events and delete it"
            ),
            StackState::Absent | StackState::Proposed | StackState::Creating | StackState::Complete => {
                format!("stack `{name}` is {state:?}")
            }
        });
    }
    RebuildError::Blocked(sentences)
}
