//! The restores that the approvers approved, recomputed from the plan and the approved set.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::fix_up::is_generic;
use super::mapping::Declared;
use crate::approval::{DecisionPackage, PlannedRestore};
use crate::artifact::{ArtifactRef, Digest};
use crate::plan::{
    CHECK_PREFIX, CheckWaiver, FixUp, Invariant, Plan, Problem, Resource, ResourceType, WaivableCheck,
};
use crate::rebuild::request::{MAX_SESSION_POLICY, execution_role};
use crate::rebuild::{Objection, RebuildDocument};
use crate::run::{AccountId, RunId};

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
        let mut statements = vec![
            serde_json::json!({ "Effect": "Allow", "Action": "backup:*", "Resource": "*" }),
            serde_json::json!({
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": [restore_role(plan), execution_role(plan)],
            }),
            serde_json::json!({
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
            }),
        ];
        if plan
            .validation
            .invariants
            .iter()
            .any(|invariant| matches!(invariant, Invariant::Function { .. }))
        {
            statements.push(serde_json::json!({
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": format!(
                    "arn:{}:lambda:{}:{}:function:{CHECK_PREFIX}*",
                    plan.partition, plan.region, plan.accounts.rebuild
                ),
            }));
        }
        if plan
            .resources
            .iter()
            .any(|resource| !resource.resource_type.is_readable())
        {
            statements.push(serde_json::json!({
                "Effect": "Allow",
                "Action": ["cloudformation:GetResource", "cloudformation:UpdateResource"],
                "Resource": "*",
            }));
        }
        serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
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

/// What a session may do at most that compares the stacks, puts settings back and has stacks take what was restored.
#[must_use]
pub fn adoption_policy(plan: &Plan) -> String {
    let arn = |service: &str, resource: &str| {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            plan.partition, plan.region, plan.accounts.rebuild
        )
    };
    let mut named = Vec::new();
    let mut hooks = Vec::new();
    let mut stacks = Vec::new();
    for resource in &plan.resources {
        if !resource.fix_ups.is_empty() && resource.resource_type.is_readable() {
            named.push(restored_arn(plan, resource.resource_type, &resource.restore_to));
        }
        hooks.extend(resource.fix_ups.iter().filter_map(|fix_up| match fix_up {
            FixUp::Hook { function, .. } => Some(arn("lambda", &format!("function:{function}"))),
            FixUp::TimeToLive { .. }
            | FixUp::Stream { .. }
            | FixUp::PointInTimeRecovery {}
            | FixUp::DeletionProtection {}
            | FixUp::Tags { .. }
            | FixUp::Versioning {}
            | FixUp::Lifecycle { .. }
            | FixUp::EventNotifications {}
            | FixUp::Properties { .. }
            | FixUp::Without { .. } => None,
        }));
        stacks.extend(
            resource
                .seam
                .iter()
                .map(|seam| arn("cloudformation", &format!("stack/{}/*", seam.stack()))),
        );
    }
    stacks.dedup();
    // All of them are compared with their templates before anything is restored.
    let built: Vec<String> = plan
        .rebuild
        .stacks
        .iter()
        .map(|stack| arn("cloudformation", &format!("stack/{}/*", stack.name)))
        .collect();
    // Cloud Control API takes no ARN of a resource. A plan without settings of this kind has no such statement.
    let everything = ["*".to_owned()];
    let generic = plan
        .resources
        .iter()
        .any(|resource| !resource.resource_type.is_readable() || resource.fix_ups.iter().any(is_generic));
    let generic = if generic { &everything[..] } else { &[] };
    let policy = |named: &[String], hooks: &[String], stacks: &[String], built: &[String]| {
        let statements: Vec<_> = [
            // What settings are read and put back with; nothing that deletes.
            (
                &[
                    "dynamodb:Describe*",
                    "dynamodb:List*",
                    "dynamodb:Update*",
                    "dynamodb:TagResource",
                    "s3:GetBucket*",
                    "s3:PutBucket*",
                    "s3:ListBucket*",
                    "s3:*LifecycleConfiguration",
                ][..],
                named,
            ),
            (&["lambda:InvokeFunction"][..], hooks),
            (&["cloudformation:*"][..], stacks),
            (
                &["cloudformation:DetectStackResourceDrift", "cloudformation:ListStackResources"][..],
                built,
            ),
            (
                &["cloudformation:GetResource", "cloudformation:UpdateResource"][..],
                generic,
            ),
            (&["iam:PassRole"][..], &[execution_role(plan)][..]),
        ]
        .into_iter()
        .filter(|(_, resources)| !resources.is_empty())
        .map(|(actions, resources)| {
            serde_json::json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
        })
        .collect();
        serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    };
    let exact = policy(&named, &hooks, &stacks, &built);
    if exact.len() <= MAX_SESSION_POLICY {
        return exact;
    }
    let all = ["*".to_owned()];
    policy(&all, &all, &all, &all)
}

/// What a session may do at most that removes the copy of one resource: it can reach no other.
#[must_use]
pub fn removal_policy(plan: &Plan, resource: &Resource) -> String {
    if !resource.resource_type.is_readable() {
        return serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                { "Effect": "Allow", "Action": "backup:DescribeRestoreJob", "Resource": "*" },
                { "Effect": "Allow", "Action": "iam:PassRole", "Resource": execution_role(plan) },
                {
                    "Effect": "Allow",
                    "Action": [
                        "cloudformation:DeleteResource",
                        "cloudformation:GetResource",
                        "cloudformation:UpdateResource",
                    ],
                    "Resource": "*",
                },
            ],
        })
        .to_string();
    }
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
                    "dynamodb:UpdateTable",
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
        ResourceType::DynamoDb | ResourceType::Rds | ResourceType::Aurora => vec![arn],
        ResourceType::Ebs | ResourceType::Ec2 | ResourceType::Efs | ResourceType::Fsx => {
            vec![format!("{arn}*")]
        }
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
    /// ARN of the new resource; up to its last `/` or `:` where AWS chooses the id.
    pub arn: String,
    /// Restore metadata as far as the plan gives it, which is what was approved.
    pub metadata: BTreeMap<String, String>,
    /// What the plan says about identifiers that the recovery point remembers.
    pub declared: Declared,
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
        let declared = match Declared::of(plan, resource, rebuilt) {
            Ok(declared) => declared,
            Err(missing) => {
                for Problem { at, what } in missing {
                    problem(&at, what);
                }
                continue;
            }
        };
        let metadata = declared.metadata();
        let recomputed = PlannedRestore {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            recovery_point: point.arn.clone(),
            restore_to: resource.restore_to.clone(),
            metadata: metadata.clone(),
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
            metadata,
            declared,
            token: token(run, &resource.id, &point.arn, 0),
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

/// What keeps data out of stacks that were compared with their templates once more, after the decision: every objection but
/// those that the approvers let pass.
#[must_use]
pub fn changed_since_approved(objections: &[Objection], waivers: &[CheckWaiver]) -> Vec<String> {
    let drift: &str = WaivableCheck::Drift.into();
    objections
        .iter()
        .filter(|objection| !waivers.iter().any(|waiver| waiver.covers(drift, objection)))
        .map(ToString::to_string)
        .collect()
}

/// The idempotency token of a restore for good; a trial of the same point has another, and so has the attempt that
/// follows a failed one.
#[must_use]
pub fn token(run: &RunId, resource: &str, recovery_point: &str, attempt: u32) -> String {
    let again = match attempt {
        0 => String::new(),
        attempt => format!("\n{attempt}"),
    };
    Digest::of(format!("{run}\n{resource}\n{recovery_point}\nrestore{again}").as_bytes())
        .as_str()
        .to_owned()
}

/// ARN of what is restored under this name into the rebuild account.
#[must_use]
pub fn restored_arn(plan: &Plan, resource_type: ResourceType, name: &str) -> String {
    arn_in(plan, &plan.accounts.rebuild, resource_type, name)
}

/// ARN of what is restored under this name into an account of the plan; up to its last `/` or `:` where AWS chooses the
/// id.
#[must_use]
pub fn arn_in(plan: &Plan, account: &AccountId, resource_type: ResourceType, name: &str) -> String {
    let resource = match resource_type {
        ResourceType::S3 => return format!("arn:{}:s3:::{name}", plan.partition),
        ResourceType::DynamoDb => format!("table/{name}"),
        ResourceType::Rds => format!("db:{name}"),
        ResourceType::Aurora => format!("cluster:{name}"),
        ResourceType::Ebs => "volume/".to_owned(),
        ResourceType::Ec2 => "instance/".to_owned(),
        ResourceType::Efs => "file-system/".to_owned(),
        // A volume or a file system: the kind of the backup says which.
        ResourceType::Fsx => String::new(),
    };
    format!(
        "arn:{}:{}:{}:{account}:{resource}",
        plan.partition,
        resource_type.service(),
        plan.region
    )
}
