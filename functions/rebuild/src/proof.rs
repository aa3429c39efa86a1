//! The proof: what was built is what the templates say, and isolated.

use std::collections::BTreeMap;

use blackstart_aws::records::Records;
use blackstart_core::items;
use blackstart_core::plan::{Plan, Stack};
use blackstart_core::rebuild::drift::{Detection, DriftFacts};
use blackstart_core::rebuild::isolation::{StackFacts, examine};
use blackstart_core::rebuild::templates::RefusedTemplates;
use blackstart_core::rebuild::waves::{self, Advance};
use blackstart_core::rebuild::{BuiltStack, RebuildDocument, SCHEMA};
use blackstart_core::run::RunId;
use blackstart_core::task::Progress;
use blackstart_core::task::rebuild::{Compared, Rebuilt};

use crate::port::{Builders, Documents, Stacks};
use crate::stacks::{explain, observe};
use crate::{Deps, RebuildError, read_templates, record_of};

/// Has CloudFormation compare every stack with its template, which takes minutes: one look per call.
pub(crate) async fn detect_drift<D: Documents, L: Records, B: Builders>(
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

pub(crate) async fn preflight<D: Documents, L: Records, B: Builders>(
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
    let survey = deps.builders.survey(plan, &about).await?;
    let isolation = examine(plan, &checked, &facts, &survey);
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
