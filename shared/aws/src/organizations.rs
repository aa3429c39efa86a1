//! AWS Organizations: policies that are attached to accounts.

use aws_config::SdkConfig;
use blackstart_core::cutover::contain::OrganisationPolicy;
use serde_json::{Value, json};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed};

/// Organizations has one endpoint per partition, in this region (AWS General Reference, *AWS Organizations endpoints*).
const REGION: &str = "us-east-1";

const ENDPOINT: Endpoint = Endpoint {
    id: "Organizations",
    host: "organizations",
    signing: "organizations",
};

const fn operation(permission: &'static str, target: &'static str, effect: Effect) -> Operation {
    Operation {
        endpoint: ENDPOINT,
        permission,
        effect,
        protocol: Protocol::Json {
            version: "1.1",
            target,
        },
    }
}

const DESCRIBE_POLICY: Operation = operation(
    "organizations:DescribePolicy",
    "AWSOrganizationsV20161128.DescribePolicy",
    Effect::Read,
);
const LIST_TARGETS_FOR_POLICY: Operation = operation(
    "organizations:ListTargetsForPolicy",
    "AWSOrganizationsV20161128.ListTargetsForPolicy",
    Effect::Read,
);
const ATTACH_POLICY: Operation = operation(
    "organizations:AttachPolicy",
    "AWSOrganizationsV20161128.AttachPolicy",
    Effect::Write,
);
const DETACH_POLICY: Operation = operation(
    "organizations:DetachPolicy",
    "AWSOrganizationsV20161128.DetachPolicy",
    Effect::Write,
);

/// The organisation, as a session in its management account sees it.
#[derive(Debug, Clone)]
pub struct Organizations(Signed);

impl Organizations {
    /// Under this session.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self(Signed::new(config).in_region(REGION))
    }

    /// Type and text of a policy.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn policy(&self, policy: &str) -> Result<OrganisationPolicy, PortError> {
        let what = format!("reading policy `{policy}`");
        let answer = self
            .0
            .json(&DESCRIBE_POLICY, &what, "/", &json!({ "PolicyId": policy }))
            .await?;
        let text = |path: &str| answer.pointer(path).and_then(Value::as_str).map(str::to_owned);
        match (text("/Policy/PolicySummary/Type"), text("/Policy/Content")) {
            (Some(kind), Some(content)) => Ok(OrganisationPolicy { kind, content }),
            _ => Err(PortError::Refused {
                what,
                why: "the answer holds no policy".to_owned(),
            }),
        }
    }

    /// Whether a policy is attached to this target itself.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn is_attached(&self, policy: &str, target: &str) -> Result<bool, PortError> {
        let what = format!("reading where policy `{policy}` is attached");
        let mut token = Value::Null;
        loop {
            let mut request = json!({ "PolicyId": policy });
            if let (Some(members), false) = (request.as_object_mut(), token.is_null()) {
                members.insert("NextToken".to_owned(), token);
            }
            let answer = self
                .0
                .json(&LIST_TARGETS_FOR_POLICY, &what, "/", &request)
                .await?;
            let targets = answer.get("Targets").and_then(Value::as_array);
            let found = targets
                .into_iter()
                .flatten()
                .any(|found| found.get("TargetId").and_then(Value::as_str) == Some(target));
            if found {
                return Ok(true);
            }
            token = match answer.get("NextToken") {
                Some(next @ Value::String(_)) => next.clone(),
                _ => return Ok(false),
            };
        }
    }

    /// Attaches a policy.
    ///
    /// # Errors
    /// [`PortError`]; after [`PortError::OutcomeUnknown`] it must be read where the policy is attached.
    pub async fn attach(&self, policy: &str, target: &str) -> Result<(), PortError> {
        self.change(&ATTACH_POLICY, "attaching", policy, target).await
    }

    /// Detaches a policy.
    ///
    /// # Errors
    /// [`PortError`]; after [`PortError::OutcomeUnknown`] it must be read where the policy is attached.
    pub async fn detach(&self, policy: &str, target: &str) -> Result<(), PortError> {
        self.change(&DETACH_POLICY, "detaching", policy, target).await
    }

    async fn change(
        &self,
        operation: &Operation,
        doing: &str,
        policy: &str,
        target: &str,
    ) -> Result<(), PortError> {
        let what = format!("{doing} policy `{policy}`, target `{target}`");
        let request = json!({"PolicyId": policy, "TargetId": target});
        self.0.json(operation, &what, "/", &request).await.map(drop)
    }
}
