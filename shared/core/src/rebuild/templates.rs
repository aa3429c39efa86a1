//! Whether a template may be built: checked before any stack exists.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::intrinsics::{Known, Scope};
use super::principals::Reader;
use crate::artifact::{Digest, canonical_digest};
use crate::plan::{Must, Plan, Problem, Stack};

/// Longest template that `CreateStack` takes in the request itself, in bytes.
///
/// A template is always sent as the bytes that were checked, never as a URL that could show others later.
pub const MAX_TEMPLATE_BYTES: usize = 51_200;

const MACRO: &str = "runs a macro, and what it makes cannot be checked: expand it first";

/// A template that passed every check: the text to send, and the digest by which the plan knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The template's text.
    pub body: String,
    /// Digest of its bytes.
    pub digest: Digest,
}

impl Template {
    /// Whether this is what CloudFormation shows of it: the same text, or the same JSON in other words.
    #[must_use]
    pub fn is_shown_as(&self, live: &str) -> bool {
        let canonical = |text: &str| {
            serde_json::from_str::<Value>(text)
                .ok()
                .and_then(|value| canonical_digest(&value).ok())
        };
        live == self.body || canonical(live).is_some_and(|live| canonical(&self.body) == Some(live))
    }
}

/// At least one template may not be built. Holds every problem of every template.
#[derive(Debug, thiserror::Error)]
#[error("{} problem(s) in the templates: {}", .0.len(), join(.0))]
pub struct RefusedTemplates(pub Vec<Problem>);

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Checks the templates of every stack of the plan; `bytes` is by stack name.
///
/// Problems are located as `STACK: JSON path`. A template whose digest differs is not looked into.
///
/// # Errors
/// [`RefusedTemplates`] with all problems of all templates.
pub fn check(
    plan: &Plan,
    bytes: &BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Template>, RefusedTemplates> {
    let mut passed = BTreeMap::new();
    let mut problems = Vec::new();
    for stack in &plan.rebuild.stacks {
        let checked = match bytes.get(&stack.name) {
            Some(bytes) => check_one(plan, stack, bytes),
            None => Err(vec![Problem {
                at: stack.name.clone(),
                what: "the template was not read".to_owned(),
            }]),
        };
        match checked {
            Ok(template) => {
                passed.insert(stack.name.clone(), template);
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(passed)
    } else {
        Err(RefusedTemplates(problems))
    }
}

/// Checks the template of one stack.
///
/// # Errors
/// Every problem of this template.
pub fn check_one(plan: &Plan, stack: &Stack, bytes: &[u8]) -> Result<Template, Vec<Problem>> {
    let whole = |what: String| {
        vec![Problem {
            at: stack.name.clone(),
            what,
        }]
    };
    let digest = Digest::of(bytes);
    if digest != stack.template.sha256 {
        return Err(whole(format!(
            "the template `s3://{}/{}` has the digest {digest}, the plan says {}: restore the reviewed template, or review this one and change the plan",
            stack.template.bucket.escape_debug(),
            stack.template.key.escape_debug(),
            stack.template.sha256
        )));
    }
    let body = std::str::from_utf8(bytes).map_err(|_| whole("the template is not UTF-8".to_owned()))?;
    let template: Map<String, Value> = serde_json::from_str(body).map_err(|error| {
        whole(format!(
            "the template is not a JSON object ({error}); convert YAML with `cfn-flip` or `rain fmt --json`"
        ))
    })?;

    let mut problems = Vec::new();
    let mut problem = |at: &str, what: String| {
        problems.push(Problem {
            at: format!("{}: {at}", stack.name),
            what,
        });
    };
    if bytes.len() > MAX_TEMPLATE_BYTES {
        problem(
            "size",
            format!(
                "is {} bytes, CloudFormation takes {MAX_TEMPLATE_BYTES}: split the stack",
                bytes.len()
            ),
        );
    }
    let scope = Scope::new(plan, stack, &template);
    let mut places = Vec::new();
    for (key, value) in &template {
        walk(&scope, plan.accounts.old.as_str(), key, value, &mut places);
    }
    for (at, what) in places {
        problem(&at, what.to_owned());
    }
    if template.contains_key("Transform") {
        problem("Transform", MACRO.to_owned());
    }
    resources(plan, &scope, &template, &mut problem);
    if problems.is_empty() {
        Ok(Template {
            body: body.to_owned(),
            digest,
        })
    } else {
        Err(problems)
    }
}

/// The name that a resource will have, as far as it is one by which a plan knows it and can be known beforehand.
pub(crate) fn name_of(
    plan: &Plan,
    stack: &Stack,
    template: &Map<String, Value>,
    kind: &str,
    resource: &Value,
) -> Option<String> {
    let property = match kind {
        "AWS::S3::Bucket" => "BucketName",
        "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" => "TableName",
        "AWS::SecretsManager::Secret" => "Name",
        "AWS::IAM::AccessKey" => "UserName",
        _ => return None,
    };
    let value = resource.get("Properties")?.get(property)?;
    match Scope::new(plan, stack, template).resolve(value) {
        Known::Text(name) => Some(name),
        Known::OwnResource | Known::Unknown => None,
    }
}

fn resources(
    plan: &Plan,
    scope: &Scope<'_>,
    template: &Map<String, Value>,
    problem: &mut impl FnMut(&str, String),
) {
    let Some(resources) = template
        .get("Resources")
        .and_then(Value::as_object)
        .filter(|resources| !resources.is_empty())
    else {
        problem("Resources", "is missing or empty".to_owned());
        return;
    };
    for (name, resource) in resources {
        let at = format!("Resources.{name}");
        let Some(kind) = resource.get("Type").and_then(Value::as_str) else {
            problem(&format!("{at}.Type"), "is missing".to_owned());
            continue;
        };
        if kind == "AWS::CloudFormation::Stack" {
            problem(
                &format!("{at}.Type"),
                "nests a template that CloudFormation reads anew from its URL, which no digest binds: make it a stack of the plan in `rebuild.stacks`, in a wave of its own"
                    .to_owned(),
            );
        } else if !plan.rebuild.allowed_resource_types.contains(kind) {
            problem(
                &format!("{at}.Type"),
                format!(
                    "`{}` is not in the plan's `rebuild.allowed_resource_types`",
                    kind.escape_debug()
                ),
            );
        }
        match resource.get("Properties") {
            None => {}
            Some(Value::Object(properties)) => {
                let mut reader = Reader {
                    scope,
                    rebuild: &plan.accounts.rebuild,
                    report: |at: String, what| problem(&at, what),
                };
                reader.properties(&format!("{at}.Properties"), properties);
            }
            Some(_) => problem(&format!("{at}.Properties"), "is not an object".to_owned()),
        }
        for rule in plan
            .rebuild
            .rules
            .iter()
            .filter(|rule| rule.resource_type == kind)
        {
            let found = resource
                .get("Properties")
                .and_then(|properties| properties.pointer(&rule.property));
            if let Some(what) = violation(scope, &rule.must, found) {
                let place = rule.property.replace('/', ".");
                problem(
                    &format!("{at}.Properties{place}"),
                    format!("{what}: {}", rule.reason),
                );
            }
        }
    }
}

/// How a property breaks a rule of the plan, if it does.
fn violation(scope: &Scope<'_>, must: &Must, found: Option<&Value>) -> Option<String> {
    match (must, found) {
        (Must::Exist, Some(_)) | (Must::NotExist, None) => None,
        (Must::Exist, None) => Some("is missing".to_owned()),
        (Must::NotExist, Some(_)) => Some("must not be given".to_owned()),
        (Must::Be(_), None) => Some("is missing".to_owned()),
        (Must::Be(allowed), Some(value)) => {
            let text = |value: &Value| match scope.resolve(value) {
                Known::Text(text) => Some(text),
                Known::OwnResource | Known::Unknown => None,
            };
            let known = text(value);
            let fits = allowed
                .iter()
                .any(|wanted| wanted == value || (known.is_some() && text(wanted) == known));
            (!fits).then(|| {
                let shown = known.map_or_else(
                    || "not known before the stack exists".to_owned(),
                    |known| format!("`{}`", super::intrinsics::shown(&known)),
                );
                let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                format!("is {shown}, not {}", allowed.join(" or "))
            })
        }
    }
}

/// Collects every place that names the old account, in a key, in a value, or put together from parts, and every macro.
fn walk(scope: &Scope<'_>, old: &str, at: &str, value: &Value, found: &mut Vec<(String, &'static str)>) {
    const NAMES_OLD: &str = "names the old account";
    match value {
        Value::String(text) if text.contains(old) => found.push((at.to_owned(), NAMES_OLD)),
        Value::Number(number) if number.to_string() == old => found.push((at.to_owned(), NAMES_OLD)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                walk(scope, old, &format!("{at}[{i}]"), inner, found);
            }
        }
        Value::Object(object) => {
            let before = found.len();
            for (key, inner) in object {
                let at = format!("{at}.{key}");
                if key.contains(old) {
                    found.push((at.clone(), NAMES_OLD));
                }
                if key == "Fn::Transform" {
                    found.push((at.clone(), MACRO));
                }
                walk(scope, old, &at, inner, found);
            }
            let unseen = found.len() == before;
            if unseen && matches!(scope.resolve(value), Known::Text(text) if text.contains(old)) {
                found.push((
                    at.to_owned(),
                    "names the old account once its parts are put together",
                ));
            }
        }
    }
}
