//! Permissions of Lambda functions, their versions and aliases; and what a function's configuration names.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::{FunctionConfiguration, FunctionVersion};
use blackstart_core::references::entries::{entries_text, permission_entries};
use blackstart_core::references::{DocumentKind, Form};
use serde_json::json;

use super::{Documents, Reading, Unread};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the functions of {}", documents.account);
    let lambda = &Client::new(&documents.config);
    let mut pages = lambda
        .list_functions()
        .function_version(FunctionVersion::All)
        .into_paginator()
        .items()
        .send();
    let mut functions = Vec::new();
    while let Some(function) = pages.next().await {
        functions.push(function.map_err(|error| classify(what.as_str(), Effect::Read, &error))?);
    }
    Ok(documents
        .each(functions, |function| async move {
            let mut read = Vec::new();
            let Some(arn) = &function.function_arn else {
                return read;
            };
            let latest = function
                .version
                .as_deref()
                .is_none_or(|version| version == "$LATEST");
            // A policy without a qualifier is on the function, not on its unpublished version.
            let arn = arn.strip_suffix(":$LATEST").unwrap_or(arn);
            read.push(permissions(documents, lambda, arn).await);
            read.push(configuration(documents, &function, arn));
            if latest {
                match aliases(lambda, arn).await {
                    Ok(aliases) => {
                        for alias in aliases {
                            read.push(permissions(documents, lambda, &alias).await);
                        }
                    }
                    Err(error) => read.push(Err(Unread {
                        what: format!("the aliases of `{arn}`"),
                        error,
                    })),
                }
            }
            read
        })
        .await)
}

async fn aliases(lambda: &Client, function: &str) -> Result<Vec<String>, PortError> {
    let what = format!("listing the aliases of `{function}`");
    let mut pages = lambda
        .list_aliases()
        .function_name(function)
        .into_paginator()
        .items()
        .send();
    let mut aliases = Vec::new();
    while let Some(alias) = pages.next().await {
        let alias = alias.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        aliases.extend(alias.alias_arn);
    }
    Ok(aliases)
}

async fn permissions(documents: &Documents, lambda: &Client, arn: &str) -> Reading {
    let text = policy_of(lambda, arn).await.and_then(|policy| {
        let Some((policy, _)) = policy else {
            return Ok(None);
        };
        let entries = permission_entries(&policy).map_err(|error| PortError::Refused {
            what: format!("reading the permissions of `{arn}`"),
            why: error.to_string(),
        })?;
        Ok(Some(entries_text(entries.into_iter().map(|(_, entry)| entry))))
    });
    documents.document(
        DocumentKind::FunctionPermissions,
        &documents.region,
        arn.to_owned(),
        text,
    )
}

/// The policy of a function, version or alias, and its revision.
pub(crate) async fn policy_of(
    lambda: &Client,
    arn: &str,
) -> Result<Option<(String, Option<String>)>, PortError> {
    let what = format!("reading the permissions of `{arn}`");
    let answer = lambda.get_policy().function_name(arn).send().await;
    match answer.map_err(|error| classify(what.as_str(), Effect::Read, &error)) {
        Ok(answer) => Ok(answer.policy.map(|policy| (policy, answer.revision_id))),
        Err(PortError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Layers, environment, dead letters and key can all lie in another account.
fn configuration(documents: &Documents, function: &FunctionConfiguration, arn: &str) -> Reading {
    let environment = function.environment.as_ref().and_then(|it| it.variables.clone());
    let layers: Vec<_> = function
        .layers
        .iter()
        .flatten()
        .filter_map(|layer| layer.arn.as_deref())
        .collect();
    let text = json!({
        "environment": environment,
        "layers": layers,
        "deadLetterConfig": function.dead_letter_config.as_ref().and_then(|it| it.target_arn.as_deref()),
        "kmsKeyArn": function.kms_key_arn,
    });
    documents.configuration(
        "AWS::Lambda::Function",
        &documents.region,
        arn,
        "configuration",
        Form::Config,
        text.to_string(),
    )
}
