//! CloudFormation: proposing, creating, observing, comparing and deleting stacks. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{EventFilter, EventType, ResourceStatus, StackStatus, TemplateStage};
use blackstart_core::rebuild::failure::StackEvent;
use blackstart_core::rebuild::isolation::StackResource;
use blackstart_core::rebuild::waves::ObservedStack;
use jiff::Timestamp;

use crate::port::{Effect, PortError, classify};

mod change_sets;
mod drift;
mod seam;

pub use change_sets::{NewStack, Proposed};
pub use seam::Taking;

/// CloudFormation in one account and region.
#[derive(Debug, Clone)]
pub struct CloudFormation {
    client: Client,
}

impl CloudFormation {
    /// CloudFormation under this configuration.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// The stack of this name, or of this id even after its deletion; `None` if there is none.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn stack(&self, name: &str) -> Result<Option<ObservedStack>, PortError> {
        let answer = self.client.describe_stacks().stack_name(name).send().await;
        let found = match answer {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => {
                return Err(classify(
                    format!("describing stack `{name}`"),
                    Effect::Read,
                    &error,
                ));
            }
        };
        let Some(stack) = found.stacks.unwrap_or_default().into_iter().next() else {
            return Ok(None);
        };
        let change_sets = if stack.stack_status == Some(StackStatus::ReviewInProgress) {
            self.change_sets(name).await?
        } else {
            BTreeSet::new()
        };
        Ok(Some(ObservedStack {
            id: stack.stack_id.unwrap_or_default(),
            status: text(stack.stack_status.as_ref().map(StackStatus::as_str)),
            reason: stack.stack_status_reason,
            tags: pairs(stack.tags, |tag| (tag.key, tag.value)),
            parameters: pairs(stack.parameters, |parameter| {
                (parameter.parameter_key, parameter.parameter_value)
            }),
            outputs: pairs(stack.outputs, |output| (output.output_key, output.output_value)),
            change_sets,
        }))
    }

    /// Asks for the deletion of the stack with this id. A repeat is harmless; an id, unlike a name, is never reused.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn delete(&self, id: &str, token: &str) -> Result<(), PortError> {
        let answer = self
            .client
            .delete_stack()
            .stack_name(id)
            .client_request_token(token)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_token_already_exists_exception() => {
                Ok(())
            }
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(classify(
                format!("deleting stack `{id}`"),
                Effect::IdempotentWrite,
                &error,
            )),
        }
    }

    /// Every event of a stack, and what CloudFormation objected to before it began.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn events(&self, name: &str) -> Result<Vec<StackEvent>, PortError> {
        let found = self
            .client
            .describe_stack_events()
            .stack_name(name)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(|error| classify(format!("reading events of stack `{name}`"), Effect::Read, &error))?;
        let mut events: Vec<StackEvent> = found
            .into_iter()
            .map(|event| StackEvent {
                at: event.timestamp.map_or(Timestamp::UNIX_EPOCH, |at| instant(&at)),
                id: event.event_id.unwrap_or_default(),
                logical_id: event.logical_resource_id.unwrap_or_default(),
                resource_type: event.resource_type.unwrap_or_default(),
                status: text(event.resource_status.as_ref().map(ResourceStatus::as_str)),
                reason: event.resource_status_reason,
            })
            .collect();
        // What was refused by validation stands nowhere else; without it the other events still say that it failed.
        match self.validations(name).await {
            Ok(refused) => events.extend(refused),
            Err(error) => tracing::warn!(stack = name, %error, "what validation refused could not be read"),
        }
        Ok(events)
    }

    /// What validation refused before anything was made (`DescribeEvents`).
    async fn validations(&self, name: &str) -> Result<Vec<StackEvent>, PortError> {
        let what = format!("reading what validation refused of stack `{name}`");
        let found = self
            .client
            .describe_events()
            .stack_name(name)
            .filters(EventFilter::builder().failed_events(true).build())
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(|error| classify(what, Effect::Read, &error))?;
        Ok(found
            .into_iter()
            .filter(|event| event.event_type == Some(EventType::ValidationError))
            .map(|event| StackEvent {
                at: event.timestamp.map_or(Timestamp::UNIX_EPOCH, |at| instant(&at)),
                id: event.event_id.unwrap_or_default(),
                logical_id: event.logical_resource_id.unwrap_or_default(),
                resource_type: event.resource_type.unwrap_or_default(),
                status: "VALIDATION_FAILED".to_owned(),
                reason: event.validation_status_reason,
            })
            .collect())
    }

    /// Every resource of a stack, in order of logical id.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn resources(&self, name: &str) -> Result<Vec<StackResource>, PortError> {
        let found = self
            .client
            .list_stack_resources()
            .stack_name(name)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(|error| {
                classify(
                    format!("listing resources of stack `{name}`"),
                    Effect::Read,
                    &error,
                )
            })?;
        let mut resources: Vec<StackResource> = found
            .into_iter()
            .map(|resource| StackResource {
                logical_id: resource.logical_resource_id.unwrap_or_default(),
                resource_type: resource.resource_type.unwrap_or_default(),
                physical_id: resource.physical_resource_id,
                status: text(resource.resource_status.as_ref().map(ResourceStatus::as_str)),
            })
            .collect();
        resources.sort();
        Ok(resources)
    }

    /// The template that CloudFormation holds for a stack, as it was sent.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn template(&self, name: &str) -> Result<Option<String>, PortError> {
        let answer = self
            .client
            .get_template()
            .stack_name(name)
            .template_stage(TemplateStage::Original)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("reading the template of stack `{name}`"),
                    Effect::Read,
                    &error,
                )
            })?;
        Ok(answer.template_body)
    }
}

/// CloudFormation says `ValidationError` for a stack that is not there, and only the text tells it from others.
fn is_absent<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    error.as_service_error().is_some_and(|service| {
        service.code() == Some("ValidationError")
            && service
                .message()
                .is_some_and(|message| message.contains("does not exist"))
    })
}

fn pairs<T>(
    list: Option<Vec<T>>,
    pair: impl Fn(T) -> (Option<String>, Option<String>),
) -> BTreeMap<String, String> {
    list.unwrap_or_default()
        .into_iter()
        .filter_map(|one| match pair(one) {
            (Some(key), Some(value)) => Some((key, value)),
            _ => None,
        })
        .collect()
}

/// A word of CloudFormation's; empty where it says none.
fn text(word: Option<&str>) -> String {
    word.unwrap_or_default().to_owned()
}

fn instant(at: &aws_smithy_types::DateTime) -> Timestamp {
    i32::try_from(at.subsec_nanos())
        .ok()
        .and_then(|nanos| Timestamp::new(at.secs(), nanos).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
