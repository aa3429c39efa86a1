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
use blackstart_core::rebuild::change_set::{self, Proposal};
use blackstart_core::rebuild::drift::{Detection, DriftFacts};
use blackstart_core::rebuild::earlier;
use blackstart_core::rebuild::failure::first_cause;
use blackstart_core::rebuild::isolation::{StackFacts, examine};
use blackstart_core::rebuild::request::{execution_role, request_token, stack_tags};
use blackstart_core::rebuild::templates::{self, RefusedTemplates, Template};
use blackstart_core::rebuild::waves::{self, Advance, ObservedStack, Removal, StackState};
use blackstart_core::rebuild::{BuiltStack, RebuildDocument, SCHEMA};
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::restore::removal::{RemovalRefused, stacks_removable};
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::rebuild::{Advanced, Checked, Compared, Operation, Rebuilt};
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
    /// To `detect_drift`.
    Compared(Compared),
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
        Operation::DetectDrift { plan, detections } => {
            let plan = deps.documents.plan(&plan).await?;
            detect_drift(&run, &plan, detections, deps)
                .await
                .map(Output::Compared)
        }
        Operation::Preflight { plan, detections } => {
            let plan = deps.documents.plan(&plan).await?;
            preflight(&run, &plan, &detections, deps)
                .await
                .map(Output::Rebuilt)
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

/// The run's record. Without it nothing is known of the run, and nothing is done for it.
async fn record_of(run: &RunId, records: &impl Records) -> Result<RunRecord, RebuildError> {
    records
        .get::<RunRecord>(&Key::run(run))
        .await?
        .map(|found| found.document)
        .ok_or_else(|| RemovalRefused::UnknownRun(run.clone()).into())
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

async fn advance<D: Documents, L: Records, B: Builders>(
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

async fn clean_up<D: Documents, L: Records, B: Builders>(
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
async fn explain(blocked: &[(&Stack, StackState)], account: &impl Stacks) -> RebuildError {
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

/// Has CloudFormation compare every stack with its template, which takes minutes: one look per call.
async fn detect_drift<D: Documents, L: Records, B: Builders>(
    run: &RunId,
    plan: &Plan,
    mut detections: BTreeMap<String, String>,
    deps: &Deps<D, L, B>,
) -> Result<Compared, RebuildError> {
    let about = record_of(run, &deps.records).await?;
    let account = deps.builders.open(plan, &about).await?;
    let mut progress = Progress::Done;
    for stack in &plan.rebuild.stacks {
        let found = match detections.get(&stack.name) {
            Some(id) => account.detection(id).await?,
            None => None,
        };
        match found {
            Some(Detection::Complete | Detection::Failed { .. }) => {}
            Some(Detection::Running) => progress = Progress::Running,
            None => {
                progress = Progress::Running;
                detections.remove(&stack.name);
                if let Some(id) = account.detect_drift(&stack.name).await? {
                    tracing::info!(stack = %stack.name, %id, "drift detection requested");
                    detections.insert(stack.name.clone(), id);
                }
            }
        }
    }
    Ok(Compared { progress, detections })
}

/// What is known of a stack's drift. Without a detection that ended, nothing is.
async fn drift_of(
    name: &str,
    detection: Option<&String>,
    account: &impl Stacks,
) -> Result<DriftFacts, RebuildError> {
    let found = match detection {
        Some(id) => account.detection(id).await?,
        None => None,
    };
    Ok(match found {
        Some(Detection::Running) => DriftFacts {
            detection: Detection::Running,
            resources: Vec::new(),
        },
        Some(ended) => DriftFacts {
            detection: ended,
            resources: account.drifts(name).await?,
        },
        None => DriftFacts {
            detection: Detection::Failed {
                why: Some("the stack was not compared".to_owned()),
            },
            resources: Vec::new(),
        },
    })
}

async fn preflight<D: Documents, L: Records, B: Builders>(
    run: &RunId,
    plan: &Plan,
    detections: &BTreeMap<String, String>,
    deps: &Deps<D, L, B>,
) -> Result<Rebuilt, RebuildError> {
    let checked = read_templates(plan, deps).await?;
    let about = record_of(run, &deps.records).await?;
    let account = deps.builders.open(plan, &about).await?;
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
        Advance::Wait | Advance::Clear(_) => {
            return Err(RebuildError::Blocked(vec![
                "stacks are still being created or removed".to_owned(),
            ]));
        }
    }

    let mut facts = BTreeMap::new();
    for (name, stack) in observed.stacks {
        let fact = StackFacts {
            template: account.template(&name).await?,
            resources: account.resources(&name).await?,
            drift: drift_of(&name, detections.get(&name), &account).await?,
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
