//! The resource policy of the Glue Data Catalog.

use blackstart_core::references::Form;
use serde_json::{Value, json};

use super::repository::pages;
use super::{Documents, Reading};
use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol};

const GET: Operation = Operation {
    endpoint: Endpoint {
        id: "Glue",
        host: "glue",
        signing: "glue",
    },
    permission: "glue:GetResourcePolicies",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "AWSGlue.GetResourcePolicies",
    },
};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("reading the catalog policies of {}", documents.account);
    let list = "GetResourcePoliciesResponseList";
    let policies = pages(documents, &GET, &what, list, "NextToken", json!({})).await?;
    let arn = format!(
        "arn:{}:glue:{}:{}:catalog",
        documents.partition, documents.region, documents.account
    );
    Ok(policies
        .iter()
        .filter_map(|policy| policy.get("PolicyInJson").and_then(Value::as_str))
        .enumerate()
        .map(|(index, text)| {
            // The catalog's own policy, then those that RAM manages.
            let part = format!("policy/{index}");
            let form = Form::Policy(None);
            documents.configuration(
                "AWS::Glue::Catalog",
                &documents.region,
                &arn,
                part,
                form,
                text.to_owned(),
            )
        })
        .collect())
}
