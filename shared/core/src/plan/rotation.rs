//! Stage 4 of a plan: which credentials are replaced.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Plan, Problem};

/// Fewest characters of a new value: at 62 letters and digits, 95 bits.
const MIN_LENGTH: u16 = 16;
/// Most characters that Secrets Manager makes at once.
const MAX_LENGTH: u16 = 4_096;

/// Stage 4 of a plan: which credentials are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationPlan {
    /// Secrets Manager secrets in the rebuild account whose values are made new.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Credentials of other kinds in the rebuild account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
}

/// A secret that is replaced, not carried over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Secret name in the rebuild account.
    pub name: String,
    /// Length of a new random value.
    #[serde(default = "default_length")]
    pub length: u16,
    /// Where the secret is a JSON object: its keys that get new values, for example `password`. The others, a host or
    /// a user name, stay. Empty: the whole secret is one value.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keys: BTreeSet<String>,
}

/// A credential that is no secret of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    /// The access keys of an IAM user: a new one is made, every other is deactivated.
    AccessKey {
        /// User name.
        user: String,
        /// The secret from which consumers read the key, as `{"access_key_id": …, "secret_access_key": …}`.
        secret: String,
    },
    /// An encrypted parameter (`SecureString`) of the Parameter Store.
    Parameter {
        /// Parameter name, beginning with `/`.
        name: String,
        /// Length of the new random value.
        #[serde(default = "default_length")]
        length: u16,
    },
    /// The master password of a database in the rebuild account. Consumers read it from a secret.
    Database {
        /// Identifier of the instance or cluster.
        database: String,
        /// What it is the identifier of.
        #[serde(default)]
        of: DatabaseKind,
        /// The secret from which consumers read the password.
        secret: String,
        /// Where the secret is a JSON object: the key of the password. The other keys stay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Length of the new random password.
        #[serde(default = "default_password_length")]
        length: u16,
    },
    /// The master password of a database in the rebuild account that RDS makes and keeps in a secret of its own
    /// (`ManageMasterUserPassword`): RDS makes another. Of a database that it does not manage yet, a restored copy for
    /// example, RDS manages the password from then on.
    ManagedPassword {
        /// Identifier of the instance or cluster.
        database: String,
        /// What it is the identifier of.
        #[serde(default)]
        of: DatabaseKind,
    },
    /// A certificate for which a rebuilt stack asks ACM. It is new with the stack, and that is proven: issued by ACM, in
    /// the rebuild account, asked for after the event boundary.
    Certificate {
        /// Name of the credential.
        name: String,
        /// The stack that asks for it.
        stack: String,
        /// The stack's output that is its ARN.
        output: String,
    },
    /// Whatever only the workload knows how to replace: an imported certificate, a key of somebody else's interface.
    Hook {
        /// Name of the credential.
        name: String,
        /// Name of the Lambda function in the rebuild account that replaces it.
        function: String,
    },
}

/// A database instance, or a cluster, whose instances share the password.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseKind {
    /// An instance.
    #[default]
    Instance,
    /// A cluster.
    Cluster,
}

impl DatabaseKind {
    /// What stands before the identifier in its ARN.
    #[must_use]
    pub fn arn_type(self) -> &'static str {
        match self {
            Self::Instance => "db",
            Self::Cluster => "cluster",
        }
    }
}

/// Shortest of the longest passwords that the engines of RDS take, in characters (`ModifyDBInstance`: 30 for Oracle, 41
/// for `MySQL` and Aurora, 128 for others).
fn default_password_length() -> u16 {
    30
}

fn default_length() -> u16 {
    40
}

impl Credential {
    /// The name by which the credential is known.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::AccessKey { user, .. } => user,
            Self::Database { database, .. } | Self::ManagedPassword { database, .. } => database,
            Self::Parameter { name, .. } | Self::Certificate { name, .. } | Self::Hook { name, .. } => name,
        }
    }
}

impl RotationPlan {
    /// Every credential with its kind. The secret that holds an access key is a credential of its own.
    #[must_use]
    pub fn kinds(&self) -> BTreeMap<&str, &'static str> {
        let mut kinds = BTreeMap::new();
        for secret in &self.secrets {
            kinds.insert(secret.name.as_str(), "secret");
        }
        for credential in &self.credentials {
            match credential {
                Credential::AccessKey { user, secret } => {
                    kinds.insert(user.as_str(), "access key");
                    kinds.insert(secret.as_str(), "secret of an access key");
                }
                Credential::Database { database, secret, .. } => {
                    kinds.insert(database.as_str(), "database password");
                    kinds.insert(secret.as_str(), "secret of a database password");
                }
                Credential::ManagedPassword { database, .. } => {
                    kinds.insert(database.as_str(), "managed database password");
                }
                Credential::Certificate { name, .. } => {
                    kinds.insert(name.as_str(), "certificate");
                }
                Credential::Parameter { name, .. } => {
                    kinds.insert(name.as_str(), "parameter");
                }
                Credential::Hook { name, .. } => {
                    kinds.insert(name.as_str(), "hook");
                }
            }
        }
        kinds
    }

    /// The names of all credentials.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.kinds().into_keys().collect()
    }
}

impl Plan {
    /// What is wrong with the credentials.
    pub(super) fn rotation_problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |at: String, what: &str| {
            found.push(Problem {
                at,
                what: what.to_owned(),
            });
        };
        let mut names = BTreeSet::new();
        for (i, secret) in self.rotation.secrets.iter().enumerate() {
            let at = |field: &str| format!("rotation.secrets[{i}].{field}");
            if !is_secret_name(&secret.name) {
                problem(at("name"), "is not the name of a secret (no ARN, no wildcard)");
            }
            if !names.insert(secret.name.as_str()) {
                problem(at("name"), "is listed twice");
            }
            if !(MIN_LENGTH..=MAX_LENGTH).contains(&secret.length) {
                problem(at("length"), "must be between 16 and 4096");
            }
            if secret.keys.iter().any(String::is_empty) {
                problem(at("keys"), "contains an empty key");
            }
        }
        for (i, credential) in self.rotation.credentials.iter().enumerate() {
            let at = |field: &str| format!("rotation.credentials[{i}].{field}");
            let mut known = |field: &str, name| {
                if !names.insert(name) {
                    problem(at(field), "is listed twice");
                }
            };
            match credential {
                Credential::AccessKey { user, secret } => {
                    known("user", user);
                    known("secret", secret);
                    if !super::check::made_of(user, 1..=64, |b| {
                        b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b)
                    }) {
                        problem(at("user"), "is not the name of an IAM user (no path, no ARN)");
                    }
                    if !is_secret_name(secret) {
                        problem(at("secret"), "is not the name of a secret (no ARN, no wildcard)");
                    }
                }
                Credential::Database {
                    database,
                    secret,
                    key,
                    length,
                    ..
                } => {
                    known("database", database);
                    known("secret", secret);
                    if !is_database(database) {
                        problem(at("database"), NO_DATABASE);
                    }
                    if !is_secret_name(secret) {
                        problem(at("secret"), "is not the name of a secret (no ARN, no wildcard)");
                    }
                    if key.as_ref().is_some_and(String::is_empty) {
                        problem(at("key"), "is empty");
                    }
                    if !(MIN_LENGTH..=128).contains(length) {
                        problem(at("length"), "must be between 16 and 128");
                    }
                }
                Credential::ManagedPassword { database, .. } => {
                    known("database", database);
                    if !is_database(database) {
                        problem(at("database"), NO_DATABASE);
                    }
                }
                Credential::Certificate { name, stack, output } => {
                    known("name", name);
                    if name.trim().is_empty() {
                        problem(at("name"), "is empty");
                    }
                    if !self.rebuild.stacks.iter().any(|planned| planned.name == *stack) {
                        problem(at("stack"), "is no stack of the plan");
                    }
                    if !super::check::made_of(output, 1..=255, |b| b.is_ascii_alphanumeric()) {
                        problem(
                            at("output"),
                            "is not the name of an output: letters and digits only",
                        );
                    }
                }
                Credential::Parameter { name, length } => {
                    known("name", name);
                    let named = name.starts_with('/')
                        && super::check::made_of(name, 2..=1_011, |b| {
                            b.is_ascii_alphanumeric() || b"/_.-".contains(&b)
                        });
                    if !named {
                        problem(
                            at("name"),
                            "is not the name of a parameter, for example `/orders/token`",
                        );
                    }
                    if !(MIN_LENGTH..=MAX_LENGTH).contains(length) {
                        problem(at("length"), "must be between 16 and 4096");
                    }
                }
                Credential::Hook { name, function } => {
                    known("name", name);
                    if name.trim().is_empty() {
                        problem(at("name"), "is empty");
                    }
                    if !super::check::made_of(function, 1..=64, |b| {
                        b.is_ascii_alphanumeric() || b"_-".contains(&b)
                    }) {
                        problem(
                            at("function"),
                            "is not the name of a Lambda function of the rebuild account (no ARN, no version)",
                        );
                    }
                }
            }
        }
        found
    }
}

const NO_DATABASE: &str = "is not the identifier of a database (no ARN, no wildcard)";

fn is_database(name: &str) -> bool {
    super::check::made_of(name, 1..=63, |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
    })
}

fn is_secret_name(name: &str) -> bool {
    super::check::made_of(name, 1..=512, |b| {
        b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{problems, sound};

    #[test]
    fn managed_passwords_and_certificates_name_what_the_plan_builds() {
        let mut plan = sound();
        plan["rotation"]["credentials"] = json!([
            {"kind": "managed_password", "database": "orders-db", "of": "cluster"},
            {"kind": "certificate", "name": "orders.example.com", "stack": "orders-app", "output": "Certificate"},
        ]);
        assert_eq!(problems(&plan), Vec::<String>::new());
        plan["rotation"]["credentials"] = json!([
            {"kind": "managed_password", "database": "arn:aws:rds:x"},
            {"kind": "managed_password", "database": "orders-db"},
            {"kind": "database", "database": "orders-db", "secret": "orders/db"},
            {"kind": "certificate", "name": " ", "stack": "elsewhere", "output": "a.b"},
        ]);
        assert_eq!(
            problems(&plan),
            [
                "rotation.credentials[0].database",
                "rotation.credentials[2].database",
                "rotation.credentials[3].name",
                "rotation.credentials[3].stack",
                "rotation.credentials[3].output",
            ]
        );
    }
}
