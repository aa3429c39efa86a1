//! Who a policy in a template lets in.

use serde_json::{Map, Value};

use super::intrinsics::{Known, Scope, arn_account, shown};
use crate::run::AccountId;

/// Properties that hold a policy document. Their value must be readable, or nobody knows whom it lets in.
const DOCUMENTS: [&str; 8] = [
    "AssumeRolePolicyDocument",
    "PolicyDocument",
    "KeyPolicy",
    "ResourcePolicy",
    "RepositoryPolicyText",
    "AccessPolicies",
    "AccessPolicy",
    "FileSystemPolicy",
];

/// Properties outside of policy documents that name who is let in.
const GRANTS: [&str; 3] = ["Principal", "Principals", "AllowedPrincipals"];

/// Looks for principals that are neither the rebuild account nor an AWS service.
pub(super) struct Reader<'a, Report> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) rebuild: &'a AccountId,
    /// Takes a path and what is wrong there.
    pub(super) report: Report,
}

impl<Report: FnMut(String, String)> Reader<'_, Report> {
    /// Reads the properties of one resource.
    pub(super) fn properties(&mut self, at: &str, properties: &Map<String, Value>) {
        for key in GRANTS {
            for (i, one) in properties.get(key).map_or(&[][..], list).iter().enumerate() {
                let service = matches!(self.scope.resolve(one), Known::Text(text) if is_service(&text));
                if let Some(what) = self.objection(if service { "Service" } else { "AWS" }, one) {
                    (self.report)(format!("{at}.{key}[{i}]"), what);
                }
            }
        }
        self.object(at, properties);
    }

    fn value(&mut self, at: &str, value: &Value) {
        match value {
            Value::Object(object) => self.object(at, object),
            Value::Array(items) => {
                for (i, inner) in items.iter().enumerate() {
                    self.value(&format!("{at}[{i}]"), inner);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn object(&mut self, at: &str, object: &Map<String, Value>) {
        for (key, inner) in object {
            let at = format!("{at}.{key}");
            if DOCUMENTS.contains(&key.as_str()) {
                self.document(&at, inner);
            } else if key == "Statement" {
                self.statements(&at, inner);
            } else {
                self.value(&at, inner);
            }
        }
    }

    /// A policy document: an object, a choice between two, or JSON text.
    fn document(&mut self, at: &str, value: &Value) {
        if let Some(branches) = branches(value) {
            for (i, branch) in branches {
                self.document(&format!("{at}.Fn::If[{i}]"), branch);
            }
            return;
        }
        match value {
            Value::Array(_) => self.value(at, value),
            Value::Object(object) if object.contains_key("Statement") => self.object(at, object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                let read = match self.scope.resolve(value) {
                    Known::Text(text) => serde_json::from_str::<Map<String, Value>>(&text).ok(),
                    Known::OwnResource | Known::Unknown => None,
                };
                match read {
                    Some(object) => self.object(at, &object),
                    None => (self.report)(
                        at.to_owned(),
                        "is not a policy that can be read before the stack exists: write it out".to_owned(),
                    ),
                }
            }
        }
    }

    fn statements(&mut self, at: &str, value: &Value) {
        match value {
            Value::Array(items) => {
                for (i, one) in items.iter().enumerate() {
                    self.statement(&format!("{at}[{i}]"), one);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.statement(at, value);
            }
        }
    }

    fn statement(&mut self, at: &str, value: &Value) {
        if let Some(branches) = branches(value) {
            for (i, branch) in branches {
                self.statements(&format!("{at}.Fn::If[{i}]"), branch);
            }
            return;
        }
        let Some(statement) = value.as_object().filter(|s| s.contains_key("Effect")) else {
            if !is_no_value(value) {
                (self.report)(
                    at.to_owned(),
                    "is not a policy statement that can be read".to_owned(),
                );
            }
            return;
        };
        // A statement that only denies lets nobody in. Anything that is not literally `Deny` is read as `Allow`.
        if statement.get("Effect").and_then(Value::as_str) == Some("Deny") {
            return;
        }
        if statement.contains_key("NotPrincipal") {
            (self.report)(
                format!("{at}.NotPrincipal"),
                "lets in everybody but the named: name who is let in".to_owned(),
            );
        }
        match statement.get("Principal") {
            None => {}
            Some(Value::Object(kinds)) if kinds.keys().any(|kind| is_kind(kind)) => {
                for (kind, value) in kinds {
                    for (i, one) in list(value).iter().enumerate() {
                        if let Some(what) = self.objection(kind, one) {
                            let index = if value.is_array() {
                                format!("[{i}]")
                            } else {
                                String::new()
                            };
                            (self.report)(format!("{at}.Principal.{kind}{index}"), what);
                        }
                    }
                }
            }
            Some(value) => {
                if let Some(what) = self.objection("AWS", value) {
                    (self.report)(format!("{at}.Principal"), what);
                }
            }
        }
    }

    /// Why this principal may not stand in a template, if so.
    fn objection(&self, kind: &str, value: &Value) -> Option<String> {
        let text = match self.scope.resolve(value) {
            Known::Text(text) => text,
            Known::OwnResource if matches!(kind, "AWS" | "Federated") => return None,
            Known::OwnResource | Known::Unknown => {
                return Some(
                    "is not known before the stack exists: write the account as `AWS::AccountId` or as digits"
                        .to_owned(),
                );
            }
        };
        match kind {
            "Service" if is_service(&text) => None,
            "Service" => Some(format!("`{}` is not an AWS service", shown(&text))),
            "AWS" | "Federated" => {
                if text == "*" {
                    return Some("lets in everybody: name the rebuild account or a service".to_owned());
                }
                if text == self.rebuild.as_str() || arn_account(&text) == Some(self.rebuild.as_str()) {
                    return None;
                }
                Some(format!(
                    "`{}` is not a principal of the rebuild account `{}`",
                    shown(&text),
                    self.rebuild
                ))
            }
            _ => Some(format!(
                "`{}` principals do not say which account they are of: use `AWS` with an ARN",
                shown(kind)
            )),
        }
    }
}

fn is_service(text: &str) -> bool {
    let name = text
        .strip_suffix(".amazonaws.com")
        .or_else(|| text.strip_suffix(".amazonaws.com.cn"));
    name.is_some_and(|name| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
    })
}

/// The two outcomes of a `Fn::If`, with their places in it.
fn branches(value: &Value) -> Option<[(usize, &Value); 2]> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    match object.get("Fn::If")?.as_array()?.as_slice() {
        [_, yes, no] => Some([(1, yes), (2, no)]),
        _ => None,
    }
}

/// `{"Ref": "AWS::NoValue"}`: CloudFormation leaves the place out.
fn is_no_value(value: &Value) -> bool {
    value.get("Ref").and_then(Value::as_str) == Some("AWS::NoValue")
}

fn is_kind(kind: &str) -> bool {
    matches!(kind, "AWS" | "Service" | "Federated" | "CanonicalUser")
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}
