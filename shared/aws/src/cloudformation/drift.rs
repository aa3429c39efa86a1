//! Drift detection: asked for, looked at, never waited for.

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{DifferenceType, StackDriftDetectionStatus, StackResourceDriftStatus};
use blackstart_core::rebuild::drift::{Detection, Difference, ResourceDrift};

use super::{CloudFormation, is_absent, text};
use crate::port::{Effect, PortError, classify};

impl CloudFormation {
    /// Asks for a drift detection of a stack and returns its id; `None` while another one of it is at work.
    ///
    /// A repeat compares once more and changes nothing.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn detect_drift(&self, stack: &str) -> Result<Option<String>, PortError> {
        let answer = self.client.detect_stack_drift().stack_name(stack).send().await;
        match answer {
            Ok(asked) => Ok(asked.stack_drift_detection_id),
            Err(error) if is_at_work(&error) => Ok(None),
            Err(error) => Err(classify(
                format!("asking for drift detection of stack `{stack}`"),
                Effect::Read,
                &error,
            )),
        }
    }

    /// What became of a drift detection; `None` if there is none of this id.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn detection(&self, id: &str) -> Result<Option<Detection>, PortError> {
        let answer = self
            .client
            .describe_stack_drift_detection_status()
            .stack_drift_detection_id(id)
            .send()
            .await;
        let found = match answer {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => {
                return Err(classify(
                    format!("looking at the drift detection `{id}`"),
                    Effect::Read,
                    &error,
                ));
            }
        };
        Ok(Some(match found.detection_status {
            Some(StackDriftDetectionStatus::DetectionComplete) => Detection::Complete,
            Some(StackDriftDetectionStatus::DetectionInProgress) => Detection::Running,
            _ => Detection::Failed {
                why: found.detection_status_reason,
            },
        }))
    }

    /// What the latest drift detection of a stack said of each resource that it looked at.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn drifts(&self, stack: &str) -> Result<Vec<ResourceDrift>, PortError> {
        let mut drifts = Vec::new();
        let mut pages = self
            .client
            .describe_stack_resource_drifts()
            .stack_name(stack)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                classify(
                    format!("reading the drift of stack `{stack}`"),
                    Effect::Read,
                    &error,
                )
            })?;
            drifts.extend(
                page.stack_resource_drifts
                    .unwrap_or_default()
                    .into_iter()
                    .map(|drift| ResourceDrift {
                        logical_id: drift.logical_resource_id.unwrap_or_default(),
                        resource_type: drift.resource_type.unwrap_or_default(),
                        status: text(
                            drift
                                .stack_resource_drift_status
                                .as_ref()
                                .map(StackResourceDriftStatus::as_str),
                        ),
                        reason: drift.drift_status_reason,
                        differences: drift
                            .property_differences
                            .unwrap_or_default()
                            .into_iter()
                            .map(|difference| Difference {
                                path: difference.property_path.unwrap_or_default(),
                                kind: text(difference.difference_type.as_ref().map(DifferenceType::as_str)),
                            })
                            .collect(),
                    }),
            );
        }
        Ok(drifts)
    }
}

/// CloudFormation says `ValidationError` while another detection of the stack runs, and only the text tells it.
fn is_at_work<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    error.as_service_error().is_some_and(|service| {
        service.code() == Some("ValidationError")
            && service
                .message()
                .is_some_and(|message| message.contains("already in progress"))
    })
}
