//! Change sets of new stacks: what CloudFormation is about to do is compared with the template before it does it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::request::stack_tags;
use super::templates::Template;
use crate::plan::{Plan, Stack};
use crate::run::RunId;

/// What a parameter looks like whose value CloudFormation does not show.
const NOT_SHOWN: &str = "****";

/// Beginning of the name of every change set of a run.
const PREFIX: &str = "blackstart-";

/// The name of a run's change sets; each of its stacks has one.
#[must_use]
pub fn name(run: &RunId) -> String {
    format!("{PREFIX}{run}")
}

/// The run whose change set has this name.
#[must_use]
pub fn run_of(name: &str) -> Option<RunId> {
    RunId::try_from(name.strip_prefix(PREFIX)?.to_owned()).ok()
}

/// A change set as CloudFormation describes it (`DescribeChangeSet`), with the template that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedChangeSet {
    /// Its id (ARN).
    pub id: String,
    /// `ChangeSetStatus`, for example `CREATE_COMPLETE`.
    pub status: String,
    /// `ExecutionStatus`, for example `AVAILABLE`.
    pub execution: String,
    /// Why, where CloudFormation says so.
    pub reason: Option<String>,
    /// What it would do.
    pub changes: Vec<Change>,
    /// Parameters with their values.
    pub parameters: BTreeMap<String, String>,
    /// Tags of the stack.
    pub tags: BTreeMap<String, String>,
    /// The template that would be built, as it was sent.
    pub template: Option<String>,
}

/// One change of a change set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`, `Import` or `Dynamic`; empty where the change is not of a resource.
    pub action: String,
    /// Name in the template.
    pub logical_id: String,
    /// Resource type.
    pub resource_type: String,
    /// Whether a modification makes a new resource and takes the old one away: `True`, `False` or `Conditional`; empty
    /// where CloudFormation says nothing of it (`ResourceChange`, CloudFormation API Reference).
    pub replacement: String,
}

/// What to do about a stack that waits for its change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// The run has no change set yet: ask for it.
    Ask,
    /// It is being made, or it is being executed: look again later.
    Wait,
    /// It does what the template says and nothing else: execute it, by this id.
    Execute(String),
    /// It is not executed, for these reasons.
    Refuse(Vec<String>),
}

/// Decides what to do about a stack's change set; `observed` is the one that has the run's [`name`].
#[must_use]
pub fn judge(
    plan: &Plan,
    run: &RunId,
    stack: &Stack,
    template: &Template,
    observed: Option<&ObservedChangeSet>,
) -> Proposal {
    let Some(set) = observed else {
        return Proposal::Ask;
    };
    match (set.status.as_str(), set.execution.as_str()) {
        ("CREATE_PENDING" | "CREATE_IN_PROGRESS", _)
        | ("CREATE_COMPLETE", "UNAVAILABLE" | "EXECUTE_IN_PROGRESS" | "EXECUTE_COMPLETE") => Proposal::Wait,
        ("CREATE_COMPLETE", "AVAILABLE") => {
            let surprises = surprises(plan, run, stack, template, set);
            if surprises.is_empty() {
                Proposal::Execute(set.id.clone())
            } else {
                Proposal::Refuse(surprises)
            }
        }
        (status, execution) => Proposal::Refuse(vec![format!(
            "it is {} and {}: {}",
            status.escape_debug(),
            execution.escape_debug(),
            set.reason.as_deref().map_or_else(
                || "no reason given".to_owned(),
                |reason| reason.escape_debug().to_string()
            )
        )]),
    }
}

/// Every way in which a change set is not what was asked for.
fn surprises(
    plan: &Plan,
    run: &RunId,
    stack: &Stack,
    template: &Template,
    set: &ObservedChangeSet,
) -> Vec<String> {
    let mut found = Vec::new();
    if !set
        .template
        .as_deref()
        .is_some_and(|live| template.is_shown_as(live))
    {
        found.push("it holds another template than the one that was checked".to_owned());
    }
    if set.tags != stack_tags(run, &template.digest) {
        found.push("its tags are not this run's".to_owned());
    }
    for (name, wanted) in &stack.parameters {
        match set.parameters.get(name).map(String::as_str) {
            Some(NOT_SHOWN) => {}
            Some(value) if value == wanted => {}
            _ => found.push(format!("parameter `{name}` has not the plan's value")),
        }
    }
    let declared = serde_json::from_str::<Map<String, Value>>(&template.body).unwrap_or_default();
    let declared = declared.get("Resources").and_then(Value::as_object);
    let mut seen = BTreeSet::new();
    let mut changes = set.changes.clone();
    changes.sort();
    for change in &changes {
        let name = change.logical_id.escape_debug();
        let kind = change.resource_type.escape_debug();
        if change.action != "Add" {
            found.push(format!(
                "it would {} `{name}` ({kind}), and a new stack only adds",
                if change.action.is_empty() {
                    "do something else to".to_owned()
                } else {
                    change.action.to_lowercase().escape_debug().to_string()
                }
            ));
        }
        let wanted = declared
            .and_then(|declared| declared.get(&change.logical_id))
            .and_then(|resource| resource.get("Type"))
            .and_then(Value::as_str);
        if wanted != Some(change.resource_type.as_str()) {
            found.push(format!(
                "it would make `{name}` ({kind}), which the template does not hold"
            ));
        } else if !plan
            .rebuild
            .allowed_resource_types
            .contains(&change.resource_type)
        {
            found.push(format!(
                "it would make `{name}`, and `{kind}` is not in the plan's `rebuild.allowed_resource_types`"
            ));
        }
        if !seen.insert(change.logical_id.as_str()) {
            found.push(format!("it would make `{name}` twice"));
        }
    }
    for (name, resource) in declared.into_iter().flatten() {
        if !seen.contains(name.as_str()) && resource.get("Condition").is_none() {
            found.push(format!("it would not make `{}`", name.escape_debug()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::artifact::Digest;

    const PLAN: &[u8] = include_bytes!("../../../../tests/data/plan/orders.json");

    struct World {
        plan: Plan,
        stack: Stack,
        template: Template,
        set: ObservedChangeSet,
    }

    fn run() -> RunId {
        RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
    }

    fn world() -> World {
        let mut plan = Plan::parse(PLAN).unwrap();
        plan.rebuild.allowed_resource_types = ["AWS::SQS::Queue", "AWS::IAM::Role"].map(str::to_owned).into();
        let stack = Stack {
            parameters: BTreeMap::from([("Size".to_owned(), "small".to_owned())]),
            ..plan.rebuild.stacks[0].clone()
        };
        let body = json!({"Resources": {
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Role": {"Type": "AWS::IAM::Role"},
            "Spare": {"Type": "AWS::SQS::Queue", "Condition": "Large"},
        }})
        .to_string();
        let digest = Digest::of(body.as_bytes());
        let add = |logical_id: &str, kind: &str| Change {
            action: "Add".to_owned(),
            logical_id: logical_id.to_owned(),
            resource_type: kind.to_owned(),
            replacement: String::new(),
        };
        World {
            set: ObservedChangeSet {
                id: "arn:set".to_owned(),
                status: "CREATE_COMPLETE".to_owned(),
                execution: "AVAILABLE".to_owned(),
                reason: None,
                changes: vec![add("Role", "AWS::IAM::Role"), add("Queue", "AWS::SQS::Queue")],
                parameters: stack.parameters.clone(),
                tags: stack_tags(&run(), &digest),
                template: Some(body.clone()),
            },
            template: Template { body, digest },
            plan,
            stack,
        }
    }

    fn judged(change: impl FnOnce(&mut World)) -> Proposal {
        let mut world = world();
        change(&mut world);
        judge(
            &world.plan,
            &run(),
            &world.stack,
            &world.template,
            Some(&world.set),
        )
    }

    #[test]
    fn a_change_set_that_adds_what_the_template_holds_is_executed() {
        assert_eq!(judged(|_| {}), Proposal::Execute("arn:set".to_owned()));
        assert_eq!(
            judged(|w| drop(w.set.parameters.insert("Size".to_owned(), NOT_SHOWN.to_owned()))),
            Proposal::Execute("arn:set".to_owned())
        );
        let world = world();
        assert_eq!(
            judge(&world.plan, &run(), &world.stack, &world.template, None),
            Proposal::Ask
        );
    }

    #[test]
    fn every_surprise_is_said() {
        type Spoil = fn(&mut World);
        let cases: [(Spoil, &str); 13] = [
            (|w| w.set.template = Some("{}".to_owned()), "another template"),
            (|w| w.set.template = None, "another template"),
            (|w| w.set.tags.clear(), "its tags"),
            (|w| w.set.parameters.clear(), "parameter `Size`"),
            (
                |w| w.set.changes[0].action = "Import".to_owned(),
                "it would import `Role`",
            ),
            (|w| w.set.changes[0].action.clear(), "something else to `Role`"),
            (
                |w| w.set.changes[0].logical_id = "Backdoor".to_owned(),
                "`Backdoor` (AWS::IAM::Role), which the template does not hold",
            ),
            (
                |w| w.set.changes[0].resource_type = "AWS::IAM::User".to_owned(),
                "`Role` (AWS::IAM::User), which the template does not hold",
            ),
            (|w| drop(w.set.changes.pop()), "it would not make `Queue`"),
            (|w| w.set.changes.push(w.set.changes[0].clone()), "`Role` twice"),
            (
                |w| {
                    w.plan
                        .rebuild
                        .allowed_resource_types
                        .retain(|kind| kind != "AWS::IAM::Role")
                },
                "`AWS::IAM::Role` is not in the plan's",
            ),
            (|w| w.set.status = "FAILED".to_owned(), "no reason given"),
            // The stack stays in review: nobody would ever say more.
            (
                |w| w.set.execution = "EXECUTE_FAILED".to_owned(),
                "EXECUTE_FAILED",
            ),
        ];
        for (spoil, said) in cases {
            let Proposal::Refuse(reasons) = judged(spoil) else {
                panic!("`{said}` was executed");
            };
            assert!(
                reasons.iter().any(|reason| reason.contains(said)),
                "{said}: {reasons:?}"
            );
        }
    }

    #[test]
    fn the_name_leads_back_to_the_run() {
        assert_eq!(run_of(&name(&run())), Some(run()));
        assert_eq!(run_of("blackstart-orders"), None);
        assert_eq!(run_of("orders-0123456789ab"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn only_what_is_available_is_executed(
            status in prop_oneof![
                Just("CREATE_PENDING"), Just("CREATE_IN_PROGRESS"), Just("CREATE_COMPLETE"), Just("FAILED"),
                Just("DELETE_PENDING"), Just("DELETE_COMPLETE"), Just("SOMETHING_NEW"),
            ],
            execution in prop_oneof![
                Just("UNAVAILABLE"), Just("AVAILABLE"), Just("EXECUTE_IN_PROGRESS"), Just("EXECUTE_COMPLETE"),
                Just("EXECUTE_FAILED"), Just("OBSOLETE"),
            ],
        ) {
            let proposal = judged(|w| {
                w.set.status = status.to_owned();
                w.set.execution = execution.to_owned();
            });
            let ready = status == "CREATE_COMPLETE" && execution == "AVAILABLE";
            prop_assert_eq!(matches!(proposal, Proposal::Execute(_)), ready);
        }
    }
}
