//! Whether what was created is isolated. Every check says pass, fail or unknown, and what it looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::drift::{self, DriftFacts};
use super::exposure::{Exposure, exposure};
use super::intrinsics::Scope;
use super::surroundings::{self, Kind, Survey};
use super::templates::{self, Template};
use super::waves::ObservedStack;
use super::{CheckStatus, IsolationCheck, Objection};
use crate::plan::{Plan, Stack, WaivableCheck};

/// What is observed of one stack once it is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFacts {
    /// The stack itself.
    pub stack: ObservedStack,
    /// The template that CloudFormation holds, if it could be read.
    pub template: Option<String>,
    /// The resources that CloudFormation made.
    pub resources: Vec<StackResource>,
    /// How they compare with the template.
    pub drift: DriftFacts,
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
    objections: Vec<Objection>,
    count: usize,
}

impl Collector {
    fn new(check: &'static str, looked_at: &'static str) -> Self {
        Self {
            check,
            looked_at,
            objections: Vec::new(),
            count: 0,
        }
    }

    fn object(&mut self, status: CheckStatus, subject: &str, what: String) {
        self.objections.push(Objection {
            subject: subject.to_owned(),
            status,
            what,
        });
    }

    /// The template and the account may say the same of one thing.
    fn object_once(&mut self, status: CheckStatus, subject: &str, what: String) {
        let known = |said: &Objection| said.subject == subject && said.what == what;
        if !self.objections.iter().any(known) {
            self.object(status, subject, what);
        }
    }

    fn fail(&mut self, subject: &str, what: String) {
        self.object(CheckStatus::Fail, subject, what);
    }

    fn unknown(&mut self, subject: &str, what: String) {
        self.object(CheckStatus::Unknown, subject, what);
    }

    fn finish(self) -> IsolationCheck {
        let status = if self
            .objections
            .iter()
            .any(|objection| objection.status == CheckStatus::Fail)
        {
            CheckStatus::Fail
        } else if self.objections.is_empty() && self.count > 0 {
            CheckStatus::Pass
        } else {
            CheckStatus::Unknown
        };
        let mut evidence = format!("{} {}", self.count, self.looked_at);
        for (i, objection) in self.objections.iter().enumerate() {
            evidence.push_str(if i == 0 { ": " } else { "; " });
            evidence.push_str(&objection.to_string());
        }
        IsolationCheck {
            check: self.check.to_owned(),
            status,
            evidence,
            objections: self.objections,
        }
    }
}

/// Examines every stack of the plan, and the account around them; `templates` are the checked ones and `facts` what was
/// observed, both by stack name.
#[must_use]
pub fn examine(
    plan: &Plan,
    templates: &BTreeMap<String, Template>,
    facts: &BTreeMap<String, StackFacts>,
    survey: &Survey,
) -> Vec<IsolationCheck> {
    let mut source = Collector::new("template", "stacks compared with the plan's template");
    let mut trust = Collector::new(
        "trust",
        "stacks and roles searched for trust outside the rebuild account",
    );
    let mut complete = Collector::new("complete", "resources compared with their template");
    let mut network = Collector::new("network", "resources searched for ways to other networks");
    let mut address = Collector::new("public_address", "resources searched for public addresses");
    let mut ingress = Collector::new("security_groups", "resources searched for ingress from anywhere");
    let mut drifted = Collector::new("drift", "resources compared with their template as they are now");

    for stack in &plan.rebuild.stacks {
        let (Some(template), Some(fact)) = (templates.get(&stack.name), facts.get(&stack.name)) else {
            for check in [
                &mut source,
                &mut trust,
                &mut complete,
                &mut network,
                &mut address,
                &mut ingress,
                &mut drifted,
            ] {
                check.unknown(&stack.name, "was not observed".to_owned());
            }
            continue;
        };
        let declared = serde_json::from_str::<Map<String, Value>>(&template.body).unwrap_or_default();
        same_template(stack, template, fact, &mut source);
        no_outside_trust(plan, stack, template, fact, &mut trust);
        all_complete(stack, &declared, fact, &mut complete);
        drifted.count += fact.resources.len();
        drifted
            .objections
            .extend(drift::examine(&stack.name, &fact.resources, &fact.drift));

        let scope = Scope::new(plan, stack, &declared);
        for resource in &fact.resources {
            network.count += 1;
            address.count += 1;
            ingress.count += 1;
            let name = subject(stack, &resource.logical_id);
            let properties = declared
                .get("Resources")
                .and_then(|resources| resources.get(&resource.logical_id))
                .and_then(|resource| resource.get("Properties"));
            for found in exposure(&scope, &resource.resource_type, properties) {
                let kind = resource.resource_type.escape_debug();
                match found {
                    Exposure::OtherNetwork => network.fail(&name, format!("is a way out: {kind}")),
                    Exposure::MaybeOtherNetwork => {
                        network.unknown(&name, format!("may be a way out: {kind}"))
                    }
                    Exposure::PublicAddress(why) => address.fail(&name, format!("{why}: {kind}")),
                    Exposure::MaybePublic(why) => address.unknown(&name, format!("{why}: {kind}")),
                    Exposure::OpenIngress(range) => ingress.fail(&name, format!("lets in {range}")),
                    Exposure::MaybeIngress => {
                        ingress.unknown(&name, "lets in a range that is not known".to_owned());
                    }
                    Exposure::UnknownType => {
                        network.unknown(&name, format!("is of a type without a rule: {kind}"));
                    }
                }
            }
        }
    }
    let owner = owners(plan, facts);
    for kind in Kind::all() {
        let check = match kind.check() {
            WaivableCheck::Network => &mut network,
            WaivableCheck::PublicAddress => &mut address,
            WaivableCheck::SecurityGroups => &mut ingress,
            WaivableCheck::Trust | WaivableCheck::Complete | WaivableCheck::Drift => &mut trust,
        };
        let (count, findings) = surroundings::judge(plan, survey, kind, |id| owner.get(id).cloned());
        check.count += count;
        for found in findings {
            check.object_once(found.status, &found.subject, found.what);
        }
    }
    [source, trust, complete, network, address, ingress, drifted]
        .into_iter()
        .map(Collector::finish)
        .collect()
}

/// What the stacks made: physical id to what an [`Objection`] calls it. Of an ARN its last part counts, too: load
/// balancers are known by it to what hangs on them.
fn owners(plan: &Plan, facts: &BTreeMap<String, StackFacts>) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for stack in &plan.rebuild.stacks {
        for resource in facts
            .get(&stack.name)
            .into_iter()
            .flat_map(|fact| &fact.resources)
        {
            if let Some(id) = resource.physical_id.as_ref().filter(|id| !id.is_empty()) {
                let name = subject(stack, &resource.logical_id);
                if let Some((_, last)) = id.split_once(":loadbalancer/") {
                    owners.insert(last.to_owned(), name.clone());
                }
                owners.insert(id.clone(), name);
            }
        }
    }
    owners
}

/// One resource of a stack, as an [`Objection`] names it.
fn subject(stack: &Stack, logical_id: &str) -> String {
    format!("{}/{}", stack.name, logical_id.escape_debug())
}

fn same_template(stack: &Stack, checked: &Template, fact: &StackFacts, check: &mut Collector) {
    check.count += 1;
    match &fact.template {
        None => check.unknown(&stack.name, "shows no template".to_owned()),
        Some(live) if checked.is_shown_as(live) => {}
        Some(_) => check.fail(&stack.name, "was not made from the plan's template".to_owned()),
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
            check.fail(&stack.name, problem.to_string());
        }
    }
    for (name, wanted) in &stack.parameters {
        match fact.stack.parameters.get(name) {
            Some(live) if live == wanted => {}
            Some(_) => check.fail(
                &stack.name,
                format!("has another value for `{name}` than the plan"),
            ),
            None => check.unknown(&stack.name, format!("does not show the parameter `{name}`")),
        }
    }
    let old = plan.accounts.old.as_str();
    for (name, value) in fact.stack.parameters.iter().chain(&fact.stack.outputs) {
        if value.contains(old) {
            check.fail(
                &stack.name,
                format!("names the old account in `{}`", name.escape_debug()),
            );
        }
    }
    for resource in &fact.resources {
        if resource.physical_id.as_deref().is_some_and(|id| id.contains(old)) {
            check.fail(
                &subject(stack, &resource.logical_id),
                "has an id of the old account".to_owned(),
            );
        }
    }
}

fn all_complete(stack: &Stack, declared: &Map<String, Value>, fact: &StackFacts, check: &mut Collector) {
    let declared = declared.get("Resources").and_then(Value::as_object);
    let mut seen = BTreeSet::new();
    for resource in &fact.resources {
        check.count += 1;
        seen.insert(resource.logical_id.as_str());
        let name = subject(stack, &resource.logical_id);
        let wanted = declared
            .and_then(|declared| declared.get(&resource.logical_id))
            .and_then(|resource| resource.get("Type"))
            .and_then(Value::as_str);
        if wanted != Some(resource.resource_type.as_str()) {
            check.fail(&name, "is not in the template as it was made".to_owned());
        } else if resource.status != "CREATE_COMPLETE" {
            check.unknown(&name, format!("is {}", resource.status.escape_debug()));
        }
    }
    for (name, resource) in declared.into_iter().flatten() {
        if !seen.contains(name.as_str()) && resource.get("Condition").is_none() {
            check.unknown(&subject(stack, name), "was not made".to_owned());
        }
    }
}
