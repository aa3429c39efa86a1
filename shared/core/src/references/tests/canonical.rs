//! That the canonical form forgets what services change, and nothing else.

use proptest::prelude::*;
use serde_json::Map;

use super::generated::any_policy;
use super::*;

/// One way in which a service may give a policy back.
#[derive(Debug, Clone, Copy)]
enum Respelling {
    StatementsReversed,
    ListsReversed,
    SinglesAsLists,
    SinglesWithoutLists,
    AccountsAsRootArns,
    KeysInUpperCase,
    ActionsInUpperCase,
    Empties,
    MembersReversed,
    Indented,
    Percent,
}

const ALL: [Respelling; 11] = [
    Respelling::StatementsReversed,
    Respelling::ListsReversed,
    Respelling::SinglesAsLists,
    Respelling::SinglesWithoutLists,
    Respelling::AccountsAsRootArns,
    Respelling::KeysInUpperCase,
    Respelling::ActionsInUpperCase,
    Respelling::Empties,
    Respelling::MembersReversed,
    Respelling::Indented,
    Respelling::Percent,
];

/// Applies a change to every leaf and list of a statement that may be written otherwise.
fn each_list(statement: &mut Value, change: &dyn Fn(&str, &mut Value)) {
    for name in ["Action", "Resource"] {
        if let Some(value) = statement.get_mut(name) {
            change(name, value);
        }
    }
    for name in ["Principal", "NotPrincipal"] {
        if let Some(Value::Object(kinds)) = statement.get_mut(name) {
            kinds.values_mut().for_each(|value| change(name, value));
        }
    }
    if let Some(Value::Object(operators)) = statement.get_mut("Condition") {
        for keys in operators.values_mut().filter_map(Value::as_object_mut) {
            keys.values_mut().for_each(|value| change("Condition", value));
        }
    }
}

fn each_text(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(all) => all.iter_mut().for_each(|one| each_text(one, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .rev()
            .map(|(key, value)| (key.clone(), reversed(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(all) => all.iter().map(reversed).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn respelled(text: &str, how: Respelling) -> String {
    let mut policy: Value = serde_json::from_str(text).unwrap();
    let statements = policy["Statement"].as_array_mut().unwrap();
    match how {
        Respelling::StatementsReversed => statements.reverse(),
        Respelling::Indented => return serde_json::to_string_pretty(&policy).unwrap(),
        Respelling::Percent => return Encoding::Url.encode(text),
        Respelling::MembersReversed => return reversed(&policy).to_string(),
        Respelling::ListsReversed => statements.iter_mut().for_each(|one| {
            each_list(one, &|_, value| {
                if let Value::Array(all) = value {
                    all.reverse();
                }
            });
        }),
        Respelling::SinglesAsLists => statements.iter_mut().for_each(|one| {
            each_list(one, &|_, value| {
                if value.is_string() {
                    *value = json!([value]);
                }
            });
        }),
        Respelling::SinglesWithoutLists => statements.iter_mut().for_each(|one| {
            each_list(one, &|_, value| {
                if let Value::Array(all) = value
                    && all.len() == 1
                {
                    *value = all.remove(0);
                }
            });
        }),
        Respelling::AccountsAsRootArns => statements.iter_mut().for_each(|one| {
            each_list(one, &|name, value| {
                if name.ends_with("Principal") {
                    each_text(value, &|text| {
                        let account = text.len() == 12;
                        if account {
                            format!("arn:aws:iam::{text}:root")
                        } else {
                            text.to_owned()
                        }
                    });
                }
            });
        }),
        Respelling::ActionsInUpperCase => statements.iter_mut().for_each(|one| {
            each_list(one, &|name, value| {
                if name == "Action" {
                    each_text(value, &str::to_ascii_uppercase);
                }
            });
        }),
        Respelling::KeysInUpperCase => {
            for operators in statements
                .iter_mut()
                .filter_map(|one| one["Condition"].as_object_mut())
            {
                for keys in operators.values_mut() {
                    *keys = keys
                        .as_object()
                        .unwrap()
                        .iter()
                        .map(|(key, value)| (key.to_ascii_uppercase(), value.clone()))
                        .collect::<Map<_, _>>()
                        .into();
                }
            }
        }
        Respelling::Empties => statements.iter_mut().for_each(|one| {
            let members = one.as_object_mut().unwrap();
            if members.get("Condition").is_some_and(|all| all == &json!({})) {
                members.remove("Condition");
            }
            members.entry("Sid").or_insert(json!(""));
        }),
    }
    policy.to_string()
}

/// Changes that give somebody other rights.
fn changed(text: &str, how: usize) -> String {
    let mut policy: Value = serde_json::from_str(text).unwrap();
    let statements = policy["Statement"].as_array_mut().unwrap();
    let first = statements.first_mut().unwrap();
    match how {
        0 => {
            first["Effect"] = json!(if first["Effect"] == "Allow" {
                "Deny"
            } else {
                "Allow"
            })
        }
        1 => first["Action"] = json!([first["Action"], "s3:PutObject"]),
        2 => first["Resource"] = json!("arn:aws:s3:::Data"),
        3 => first["Condition"] = json!({"Null": {"aws:SourceAccount": true}}),
        4 => {
            let name = if first.get("Principal").is_some() {
                "Principal"
            } else {
                "NotPrincipal"
            };
            first[name] = json!({"AWS": "999999999999"});
        }
        5 => {
            let copy = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"});
            statements.push(copy);
        }
        6 => policy["Version"] = json!("2008-10-17"),
        _ => {
            let name = if first.get("Principal").is_some() {
                "Principal"
            } else {
                "NotPrincipal"
            };
            let other = if name == "Principal" {
                "NotPrincipal"
            } else {
                "Principal"
            };
            let members = first.as_object_mut().unwrap();
            let value = members.remove(name).unwrap();
            members.insert(other.to_owned(), value);
        }
    }
    policy.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_services_respell_stays_the_same_document(
        text in any_policy(),
        ways in prop::collection::vec(prop::sample::select(&ALL[..]), 1..5),
    ) {
        let mut other = text.clone();
        for how in &ways {
            // Percent-encoding is the outermost layer.
            if !matches!(how, Respelling::Percent) {
                other = respelled(&other, *how);
            }
        }
        if ways.iter().any(|how| matches!(how, Respelling::Percent)) {
            other = respelled(&other, Respelling::Percent);
        }
        prop_assert_eq!(canonical_form(&text), canonical_form(&other), "{} {}", text, other);
        prop_assert!(same_document(&text, &other));
    }

    #[test]
    fn what_changes_rights_is_another_document(text in any_policy(), how in 0_usize..8) {
        prop_assert!(!same_document(&text, &changed(&text, how)), "{} {}", text, changed(&text, how));
    }
}

#[test]
fn two_spellings_of_one_condition_key_are_both_kept() {
    let with = |value: &str| {
        policy(&json!([{"Effect": "Allow", "Principal": "*", "Action": "s3:*",
            "Condition": {"StringEquals": {"aws:SourceAccount": OLD, "AWS:SourceAccount": value}}}]))
    };
    assert!(!same_document(&with("333333333333"), &with("444444444444")));
}

#[test]
fn a_policy_without_a_version_is_one_of_the_first_version() {
    let first = json!({"Version": "2008-10-17", "Statement": []}).to_string();
    let statement = json!([{"Effect": "Allow", "Principal": "*", "Action": "s3:*"}]);
    let with = json!({"Version": "2008-10-17", "Statement": statement}).to_string();
    let without = json!({"Statement": statement}).to_string();
    assert!(same_document(&with, &without));
    assert!(!same_document(&first, &without));
    assert!(!same_document(&policy(&statement), &without));
}
