//! A policy statement as a conjunction of clauses that can be evaluated, or that are taken as they are.

use serde_json::Value;

use super::NotProven;

/// A statement.
#[derive(Debug, Clone)]
pub(in crate::references) struct Statement {
    pub(super) allow: bool,
    pub(super) clauses: Vec<Clause>,
}

/// One condition for a statement to apply.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    /// What it looks at; `None` where it is not understood.
    pub(super) attribute: Option<Attribute>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) negated: bool,
    /// The result when the request has no such attribute.
    pub(super) when_absent: bool,
    /// The whole clause, canonically: two clauses with the same text are the same.
    pub(super) text: String,
}

/// What can be asked of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attribute {
    /// Who calls, as `Principal` names it.
    Principal,
    /// `aws:PrincipalArn`.
    CallerArn,
    /// `aws:PrincipalAccount`, `kms:CallerAccount`.
    CallerAccount,
    /// `aws:SourceArn`.
    SourceArn,
    /// `aws:SourceAccount` or `aws:SourceOwner`.
    SourceAccount(&'static str),
    /// The called resource.
    Resource,
    /// Any other condition key, in lower case.
    Key(String),
}

/// Attributes that describe one thing and so cannot vary independently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dimension {
    Caller,
    Source,
    Resource,
    Key(String),
}

impl Attribute {
    /// Whether its values are account ids.
    pub(super) const fn is_account(&self) -> bool {
        matches!(self, Self::CallerAccount | Self::SourceAccount(_))
    }

    pub(super) fn dimension(&self) -> Dimension {
        match self {
            Self::Principal | Self::CallerArn | Self::CallerAccount => Dimension::Caller,
            Self::SourceArn | Self::SourceAccount(_) => Dimension::Source,
            Self::Resource => Dimension::Resource,
            Self::Key(key) => Dimension::Key(key.clone()),
        }
    }
}

/// One value of a clause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pattern {
    /// Everything.
    Any,
    /// Everybody and everything of this account.
    Account(String),
    /// Exactly this.
    Literal(String),
    /// A pattern over the whole text.
    Glob(String),
    /// A pattern over each of the six parts of an ARN.
    ArnGlob(String),
    /// An entry of `NotPrincipal`: what it covers beyond its own account is left open.
    Exempt(String),
}

impl Statement {
    /// Reads a statement.
    pub(in crate::references) fn read(statement: &Value) -> Result<Self, NotProven> {
        let not_understood = |what: &str| NotProven::NotUnderstood {
            what: what.to_owned(),
        };
        let members = statement
            .as_object()
            .ok_or_else(|| not_understood("a statement is no object"))?;
        let allow = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(not_understood("a statement's `Effect` is neither Allow nor Deny")),
        };
        let mut clauses = Vec::new();
        for (key, value) in members {
            match key.as_str() {
                "Effect" | "Sid" => {}
                "Principal" => clauses.push(principal(value, false)),
                "NotPrincipal" => clauses.push(principal(value, true)),
                "Resource" | "NotResource" => clauses.push(resource(key, value)),
                "Condition" => {
                    let operators = value
                        .as_object()
                        .ok_or_else(|| not_understood("a `Condition` is no object"))?;
                    for (operator, keys) in operators {
                        let keys = keys
                            .as_object()
                            .ok_or_else(|| not_understood("an operator of a `Condition` holds no object"))?;
                        clauses.extend(keys.iter().map(|(key, value)| condition(operator, key, value)));
                    }
                }
                _ => clauses.push(opaque(key, value)),
            }
        }
        Ok(Self { allow, clauses })
    }
}

fn opaque(key: &str, value: &Value) -> Clause {
    Clause {
        attribute: None,
        patterns: Vec::new(),
        negated: false,
        when_absent: false,
        text: format!("{key} {value}"),
    }
}

/// The texts of a value that may be one string or a list of them.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(elements) => elements.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The account in an ARN, where it names exactly one.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| is_account(account))
}

fn principal(value: &Value, negated: bool) -> Clause {
    let name = if negated { "NotPrincipal" } else { "Principal" };
    let unknown = || opaque(name, value);
    let mut patterns = Vec::new();
    match value {
        Value::String(text) if text == "*" => patterns.push(Pattern::Any),
        Value::Object(kinds) => {
            for (kind, value) in kinds {
                let Some(texts) = texts(value) else {
                    return unknown();
                };
                for text in texts {
                    let pattern = match kind.as_str() {
                        "AWS" => aws_principal(text),
                        "Service" | "Federated" => Some(Pattern::Literal(format!("{kind}:{text}"))),
                        _ => None,
                    };
                    match pattern {
                        Some(Pattern::Any) if negated => return unknown(),
                        Some(_) if negated => patterns.push(Pattern::Exempt(text.to_owned())),
                        Some(pattern) => patterns.push(pattern),
                        None => return unknown(),
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return unknown();
        }
    }
    Clause {
        attribute: Some(Attribute::Principal),
        patterns,
        negated,
        when_absent: false,
        text: format!("{name} {value}"),
    }
}

/// `None` for what can be the same caller under another name: sessions, unique ids, canonical users.
fn aws_principal(text: &str) -> Option<Pattern> {
    if text == "*" {
        return Some(Pattern::Any);
    }
    if is_account(text) {
        return Some(Pattern::Account(text.to_owned()));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, "root"] if is_account(account) => {
            Some(Pattern::Account((*account).to_owned()))
        }
        ["arn", _, "iam", "", account, name]
            if is_account(account)
                && (name.starts_with("role/") || name.starts_with("user/"))
                && !name.contains(['*', '?', '$']) =>
        {
            Some(Pattern::Literal(text.to_owned()))
        }
        _ => None,
    }
}

fn resource(name: &str, value: &Value) -> Clause {
    let Some(texts) = texts(value).filter(|texts| texts.iter().all(|text| !text.contains("${"))) else {
        return opaque(name, value);
    };
    Clause {
        attribute: Some(Attribute::Resource),
        patterns: texts
            .into_iter()
            .map(|text| wildcard(text, Pattern::Glob))
            .collect(),
        negated: name == "NotResource",
        when_absent: false,
        text: format!("{name} {value}"),
    }
}

fn wildcard(text: &str, kind: fn(String) -> Pattern) -> Pattern {
    if text == "*" {
        Pattern::Any
    } else if text.contains(['*', '?']) {
        kind(text.to_owned())
    } else {
        Pattern::Literal(text.to_owned())
    }
}

fn condition(operator: &str, key: &str, value: &Value) -> Clause {
    let unknown = || opaque(&format!("{operator} {}", key.to_ascii_lowercase()), value);
    if operator == "Null" {
        return null(key, value).unwrap_or_else(unknown);
    }
    let Some(texts) =
        texts(value).filter(|texts| !texts.is_empty() && texts.iter().all(|text| !text.contains("${")))
    else {
        return unknown();
    };
    let attribute = attribute(key);
    let (set, bare) = match operator.split_once(':') {
        Some(("ForAnyValue", rest)) => (Some(false), rest),
        Some(("ForAllValues", rest)) => (Some(true), rest),
        Some(_) => return unknown(),
        None => (None, operator),
    };
    if set.is_some() && matches!(attribute, Attribute::Key(_)) {
        return unknown();
    }
    let (bare, if_exists) = match bare.strip_suffix("IfExists") {
        Some(rest) => (rest, true),
        None => (bare, false),
    };
    let (negated, pattern): (bool, fn(&str) -> Pattern) = match bare {
        "StringEquals" => (false, |text| Pattern::Literal(text.to_owned())),
        "StringNotEquals" => (true, |text| Pattern::Literal(text.to_owned())),
        "StringLike" => (false, |text| wildcard(text, Pattern::Glob)),
        "StringNotLike" => (true, |text| wildcard(text, Pattern::Glob)),
        "ArnEquals" | "ArnLike" => (false, |text| wildcard(text, Pattern::ArnGlob)),
        "ArnNotEquals" | "ArnNotLike" => (true, |text| wildcard(text, Pattern::ArnGlob)),
        _ => return unknown(),
    };
    let patterns: Vec<Pattern> = texts.into_iter().map(pattern).collect();
    if attribute.is_account()
        && patterns
            .iter()
            .any(|one| !matches!(one, Pattern::Literal(text) if is_account(text)))
    {
        return unknown();
    }
    Clause {
        attribute: Some(attribute),
        patterns,
        negated,
        // A negated operator holds when the key is absent; so do `IfExists` and `ForAllValues`; `ForAnyValue` never.
        when_absent: if_exists || set.unwrap_or(negated),
        text: format!("{operator} {} {value}", key.to_ascii_lowercase()),
    }
}

fn attribute(key: &str) -> Attribute {
    match key.to_ascii_lowercase().as_str() {
        "aws:principalarn" => Attribute::CallerArn,
        "aws:principalaccount" | "kms:calleraccount" => Attribute::CallerAccount,
        "aws:sourcearn" => Attribute::SourceArn,
        "aws:sourceaccount" => Attribute::SourceAccount("account"),
        "aws:sourceowner" => Attribute::SourceAccount("owner"),
        other => Attribute::Key(other.to_owned()),
    }
}

/// `Null` with `true` holds where the key is absent, with `false` where it is there, whatever its value.
fn null(key: &str, value: &Value) -> Option<Clause> {
    let absent = match value {
        Value::Bool(absent) => *absent,
        Value::String(text) => text.parse().ok()?,
        Value::Array(one) => match one.as_slice() {
            [Value::String(text)] => text.parse().ok()?,
            [Value::Bool(absent)] => *absent,
            _ => return None,
        },
        Value::Null | Value::Number(_) | Value::Object(_) => return None,
    };
    Some(Clause {
        attribute: Some(attribute(key)),
        patterns: if absent { Vec::new() } else { vec![Pattern::Any] },
        negated: false,
        when_absent: absent,
        text: format!("Null {} {absent}", key.to_ascii_lowercase()),
    })
}
