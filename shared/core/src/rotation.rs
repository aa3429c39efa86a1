//! Stage 4: credentials that are made new, not carried over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::DecisionPackage;
use crate::artifact::{ArtifactRef, Digest};
use crate::plan::{Plan, Problem, Secret};
use crate::rebuild::request::MAX_SESSION_POLICY;
use crate::run::RunId;

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
    /// Secret name.
    pub name: String,
    /// Version id of the new value.
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

/// The secrets to rotate: those of the plan, if they are exactly the approved ones.
///
/// # Errors
/// [`RotationRefused`].
pub fn approved_secrets<'a>(
    run: &RunId,
    plan_artifact: &ArtifactRef,
    plan: &'a Plan,
    package: &DecisionPackage,
) -> Result<&'a [Secret], RotationRefused> {
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
    if problems.is_empty() {
        Ok(&plan.rotation.secrets)
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

/// What a session in the rebuild account may do at most: give these secrets new values.
#[must_use]
pub fn session_policy(plan: &Plan) -> String {
    let policy = |names: &[String]| {
        let secrets: Vec<_> = names
            .iter()
            .map(|name| {
                format!(
                    "arn:{}:secretsmanager:{}:{}:secret:{name}",
                    plan.partition, plan.region, plan.accounts.rebuild
                )
            })
            .collect();
        serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": [
                        "secretsmanager:DescribeSecret",
                        "secretsmanager:PutSecretValue",
                        "secretsmanager:UpdateSecretVersionStage",
                    ],
                    "Resource": secrets,
                },
                { "Effect": "Allow", "Action": "secretsmanager:GetRandomPassword", "Resource": "*" },
            ],
        })
        .to_string()
    };
    // Secrets Manager ends the ARN of a secret with six characters of its own.
    let names: Vec<_> = plan
        .rotation
        .secrets
        .iter()
        .map(|secret| format!("{}-??????", secret.name))
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

#[cfg(test)]
mod tests;
