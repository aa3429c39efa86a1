//! Where logs are delivered, and how those are read that say nothing about themselves.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::timeline::flow;

/// One place where logs are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogSource {
    /// CloudTrail objects as AWS delivers them (`.json.gz` or `.json`).
    #[serde(rename = "cloudtrail")]
    CloudTrail {
        /// Bucket in the log archive account.
        bucket: String,
        /// Key prefix, for example `AWSLogs/444444444444/CloudTrail/`. To have digest files checked it must reach
        /// `CloudTrail-Digest/` too.
        #[serde(default)]
        prefix: String,
        /// Public keys of the trail's digest files. Without any, digest files are not read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        digest_keys: Vec<DigestKey>,
    },
    /// GuardDuty findings as exported to S3 (JSON lines, one finding each), or as EventBridge events.
    GuardDuty {
        /// Bucket in the log archive account.
        bucket: String,
        /// Key prefix.
        #[serde(default)]
        prefix: String,
    },
    /// Security Hub findings as EventBridge events or lists, in the finding format (ASFF) or in OCSF.
    SecurityHub {
        /// Bucket in the log archive account.
        bucket: String,
        /// Key prefix.
        #[serde(default)]
        prefix: String,
    },
    /// VPC Flow Logs as text (`.log.gz`). They show traffic of an actor's addresses; they never accuse anybody.
    VpcFlowLogs {
        /// Bucket in the log archive account.
        bucket: String,
        /// Key prefix, for example `AWSLogs/444444444444/vpcflowlogs/`.
        #[serde(default)]
        prefix: String,
        /// Field names in their order, as in the flow log's format, for objects without a header line.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        fields: String,
    },
    /// Logs of the workload itself: JSON lines, CloudWatch Logs exports, or subscription data.
    Workload {
        /// Bucket in the log archive account.
        bucket: String,
        /// Key prefix.
        #[serde(default)]
        prefix: String,
        /// What their fields mean.
        format: WorkloadFormat,
    },
}

/// A public key as `aws cloudtrail list-public-keys` returns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestKey {
    /// Its fingerprint, as digest files name it.
    pub fingerprint: String,
    /// The key itself: base64 of its PKCS#1 DER form.
    pub value: String,
}

/// What the fields of a workload's log mean. Fields are dotted paths into each line's JSON.
///
/// `@timestamp` and `@message` are the time and the text that CloudWatch Logs keeps with every event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadFormat {
    /// Name of the log, for the timeline.
    pub name: String,
    /// Field with the time.
    #[serde(default = "default_time_field")]
    pub time: String,
    /// How the time is written.
    #[serde(default)]
    pub time_format: TimeFormat,
    /// Field with the line's own id; without one, lines are known by their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Field with who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Field with the access key id or session id that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Field with the network address of who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Field with what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Field with the text for people.
    #[serde(default = "default_message_field")]
    pub message: String,
    /// Lines that mean something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<WorkloadIndicator>,
}

fn default_time_field() -> String {
    "@timestamp".to_owned()
}

fn default_message_field() -> String {
    "@message".to_owned()
}

/// How a time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// RFC 3339; a time without offset is UTC.
    #[default]
    Rfc3339,
    /// Seconds since 1970, possibly with a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
}

/// A line of a workload's log that means something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadIndicator {
    /// Name within this log: lower-case letters, digits and `-`.
    pub id: String,
    /// Why it speaks of an intruder, for the approvers.
    pub reason: String,
    /// Whether one such line is enough to look for the actor behind it. Otherwise it is context.
    #[serde(default)]
    pub strong: bool,
    /// What must hold of the line, all of it.
    pub when: Vec<Condition>,
}

/// A condition on one field. Every part that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Dotted path of the field.
    pub field: String,
    /// The value, as text, is one of these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub equals: BTreeSet<String>,
    /// The value, as text, contains one of these; case is ignored.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub contains: BTreeSet<String>,
    /// The value is a number of at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
}

impl LogSource {
    /// Bucket in the log archive account.
    #[must_use]
    pub fn bucket(&self) -> &str {
        match self {
            Self::CloudTrail { bucket, .. }
            | Self::GuardDuty { bucket, .. }
            | Self::SecurityHub { bucket, .. }
            | Self::VpcFlowLogs { bucket, .. }
            | Self::Workload { bucket, .. } => bucket,
        }
    }

    /// Key prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::CloudTrail { prefix, .. }
            | Self::GuardDuty { prefix, .. }
            | Self::SecurityHub { prefix, .. }
            | Self::VpcFlowLogs { prefix, .. }
            | Self::Workload { prefix, .. } => prefix,
        }
    }

    /// Public keys of the trail's digest files.
    #[must_use]
    pub fn digest_keys(&self) -> &[DigestKey] {
        match self {
            Self::CloudTrail { digest_keys, .. } => digest_keys,
            Self::GuardDuty { .. }
            | Self::SecurityHub { .. }
            | Self::VpcFlowLogs { .. }
            | Self::Workload { .. } => &[],
        }
    }

    /// What the schema alone cannot refuse. `at` is the source's place in the plan.
    pub(super) fn problems(&self, at: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |field: &str, what: &str| {
            found.push(Problem {
                at: format!("{at}.{field}"),
                what: what.to_owned(),
            });
        };
        if self.bucket().is_empty() {
            problem("bucket", "is empty");
        }
        match self {
            Self::CloudTrail { digest_keys, .. } => {
                for (i, key) in digest_keys.iter().enumerate() {
                    if key.fingerprint.is_empty() || key.value.is_empty() {
                        problem(
                            &format!("digest_keys[{i}]"),
                            "needs `fingerprint` and `value`, as `aws cloudtrail list-public-keys` prints them",
                        );
                    }
                }
            }
            Self::VpcFlowLogs { fields, .. } if !fields.is_empty() => {
                if let Err(why) = flow::Layout::of_plan(fields) {
                    problem("fields", &why);
                }
            }
            Self::Workload { format, .. } => {
                found.extend(format.problems(&format!("{at}.format")));
            }
            Self::GuardDuty { .. } | Self::SecurityHub { .. } | Self::VpcFlowLogs { .. } => {}
        }
        found
    }
}

impl WorkloadFormat {
    /// What the schema alone cannot refuse. `at` is the format's place.
    #[must_use]
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |field: &str, what: &str| {
            found.push(Problem {
                at: format!("{at}.{field}"),
                what: what.to_owned(),
            });
        };
        if self.name.is_empty() {
            problem("name", "is empty");
        }
        let mut ids = BTreeSet::new();
        for (i, indicator) in self.indicators.iter().enumerate() {
            let place = |field: &str| format!("indicators[{i}].{field}");
            let named = !indicator.id.is_empty()
                && indicator
                    .id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !named {
                problem(&place("id"), "is not made of lower-case letters, digits and `-`");
            }
            if !ids.insert(indicator.id.as_str()) {
                problem(&place("id"), "is used twice");
            }
            if indicator.reason.is_empty() {
                problem(
                    &place("reason"),
                    "is empty: the approvers read why such a line counts",
                );
            }
            if indicator.when.is_empty() {
                problem(&place("when"), "is empty: every line would match");
            }
            for (j, condition) in indicator.when.iter().enumerate() {
                if condition.equals.is_empty()
                    && condition.contains.is_empty()
                    && condition.at_least.is_none()
                {
                    problem(
                        &place(&format!("when[{j}]")),
                        "says nothing of its field: give `equals`, `contains` or `at_least`",
                    );
                }
            }
        }
        found
    }
}
