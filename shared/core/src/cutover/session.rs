//! What a writer's session may do: one document, two or three actions.

use serde_json::json;

use crate::references::{DocumentKind, Slot};

/// The session policy under which the writer role of a sibling is assumed for one document.
///
/// The role may write every document of its account, because which ones name the old account is only known after
/// the inventory; the session may write exactly the approved one. Queues are found by name, so that the action that
/// does this is allowed too.
#[must_use]
pub fn session_policy(slot: &Slot) -> String {
    let actions: &[&str] = match slot.kind {
        DocumentKind::RoleTrust => &["iam:GetRole", "iam:UpdateAssumeRolePolicy"],
        DocumentKind::BucketPolicy => &["s3:GetBucketPolicy", "s3:PutBucketPolicy"],
        DocumentKind::QueuePolicy => &[
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:SetQueueAttributes",
        ],
        DocumentKind::KeyPolicy => &["kms:GetKeyPolicy", "kms:PutKeyPolicy"],
        DocumentKind::KeyGrants => &["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
        DocumentKind::TopicPolicy => &["sns:GetTopicAttributes", "sns:SetTopicAttributes"],
        DocumentKind::FunctionPermissions => &[
            "lambda:AddPermission",
            "lambda:GetPolicy",
            "lambda:RemovePermission",
        ],
        DocumentKind::SecretPolicy => &[
            "secretsmanager:GetResourcePolicy",
            "secretsmanager:PutResourcePolicy",
        ],
        DocumentKind::RepositoryPolicy => &["ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"],
        DocumentKind::BusPolicy => &["events:DescribeEventBus", "events:PutPermission"],
        DocumentKind::TablePolicy => &["dynamodb:GetResourcePolicy", "dynamodb:PutResourcePolicy"],
        DocumentKind::VaultPolicy => &[
            "backup:GetBackupVaultAccessPolicy",
            "backup:PutBackupVaultAccessPolicy",
        ],
    };
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": slot.arn}],
    })
    .to_string()
}
