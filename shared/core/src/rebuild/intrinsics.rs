//! Reading values of a CloudFormation template as far as they can be known before the stack exists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::plan::{Plan, Stack};

/// Stands in a text for a part that only CloudFormation knows. It cannot occur in an ARN or an account id.
const UNKNOWN_PART: char = '\u{0}';

/// What a template value will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// This text. Parts that cannot be known are marked; see [`arn_account`].
    Text(String),
    /// The name or ARN of a resource that this template creates.
    OwnResource,
    /// Not known before the stack exists.
    Unknown,
}

/// What a template's references resolve to.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    texts: BTreeMap<&'a str, &'a str>,
    own: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(plan: &'a Plan, stack: &'a Stack, template: &'a Map<String, Value>) -> Self {
        let mut texts = BTreeMap::new();
        for (name, parameter) in template
            .get("Parameters")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if let Some(default) = parameter.get("Default").and_then(Value::as_str) {
                texts.insert(name.as_str(), default);
            }
        }
        texts.extend(stack.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        texts.insert("AWS::AccountId", plan.accounts.rebuild.as_str());
        texts.insert("AWS::Partition", &plan.partition);
        texts.insert("AWS::Region", &plan.region);
        texts.insert("AWS::StackName", &stack.name);
        texts.insert(
            "AWS::URLSuffix",
            if plan.partition == "aws-cn" {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            },
        );
        let own = template
            .get("Resources")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        Self { texts, own }
    }

    fn name(&self, name: &str) -> Known {
        if let Some(text) = self.texts.get(name) {
            Known::Text((*text).to_owned())
        } else if self.own.contains(name) {
            Known::OwnResource
        } else {
            Known::Unknown
        }
    }

    /// The value, as far as it can be known.
    pub(super) fn resolve(&self, value: &Value) -> Known {
        match value {
            Value::String(text) => Known::Text(text.clone()),
            Value::Number(number) => Known::Text(number.to_string()),
            Value::Bool(flag) => Known::Text(flag.to_string()),
            Value::Object(object) => match single(object) {
                Some(("Ref", Value::String(name))) => self.name(name),
                Some(("Fn::GetAtt", Value::String(path))) => {
                    self.attribute(path.split_once('.').map_or(path.as_str(), |(name, _)| name))
                }
                Some(("Fn::GetAtt", Value::Array(path))) => path
                    .first()
                    .and_then(Value::as_str)
                    .map_or(Known::Unknown, |name| self.attribute(name)),
                Some(("Fn::Sub", Value::String(text))) => self.substitute(text, None),
                Some(("Fn::Sub", Value::Array(parts))) => match parts.as_slice() {
                    [Value::String(text), Value::Object(names)] => self.substitute(text, Some(names)),
                    _ => Known::Unknown,
                },
                Some(("Fn::Join", Value::Array(parts))) => match parts.as_slice() {
                    [Value::String(delimiter), Value::Array(items)] => self.join(delimiter, items),
                    _ => Known::Unknown,
                },
                _ => Known::Unknown,
            },
            Value::Null | Value::Array(_) => Known::Unknown,
        }
    }

    fn attribute(&self, resource: &str) -> Known {
        if self.own.contains(resource) {
            Known::OwnResource
        } else {
            Known::Unknown
        }
    }

    fn join(&self, delimiter: &str, items: &[Value]) -> Known {
        let mut text = String::new();
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                text.push_str(delimiter);
            }
            push(&mut text, self.resolve(item));
        }
        Known::Text(text)
    }

    fn substitute(&self, text: &str, names: Option<&Map<String, Value>>) -> Known {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            result.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                return Known::Unknown;
            };
            rest = tail;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str("${");
                result.push_str(literal);
                result.push('}');
                continue;
            }
            let name = name.trim();
            let known = match names.and_then(|names| names.get(name)) {
                Some(value) => self.resolve(value),
                None => match name.split_once('.') {
                    Some((resource, _)) => self.attribute(resource),
                    None => self.name(name),
                },
            };
            if before.is_empty() && tail.is_empty() && result.is_empty() {
                return known;
            }
            push(&mut result, known);
        }
        result.push_str(rest);
        Known::Text(result)
    }
}

fn push(text: &mut String, known: Known) {
    match known {
        Known::Text(part) => text.push_str(&part),
        Known::OwnResource | Known::Unknown => text.push(UNKNOWN_PART),
    }
}

/// The only entry of an object: the shape of every intrinsic function.
fn single(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = object.iter();
    let (key, value) = entries.next()?;
    entries.next().is_none().then_some((key.as_str(), value))
}

/// The account field of an ARN, if it and every field before it are known.
pub(super) fn arn_account(text: &str) -> Option<&str> {
    let mut fields = text.split(':');
    let head: Vec<&str> = fields.by_ref().take(5).collect();
    let [arn, .., account] = head.as_slice() else {
        return None;
    };
    let known = !head.iter().any(|field| field.contains(UNKNOWN_PART));
    (head.len() == 5 && *arn == "arn" && known && fields.next().is_some()).then_some(*account)
}

/// The text for people, with unknown parts shown as `?`.
pub(super) fn shown(text: &str) -> String {
    text.replace(UNKNOWN_PART, "?").escape_debug().to_string()
}
