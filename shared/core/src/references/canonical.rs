//! The canonical form of a policy: services give a document back in another order and spelling than it was put.

use serde_json::{Map, Value};

use super::encoding::decode;
use crate::artifact::{Digest, canonical_json};

/// The digest of a document's canonical form. What *before* and *after* mean everywhere.
///
/// Of a set of entries the order says nothing. Any other text has the digest of its bytes.
#[must_use]
pub fn canonical_digest_of(text: &str) -> Digest {
    match canonical_form(text).and_then(|form| canonical_json(&form).ok()) {
        Some(bytes) => Digest::of(&bytes),
        None => match super::entries::canonical_entries(text) {
            Some(entries) => Digest::of(entries.as_bytes()),
            None => Digest::of(text.as_bytes()),
        },
    }
}

/// Whether two texts say the same policy.
#[must_use]
pub fn same_document(one: &str, other: &str) -> bool {
    one == other || canonical_digest_of(one) == canonical_digest_of(other)
}

/// The canonical form of a policy: what services change without changing the meaning is made equal.
///
/// Root ARNs become account ids, single values lists, lists sorted sets, numbers and booleans in conditions
/// strings; actions and condition keys are in lower case; empty members are gone; statements are sorted.
/// `None` when the text is no policy, or has a key twice.
#[must_use]
pub fn canonical_form(text: &str) -> Option<Value> {
    let decoded = decode(text);
    super::json::parse(&decoded.text).ok()?;
    let policy: Value = serde_json::from_str(&decoded.text).ok()?;
    let members = policy.as_object()?;
    let mut form = Map::new();
    for (key, value) in members {
        let value = if key == "Statement" {
            statements(value)?
        } else {
            value.clone()
        };
        if !is_empty(&value) {
            form.insert(key.clone(), value);
        }
    }
    form.get("Statement")?;
    // IAM user guide, *IAM JSON policy elements: Version*: the default is the first version.
    form.entry("Version").or_insert_with(|| Value::from("2008-10-17"));
    Some(Value::Object(form))
}

fn statements(value: &Value) -> Option<Value> {
    let mut statements = elements(value)
        .iter()
        .map(statement)
        .collect::<Option<Vec<_>>>()?;
    statements.sort_by_cached_key(|one| canonical_json(one).unwrap_or_default());
    Some(Value::Array(statements))
}

fn statement(value: &Value) -> Option<Value> {
    let mut form = Map::new();
    for (key, value) in value.as_object()? {
        let value = match key.as_str() {
            "Action" | "NotAction" => set(value, |text| text.to_ascii_lowercase()),
            "Resource" | "NotResource" => set(value, ToOwned::to_owned),
            "Principal" | "NotPrincipal" => principal(value),
            "Condition" => condition(value),
            _ => value.clone(),
        };
        if !is_empty(&value) {
            form.insert(key.clone(), value);
        }
    }
    Some(Value::Object(form))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The elements of a list; a single value may stand without brackets.
fn elements(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// A sorted list without repetitions.
fn set(value: &Value, spelled: impl Fn(&str) -> String) -> Value {
    let mut texts: Vec<String> = elements(value)
        .iter()
        .map(|element| element.as_str().map_or_else(|| element.to_string(), &spelled))
        .collect();
    texts.sort_unstable();
    texts.dedup();
    Value::from(texts)
}

fn principal(value: &Value) -> Value {
    let Value::Object(kinds) = value else {
        // `"*"` is short for every AWS principal.
        return Value::Object(Map::from_iter([(
            "AWS".to_owned(),
            set(value, ToOwned::to_owned),
        )]));
    };
    kinds
        .iter()
        .map(|(kind, value)| (kind.clone(), set(value, account_of_root)))
        .filter(|(_, value)| !is_empty(value))
        .collect::<Map<_, _>>()
        .into()
}

/// `arn:aws:iam::ACCOUNT:root` and `ACCOUNT` are the same principal.
pub(super) fn account_of_root(text: &str) -> String {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, "root"] => (*account).to_owned(),
        _ => text.to_owned(),
    }
}

fn condition(value: &Value) -> Value {
    let Value::Object(operators) = value else {
        return value.clone();
    };
    operators
        .iter()
        .map(|(operator, keys)| (operator.clone(), condition_keys(keys)))
        .filter(|(_, keys)| !is_empty(keys))
        .collect::<Map<_, _>>()
        .into()
}

/// A key with no values stays: such a condition never holds.
fn condition_keys(keys: &Value) -> Value {
    let Value::Object(keys) = keys else {
        return keys.clone();
    };
    let mut form = Map::new();
    for (key, value) in keys {
        let lower = key.to_ascii_lowercase();
        // Two spellings of one key are two conditions: neither may vanish.
        let name = if form.contains_key(&lower) {
            key.clone()
        } else {
            lower
        };
        form.insert(name, set(value, ToOwned::to_owned));
    }
    form.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUT: &str = r#"{"Version":"2012-10-17","Statement":{"Sid":"","Effect":"Allow","Principal":{"AWS":"111111111111"},
        "Action":"SQS:SendMessage","Resource":["b","a"],"Condition":{"Bool":{"AWS:SecureTransport":true},"StringEquals":{}}}}"#;
    const READ_BACK: &str = r#"{"Statement":[{"Effect":"Allow","Condition":{"Bool":{"aws:SecureTransport":["true"]}},
        "Resource":["a","b"],"Action":["sqs:SendMessage"],"Principal":{"AWS":["arn:aws:iam::111111111111:root"]}}],"Version":"2012-10-17"}"#;

    #[test]
    fn what_a_service_respells_is_the_same_document() {
        assert!(same_document(PUT, READ_BACK));
        assert!(same_document(PUT, &super::super::Encoding::Url.encode(PUT)));
    }

    #[test]
    fn what_changes_the_meaning_changes_the_digest() {
        for (from, to) in [
            ("111111111111", "222222222222"),
            ("Allow", "Deny"),
            ("\"b\"", "\"B\""),
            ("2012-10-17", "2008-10-17"),
            ("Principal", "NotPrincipal"),
            ("Bool", "BoolIfExists"),
        ] {
            assert!(!same_document(PUT, &PUT.replace(from, to)), "{from}");
        }
        let with_empty_list = PUT.replace("\"AWS\":\"111111111111\"", "\"AWS\":[]");
        assert!(!same_document(PUT, &with_empty_list));
    }

    #[test]
    fn text_that_is_no_policy_is_only_equal_to_itself() {
        assert!(same_document("", ""));
        assert!(!same_document("", "{}"));
        assert!(!same_document(
            "{\"Statement\":1,\"Statement\":2}",
            "{\"Statement\":2}"
        ));
    }
}
