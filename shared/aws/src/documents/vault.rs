//! Access policies of AWS Backup vaults.

use blackstart_core::references::DocumentKind;

use super::{Documents, Reading, name_of};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the backup vaults of {}", documents.account);
    let client = &aws_sdk_backup::Client::new(&documents.config);
    let mut pages = client.list_backup_vaults().into_paginator().items().send();
    let mut vaults = Vec::new();
    while let Some(vault) = pages.next().await {
        let vault = vault.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        vaults.extend(vault.backup_vault_arn);
    }
    Ok(documents
        .each(vaults, |arn| async move {
            let what = format!("reading the policy of `{arn}`");
            let policy = client
                .get_backup_vault_access_policy()
                .backup_vault_name(name_of(&arn, ':'))
                .send()
                .await
                .map(|answer| answer.policy)
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            vec![documents.document(DocumentKind::VaultPolicy, &documents.region, arn, policy)]
        })
        .await)
}
