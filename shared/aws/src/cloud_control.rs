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
        Self::over(Signed::new(config), role_arn)
    }

    pub(crate) fn over(signed: Signed, role_arn: Option<String>) -> Self {
        Self { signed, role_arn }
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

    /// Asks for a change, as a JSON Patch (RFC 6902). It is made some time later, or refused then: look again, and ask
    /// again for what is still missing. While another change is being made this one is not taken, which the next look shows
    /// as well.
    ///
    /// No `ClientToken` is sent. It names one request: for 36 hours a repeat gets the same answer, a failure included, and
    /// the same token for another resource or another patch is refused (`ClientTokenConflictException`; Cloud Control API
    /// User Guide, "Ensuring resource operation requests are unique"). What the resource has decides whether to ask.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn patch(&self, resource: &Resource<'_>, patch: &Value) -> Result<(), PortError> {
        let patch = patch.to_string();
        let asked = self.asked(resource, &[("PatchDocument", &patch)]);
        let what = format!("changing `{}`", resource.identifier);
        match self.signed.json(&UPDATE, &what, "/", &asked).await {
            Ok(answer) => accepted(&answer, what),
            Err(error) if is_at_work(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks for the deletion of a resource, without a token as [`CloudControl::patch`] does. `false`: there is none.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn delete(&self, resource: &Resource<'_>) -> Result<bool, PortError> {
        let asked = self.asked(resource, &[]);
        let what = format!("deleting `{}`", resource.identifier);
        match self.signed.json(&DELETE, &what, "/", &asked).await {
            Ok(answer) => accepted(&answer, what).map(|()| true),
            Err(PortError::NotFound { .. }) => Ok(false),
            Err(error) if is_at_work(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Only one change at a time is made to a resource; the next one has to wait for it.
fn is_at_work(error: &PortError) -> bool {
    matches!(error, PortError::Refused { why, .. } if why.starts_with("ConcurrentOperationException"))
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
        assert!(!cloud_control.delete(&DATABASE).await.unwrap());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_change_that_fails_at_once_is_refused_and_one_behind_another_is_looked_at_again() {
        let failed = r#"{"ProgressEvent":{"OperationStatus":"FAILED","ErrorCode":"InvalidRequest","StatusMessage":"no"}}"#;
        let (cloud_control, wire) = cloud((200, failed));
        let patch = json!([{"op": "add", "path": "/DeletionProtection", "value": true}]);
        let refused = cloud_control.patch(&DATABASE, &patch).await;
        assert!(matches!(refused, Err(PortError::Refused { .. })), "{refused:?}");
        let sent: Value = serde_json::from_str(&wire.asked()[0].body).unwrap();
        assert_eq!(sent.get("ClientToken"), None);
        assert_eq!(sent["PatchDocument"], patch.to_string());
        let busy = r#"{"__type":"ConcurrentOperationException","Message":"wait"}"#;
        let (cloud_control, _) = cloud((400, busy));
        assert_eq!(cloud_control.patch(&DATABASE, &patch).await, Ok(()));
        assert_eq!(cloud_control.delete(&DATABASE).await, Ok(true));
    }
}
