//! Trust policies of IAM roles.

use blackstart_core::references::{DocumentKind, url_decoded};

use super::{Documents, Reading};
use crate::port::{Effect, PortError, classify};

/// `ListRoles` brings the trust policies along, percent-encoded.
pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the roles of {}", documents.account);
    let mut roles = aws_sdk_iam::Client::new(&documents.config)
        .list_roles()
        .into_paginator()
        .items()
        .send();
    let mut read = Vec::new();
    while let Some(role) = roles.next().await {
        let role = role.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        let trust = role
            .assume_role_policy_document
            .map(|text| url_decoded(&text).into_owned());
        read.push(documents.document(DocumentKind::RoleTrust, "", role.arn, Ok(trust)));
    }
    Ok(read)
}
