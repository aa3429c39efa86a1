//! Cloud Control API: resources of any type that CloudFormation knows, one at a time, with the same calls for all.
//!
//! For what is restored beside buckets and tables, it spares a client crate per service. CloudFormation's execution role
//! does the work, so what may be changed is bounded by the same policy as the stacks.

use aws_config::SdkConfig;
use serde_json::{Map, Value};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed};

const CLOUD_CONTROL: Endpoint = Endpoint {
    id: "CloudControl",
    host: "cloudcontrolapi",
    signing: "cloudcontrolapi",
};

const GET: Operation = Operation {
    endpoint: CLOUD_CONTROL,
    permission: "cloudformation:GetResource",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.0",
        target: "CloudApiService.GetResource",
    },
};

const UPDATE: Operation = Operation {
    endpoint: CLOUD_CONTROL,
    permission: "cloudformation:UpdateResource",
    effect: Effect::IdempotentWrite,
    protocol: Protocol::Json {
        version: "1.0",
        target: "CloudApiService.UpdateResource",
    },
};

const DELETE: Operation = Operation {
    endpoint: CLOUD_CONTROL,
    permission: "cloudformation:DeleteResource",
    effect: Effect::IdempotentWrite,
    protocol: Protocol::Json {
        version: "1.0",
        target: "CloudApiService.DeleteResource",
    },
};

/// Cloud Control API in one account and region.
#[derive(Debug, Clone)]
pub struct CloudControl {
    signed: Signed,
    role_arn: Option<String>,
}

/// One resource: its type, as in a template, and its primary identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource<'a> {
    /// For example `AWS::RDS::DBInstance`.
    pub type_name: &'a str,
    /// For example the instance's identifier.
    pub identifier: &'a str,
}

impl CloudControl {
    /// Cloud Control API under this configuration. It works with the role, or with the caller's own permissions.
    #[must_use]
    pub fn new(config: &SdkConfig, role_arn: Option<String>) -> Self {
        Self {
            signed: Signed::new(config),
            role_arn,
        }
    }

    #[cfg(test)]
    pub(crate) fn over(signed: Signed) -> Self {
        Self {
            signed,
            role_arn: None,
        }
    }

    fn asked(&self, resource: &Resource<'_>, more: &[(&str, &str)]) -> Value {
        let role = self.role_arn.iter().map(|role| ("RoleArn", role.as_str()));
        let fields = [
            ("TypeName", resource.type_name),
            ("Identifier", resource.identifier),
        ];
        fields
            .into_iter()
            .chain(role)
            .chain(more.iter().copied())
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect::<Map<_, _>>()
            .into()
    }

    /// The properties of a resource, as in a template; `None`: there is none.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn get(&self, resource: &Resource<'_>) -> Result<Option<Value>, PortError> {
        let what = format!("reading `{}`", resource.identifier);
        let asked = self.asked(resource, &[]);
        let answer = match self.signed.json(&GET, &what, "/", &asked).await {
            Ok(answer) => answer,
            Err(PortError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = answer
            .pointer("/ResourceDescription/Properties")
            .and_then(Value::as_str)
            .unwrap_or_default();
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| PortError::Refused {
                what,
                why: format!("the answer holds no properties: {error}"),
            })
    }

    /// Asks for a change, as a JSON Patch (RFC 6902). It is made some time later: look again. A repeat with the same
    /// token asks for nothing new.
    ///
    /// # Errors
    /// [`PortError`]; a change that is already being made is transient.
    pub async fn patch(&self, resource: &Resource<'_>, patch: &Value, token: &str) -> Result<(), PortError> {
        let patch = patch.to_string();
        let asked = self.asked(resource, &[("PatchDocument", &patch), ("ClientToken", token)]);
        let what = format!("changing `{}`", resource.identifier);
        let answer = self.signed.json(&UPDATE, &what, "/", &asked).await;
        accepted(&answer.map_err(waiting)?, what)
    }

    /// Asks for the deletion of a resource. `false`: there is none.
    ///
    /// # Errors
    /// [`PortError`]; a change that is being made is transient.
    pub async fn delete(&self, resource: &Resource<'_>, token: &str) -> Result<bool, PortError> {
        let asked = self.asked(resource, &[("ClientToken", token)]);
        let what = format!("deleting `{}`", resource.identifier);
        match self.signed.json(&DELETE, &what, "/", &asked).await {
            Ok(answer) => accepted(&answer, what).map(|()| true),
            Err(PortError::NotFound { .. }) => Ok(false),
            Err(error) => Err(waiting(error)),
        }
    }
}

/// Only one change at a time is made to a resource; the next one waits for it.
fn waiting(error: PortError) -> PortError {
    if let PortError::Refused { what, why } = &error
        && why.starts_with("ConcurrentOperationException")
    {
        return PortError::Transient {
            what: what.clone(),
            why: why.clone(),
        };
    }
    error
}

/// A request is accepted and fails later, or at once with a status of its own.
fn accepted(answer: &Value, what: String) -> Result<(), PortError> {
    let member = |name: &str| {
        answer
            .pointer(&format!("/ProgressEvent/{name}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match member("OperationStatus").as_str() {
        "FAILED" | "CANCEL_COMPLETE" if member("ErrorCode") == "NotFound" => Ok(()),
        "FAILED" | "CANCEL_COMPLETE" => Err(PortError::Refused {
            what,
            why: format!("{}: {}", member("ErrorCode"), member("StatusMessage")),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::signed::testing::Wire;

    const DATABASE: Resource<'static> = Resource {
        type_name: "AWS::RDS::DBInstance",
        identifier: "orders-restored",
    };

    fn cloud(answer: (u16, &'static str)) -> (CloudControl, Wire) {
        let wire = Wire::new(move |_| (answer.0, answer.1.to_owned()));
        let signed = Signed::over(&wire.config(), wire.connector());
        (
            CloudControl {
                signed,
                role_arn: Some("arn:role".to_owned()),
            },
            wire,
        )
    }

    #[tokio::test(flavor = "current_thread")]
    async fn properties_are_read_and_what_is_absent_is_none() {
        let (cloud_control, wire) = cloud((
            200,
            r#"{"TypeName":"AWS::RDS::DBInstance","ResourceDescription":{"Properties":"{\"Port\":\"5432\"}"}}"#,
        ));
        let found = cloud_control.get(&DATABASE).await.unwrap().unwrap();
        assert_eq!(found, json!({"Port": "5432"}));
        assert_eq!(wire.asked()[0].target, "CloudApiService.GetResource");
        let gone = r#"{"__type":"com.amazonaws.cloudapiservice#ResourceNotFoundException","Message":"no"}"#;
        let (cloud_control, _) = cloud((400, gone));
        assert_eq!(cloud_control.get(&DATABASE).await.unwrap(), None);
        assert!(!cloud_control.delete(&DATABASE, "t").await.unwrap());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_change_that_fails_at_once_is_refused_and_one_behind_another_waits() {
        let failed = r#"{"ProgressEvent":{"OperationStatus":"FAILED","ErrorCode":"InvalidRequest","StatusMessage":"no"}}"#;
        let (cloud_control, wire) = cloud((200, failed));
        let patch = json!([{"op": "add", "path": "/DeletionProtection", "value": true}]);
        let refused = cloud_control.patch(&DATABASE, &patch, "token").await;
        assert!(matches!(refused, Err(PortError::Refused { .. })), "{refused:?}");
        let sent: Value = serde_json::from_str(&wire.asked()[0].body).unwrap();
        assert_eq!(sent["ClientToken"], "token");
        assert_eq!(sent["PatchDocument"], patch.to_string());
        let busy = r#"{"__type":"ConcurrentOperationException","Message":"wait"}"#;
        let (cloud_control, _) = cloud((400, busy));
        let waits = cloud_control.patch(&DATABASE, &patch, "token").await;
        assert!(matches!(waits, Err(PortError::Transient { .. })), "{waits:?}");
    }
}
