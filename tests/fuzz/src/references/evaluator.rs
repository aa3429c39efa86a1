//! A small evaluator of policies over sampled requests, written apart from the prover. What it does not know, it does
//! not judge.

use std::collections::BTreeSet;

use blackstart_core::references::Mode;
use serde_json::{Map, Value};

use super::{NEW, OLD};

/// Most requests that are tried for one pair of documents.
const MOST_REQUESTS: usize = 4_000;

/// A request; a key that is missing is missing.
struct Request<'r> {
    caller: &'r str,
    source: Option<&'r str>,
    resource: &'r str,
    action: &'r str,
}

/// Checks that `after` allows exactly what the mode promises, over requests made of the documents' own constants.
pub(super) fn compare(before: &str, after: &str, mode: Mode) {
    // An image by plain replacement is the image only where an account is all that is replaced.
    let image = before.replace(OLD, NEW);
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(p), Some(image), Some(q)) = (read(before), read(&image), read(after)) else {
        return;
    };
    let joins =
        |side: Option<char>| side.is_some_and(|side| side.is_alphanumeric() || matches!(side, '-' | '_'));
    let plain = before.match_indices(OLD).all(|(start, _)| {
        let (lead, rest) = before.split_at(start);
        !joins(lead.chars().next_back()) && !joins(rest.chars().nth(OLD.len()))
    });
    if !plain || before.contains("AWSLogs") || before.contains("ExternalId") || before.contains('\\') {
        return;
    }
    let samples = Samples::of([&p, &image, &q]);
    for request in samples.requests() {
        let (Some(by_p), Some(by_image), Some(by_q)) = (
            allows(&p, &request),
            allows(&image, &request),
            allows(&q, &request),
        ) else {
            return;
        };
        let wanted = by_image || (mode == Mode::Expand && by_p);
        assert_eq!(
            by_q, wanted,
            "{} from {:?} to {} by {}: {before} => {after}",
            request.action, request.source, request.resource, request.caller
        );
    }
}

/// Constants of the documents, by where they can stand in a request.
struct Samples {
    callers: Vec<String>,
    sources: Vec<Option<String>>,
    resources: Vec<String>,
    actions: Vec<String>,
}

impl Samples {
    fn of<'v>(documents: impl IntoIterator<Item = &'v Value>) -> Self {
        let mut texts = BTreeSet::new();
        for document in documents {
            collect(document, &mut texts);
        }
        let accounts = [OLD, NEW, "333333333333", "999999999999"];
        let of_account = |kind: &str| accounts.map(|account| format!("arn:aws:iam::{account}:{kind}"));
        let mut callers: BTreeSet<String> = of_account("root")
            .into_iter()
            .chain(of_account("role/app"))
            .collect();
        let mut resources = BTreeSet::from(["arn:aws:s3:::bucket/key".to_owned()]);
        let mut actions = BTreeSet::from(["s3:GetObject".to_owned()]);
        let mut sources: BTreeSet<Option<String>> =
            accounts.iter().map(|one| Some((*one).to_owned())).collect();
        sources.insert(None);
        for text in texts {
            let literal = text.replace(['*', '?'], "x");
            if literal.starts_with("arn:aws:iam::") && literal.contains(":role/") {
                callers.insert(literal);
            } else if literal.starts_with("arn:") {
                resources.insert(literal);
            } else if literal.contains(':') {
                actions.insert(literal);
            } else if literal.len() == 12 {
                sources.insert(Some(literal));
            }
        }
        Self {
            callers: callers.into_iter().collect(),
            sources: sources.into_iter().collect(),
            resources: resources.into_iter().collect(),
            actions: actions.into_iter().collect(),
        }
    }

    fn requests(&self) -> impl Iterator<Item = Request<'_>> {
        let total = self.callers.len() * self.sources.len() * self.resources.len() * self.actions.len();
        let step = (total / MOST_REQUESTS).max(1) | 1;
        self.callers
            .iter()
            .flat_map(move |caller| self.sources.iter().map(move |source| (caller, source)))
            .flat_map(move |(caller, source)| self.resources.iter().map(move |one| (caller, source, one)))
            .flat_map(move |(caller, source, resource)| {
                self.actions.iter().map(move |action| Request {
                    caller,
                    source: source.as_deref(),
                    resource,
                    action,
                })
            })
            .step_by(step)
            .take(MOST_REQUESTS)
    }
}

fn collect(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if texts.len() < 64 && text.len() < 200 => {
            texts.insert(text.clone());
        }
        Value::Array(all) => all.iter().for_each(|one| collect(one, texts)),
        Value::Object(members) => members.values().for_each(|one| collect(one, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `None` where the policy says something that is not known here.
fn allows(policy: &Value, request: &Request<'_>) -> Option<bool> {
    let statement = policy.get("Statement")?;
    let statements = statement
        .as_array()
        .map_or(std::slice::from_ref(statement), Vec::as_slice);
    let mut allowed = false;
    let mut denied = false;
    for statement in statements {
        let members = statement.as_object()?;
        let applies = applies(members, request)?;
        match members.get("Effect")?.as_str()? {
            "Allow" => allowed |= applies,
            "Deny" => denied |= applies,
            _ => return None,
        }
    }
    Some(allowed && !denied)
}

fn applies(statement: &Map<String, Value>, request: &Request<'_>) -> Option<bool> {
    let mut applies = true;
    for (key, value) in statement {
        applies &= match key.as_str() {
            "Effect" | "Sid" => true,
            "Principal" => names(value, request.caller)?,
            "NotPrincipal" => !names(value, request.caller)?,
            "Action" => any(value, |text| {
                glob(&text.to_ascii_lowercase(), &request.action.to_ascii_lowercase())
            })?,
            "NotAction" => !any(value, |text| {
                glob(&text.to_ascii_lowercase(), &request.action.to_ascii_lowercase())
            })?,
            "Resource" => any(value, |text| glob(text, request.resource))?,
            "NotResource" => !any(value, |text| glob(text, request.resource))?,
            "Condition" => holds(value, request)?,
            _ => return None,
        };
    }
    Some(applies)
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn any(value: &Value, test: impl Fn(&str) -> bool) -> Option<bool> {
    let texts = texts(value)?;
    if texts.iter().any(|text| text.contains("${")) {
        return None;
    }
    Some(texts.into_iter().any(test))
}

fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

fn names(principal: &Value, caller: &str) -> Option<bool> {
    match principal {
        Value::String(text) => (text == "*").then_some(true),
        Value::Object(kinds) => {
            let mut named = false;
            for (kind, value) in kinds {
                for text in texts(value)? {
                    let parts: Vec<&str> = text.split(':').collect();
                    named |= match (kind.as_str(), parts.as_slice()) {
                        ("Service" | "Federated", _) => false,
                        ("AWS", ["*"]) => true,
                        ("AWS", [account]) if account.len() == 12 => account_of(caller) == Some(account),
                        ("AWS", ["arn", "aws", "iam", "", account, "root"]) => {
                            account_of(caller) == Some(account)
                        }
                        ("AWS", ["arn", "aws", "iam", "", _, name])
                            if name.starts_with("role/") && !name.contains(['*', '?']) =>
                        {
                            text == caller
                        }
                        _ => return None,
                    };
                }
            }
            Some(named)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn holds(condition: &Value, request: &Request<'_>) -> Option<bool> {
    let mut holds = true;
    for (operator, keys) in condition.as_object()? {
        for (key, wanted) in keys.as_object()? {
            let value = match key.to_ascii_lowercase().as_str() {
                "aws:principalaccount" | "kms:calleraccount" => account_of(request.caller),
                "aws:sourceaccount" => request.source,
                _ => return None,
            };
            let wanted = texts(wanted)?;
            if wanted.is_empty() || wanted.iter().any(|text| text.contains("${")) {
                return None;
            }
            let bare = operator.strip_suffix("IfExists").unwrap_or(operator);
            let matches = |value: &str| match bare {
                "StringEquals" | "StringNotEquals" => Some(wanted.contains(&value)),
                "StringLike" | "StringNotLike" => Some(wanted.iter().any(|pattern| glob(pattern, value))),
                _ => None,
            };
            let negated = bare.starts_with("StringNot");
            holds &= match value {
                Some(value) => matches(value)? != negated,
                None => {
                    matches("")?;
                    negated || bare != operator
                }
            };
        }
    }
    Some(holds)
}

/// `*` any text, `?` one character: by the table of which prefixes match.
fn glob(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut matched: Vec<bool> = std::iter::once(true).chain(text.iter().map(|_| false)).collect();
    for symbol in pattern.chars() {
        let mut next = Vec::with_capacity(matched.len());
        let mut reached = false;
        let mut last = None;
        for (index, before) in matched.iter().enumerate() {
            reached |= *before;
            next.push(match symbol {
                '*' => reached,
                _ => {
                    last == Some(true)
                        && (symbol == '?'
                            || index.checked_sub(1).and_then(|at| text.get(at)) == Some(&symbol))
                }
            });
            last = Some(*before);
        }
        matched = next;
    }
    matched.last() == Some(&true)
}
