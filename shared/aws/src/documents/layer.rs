//! Permissions of Lambda layer versions. Cutover does not change them: a layer is shared by version, and who uses one
//! is not known here.

use blackstart_core::references::Form;

use super::{Documents, Reading, Unread};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the layers of {}", documents.account);
    let lambda = &aws_sdk_lambda::Client::new(&documents.config);
    let mut pages = lambda.list_layers().into_paginator().items().send();
    let mut layers = Vec::new();
    while let Some(layer) = pages.next().await {
        let layer = layer.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        layers.extend(layer.layer_arn);
    }
    Ok(documents
        .each(layers, |layer| async move {
            let mut read = Vec::new();
            let what = format!("listing the versions of `{layer}`");
            let mut versions = lambda
                .list_layer_versions()
                .layer_name(&layer)
                .into_paginator()
                .items()
                .send();
            while let Some(version) = versions.next().await {
                match version.map_err(|error| classify(what.as_str(), Effect::Read, &error)) {
                    Ok(version) => read.extend(policy(documents, lambda, &layer, version.version).await),
                    Err(error) => {
                        read.push(Err(Unread {
                            what: what.clone(),
                            error,
                        }));
                        break;
                    }
                }
            }
            read
        })
        .await)
}

async fn policy(
    documents: &Documents,
    lambda: &aws_sdk_lambda::Client,
    layer: &str,
    version: i64,
) -> Option<Reading> {
    let what = format!("reading the permissions of `{layer}:{version}`");
    let answer = lambda
        .get_layer_version_policy()
        .layer_name(layer)
        .version_number(version)
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::Read, &error));
    match answer {
        Ok(answer) => Some(documents.configuration(
            "AWS::Lambda::LayerVersion",
            &documents.region,
            &format!("{layer}:{version}"),
            "policy",
            Form::Policy(None),
            answer.policy?,
        )),
        Err(PortError::NotFound { .. }) => None,
        Err(error) => Some(Err(Unread { what, error })),
    }
}
