//! Every resource type that Cloud Control can list and read: a row of the registry, no code.
//!
//! `GetResource` answers with the properties of the type's CloudFormation schema, less the write-only ones. A row
//! never names one of those: what cannot be read is not known to be empty.

use blackstart_core::references::Form;
use blackstart_core::references::services::{Arn, CloudControl};
use serde_json::{Value, json};

use super::repository::pages;
use super::{Documents, Reading, Unread};
use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol};

const SERVICE: Endpoint = Endpoint {
    id: "CloudControl",
    host: "cloudcontrolapi",
    signing: "cloudcontrolapi",
};

const LIST: Operation = Operation {
    endpoint: SERVICE,
    permission: "cloudformation:ListResources",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.0",
        target: "CloudApiService.ListResources",
    },
};

const GET: Operation = Operation {
    endpoint: SERVICE,
    permission: "cloudformation:GetResource",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.0",
        target: "CloudApiService.GetResource",
    },
};

pub(super) async fn read(documents: &Documents, rule: CloudControl) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing {} of {}", rule.kind, documents.account);
    let request = json!({ "TypeName": rule.kind });
    let listed = match pages(
        documents,
        &LIST,
        &what,
        "ResourceDescriptions",
        "NextToken",
        request,
    )
    .await
    {
        Ok(listed) => listed,
        // Some handlers say that there is none of a kind of which an account has at most one.
        Err(PortError::NotFound { why, .. }) if why.starts_with("ResourceNotFound") => Vec::new(),
        Err(error) => return Err(error),
    };
    let identifiers: Vec<String> = listed
        .iter()
        .filter_map(|resource| resource.get("Identifier")?.as_str().map(str::to_owned))
        .collect();
    Ok(documents
        .each(identifiers, |id| async move {
            let what = format!("reading {} `{id}`", rule.kind);
            match properties(documents, &rule, &id, &what).await {
                Ok(properties) => parts(documents, &rule, &id, &properties),
                Err(PortError::NotFound { .. }) => Vec::new(),
                Err(error) => vec![Err(Unread { what, error })],
            }
        })
        .await)
}

async fn properties(
    documents: &Documents,
    rule: &CloudControl,
    id: &str,
    what: &str,
) -> Result<Value, PortError> {
    let request = json!({"TypeName": rule.kind, "Identifier": id});
    let answer = documents.signed().json(&GET, what, "/", &request).await?;
    let text = answer
        .pointer("/ResourceDescription/Properties")
        .and_then(Value::as_str)
        .unwrap_or_default();
    serde_json::from_str(text).map_err(|error| PortError::Refused {
        what: what.to_owned(),
        why: format!("its properties are no JSON: {error}"),
    })
}

/// The parts that the row names, each for itself: a waiver names a part.
fn parts(documents: &Documents, rule: &CloudControl, id: &str, properties: &Value) -> Vec<Reading> {
    let arn = match rule.arn {
        Arn::Property(pointer) => properties
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or(id)
            .to_owned(),
        Arn::Template(template) => template
            .replace("{partition}", &documents.partition)
            .replace("{region}", &documents.region)
            .replace("{account}", documents.account.as_str())
            .replace("{id}", id),
    };
    rule.parts
        .iter()
        .filter_map(|(part, pointer)| {
            let value = properties.pointer(pointer)?;
            let text = match value {
                Value::Null => return None,
                Value::String(text) if text.is_empty() => return None,
                // A list or an object in a string is read as what it is.
                Value::String(text) if text.trim_start().starts_with(['{', '[']) => text.clone(),
                other @ (Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_)) => other.to_string(),
            };
            Some(documents.configuration(rule.kind, &documents.region, &arn, *part, Form::of(&text), text))
        })
        .collect()
}
