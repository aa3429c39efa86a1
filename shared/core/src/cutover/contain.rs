//! What cuts the old account off before anything else changes: organisation policies that deny everything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Digest;
use crate::plan::ContainPlan;
use crate::run::AccountId;

/// One policy that is attached to one target: a step of the cutover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainStep {
    /// Step id, stable over repeats.
    pub id: String,
    /// Policy id in AWS Organizations.
    pub policy: String,
    /// Account, organisational unit or root to which it is attached.
    pub target: String,
}

/// The steps of a plan, in its order.
#[must_use]
pub fn steps(plan: Option<&ContainPlan>) -> Vec<ContainStep> {
    let attachments = plan.map_or(&[][..], |plan| &plan.policies).iter();
    attachments
        .map(|attachment| ContainStep {
            id: format!(
                "contain-{}",
                Digest::of(format!("{} {}", attachment.policy, attachment.target).as_bytes()).short()
            ),
            policy: attachment.policy.clone(),
            target: attachment.target.clone(),
        })
        .collect()
}

/// A policy as AWS Organizations describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganisationPolicy {
    /// `SERVICE_CONTROL_POLICY`, `RESOURCE_CONTROL_POLICY` or another type.
    pub kind: String,
    /// Its text.
    pub content: String,
}

/// Why a policy contains nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotContained {
    /// The text is no policy.
    #[error("it is no policy document: {0}")]
    NoPolicy(String),
    /// Another type denies nothing of this kind.
    #[error("it is of type `{0}`: only service control and resource control policies deny access")]
    OtherType(String),
    /// A service control policy without a statement that denies everything.
    #[error("no statement denies every action on every resource without a condition")]
    DeniesTooLittle,
    /// A resource control policy without a statement that denies everything to the old account.
    #[error("no statement denies every action to principals of account {0} (`aws:PrincipalAccount`)")]
    DoesNotDenyTheOldAccount(AccountId),
}

/// Whether a policy cuts the old account off where it is attached.
///
/// A service control policy, attached to the old account, must deny every action on every resource without a
/// condition: whatever it exempts is a way in. A resource control policy, attached to siblings, must deny every action
/// to principals of the old account. (AWS Organizations user guide, *SCP evaluation* and *Resource control policies*.)
///
/// # Errors
/// [`NotContained`].
pub fn contains(policy: &OrganisationPolicy, old: &AccountId) -> Result<(), NotContained> {
    let document: Value =
        serde_json::from_str(&policy.content).map_err(|error| NotContained::NoPolicy(error.to_string()))?;
    let statements: Vec<&Value> = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return Err(NotContained::NoPolicy("it has no `Statement`".to_owned())),
    };
    let mut denials = statements.into_iter().filter(|statement| {
        statement.get("Effect").and_then(Value::as_str) == Some("Deny")
            && is_everything(statement.get("Action"))
            && is_everything(statement.get("Resource"))
    });
    match policy.kind.as_str() {
        "SERVICE_CONTROL_POLICY" => denials
            .any(|statement| statement.get("Condition").is_none())
            .then_some(())
            .ok_or(NotContained::DeniesTooLittle),
        "RESOURCE_CONTROL_POLICY" => denials
            .any(|statement| is_everything(statement.get("Principal")) && is_of_account(statement, old))
            .then_some(())
            .ok_or_else(|| NotContained::DoesNotDenyTheOldAccount(old.clone())),
        other => Err(NotContained::OtherType(other.to_owned())),
    }
}

fn is_everything(value: Option<&Value>) -> bool {
    match value {
        Some(Value::String(text)) => text == "*",
        Some(Value::Array(texts)) => texts.iter().any(|text| text.as_str() == Some("*")),
        _ => false,
    }
}

/// Whether the condition is exactly that the principal's account is the old one.
fn is_of_account(statement: &Value, old: &AccountId) -> bool {
    let Some(Value::Object(operators)) = statement.get("Condition") else {
        return false;
    };
    let Some(Value::Object(keys)) = operators.get("StringEquals") else {
        return false;
    };
    let named = match keys.get("aws:PrincipalAccount") {
        Some(Value::String(text)) => text == old.as_str(),
        Some(Value::Array(texts)) => texts.iter().any(|text| text.as_str() == Some(old.as_str())),
        _ => false,
    };
    named && operators.len() == 1 && keys.len() == 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn old() -> AccountId {
        AccountId::try_from("111111111111".to_owned()).unwrap()
    }

    fn of(kind: &str, statement: &Value) -> Result<(), NotContained> {
        let content = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        contains(
            &OrganisationPolicy {
                kind: kind.to_owned(),
                content,
            },
            &old(),
        )
    }

    #[test]
    fn only_a_denial_of_everything_contains() {
        let scp = |statement: Value| of("SERVICE_CONTROL_POLICY", &statement);
        assert_eq!(
            scp(json!({"Effect": "Deny", "Action": "*", "Resource": "*"})),
            Ok(())
        );
        assert_eq!(
            scp(json!({"Effect": "Deny", "Action": ["*"], "Resource": ["*"]})),
            Ok(())
        );
        for short in [
            json!({"Effect": "Allow", "Action": "*", "Resource": "*"}),
            json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}),
            json!({"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"}),
            json!({"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::*"}),
            json!({"Effect": "Deny", "Action": "*", "Resource": "*",
                "Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/break-glass"}}}),
        ] {
            assert_eq!(scp(short.clone()), Err(NotContained::DeniesTooLittle), "{short}");
        }
    }

    #[test]
    fn a_policy_on_resources_denies_exactly_the_old_account() {
        let rcp = |account: &str, more: Value| {
            let mut condition = json!({"StringEquals": {"aws:PrincipalAccount": account}});
            condition
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            of(
                "RESOURCE_CONTROL_POLICY",
                &json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition}),
            )
        };
        assert_eq!(rcp("111111111111", json!({})), Ok(()));
        let refused = Err(NotContained::DoesNotDenyTheOldAccount(old()));
        assert_eq!(rcp("222222222222", json!({})), refused);
        assert_eq!(
            rcp("111111111111", json!({"Bool": {"aws:SecureTransport": "false"}})),
            refused
        );
    }

    #[test]
    fn other_types_and_other_texts_contain_nobody() {
        let denial = json!({"Effect": "Deny", "Action": "*", "Resource": "*"});
        assert!(matches!(
            of("TAG_POLICY", &denial),
            Err(NotContained::OtherType(_))
        ));
        for content in ["", "[]", "{}", "{\"Statement\": 7}"] {
            let policy = OrganisationPolicy {
                kind: "SERVICE_CONTROL_POLICY".to_owned(),
                content: content.to_owned(),
            };
            assert!(contains(&policy, &old()).is_err(), "{content}");
        }
    }
}
