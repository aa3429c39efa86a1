//! Stage 4, first half: infrastructure from code, in isolation.
#![warn(missing_docs)]

use std::collections::BTreeMap;

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::cloudformation::NewStack;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::items;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, Stack};
use blackstart_core::rebuild::failure::first_cause;
use blackstart_core::rebuild::isolation::{StackFacts, examine};
use blackstart_core::rebuild::request::{execution_role, request_token, stack_tags};
use blackstart_core::rebuild::templates::{self, RefusedTemplates, Template};
use blackstart_core::rebuild::waves::{self, Advance, ObservedStack, Removal, StackState};
use blackstart_core::rebuild::{BuiltStack, RebuildDocument, SCHEMA};
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::restore::removal::{RemovalRefused, stacks_removable};
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::rebuild::{Advanced, Checked, Operation, Rebuilt};
use blackstart_core::task::{Progress, Task};
use serde::Serialize;

pub mod port;

use port::{Builders, Documents, Stacks};

/// What the stage needs from outside.
#[derive(Debug)]
pub struct Deps<D, L, B> {
    /// Plan, templates, results.
    pub documents: D,
    /// The ledger.
    pub records: L,
    /// The rebuild account.
    pub builders: B,
}

/// The answer to any operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To `check`.
    Checked(Checked),
    /// To `advance` and `clean_up`.
    Advanced(Advanced),
    /// To `preflight`.
    Rebuilt(Rebuilt),
}

/// Why the stage cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The task names no run.
    #[error("the task names no run: `run` is needed")]
    NoRun,
    /// A document could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The rebuild account did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The templates may not be built.
    #[error(transparent)]
    Templates(#[from] RefusedTemplates),
    /// The stacks of this run are not to be removed.
    #[error(transparent)]
    NotRemoved(#[from] RemovalRefused),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Stacks stand in the way.
    #[error("{}", .0.join("; "))]
    Blocked(Vec<String>),
}

impl StageError for RebuildError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun => ErrorName::InvalidInput,
            Self::Artifact(error) => error.name(),
            Self::Port(error) => error.name(),
            Self::Templates(_) => ErrorName::PolicyRefused,
            Self::NotRemoved(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Blocked(_) => ErrorName::PreconditionChanged,
        }
    }
}

/// Handles one task.
///
/// # Errors
/// [`RebuildError`].
pub async fn handle<D: Documents, L: Records, B: Builders>(
    task: Task<Operation>,
    deps: &Deps<D, L, B>,
) -> Result<Output, RebuildError> {
    let run = task.run.ok_or(RebuildError::NoRun)?;
    match task.input {
        Operation::Check { plan } => {
            let plan = deps.documents.plan(&plan).await?;
            let checked = read_templates(&plan, deps).await?;
            let templates = u32::try_from(checked.len()).unwrap_or(u32::MAX);
            Ok(Output::Checked(Checked { templates }))
        }
        Operation::Advance { plan } => {
            let plan = deps.documents.plan(&plan).await?;
            advance(&run, &plan, deps).await.map(Output::Advanced)
        }
        Operation::Preflight { plan } => {
            let plan = deps.documents.plan(&plan).await?;
            preflight(&run, &plan, deps).await.map(Output::Rebuilt)
        }
        Operation::CleanUp { plan } => {
            let plan = deps.documents.plan(&plan).await?;
            clean_up(&run, &plan, deps).await.map(Output::Advanced)
        }
    }
}

async fn read_templates<D: Documents, L: Records, B: Builders>(
    plan: &Plan,
    deps: &Deps<D, L, B>,
) -> Result<BTreeMap<String, Template>, RebuildError> {
    let mut bytes = BTreeMap::new();
    for stack in &plan.rebuild.stacks {
        bytes.insert(
            stack.name.clone(),
            deps.documents.template(&stack.template).await?,
        );
    }
    let checked = templates::check(plan, &bytes)?;
    items::classify(plan, &checked).map_err(RefusedTemplates)?;
    Ok(checked)
}

/// The stacks as they are, and what each is to this run.
struct Observed {
    stacks: BTreeMap<String, ObservedStack>,
    states: BTreeMap<String, StackState>,
}

async fn observe(run: &RunId, plan: &Plan, account: &impl Stacks) -> Result<Observed, RebuildError> {
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

async fn advance<D: Documents, L: Records, B: Builders>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<D, L, B>,
) -> Result<Advanced, RebuildError> {
    let account = deps.builders.open(plan, run).await?;
    let observed = observe(run, plan, &account).await?;
    let mut requested = Vec::new();
    let progress = match waves::advance(&plan.rebuild.stacks, &observed.states) {
        Advance::Done => Progress::Done,
        Advance::Wait => Progress::Running,
        Advance::Stop(blocked) => return Err(explain(&blocked, &account).await),
        Advance::Start(missing) => {
            let checked = read_templates(plan, deps).await?;
            for stack in missing {
                let Some(template) = checked.get(&stack.name) else {
                    continue;
                };
                let created = account
                    .create(&NewStack {
                        name: stack.name.clone(),
                        template: template.body.clone(),
                        parameters: stack.parameters.clone(),
                        tags: stack_tags(run, &template.digest),
                        role_arn: execution_role(plan),
                        on_failure: plan.rebuild.on_failure,
                        token: request_token(run, stack, "create"),
                    })
                    .await?;
                tracing::info!(stack = %stack.name, wave = stack.wave, ?created, "stack requested");
                requested.push(stack.name.clone());
            }
            Progress::Running
        }
    };
    Ok(Advanced { progress, requested })
}

async fn clean_up<D: Documents, L: Records, B: Builders>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<D, L, B>,
) -> Result<Advanced, RebuildError> {
    let about = deps.records.get::<RunRecord>(&Key::run(run)).await?;
    let restores = deps.records.get::<RestoreRecord>(&Key::restore(run)).await?;
    stacks_removable(
        run,
        about.as_ref().map(|found| &found.document),
        restores.as_ref().map(|found| &found.document),
    )?;
    let account = deps.builders.open(plan, run).await?;
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
    Ok(Advanced { progress, requested })
}

/// One sentence per stack that stands in the way, with the first real cause where it failed.
async fn explain(blocked: &[(&Stack, StackState)], account: &impl Stacks) -> RebuildError {
    let mut sentences = Vec::new();
    for (stack, state) in blocked {
        let name = &stack.name;
        sentences.push(match state {
            StackState::Foreign { why } => {
                format!("stack `{name}` is not this run's: {why}; delete or rename one of the two")
            }
            StackState::Failed { status } => {
                // Not knowing the cause must not hide the failure.
                let cause = account
                    .events(name)
                    .await
                    .ok()
                    .and_then(|events| first_cause(&events));
                match cause {
                    Some(cause) => format!("stack `{name}` is {status}: {cause}"),
                    None => format!("stack `{name}` is {status}, and its events do not say why"),
                }
            }
            StackState::Deleting => format!("stack `{name}` is being deleted"),
            StackState::Absent | StackState::Creating | StackState::Complete => {
                format!("stack `{name}` is {state:?}")
            }
        });
    }
    RebuildError::Blocked(sentences)
}

async fn preflight<D: Documents, L: Records, B: Builders>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<D, L, B>,
) -> Result<Rebuilt, RebuildError> {
    let checked = read_templates(plan, deps).await?;
    let account = deps.builders.open(plan, run).await?;
    let observed = observe(run, plan, &account).await?;
    match waves::advance(&plan.rebuild.stacks, &observed.states) {
        Advance::Done => {}
        Advance::Stop(blocked) => return Err(explain(&blocked, &account).await),
        Advance::Start(unfinished) => {
            let names = unfinished
                .iter()
                .map(|stack| format!("stack `{}` is not created yet", stack.name));
            return Err(RebuildError::Blocked(names.collect()));
        }
        Advance::Wait => {
            return Err(RebuildError::Blocked(vec![
                "stacks are still being created".to_owned(),
            ]));
        }
    }

    let mut facts = BTreeMap::new();
    for (name, stack) in observed.stacks {
        let fact = StackFacts {
            template: account.template(&name).await?,
            resources: account.resources(&name).await?,
            stack,
        };
        facts.insert(name, fact);
    }
    let isolation = examine(plan, &checked, &facts);
    let mut order: Vec<&Stack> = plan.rebuild.stacks.iter().collect();
    order.sort_by_key(|stack| stack.wave);
    let stacks = order
        .into_iter()
        .filter_map(|stack| {
            let fact = facts.get(&stack.name)?;
            Some(BuiltStack {
                name: stack.name.clone(),
                id: fact.stack.id.clone(),
                template: stack.template.sha256.clone(),
                outputs: fact.stack.outputs.clone(),
            })
        })
        .collect();
    let document = RebuildDocument {
        schema: SCHEMA.to_owned(),
        stacks,
        isolation,
        items: items::classify(plan, &checked).map_err(RefusedTemplates)?,
    };
    for check in document.not_passed() {
        tracing::warn!(check = %check.check, status = ?check.status, evidence = %check.evidence, "isolation is not proven");
    }
    let isolated = document.is_isolated();
    let document = deps.documents.keep(run, &document).await?;
    Ok(Rebuilt { document, isolated })
}

#[cfg(test)]
mod tests;
