//! Whether what was created is isolated. Every check says pass, fail or unknown, and what it looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::exposure::{Exposure, exposure};
use super::intrinsics::Scope;
use super::templates::{self, Template};
use super::waves::ObservedStack;
use super::{CheckStatus, IsolationCheck};
use crate::artifact::canonical_digest;
use crate::plan::{Plan, Stack};

/// What is observed of one stack once it is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFacts {
    /// The stack itself.
    pub stack: ObservedStack,
    /// The template that CloudFormation holds, if it could be read.
    pub template: Option<String>,
    /// The resources that CloudFormation made.
    pub resources: Vec<StackResource>,
}

/// One resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StackResource {
    /// Name in the template.
    pub logical_id: String,
    /// Resource type.
    pub resource_type: String,
    /// Name or id in AWS.
    pub physical_id: Option<String>,
    /// Status, for example `CREATE_COMPLETE`.
    pub status: String,
}

/// Collects what speaks against a check; the worst of it is the check's status.
struct Collector {
    check: &'static str,
    looked_at: &'static str,
    findings: Vec<(CheckStatus, String)>,
    count: usize,
}

impl Collector {
    fn new(check: &'static str, looked_at: &'static str) -> Self {
        Self {
            check,
            looked_at,
            findings: Vec::new(),
            count: 0,
        }
    }

    fn fail(&mut self, what: String) {
        self.findings.push((CheckStatus::Fail, what));
    }

    fn unknown(&mut self, what: String) {
        self.findings.push((CheckStatus::Unknown, what));
    }

    fn finish(self) -> IsolationCheck {
        let status = if self
            .findings
            .iter()
            .any(|(status, _)| *status == CheckStatus::Fail)
        {
            CheckStatus::Fail
        } else if self.findings.is_empty() && self.count > 0 {
            CheckStatus::Pass
        } else {
            CheckStatus::Unknown
        };
        let mut evidence = format!("{} {}", self.count, self.looked_at);
        for (i, (_, what)) in self.findings.iter().enumerate() {
            evidence.push_str(if i == 0 { ": " } else { "; " });
            evidence.push_str(what);
        }
        IsolationCheck {
            check: self.check.to_owned(),
            status,
            evidence,
        }
    }
}

/// Examines every stack of the plan; `templates` are the checked ones and `facts` what was observed, both by stack name.
#[must_use]
pub fn examine(
    plan: &Plan,
    templates: &BTreeMap<String, Template>,
    facts: &BTreeMap<String, StackFacts>,
) -> Vec<IsolationCheck> {
    let mut source = Collector::new("template", "stacks compared with the plan's template");
    let mut trust = Collector::new("trust", "stacks searched for trust outside the rebuild account");
    let mut complete = Collector::new("complete", "resources compared with their template");
    let mut network = Collector::new("network", "resources searched for ways to other networks");
    let mut address = Collector::new("public_address", "resources searched for public addresses");
    let mut ingress = Collector::new("security_groups", "resources searched for ingress from anywhere");

    for stack in &plan.rebuild.stacks {
        let (Some(template), Some(fact)) = (templates.get(&stack.name), facts.get(&stack.name)) else {
            for check in [
                &mut source,
                &mut trust,
                &mut complete,
                &mut network,
                &mut address,
                &mut ingress,
            ] {
                check.unknown(format!("`{}` was not observed", stack.name));
            }
            continue;
        };
        let declared = serde_json::from_str::<Map<String, Value>>(&template.body).unwrap_or_default();
        same_template(stack, template, fact, &mut source);
        no_outside_trust(plan, stack, template, fact, &mut trust);
        all_complete(stack, &declared, fact, &mut complete);

        let scope = Scope::new(plan, stack, &declared);
        for resource in &fact.resources {
            network.count += 1;
            address.count += 1;
            ingress.count += 1;
            let name = format!("`{}/{}`", stack.name, resource.logical_id.escape_debug());
            let properties = declared
                .get("Resources")
                .and_then(|resources| resources.get(&resource.logical_id))
                .and_then(|resource| resource.get("Properties"));
            for found in exposure(&scope, &resource.resource_type, properties) {
                let kind = resource.resource_type.escape_debug();
                match found {
                    Exposure::OtherNetwork => network.fail(format!("{name} is a way out: {kind}")),
                    Exposure::PublicAddress(why) => address.fail(format!("{name} {why}: {kind}")),
                    Exposure::MaybePublic(why) => address.unknown(format!("{name} {why}: {kind}")),
                    Exposure::OpenIngress(range) => ingress.fail(format!("{name} lets in {range}")),
                    Exposure::MaybeIngress => {
                        ingress.unknown(format!("{name} lets in a range that is not known"));
                    }
                    Exposure::UnknownType => {
                        network.unknown(format!("{name} is of a type without a rule: {kind}"))
                    }
                }
            }
        }
    }
    [source, trust, complete, network, address, ingress]
        .into_iter()
        .map(Collector::finish)
        .collect()
}

fn same_template(stack: &Stack, checked: &Template, fact: &StackFacts, check: &mut Collector) {
    check.count += 1;
    let digest = |text: &str| {
        serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|value| canonical_digest(&value).ok())
    };
    match &fact.template {
        None => check.unknown(format!("the template of `{}` could not be read", stack.name)),
        Some(live) if *live == checked.body => {}
        Some(live) => match (digest(live), digest(&checked.body)) {
            (Some(live), Some(wanted)) if live == wanted => {}
            _ => check.fail(format!("`{}` was not made from the plan's template", stack.name)),
        },
    }
}

fn no_outside_trust(
    plan: &Plan,
    stack: &Stack,
    checked: &Template,
    fact: &StackFacts,
    check: &mut Collector,
) {
    check.count += 1;
    if let Err(problems) = templates::check_one(plan, stack, checked.body.as_bytes()) {
        for problem in problems {
            check.fail(problem.to_string());
        }
    }
    for (name, wanted) in &stack.parameters {
        match fact.stack.parameters.get(name) {
            Some(live) if live == wanted => {}
            Some(_) => check.fail(format!(
                "`{}` has another value for `{name}` than the plan",
                stack.name
            )),
            None => check.unknown(format!("`{}` does not show the parameter `{name}`", stack.name)),
        }
    }
    let old = plan.accounts.old.as_str();
    for (name, value) in fact.stack.parameters.iter().chain(&fact.stack.outputs) {
        if value.contains(old) {
            check.fail(format!(
                "`{}` names the old account in `{}`",
                stack.name,
                name.escape_debug()
            ));
        }
    }
    for resource in &fact.resources {
        if resource.physical_id.as_deref().is_some_and(|id| id.contains(old)) {
            check.fail(format!(
                "`{}/{}` has an id of the old account",
                stack.name,
                resource.logical_id.escape_debug()
            ));
        }
    }
}

fn all_complete(stack: &Stack, declared: &Map<String, Value>, fact: &StackFacts, check: &mut Collector) {
    let declared = declared.get("Resources").and_then(Value::as_object);
    let mut seen = BTreeSet::new();
    for resource in &fact.resources {
        check.count += 1;
        seen.insert(resource.logical_id.as_str());
        let name = format!("`{}/{}`", stack.name, resource.logical_id.escape_debug());
        let wanted = declared
            .and_then(|declared| declared.get(&resource.logical_id))
            .and_then(|resource| resource.get("Type"))
            .and_then(Value::as_str);
        if wanted != Some(resource.resource_type.as_str()) {
            check.fail(format!("{name} is not in the template as it was made"));
        } else if resource.status != "CREATE_COMPLETE" {
            check.unknown(format!("{name} is {}", resource.status.escape_debug()));
        }
    }
    for (name, resource) in declared.into_iter().flatten() {
        if !seen.contains(name.as_str()) && resource.get("Condition").is_none() {
            check.unknown(format!("`{}/{}` was not made", stack.name, name.escape_debug()));
        }
    }
}
