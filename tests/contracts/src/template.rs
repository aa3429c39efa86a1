//! `template.yaml` and `infra/accounts/*.yaml` as JSON, with the short tags written out (`!Ref x` is `{"Ref": "x"}`).

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::repository;

pub(crate) fn load(relative: &str) -> Value {
    let text = repository::text(relative);
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{relative}: {error}"));
    to_json(documents.first().unwrap())
}

pub(crate) fn recovery_account() -> Value {
    load("template.yaml")
}

fn to_json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::Boolean(flag)) => json!(flag),
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| {
                let key = to_json(key);
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                (key, to_json(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Representation(text, _, None) => json!(text),
        Yaml::Representation(text, _, Some(tag)) => short_form(&tag.suffix, &json!(text)),
        Yaml::Tagged(tag, inner) => short_form(&tag.suffix, &to_json(inner)),
        Yaml::Alias(_) | Yaml::BadValue => panic!("CloudFormation reads no such YAML: {node:?}"),
    }
}

fn short_form(tag: &str, value: &Value) -> Value {
    let name = match tag {
        "Ref" | "Condition" => tag.to_owned(),
        other => format!("Fn::{other}"),
    };
    json!({ name: value })
}

/// The resources of one type: logical id to properties.
pub(crate) fn resources(template: &Value, resource_type: &str) -> BTreeMap<String, Value> {
    template["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, resource)| resource["Type"] == resource_type)
        .map(|(id, resource)| (id.clone(), resource["Properties"].clone()))
        .collect()
}

/// One value, or several: IAM takes both.
pub(crate) fn many(value: &Value) -> Vec<Value> {
    if value.is_null() {
        return Vec::new();
    }
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// The statements of a policy document, with those behind an `Fn::If`.
pub(crate) fn statements(document: &Value) -> Vec<Value> {
    many(&document["Statement"])
        .into_iter()
        .flat_map(|statement| match statement["Fn::If"].as_array() {
            Some(branches) => branches
                .iter()
                .skip(1)
                .filter(|branch| branch.get("Action").is_some())
                .cloned()
                .collect(),
            None => vec![statement],
        })
        .collect()
}

/// The statements of a role: inline policies and the managed policies of the same template.
pub(crate) fn role_statements(template: &Value, role: &Value) -> Vec<Value> {
    let managed = resources(template, "AWS::IAM::ManagedPolicy");
    let inline = many(&role["Policies"])
        .into_iter()
        .map(|policy| policy["PolicyDocument"].clone());
    let attached = many(&role["ManagedPolicyArns"]).into_iter().filter_map(|arn| {
        managed
            .get(arn["Ref"].as_str()?)
            .map(|policy| policy["PolicyDocument"].clone())
    });
    inline
        .chain(attached)
        .flat_map(|document| statements(&document))
        .collect()
}

/// The actions of a statement.
pub(crate) fn actions(statement: &Value) -> Vec<String> {
    many(&statement["Action"])
        .iter()
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}
