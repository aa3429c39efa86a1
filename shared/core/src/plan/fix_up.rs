//! What a restored resource has lost, and how the stacks take it: both are for the plan to say.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Plan, Problem, Resource, ResourceType};
use crate::restore::losses::{self, losses};
use crate::restore::mapping::is_set_by_us;

/// A setting that a restore loses, and what puts it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FixUp {
    /// Items of a table expire by this attribute. It is set last, after the content was compared.
    TimeToLive {
        /// Attribute name.
        attribute: String,
    },
    /// A table has a stream.
    Stream {
        /// `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE` or `NEW_AND_OLD_IMAGES`.
        view: String,
    },
    /// A table can be restored to any instant of the last weeks.
    PointInTimeRecovery {},
    /// A table cannot be deleted by mistake.
    DeletionProtection {},
    /// Tags beside the run's own.
    Tags {
        /// Key to value.
        tags: BTreeMap<String, String>,
    },
    /// A bucket keeps older versions.
    Versioning {},
    /// Objects of a bucket expire.
    Lifecycle {
        /// Every rule; others are removed.
        rules: Vec<ExpiryRule>,
    },
    /// A bucket tells EventBridge what happens in it.
    EventNotifications {},
    /// Properties of the resource as in a template, set through Cloud Control API: parameter groups, retention of backups,
    /// deletion protection of a database.
    Properties {
        /// Name to value.
        properties: Map<String, Value>,
    },
    /// Whatever only a function of the workload can put back. It is called once per run, as for a credential.
    Hook {
        /// Name of the fix-up.
        name: String,
        /// Name of the Lambda function in the rebuild account.
        function: String,
        /// What it puts back, by the names that `plan check` uses.
        restores: BTreeSet<String>,
    },
    /// The restored resource does without it.
    Without {
        /// What it does without, by the names that `plan check` uses.
        what: BTreeSet<String>,
        /// Why that is right.
        reason: String,
    },
}

/// A rule by which objects expire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpiryRule {
    /// Name of the rule.
    pub id: String,
    /// Beginning of the keys; empty for the whole bucket.
    #[serde(default)]
    pub prefix: String,
    /// Days after which an object expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u16>,
    /// Days after which an older version is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent_days: Option<u16>,
}

/// How the rebuilt stacks take a restored resource, which is a new one that no stack made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Seam {
    /// A parameter of a stack gets its id, and the stack's resources refer to it.
    Parameter {
        /// Stack name.
        stack: String,
        /// Template parameter.
        parameter: String,
    },
    /// A stack imports it, and owns it from then on. What the stack imported stays when the stack is deleted.
    Import {
        /// Stack name.
        stack: String,
        /// Name in the template; the template has none of it yet.
        logical_id: String,
        /// Properties as in a template. The name is added.
        #[serde(default)]
        properties: Map<String, Value>,
    },
}

impl Seam {
    /// The stack.
    #[must_use]
    pub fn stack(&self) -> &str {
        match self {
            Self::Parameter { stack, .. } | Self::Import { stack, .. } => stack,
        }
    }

    /// The field that names the place in the stack, and that place.
    fn place(&self) -> (&'static str, &str) {
        match self {
            Self::Parameter { parameter, .. } => ("parameter", parameter),
            Self::Import { logical_id, .. } => ("logical_id", logical_id),
        }
    }
}

impl FixUp {
    /// What is put back, by the names of [`mod@losses`].
    #[must_use]
    pub fn restores(&self, resource_type: ResourceType) -> BTreeSet<String> {
        let one = |name: &str| BTreeSet::from([name.to_owned()]);
        match self {
            Self::TimeToLive { .. } => one("time_to_live"),
            Self::Stream { .. } => one("stream"),
            Self::PointInTimeRecovery {} => one("point_in_time_recovery"),
            Self::DeletionProtection {} => one("deletion_protection"),
            Self::Tags { .. } => one("tags"),
            Self::Versioning {} => one("versioning"),
            Self::Lifecycle { .. } => one("lifecycle"),
            Self::EventNotifications {} => one("notifications"),
            Self::Properties { properties } => losses(resource_type)
                .iter()
                .filter(|loss| loss.properties.iter().any(|name| properties.contains_key(*name)))
                .map(|loss| loss.what.to_owned())
                .collect(),
            Self::Hook { restores: what, .. } | Self::Without { what, .. } => what.clone(),
        }
    }

    /// Why a resource of this type cannot have it.
    fn misfit(&self, resource_type: ResourceType) -> Option<&'static str> {
        let (fits, why) = match self {
            Self::TimeToLive { .. }
            | Self::Stream { .. }
            | Self::PointInTimeRecovery {}
            | Self::DeletionProtection {} => (
                resource_type == ResourceType::DynamoDb,
                "is for tables only: for other types give `properties`, or a `hook`",
            ),
            Self::Versioning {} | Self::Lifecycle { .. } | Self::EventNotifications {} => {
                (resource_type == ResourceType::S3, "is for buckets only")
            }
            Self::Tags { .. } => (
                resource_type.is_readable(),
                "is for buckets and tables: for other types give the tags as `properties`",
            ),
            Self::Properties { .. } => (
                resource_type != ResourceType::Fsx,
                "cannot be set: Cloud Control API has no such type; name a `hook`",
            ),
            Self::Hook { .. } | Self::Without { .. } => (true, ""),
        };
        (!fits).then_some(why)
    }
}

impl Plan {
    /// What is wrong with fix-ups and seams.
    pub(super) fn fix_up_problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut taken = BTreeSet::new();
        for (i, resource) in self.resources.iter().enumerate() {
            for (k, fix_up) in resource.fix_ups.iter().enumerate() {
                let mut problem = |what: &str| {
                    found.push(Problem {
                        at: format!("resources[{i}].fix_ups[{k}]"),
                        what: what.to_owned(),
                    });
                };
                if let Some(why) = fix_up.misfit(resource.resource_type) {
                    problem(why);
                }
                for what in contents(fix_up, resource.resource_type) {
                    problem(&what);
                }
                if names(fix_up, self.accounts.old.as_str()) {
                    problem("names the old account");
                }
            }
            if let Some(seam) = &resource.seam {
                self.seam_problems(&format!("resources[{i}].seam"), resource, seam, &mut found);
                let (field, place) = seam.place();
                if !taken.insert((seam.stack(), field, place)) {
                    found.push(Problem {
                        at: format!("resources[{i}].seam.{field}"),
                        what: "is what another resource is taken by, too".to_owned(),
                    });
                }
            }
        }
        found
    }

    fn seam_problems(&self, at: &str, resource: &Resource, seam: &Seam, found: &mut Vec<Problem>) {
        let mut problem = |field: &str, what: String| {
            found.push(Problem {
                at: format!("{at}.{field}"),
                what,
            });
        };
        let Some(stack) = self
            .rebuild
            .stacks
            .iter()
            .find(|stack| stack.name == seam.stack())
        else {
            problem(
                "stack",
                format!("`{}` is no stack of the plan", seam.stack().escape_debug()),
            );
            return;
        };
        match seam {
            Seam::Parameter { parameter, .. } => {
                let given = stack.parameters.get(parameter);
                if given.is_none() {
                    problem(
                        "parameter",
                        "has no value in the stack's `parameters`: give one to build with until the data is there".to_owned(),
                    );
                }
            }
            Seam::Import {
                logical_id,
                properties,
                ..
            } => {
                if !super::check::made_of(logical_id, 1..=255, |b| b.is_ascii_alphanumeric()) {
                    problem(
                        "logical_id",
                        "is not a name in a template: letters and digits only".to_owned(),
                    );
                }
                let kind = crate::restore::resource::template_type(resource.resource_type);
                match kind {
                    None => problem(
                        "by",
                        "cannot be `import`: CloudFormation imports no resource of this type".to_owned(),
                    ),
                    Some(kind) if !self.rebuild.allowed_resource_types.contains(kind) => problem(
                        "by",
                        format!("cannot be `import`: `{kind}` is not in `rebuild.allowed_resource_types`"),
                    ),
                    Some(_) => {}
                }
                if Value::Object(properties.clone())
                    .to_string()
                    .contains(self.accounts.old.as_str())
                {
                    problem("properties", "names the old account".to_owned());
                }
            }
        }
    }

    /// What the plan's resources lose on restore and the plan does not put back. No error: a plan may not need it.
    #[must_use]
    pub fn unlisted_losses(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (i, resource) in self.resources.iter().enumerate() {
            let listed: BTreeSet<String> = resource
                .fix_ups
                .iter()
                .flat_map(|fix_up| fix_up.restores(resource.resource_type))
                .collect();
            for loss in losses(resource.resource_type) {
                if !listed.contains(loss.what) {
                    found.push(Problem {
                        at: format!("resources[{i}].fix_ups"),
                        what: format!(
                            "`{}` is lost on restore ({}): put it back, or say `without` and why",
                            loss.what, loss.source
                        ),
                    });
                }
            }
        }
        found
    }
}

fn contents(fix_up: &FixUp, resource_type: ResourceType) -> Vec<String> {
    let mut found = Vec::new();
    let mut known = |what: &BTreeSet<String>| {
        if what.is_empty() {
            found.push("names nothing".to_owned());
        }
        for name in what {
            if !losses::is_known(resource_type, name) {
                found.push(format!(
                    "`{}` is nothing that a resource of this type loses",
                    name.escape_debug()
                ));
            }
        }
    };
    match fix_up {
        FixUp::TimeToLive { attribute } if attribute.is_empty() => {
            found.push("names no attribute".to_owned())
        }
        FixUp::Stream { view }
            if !matches!(
                view.as_str(),
                "KEYS_ONLY" | "NEW_IMAGE" | "OLD_IMAGE" | "NEW_AND_OLD_IMAGES"
            ) =>
        {
            found.push("must be KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES".to_owned());
        }
        FixUp::Tags { tags } => {
            if tags.is_empty() || tags.keys().any(String::is_empty) {
                found.push("names no tag".to_owned());
            }
            if tags
                .keys()
                .any(|key| key.starts_with("blackstart:") || key.starts_with("aws:"))
            {
                found.push("must not begin with `blackstart:` or `aws:`".to_owned());
            }
        }
        FixUp::Lifecycle { rules } => {
            let mut ids = BTreeSet::new();
            if rules.is_empty() {
                found.push("has no rule".to_owned());
            }
            for rule in rules {
                if rule.id.is_empty() || !ids.insert(&rule.id) {
                    found.push("has a rule without an `id` of its own".to_owned());
                }
                if rule.days.is_none_or(|days| days == 0) && rule.noncurrent_days.is_none_or(|days| days == 0)
                {
                    found.push(format!(
                        "has a rule `{}` by which nothing expires",
                        rule.id.escape_debug()
                    ));
                }
            }
        }
        FixUp::Properties { properties } => {
            if properties.is_empty() {
                found.push("names no property".to_owned());
            }
            for name in properties.keys() {
                if is_settled(resource_type, name) {
                    found.push(format!(
                        "must not set `{}`: the network, encryption, and who reaches the data are settled before it is \
                         restored",
                        name.escape_debug()
                    ));
                }
            }
        }
        FixUp::Hook {
            name,
            function,
            restores,
        } => {
            known(restores);
            if name.trim().is_empty() {
                found.push("has no name".to_owned());
            }
            if !super::check::made_of(function, 1..=64, |b| {
                b.is_ascii_alphanumeric() || b"_-".contains(&b)
            }) {
                found.push("names no Lambda function of the rebuild account (no ARN, no version)".to_owned());
            }
        }
        FixUp::Without { what, reason } => {
            known(what);
            if reason.trim().is_empty() {
                found.push("says no reason".to_owned());
            }
        }
        FixUp::TimeToLive { .. }
        | FixUp::Stream { .. }
        | FixUp::PointInTimeRecovery {}
        | FixUp::DeletionProtection {}
        | FixUp::Versioning {}
        | FixUp::EventNotifications {} => {}
    }
    found
}

/// Whether what would be set names this account. Fix-ups are made after the isolation checks.
fn names(fix_up: &FixUp, account: &str) -> bool {
    let holds = |value: Value| value.to_string().contains(account);
    match fix_up {
        FixUp::Properties { properties } => holds(Value::Object(properties.clone())),
        FixUp::Tags { tags } => tags
            .iter()
            .any(|(key, value)| key.contains(account) || value.contains(account)),
        FixUp::TimeToLive { .. }
        | FixUp::Stream { .. }
        | FixUp::PointInTimeRecovery {}
        | FixUp::DeletionProtection {}
        | FixUp::Versioning {}
        | FixUp::Lifecycle { .. }
        | FixUp::EventNotifications {}
        | FixUp::Hook { .. }
        | FixUp::Without { .. } => false,
    }
}

/// Whether a property is settled by the restore itself and by what was checked before it: the network, encryption, and who
/// reaches the data. A password is no part of a plan.
fn is_settled(resource_type: ResourceType, property: &str) -> bool {
    let settled: &[&str] = match resource_type {
        ResourceType::S3 => &[
            "AccessControl",
            "BucketEncryption",
            "BucketName",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "WebsiteConfiguration",
        ],
        ResourceType::DynamoDb => &["ResourcePolicy", "SSESpecification", "TableName"],
        ResourceType::Rds => &[
            "DBSecurityGroups",
            "DBSubnetGroupName",
            "KmsKeyId",
            "MasterUserPassword",
            "StorageEncrypted",
            "VPCSecurityGroups",
        ],
        ResourceType::Aurora => &[
            "DBSubnetGroupName",
            "EnableHttpEndpoint",
            "KmsKeyId",
            "MasterUserPassword",
            "StorageEncrypted",
            "VpcSecurityGroupIds",
        ],
        ResourceType::Ebs => &["Encrypted", "KmsKeyId"],
        ResourceType::Ec2 => &[
            "MetadataOptions",
            "NetworkInterfaces",
            "SecurityGroupIds",
            "SecurityGroups",
            "SubnetId",
            "UserData",
        ],
        ResourceType::Efs => &[
            "BypassPolicyLockoutSafetyCheck",
            "Encrypted",
            "FileSystemProtection",
            "KmsKeyId",
        ],
        ResourceType::Fsx => &[],
    };
    is_set_by_us(resource_type, property) || settled.iter().any(|name| name.eq_ignore_ascii_case(property))
}

#[cfg(test)]
mod tests;
