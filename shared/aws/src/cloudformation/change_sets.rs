//! Change sets of new stacks: asked for, looked at, executed.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudformation::error::SdkError;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetType, OnStackFailure, Parameter, Tag, TemplateStage,
};
use blackstart_core::plan::OnFailure;
use blackstart_core::rebuild::change_set::{Change, ObservedChangeSet};

use super::{CloudFormation, is_absent, pairs};
use crate::port::{Effect, PortError, classify};

/// A stack to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStack {
    /// Stack name.
    pub name: String,
    /// Name of the change set that makes it.
    pub change_set: String,
    /// The template itself. Never a URL: what is sent is what was checked.
    pub template: String,
    /// Template parameters.
    pub parameters: BTreeMap<String, String>,
    /// Stack tags; CloudFormation hands them on to the resources.
    pub tags: BTreeMap<String, String>,
    /// ARN of the role with which CloudFormation creates the resources.
    pub role_arn: String,
    /// What becomes of it if it cannot be created.
    pub on_failure: OnFailure,
    /// `ClientToken`: the same for every repeat of the same request.
    pub token: String,
}

/// What became of a request for a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proposed {
    /// It is being made.
    Started,
    /// A change set or a stack of that name is there already, from an earlier request or from somebody else: look.
    Exists,
}

impl CloudFormation {
    /// Asks for the change set of a new stack. It creates a name and nothing else.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn propose(&self, new: &NewStack) -> Result<Proposed, PortError> {
        let tags = new
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let parameters = new
            .parameters
            .iter()
            .map(|(key, value)| {
                Parameter::builder()
                    .parameter_key(key)
                    .parameter_value(value)
                    .build()
            })
            .collect();
        let answer = self
            .client
            .create_change_set()
            .stack_name(&new.name)
            .change_set_name(&new.change_set)
            .change_set_type(ChangeSetType::Create)
            .template_body(&new.template)
            .set_parameters(Some(parameters))
            .set_tags(Some(tags))
            .role_arn(&new.role_arn)
            .capabilities(Capability::CapabilityNamedIam)
            .on_stack_failure(match new.on_failure {
                OnFailure::Rollback => OnStackFailure::Rollback,
                OnFailure::Keep => OnStackFailure::DoNothing,
            })
            .client_token(&new.token)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Proposed::Started),
            Err(SdkError::ServiceError(service)) if service.err().is_already_exists_exception() => {
                Ok(Proposed::Exists)
            }
            // The name makes a repeat harmless: it finds the change set of the lost answer.
            Err(error) => Err(classify(
                format!("proposing stack `{}`", new.name),
                Effect::IdempotentWrite,
                &error,
            )),
        }
    }

    /// A stack's change set of this name, with every change and the template that it holds; `None` if there is none.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ObservedChangeSet>, PortError> {
        let what = || format!("describing the change set `{name}` of stack `{stack}`");
        let mut found: Option<ObservedChangeSet> = None;
        let mut pages = self
            .client
            .describe_change_set()
            .stack_name(stack)
            .change_set_name(name)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(SdkError::ServiceError(service)) if service.err().is_change_set_not_found_exception() => {
                    return Ok(None);
                }
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(classify(what(), Effect::Read, &error)),
            };
            let changes = page
                .changes
                .unwrap_or_default()
                .into_iter()
                .map(|change| {
                    let change = change.resource_change;
                    let text = |of: Option<&str>| of.unwrap_or_default().to_owned();
                    let change = change.as_ref();
                    Change {
                        action: text(change.and_then(|it| it.action()).map(|action| action.as_str())),
                        logical_id: text(change.and_then(|it| it.logical_resource_id())),
                        resource_type: text(change.and_then(|it| it.resource_type())),
                        replacement: text(change.and_then(|it| it.replacement()).map(|it| it.as_str())),
                    }
                })
                .collect::<Vec<_>>();
            match &mut found {
                Some(found) => found.changes.extend(changes),
                None => {
                    found = Some(ObservedChangeSet {
                        id: page.change_set_id.unwrap_or_default(),
                        status: page
                            .status
                            .map_or_else(String::new, |status| status.as_str().to_owned()),
                        execution: page
                            .execution_status
                            .map_or_else(String::new, |status| status.as_str().to_owned()),
                        reason: page.status_reason,
                        changes,
                        parameters: pairs(page.parameters, |parameter| {
                            (parameter.parameter_key, parameter.parameter_value)
                        }),
                        tags: pairs(page.tags, |tag| (tag.key, tag.value)),
                        template: None,
                    });
                }
            }
        }
        // What is still being made does not show its template yet.
        if let Some(found) = found.as_mut().filter(|found| found.status == "CREATE_COMPLETE") {
            found.template = self
                .client
                .get_template()
                .stack_name(stack)
                .change_set_name(name)
                .template_stage(TemplateStage::Original)
                .send()
                .await
                .map_err(|error| classify(what(), Effect::Read, &error))?
                .template_body;
        }
        Ok(found)
    }

    /// Has a change set executed, by its id. The stack says what becomes of it: a change set that was executed before,
    /// or is gone because of that, is no failure.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn execute(&self, stack: &str, change_set: &str, token: &str) -> Result<(), PortError> {
        let answer = self
            .client
            .execute_change_set()
            .stack_name(stack)
            .change_set_name(change_set)
            .client_request_token(token)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service))
                if service.err().is_invalid_change_set_status_exception()
                    || service.err().is_change_set_not_found_exception()
                    || service.err().is_token_already_exists_exception() =>
            {
                Ok(())
            }
            // A change set is executed once, whoever asks how often.
            Err(error) => Err(classify(
                format!("creating stack `{stack}`"),
                Effect::IdempotentWrite,
                &error,
            )),
        }
    }

    /// Names of a stack's change sets.
    pub(super) async fn change_sets(&self, stack: &str) -> Result<BTreeSet<String>, PortError> {
        let mut names = BTreeSet::new();
        let mut pages = self
            .client
            .list_change_sets()
            .stack_name(stack)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                classify(
                    format!("listing the change sets of stack `{stack}`"),
                    Effect::Read,
                    &error,
                )
            })?;
            names.extend(
                page.summaries
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|summary| summary.change_set_name),
            );
        }
        Ok(names)
    }
}
