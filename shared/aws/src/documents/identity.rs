//! Identity policies: inline policies of users, groups and roles, and the account's managed policies, which serve as
//! permission boundaries too. Nobody here writes them: who may, may give himself anything.

use aws_sdk_iam::types::{EntityType, PolicyDetail};
use blackstart_core::references::{Form, url_decoded};

use super::{Documents, Reading};
use crate::port::{Effect, PortError, classify};

/// One paginated call brings all of them. Older versions of a managed policy are not in force, and left out.
pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("reading the identity policies of {}", documents.account);
    let mut pages = aws_sdk_iam::Client::new(&documents.config)
        .get_account_authorization_details()
        .filter(EntityType::User)
        .filter(EntityType::Role)
        .filter(EntityType::Group)
        .filter(EntityType::LocalManagedPolicy)
        .into_paginator()
        .send();
    let mut read = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        for role in page.role_detail_list.unwrap_or_default() {
            read.extend(inline(
                documents,
                "AWS::IAM::Role",
                role.arn,
                role.role_policy_list,
            ));
        }
        for user in page.user_detail_list.unwrap_or_default() {
            read.extend(inline(
                documents,
                "AWS::IAM::User",
                user.arn,
                user.user_policy_list,
            ));
        }
        for group in page.group_detail_list.unwrap_or_default() {
            read.extend(inline(
                documents,
                "AWS::IAM::Group",
                group.arn,
                group.group_policy_list,
            ));
        }
        for policy in page.policies.unwrap_or_default() {
            let Some(arn) = policy.arn else { continue };
            let in_force = policy
                .policy_version_list
                .unwrap_or_default()
                .into_iter()
                .filter(|version| version.is_default_version);
            for text in in_force.filter_map(|version| version.document) {
                let text = url_decoded(&text).into_owned();
                read.push(documents.configuration(
                    "AWS::IAM::Policy",
                    "",
                    &arn,
                    "",
                    Form::Policy(None),
                    text,
                ));
            }
        }
    }
    Ok(read)
}

fn inline(
    documents: &Documents,
    kind: &str,
    arn: Option<String>,
    policies: Option<Vec<PolicyDetail>>,
) -> Vec<Reading> {
    let Some(arn) = arn else { return Vec::new() };
    policies
        .unwrap_or_default()
        .into_iter()
        .filter_map(|policy| {
            let text = url_decoded(&policy.policy_document?).into_owned();
            let part = format!("policy/{}", policy.policy_name.unwrap_or_default());
            Some(documents.configuration(kind, "", &arn, part, Form::Policy(None), text))
        })
        .collect()
}
