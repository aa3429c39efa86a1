//! IAM Access Analyzer: who from outside can use a resource, as AWS itself concludes it; and its checks of policies.
//!
//! Only analyzers of type `ACCOUNT` report what is wanted here: to one of type `ORGANIZATION`, the old account is
//! inside the zone of trust, and gives no finding.

use blackstart_core::references::{Configuration, DocumentKind, Form, Observed, Resource, Source};
use blackstart_core::run::AccountId;
use serde_json::{Value, json};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed};

const SERVICE: Endpoint = Endpoint {
    id: "AccessAnalyzer",
    host: "access-analyzer",
    signing: "access-analyzer",
};

const fn operation(permission: &'static str, method: &'static str) -> Operation {
    Operation {
        endpoint: SERVICE,
        permission,
        effect: Effect::Read,
        protocol: Protocol::Rest { method },
    }
}

const LIST_ANALYZERS: Operation = operation("access-analyzer:ListAnalyzers", "GET");
const LIST_FINDINGS: Operation = operation("access-analyzer:ListFindings", "POST");
const VALIDATE_POLICY: Operation = operation("access-analyzer:ValidatePolicy", "POST");
const CHECK_NO_NEW_ACCESS: Operation = operation("access-analyzer:CheckNoNewAccess", "POST");

/// Access Analyzer in one account and region.
#[derive(Debug, Clone)]
pub struct Analyzer {
    signed: Signed,
}

/// What a check of a policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Nothing against it.
    Passed,
    /// What speaks against it.
    Failed(Vec<String>),
}

impl Analyzer {
    /// With these credentials, in the region of this configuration.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            signed: Signed::new(config),
        }
    }

    /// Over another connection.
    #[must_use]
    pub fn over(signed: Signed) -> Self {
        Self { signed }
    }

    /// Every active finding of external access, as text to be searched; `None` where there is no active analyzer of
    /// type `ACCOUNT`.
    ///
    /// # Errors
    /// [`PortError`] as the service answers.
    pub async fn findings(
        &self,
        account: &AccountId,
        region: &str,
    ) -> Result<Option<Vec<Observed>>, PortError> {
        let what = format!("listing the analyzers of {account} in {region}");
        let answer = self
            .signed
            .json(&LIST_ANALYZERS, &what, "/analyzer?type=ACCOUNT", &Value::Null)
            .await?;
        let analyzers: Vec<String> = list(&answer, "analyzers")
            .filter(|analyzer| analyzer.get("status").and_then(Value::as_str) == Some("ACTIVE"))
            .filter_map(|analyzer| analyzer.get("arn")?.as_str().map(str::to_owned))
            .collect();
        if analyzers.is_empty() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for analyzer in &analyzers {
            let mut request = json!({"analyzerArn": analyzer, "filter": {"status": {"eq": ["ACTIVE"]}}});
            loop {
                let what = format!("listing the findings of `{analyzer}`");
                let answer = self
                    .signed
                    .json(&LIST_FINDINGS, &what, "/finding", &request)
                    .await?;
                found.extend(
                    list(&answer, "findings").filter_map(|finding| observed(finding, account, region)),
                );
                let known = request.get("nextToken").cloned();
                match (answer.get("nextToken"), request.as_object_mut()) {
                    (Some(Value::String(next)), Some(members))
                        if !next.is_empty() && known != Some(next.clone().into()) =>
                    {
                        members.insert("nextToken".to_owned(), next.clone().into());
                    }
                    _ => break,
                }
            }
        }
        Ok(Some(found))
    }

    /// Whether AWS's own grammar and rules have an error against a policy. Warnings and suggestions do not count:
    /// the policy was there before with the same ones.
    ///
    /// # Errors
    /// [`PortError`] as the service answers.
    pub async fn validate(&self, policy: &str, kind: DocumentKind) -> Result<Checked, PortError> {
        let mut request = json!({"policyDocument": policy, "policyType": "RESOURCE_POLICY"});
        if let (Some(of), Some(members)) = (validated_as(kind), request.as_object_mut()) {
            members.insert("validatePolicyResourceType".to_owned(), of.into());
        }
        let answer = self
            .signed
            .json(
                &VALIDATE_POLICY,
                "validating a policy",
                "/policy/validation",
                &request,
            )
            .await?;
        let errors: Vec<String> = list(&answer, "findings")
            .filter(|finding| finding.get("findingType").and_then(Value::as_str) == Some("ERROR"))
            .map(|finding| {
                let member = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default();
                format!("{}: {}", member("issueCode"), member("findingDetails"))
            })
            .collect();
        Ok(if errors.is_empty() {
            Checked::Passed
        } else {
            Checked::Failed(errors)
        })
    }

    /// Whether two policies allow the same, by two checks of a subset.
    ///
    /// # Errors
    /// [`PortError`] as the service answers.
    pub async fn equivalent(&self, one: &str, other: &str) -> Result<Checked, PortError> {
        let mut reasons = Vec::new();
        for (existing, new, direction) in [(one, other, "allows more"), (other, one, "allows less")] {
            let request = json!({
                "existingPolicyDocument": existing,
                "newPolicyDocument": new,
                "policyType": "RESOURCE_POLICY",
            });
            let path = "/policy/check-no-new-access";
            let answer = self
                .signed
                .json(&CHECK_NO_NEW_ACCESS, "comparing two policies", path, &request)
                .await?;
            if answer.get("result").and_then(Value::as_str) != Some("PASS") {
                let message = answer.get("message").and_then(Value::as_str).unwrap_or_default();
                reasons.push(format!("{direction}: {message}"));
            }
        }
        Ok(if reasons.is_empty() {
            Checked::Passed
        } else {
            Checked::Failed(reasons)
        })
    }
}

/// The resource types for which `ValidatePolicy` has rules of its own.
fn validated_as(kind: DocumentKind) -> Option<&'static str> {
    match kind {
        DocumentKind::RoleTrust => Some("AWS::IAM::AssumeRolePolicyDocument"),
        DocumentKind::BucketPolicy => Some("AWS::S3::Bucket"),
        DocumentKind::TablePolicy => Some("AWS::DynamoDB::Table"),
        DocumentKind::QueuePolicy
        | DocumentKind::KeyPolicy
        | DocumentKind::KeyGrants
        | DocumentKind::TopicPolicy
        | DocumentKind::FunctionPermissions
        | DocumentKind::SecretPolicy
        | DocumentKind::RepositoryPolicy
        | DocumentKind::BusPolicy
        | DocumentKind::VaultPolicy => None,
    }
}

fn list<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A finding as a configuration: only whom it is about and under which condition is searched.
fn observed(finding: &Value, account: &AccountId, region: &str) -> Option<Observed> {
    let member = |name: &str| finding.get(name).and_then(Value::as_str);
    let text = json!({"principal": finding.get("principal"), "condition": finding.get("condition")});
    Some(Observed::Configuration(Configuration {
        resource: Resource {
            account: account.clone(),
            name: member("resource")?.to_owned(),
            region: region.to_owned(),
            kind: member("resourceType").unwrap_or_default().to_owned(),
        },
        part: String::new(),
        form: Form::Config,
        text: text.to_string(),
        source: Source::AccessAnalyzer,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::testing::Wire;

    fn account() -> AccountId {
        AccountId::try_from("555555555555".to_owned()).unwrap()
    }

    fn analyzer(wire: &Wire) -> Analyzer {
        Analyzer::over(Signed::over(&wire.config(), wire.connector()))
    }

    #[tokio::test]
    async fn every_page_of_active_findings_is_read_and_no_analyzer_is_said() {
        let wire = Wire::new(|asked| {
            let answer = if asked.uri.contains("/analyzer") {
                json!({"analyzers": [{"arn": "a", "status": "ACTIVE"}, {"arn": "b", "status": "DISABLED"}]})
            } else if asked.body.contains("nextToken") {
                json!({"findings": [{"resource": "two", "resourceType": "AWS::SQS::Queue", "principal": {"AWS": "1"}}]})
            } else {
                json!({"findings": [{"resource": "one", "resourceType": "AWS::SQS::Queue", "principal": {"AWS": "1"}}],
                    "nextToken": "more"})
            };
            (200, answer.to_string())
        });
        let found = analyzer(&wire)
            .findings(&account(), "eu-west-1")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(wire.asked().len(), 3);

        let none = Wire::new(|_| (200, json!({"analyzers": []}).to_string()));
        assert_eq!(
            analyzer(&none).findings(&account(), "eu-west-1").await.unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn equivalence_takes_both_directions() {
        let wire = Wire::new(|asked| {
            let fails = asked.body.starts_with("{\"existingPolicyDocument\":\"b\"");
            let answer = if fails {
                json!({"result": "FAIL", "message": "m"})
            } else {
                json!({"result": "PASS"})
            };
            (200, answer.to_string())
        });
        assert_eq!(
            analyzer(&wire).equivalent("a", "b").await.unwrap(),
            Checked::Failed(vec!["allows less: m".to_owned()])
        );
        assert_eq!(
            analyzer(&wire).equivalent("a", "a").await.unwrap(),
            Checked::Passed
        );
    }
}
