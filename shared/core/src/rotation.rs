//! Stage 4: credentials that are made new, not carried over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::approval::DecisionPackage;
use crate::artifact::{ArtifactRef, Digest};
use crate::plan::{Credential, Plan, Problem, RotationPlan};
use crate::rebuild::request::MAX_SESSION_POLICY;
use crate::run::RunId;

pub mod certificate;
pub mod database;
pub mod hook;
pub mod managed;

/// The schema of a [`RotationDocument`].
pub const SCHEMA: &str = "blackstart.rotation/1";

/// What was rotated. Names and versions only; values are in no document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationDocument {
    /// Always `blackstart.rotation/1`.
    pub schema: String,
    /// The credentials.
    pub rotated: Vec<RotatedCredential>,
}

/// One credential with a new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotatedCredential {
    /// Name of the credential.
    pub name: String,
    /// What is new: the version of a secret or parameter, the id of an access key, the serial number of a certificate, or
    /// what the hook says.
    pub version: String,
}

/// The value of a secret.
///
/// It has no `Display` and no serialised form, its `Debug` is redacted: it must reach no log, state, artifact or message.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// Takes a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one call that stores it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

/// The staging label of the value that consumers read.
pub const CURRENT: &str = "AWSCURRENT";

/// What is to be rotated is not what was approved. Holds every reason.
#[derive(Debug, thiserror::Error)]
#[error("{} reason(s) not to rotate: {}", .0.len(), join(.0))]
pub struct RotationRefused(pub Vec<Problem>);

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What to rotate: the plan's credentials, if they are exactly the approved ones.
///
/// # Errors
/// [`RotationRefused`].
pub fn approved_credentials<'a>(
    run: &RunId,
    plan_artifact: &ArtifactRef,
    plan: &'a Plan,
    package: &DecisionPackage,
) -> Result<&'a RotationPlan, RotationRefused> {
    let mut problems = Vec::new();
    let mut problem = |at: &str, what: String| {
        problems.push(Problem {
            at: at.to_owned(),
            what,
        });
    };
    if package.run != *run {
        problem("run", format!("the package is of the run `{}`", package.run));
    }
    if package.plan.sha256 != plan_artifact.sha256 {
        problem("plan", "is not the plan that was approved".to_owned());
    }
    if package.secrets != plan.rotation.secrets {
        problem("secrets", "are not the ones that were approved".to_owned());
    }
    if package.credentials != plan.rotation.credentials {
        problem("credentials", "are not the ones that were approved".to_owned());
    }
    if problems.is_empty() {
        Ok(&plan.rotation)
    } else {
        Err(RotationRefused(problems))
    }
}

/// The id of the version that this run makes of a secret: the request token of the write, so that a repeat finds
/// its own version and no second one is made.
#[must_use]
pub fn version_of(run: &RunId, secret: &str) -> String {
    Digest::of(format!("{run}\n{secret}\nrotate").as_bytes())
        .as_str()
        .to_owned()
}

/// What a session in the rebuild account may do at most: replace these credentials.
#[must_use]
pub fn session_policy(plan: &Plan) -> String {
    let arn = |service: &str, region: &str, resource: &str| {
        format!(
            "arn:{}:{service}:{region}:{}:{resource}",
            plan.partition, plan.accounts.rebuild
        )
    };
    let policy = |names: &[String]| {
        let secrets: Vec<_> = names
            .iter()
            .map(|name| arn("secretsmanager", &plan.region, &format!("secret:{name}")))
            .collect();
        let mut statements = vec![
            serde_json::json!({
                "Effect": "Allow",
                "Action": "secretsmanager:*Secret*",
                "Resource": secrets,
            }),
            serde_json::json!({ "Effect": "Allow", "Action": "secretsmanager:GetRandomPassword", "Resource": "*" }),
        ];
        for credential in &plan.rotation.credentials {
            let (actions, resource): (&[&str], String) = match credential {
                Credential::ManagedPassword { database, of } => {
                    statements.push(serde_json::json!({
                        "Effect": "Allow",
                        "Action": ["secretsmanager:*Secret*", "secretsmanager:TagResource"],
                        "Resource": arn("secretsmanager", &plan.region, "secret:rds!*"),
                    }));
                    statements.push(serde_json::json!({
                        "Effect": "Allow",
                        "Action": "kms:DescribeKey",
                        "Resource": arn("kms", &plan.region, "key/*"),
                    }));
                    (
                        &["rds:DescribeDB*", "rds:ModifyDB*", "rds:AddTagsToResource"],
                        arn("rds", &plan.region, &format!("{}:{database}", of.arn_type())),
                    )
                }
                Credential::Certificate { .. } => (
                    &["acm:DescribeCertificate"],
                    arn("acm", &plan.region, "certificate/*"),
                ),
                Credential::AccessKey { user, .. } => (
                    &["iam:*AccessKey*", "iam:GetUser"],
                    arn("iam", "", &format!("user/{user}")),
                ),
                Credential::Parameter { name, .. } => (
                    &["ssm:*Parameter*", "ssm:*Tags*"],
                    arn("ssm", &plan.region, &format!("parameter{name}")),
                ),
                Credential::Database { database, of, .. } => (
                    &["rds:DescribeDB*", "rds:ModifyDB*", "rds:AddTagsToResource"],
                    arn("rds", &plan.region, &format!("{}:{database}", of.arn_type())),
                ),
                Credential::Hook { function, .. } => (
                    &["lambda:InvokeFunction"],
                    arn("lambda", &plan.region, &format!("function:{function}")),
                ),
            };
            statements
                .push(serde_json::json!({ "Effect": "Allow", "Action": actions, "Resource": resource }));
        }
        serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    };
    // Secrets Manager ends the ARN of a secret with six characters of its own.
    let held = plan
        .rotation
        .credentials
        .iter()
        .filter_map(|credential| match credential {
            Credential::AccessKey { secret, .. } | Credential::Database { secret, .. } => Some(secret),
            Credential::Parameter { .. }
            | Credential::ManagedPassword { .. }
            | Credential::Certificate { .. }
            | Credential::Hook { .. } => None,
        });
    let names: Vec<_> = plan
        .rotation
        .secrets
        .iter()
        .map(|secret| &secret.name)
        .chain(held)
        .map(|name| format!("{name}-??????"))
        .collect();
    let exact = policy(&names);
    if exact.len() <= MAX_SESSION_POLICY {
        exact
    } else {
        policy(&["*".to_owned()])
    }
}

/// What is still to be done for one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make the new version; it becomes current and what was current becomes previous.
    Write,
    /// Take this label from this older version, so that nothing reads its value any more.
    Retire {
        /// Version id.
        version: String,
        /// The label.
        label: String,
    },
    /// The run's version is current and no label leads to an older one.
    Done,
    /// Somebody made another version current after this run's: theirs is not replaced.
    Overtaken {
        /// Version id of theirs.
        by: String,
    },
}

/// Decides from the versions of a secret (version id to staging labels) what is to be done next.
#[must_use]
pub fn next_step(version: &str, versions: &BTreeMap<String, BTreeSet<String>>) -> Step {
    if !versions.contains_key(version) {
        return Step::Write;
    }
    let current = versions
        .iter()
        .find(|(_, labels)| labels.contains(CURRENT))
        .map(|(id, _)| id.as_str());
    match current {
        Some(current) if current == version => versions
            .iter()
            .filter(|(id, _)| *id != version)
            .find_map(|(id, labels)| labels.first().map(|label| (id, label)))
            .map_or(Step::Done, |(id, label)| Step::Retire {
                version: id.clone(),
                label: label.clone(),
            }),
        Some(other) => Step::Overtaken { by: other.to_owned() },
        None => Step::Overtaken {
            by: "no version".to_owned(),
        },
    }
}

/// The new value of a secret that is a JSON object: each of `keys` gets its value, everything else stays.
///
/// # Errors
/// [`NotAnObject`] when what is there now is no JSON object, or lacks one of the keys: a misspelt key would leave the
/// stolen value in place.
pub fn with_new_keys(
    name: &str,
    current: &SecretValue,
    new: &BTreeMap<String, SecretValue>,
) -> Result<SecretValue, NotAnObject> {
    let refused = |why: String| NotAnObject {
        name: name.to_owned(),
        why,
    };
    // The parser's own message could quote the value.
    let mut object: Map<String, Value> =
        serde_json::from_str(current.expose()).map_err(|_| refused("is no JSON object".to_owned()))?;
    for (key, value) in new {
        let Some(place) = object.get_mut(key) else {
            return Err(refused(format!("has no key `{}`", key.escape_debug())));
        };
        *place = Value::String(value.expose().to_owned());
    }
    Ok(SecretValue::new(Value::Object(object).to_string()))
}

/// A secret is not what the plan says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` {why}, and the plan gives keys of it new values: mend the plan or the secret")]
pub struct NotAnObject {
    /// Secret name.
    pub name: String,
    /// What it is instead; never its value.
    pub why: String,
}

/// The secret from which consumers read an access key.
#[must_use]
pub fn access_key_secret(id: &str, key: &SecretValue) -> SecretValue {
    SecretValue::new(
        serde_json::json!({ "access_key_id": id, "secret_access_key": key.expose() }).to_string(),
    )
}

/// The access key id that [`access_key_secret`] wrote.
#[must_use]
pub fn access_key_of(secret: &SecretValue) -> Option<String> {
    let object: Map<String, Value> = serde_json::from_str(secret.expose()).ok()?;
    Some(object.get("access_key_id")?.as_str()?.to_owned())
}

/// One access key of a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessKey {
    /// When it was made.
    pub created: Timestamp,
    /// Its id.
    pub id: String,
    /// Whether it can be used.
    pub active: bool,
}

/// Most access keys that IAM lets a user have.
pub const MAX_ACCESS_KEYS: usize = 2;

/// What is still to be done for the access keys of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStep {
    /// Make room for a new key: delete this one.
    Delete {
        /// Key id.
        id: String,
    },
    /// Make a new key and put it where consumers read it.
    Make,
    /// Take this one out of use.
    Deactivate {
        /// Key id.
        id: String,
    },
    /// Consumers read the one key that is active.
    Done,
    /// The key that consumers read is gone or out of use: somebody else is at work.
    Lost,
}

/// Decides from a user's keys and the one that consumers read since this run (`written`) what is to be done next.
///
/// Nothing needs to be remembered between two steps: a key whose secret half was lost with an answer is one of those
/// that are taken out of use.
#[must_use]
pub fn next_key_step(keys: &[AccessKey], written: Option<&str>) -> KeyStep {
    let Some(written) = written else {
        // What is out of use goes first, then the oldest.
        let oldest = keys.iter().min_by_key(|key| (key.active, key.created, &key.id));
        return match oldest {
            Some(key) if keys.len() >= MAX_ACCESS_KEYS => KeyStep::Delete { id: key.id.clone() },
            Some(_) | None => KeyStep::Make,
        };
    };
    if !keys.iter().any(|key| key.active && key.id == written) {
        return KeyStep::Lost;
    }
    keys.iter()
        .find(|key| key.active && key.id != written)
        .map_or(KeyStep::Done, |key| KeyStep::Deactivate { id: key.id.clone() })
}

/// The label that marks the version of a parameter that a run made: letters, digits and `-`, not beginning with `aws`.
#[must_use]
pub fn parameter_label(run: &RunId) -> String {
    format!("blackstart-{run}")
}

/// What is still to be done for a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterStep {
    /// Write a new value.
    Write,
    /// The newest version is the run's.
    Done {
        /// Version number.
        version: i64,
    },
    /// Somebody wrote another version after this run's.
    Overtaken {
        /// Version number of theirs.
        by: i64,
    },
}

/// Decides from the versions of a parameter, with the labels of each, what is to be done next.
#[must_use]
pub fn next_parameter_step(label: &str, versions: &BTreeMap<i64, BTreeSet<String>>) -> ParameterStep {
    let ours = versions.iter().rfind(|(_, labels)| labels.contains(label));
    match (ours, versions.last_key_value()) {
        (Some((ours, _)), Some((newest, _))) if ours == newest => ParameterStep::Done { version: *ours },
        (Some(_), Some((newest, _))) => ParameterStep::Overtaken { by: *newest },
        (None, _) | (_, None) => ParameterStep::Write,
    }
}

#[cfg(test)]
mod tests;
