//! Policies of ECR repositories.

use blackstart_core::references::DocumentKind;
use serde_json::{Value, json};

use super::{Documents, Reading};
use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol};

/// Where ECR is.
pub(crate) const SERVICE: Endpoint = Endpoint {
    id: "ECR",
    host: "api.ecr",
    signing: "ecr",
};

/// Version of its protocol.
pub(crate) const API: &str = "1.1";

const DESCRIBE: Operation = Operation {
    endpoint: SERVICE,
    permission: "ecr:DescribeRepositories",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: API,
        target: "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
    },
};

const GET: Operation = Operation {
    endpoint: SERVICE,
    permission: "ecr:GetRepositoryPolicy",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: API,
        target: "AmazonEC2ContainerRegistry_V20150921.GetRepositoryPolicy",
    },
};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the repositories of {}", documents.account);
    let repositories = pages(
        documents,
        &DESCRIBE,
        &what,
        "repositories",
        "nextToken",
        json!({}),
    )
    .await?;
    Ok(documents
        .each(repositories, |repository| async move {
            let member = |name: &str| repository.get(name).and_then(Value::as_str).unwrap_or_default();
            let (arn, name) = (member("repositoryArn").to_owned(), member("repositoryName"));
            let what = format!("reading the policy of `{arn}`");
            let policy = documents
                .signed()
                .json(&GET, &what, "/", &json!({ "repositoryName": name }))
                .await
                .map(|answer| {
                    answer
                        .get("policyText")
                        .and_then(Value::as_str)
                        .map(str::to_owned)
                });
            vec![documents.document(DocumentKind::RepositoryPolicy, &documents.region, arn, policy)]
        })
        .await)
}

/// Every element of a list that comes in pages, of an operation of the JSON protocol.
pub(super) async fn pages(
    documents: &Documents,
    operation: &Operation,
    what: &str,
    list: &str,
    token: &str,
    mut request: Value,
) -> Result<Vec<Value>, PortError> {
    let mut found = Vec::new();
    loop {
        let mut answer = documents.signed().json(operation, what, "/", &request).await?;
        if let Some(Value::Array(page)) = answer.get_mut(list).map(Value::take) {
            found.extend(page);
        }
        match (answer.get(token).and_then(Value::as_str), request.as_object_mut()) {
            // A token that comes again would never end.
            (Some(next), Some(members))
                if !next.is_empty() && members.get(token).and_then(Value::as_str) != Some(next) =>
            {
                members.insert(token.to_owned(), next.into());
            }
            _ => return Ok(found),
        }
    }
}
