//! The restores that the approvers approved, recomputed from the plan and the approved set.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::approval::{DecisionPackage, PlannedRestore};
use crate::artifact::{ArtifactRef, Digest};
use crate::plan::{Plan, Problem, Resource, ResourceType};
use crate::rebuild::RebuildDocument;
use crate::rebuild::request::MAX_SESSION_POLICY;
use crate::run::RunId;
use crate::validation::trial::restore_metadata;

/// Role in the rebuild account with which AWS Backup restores; `infra/accounts/rebuild.yaml` makes it.
pub const RESTORE_ROLE: &str = "BlackstartBackupRestore";

/// ARN of the role with which AWS Backup restores.
#[must_use]
pub fn restore_role(plan: &Plan) -> String {
    format!(
        "arn:{}:iam::{}:role/{RESTORE_ROLE}",
        plan.partition, plan.accounts.rebuild
    )
}

/// What a session in the rebuild account may do at most: start and watch restores, and tag and read what they made.
#[must_use]
pub fn session_policy(plan: &Plan) -> String {
    let policy = |named: &[String]| {
        serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                { "Effect": "Allow", "Action": "backup:*", "Resource": "*" },
                { "Effect": "Allow", "Action": "iam:PassRole", "Resource": restore_role(plan) },
                {
                    "Effect": "Allow",
                    "Action": [
                        "dynamodb:DescribeTable",
                        "dynamodb:ListTagsOfResource",
                        "dynamodb:Scan",
                        "dynamodb:TagResource",
                        "s3:GetBucketTagging",
                        "s3:GetObject*",
                        "s3:ListBucket",
                        "s3:PutBucketTagging",
                    ],
                    "Resource": named,
                },
            ],
        })
        .to_string()
    };
    let named: Vec<String> = plan
        .resources
        .iter()
        .flat_map(|resource| resource_arns(plan, resource))
        .collect();
    let exact = policy(&named);
    if exact.len() <= MAX_SESSION_POLICY {
        exact
    } else {
        policy(&["*".to_owned()])
    }
}

/// What a session may do at most that removes the copy of one resource: it can reach no other.
#[must_use]
pub fn removal_policy(plan: &Plan, resource: &Resource) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "backup:DescribeRestoreJob", "Resource": "*" },
            {
                "Effect": "Allow",
                "Action": [
                    "dynamodb:DeleteTable",
                    "dynamodb:DescribeTable",
                    "dynamodb:ListTagsOfResource",
                    "dynamodb:TagResource",
                    "s3:DeleteBucket",
                    "s3:DeleteObject*",
                    "s3:GetBucketTagging",
                    "s3:ListBucket*",
                    "s3:PutBucketTagging",
                ],
                "Resource": resource_arns(plan, resource),
            },
        ],
    })
    .to_string()
}

/// ARN of what is restored, and of the objects in it.
fn resource_arns(plan: &Plan, resource: &Resource) -> Vec<String> {
    let arn = restored_arn(plan, resource.resource_type, &resource.restore_to);
    match resource.resource_type {
        ResourceType::S3 => vec![format!("{arn}/*"), arn],
        ResourceType::DynamoDb => vec![arn],
    }
}

/// One restore job to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// Plan resource id.
    pub resource: String,
    /// What is restored.
    pub resource_type: ResourceType,
    /// Recovery point ARN.
    pub recovery_point: String,
    /// Name of the new resource.
    pub restore_to: String,
    /// ARN of the new resource.
    pub arn: String,
    /// Restore metadata; nothing of the recovery point's own metadata is taken over, because it names networks and
    /// keys of the old account.
    pub metadata: BTreeMap<String, String>,
    /// `IdempotencyToken`: a repeat of the request is the same job.
    pub token: String,
    /// Digest of the manifest that was validated.
    pub manifest: Digest,
}

/// What is to be restored is not what was approved, or may not be restored. Holds every reason.
#[derive(Debug, thiserror::Error)]
#[error("{} reason(s) not to restore: {}", .0.len(), join(.0))]
pub struct RestoreRefused(pub Vec<Problem>);

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Recomputes the restores from the plan and the approved set, in plan order, and compares them with the package.
///
/// # Errors
/// [`RestoreRefused`] when run, plan or any restore differs, when the set does not precede the boundary by the
/// plan's margin, or when the rebuilt environment is not proven to be isolated.
pub fn requests(
    run: &RunId,
    plan_artifact: &ArtifactRef,
    plan: &Plan,
    package: &DecisionPackage,
    rebuilt: &RebuildDocument,
) -> Result<Vec<RestoreRequest>, RestoreRefused> {
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
    let margin = SignedDuration::from_mins(i64::from(plan.timeline.margin_minutes));
    match package.boundary.checked_sub(margin) {
        Ok(latest) if package.set.newest <= latest => {}
        _ => problem(
            "set.newest",
            format!(
                "{} does not precede the event boundary {} by {} minutes",
                package.set.newest, package.boundary, plan.timeline.margin_minutes
            ),
        ),
    }
    if rebuilt.isolation.is_empty() {
        problem("isolation", "was not checked".to_owned());
    }
    for (check, evidence) in rebuilt.not_let_pass(&package.check_waivers) {
        problem(
            &format!("isolation.{check}"),
            format!("is not proven: {evidence}"),
        );
    }

    let mut requests = Vec::new();
    for (i, resource) in plan.resources.iter().enumerate() {
        let at = format!("restores.{}", resource.id);
        let Some(point) = package.set.points.get(&resource.id) else {
            problem(&at, "the approved set has no recovery point for it".to_owned());
            continue;
        };
        if point.resource_type != resource.resource_type {
            problem(&at, "the approved point is of another resource type".to_owned());
        }
        if point.latest > package.set.newest {
            problem(&at, "the approved point is newer than its set says".to_owned());
        }
        let Some(planned) = package.restores.get(i) else {
            problem(&at, "was not approved".to_owned());
            continue;
        };
        let recomputed = PlannedRestore {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            recovery_point: point.arn.clone(),
            restore_to: resource.restore_to.clone(),
            metadata: restore_metadata(resource.resource_type, &resource.restore_to),
            // Only validation knows it; the comparison after the restore is against this one.
            manifest: planned.manifest.clone(),
        };
        if recomputed != *planned {
            problem(
                &at,
                format!(
                    "`{}` from `{}` to `{}` was approved, the plan and the set say `{}` from `{}` to `{}`",
                    planned.resource.escape_debug(),
                    planned.recovery_point.escape_debug(),
                    planned.restore_to.escape_debug(),
                    recomputed.resource.escape_debug(),
                    recomputed.recovery_point.escape_debug(),
                    recomputed.restore_to.escape_debug(),
                ),
            );
            continue;
        }
        requests.push(RestoreRequest {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            arn: restored_arn(plan, resource.resource_type, &resource.restore_to),
            metadata: restore_metadata(resource.resource_type, &resource.restore_to),
            token: token(run, &resource.id, &point.arn),
            recovery_point: point.arn.clone(),
            restore_to: resource.restore_to.clone(),
            manifest: planned.manifest.clone(),
        });
    }
    for extra in package.restores.iter().skip(plan.resources.len()) {
        problem(
            &format!("restores.{}", extra.resource.escape_debug()),
            "was approved, but is no resource of the plan".to_owned(),
        );
    }
    if problems.is_empty() {
        Ok(requests)
    } else {
        Err(RestoreRefused(problems))
    }
}

/// The idempotency token of a restore for good; a trial of the same point has another.
#[must_use]
pub fn token(run: &RunId, resource: &str, recovery_point: &str) -> String {
    Digest::of(format!("{run}\n{resource}\n{recovery_point}\nrestore").as_bytes())
        .as_str()
        .to_owned()
}

/// ARN of what is restored under this name into the rebuild account.
#[must_use]
pub fn restored_arn(plan: &Plan, resource_type: ResourceType, name: &str) -> String {
    match resource_type {
        ResourceType::S3 => format!("arn:{}:s3:::{name}", plan.partition),
        ResourceType::DynamoDb => format!(
            "arn:{}:dynamodb:{}:{}:table/{name}",
            plan.partition, plan.region, plan.accounts.rebuild
        ),
    }
}
