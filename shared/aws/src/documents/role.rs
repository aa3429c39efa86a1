//! Trust policies of IAM roles.

use blackstart_core::references::{DocumentKind, Slot, url_decoded};

use super::{Documents, Listed, name_of};
use crate::port::{Effect, PortError, classify};

/// `ListRoles` brings the trust policies along, percent-encoded.
pub(super) async fn list(documents: &Documents) -> Result<Vec<Listed>, PortError> {
    let what = format!("listing the roles of {}", documents.account);
    let mut pages = aws_sdk_iam::Client::new(&documents.config)
        .list_roles()
        .into_paginator()
        .items()
        .send();
    let mut listed = Vec::new();
    while let Some(role) = pages.next().await {
        let role = role.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        listed.push(Listed {
            slot: documents.slot(DocumentKind::RoleTrust, "", role.arn),
            text: role
                .assume_role_policy_document
                .map(|text| url_decoded(&text).into_owned()),
        });
    }
    Ok(listed)
}

pub(super) async fn read(documents: &Documents, slot: &Slot) -> Result<Option<String>, PortError> {
    let what = format!("reading the trust policy of `{}`", slot.arn);
    let answer = aws_sdk_iam::Client::new(&documents.config)
        .get_role()
        .role_name(name_of(&slot.arn, '/'))
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
    Ok(answer
        .role
        .and_then(|role| role.assume_role_policy_document)
        .map(|text| url_decoded(&text).into_owned()))
}
