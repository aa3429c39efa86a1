//! Change sets by which a stack takes a restored resource, and the drift of single resources.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_cloudformation::types::{Capability, ChangeSetType, Parameter, ResourceToImport};
use blackstart_core::rebuild::drift::{Difference, ResourceDrift};
use blackstart_core::restore::seam::Import;

use super::{CloudFormation, Proposed};
use crate::port::{Effect, PortError, classify};

/// How a stack takes a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taking {
    /// By the value of a parameter.
    Parameter {
        /// Its name.
        name: String,
        /// The resource's id.
        value: String,
    },
    /// By importing it.
    Import(Import),
}

impl CloudFormation {
    /// Asks for the change set by which a stack takes a resource; every other parameter keeps its value.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn propose_taking(
        &self,
        stack: &str,
        change_set: &str,
        parameters: &BTreeMap<String, String>,
        taking: &Taking,
        role_arn: &str,
    ) -> Result<Proposed, PortError> {
        let what = format!("proposing a change of stack `{stack}`");
        let mut known: Vec<Parameter> = Vec::new();
        for name in parameters.keys() {
            known.push(match taking {
                Taking::Parameter { name: of, value } if of == name => Parameter::builder()
                    .parameter_key(name)
                    .parameter_value(value)
                    .build(),
                Taking::Parameter { .. } | Taking::Import(_) => Parameter::builder()
                    .parameter_key(name)
                    .use_previous_value(true)
                    .build(),
            });
        }
        let request = self
            .client
            .create_change_set()
            .stack_name(stack)
            .change_set_name(change_set)
            .set_parameters(Some(known))
            .role_arn(role_arn)
            .capabilities(Capability::CapabilityNamedIam)
            .client_token(change_set);
        let request = match taking {
            Taking::Parameter { .. } => request
                .change_set_type(ChangeSetType::Update)
                .use_previous_template(true),
            Taking::Import(import) => {
                let resource = ResourceToImport::builder()
                    .logical_resource_id(&import.logical_id)
                    .resource_type(&import.type_name)
                    .set_resource_identifier(Some(import.identifier.clone().into_iter().collect()))
                    .build();
                request
                    .change_set_type(ChangeSetType::Import)
                    .template_body(&import.template)
                    .resources_to_import(resource)
            }
        };
        match request.send().await {
            Ok(_) => Ok(Proposed::Started),
            Err(SdkError::ServiceError(service)) if service.err().is_already_exists_exception() => {
                Ok(Proposed::Exists)
            }
            // The name makes a repeat harmless: it finds the change set of the lost answer.
            Err(error) => Err(classify(what, Effect::IdempotentWrite, &error)),
        }
    }

    /// Compares one resource of a stack with its template, now.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn resource_drift(&self, stack: &str, logical_id: &str) -> Result<ResourceDrift, PortError> {
        let answer = self
            .client
            .detect_stack_resource_drift()
            .stack_name(stack)
            .logical_resource_id(logical_id)
            .send()
            .await;
        let unknown = |status: &str, reason: Option<String>| ResourceDrift {
            logical_id: logical_id.to_owned(),
            resource_type: String::new(),
            status: status.to_owned(),
            reason,
            differences: Vec::new(),
        };
        let found = match answer {
            Ok(found) => found.stack_resource_drift,
            // CloudFormation's word for a type that drift detection does not know.
            Err(SdkError::ServiceError(service)) if service.err().code() == Some("ValidationError") => {
                return Ok(unknown("UNSUPPORTED", service.err().message().map(str::to_owned)));
            }
            Err(error) => {
                return Err(classify(
                    format!("comparing `{logical_id}` of stack `{stack}` with its template"),
                    Effect::Read,
                    &error,
                ));
            }
        };
        let Some(found) = found else {
            return Ok(unknown("UNKNOWN", None));
        };
        Ok(ResourceDrift {
            logical_id: logical_id.to_owned(),
            resource_type: found.resource_type.unwrap_or_default(),
            status: found
                .stack_resource_drift_status
                .map_or_else(String::new, |status| status.as_str().to_owned()),
            reason: found.drift_status_reason,
            differences: found
                .property_differences
                .unwrap_or_default()
                .into_iter()
                .map(|difference| Difference {
                    path: difference.property_path.unwrap_or_default(),
                    kind: difference
                        .difference_type
                        .map_or_else(String::new, |kind| kind.as_str().to_owned()),
                })
                .collect(),
        })
    }
}
