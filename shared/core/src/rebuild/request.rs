//! What a request to CloudFormation carries so that it is known again, and what its session may do.

use std::collections::BTreeMap;

use crate::artifact::Digest;
use crate::plan::{Plan, Stack};
use crate::run::RunId;

/// Tag of every stack: the run that made it.
pub const RUN_TAG: &str = "blackstart:run";
/// Tag of every stack: digest of the template that was sent.
pub const TEMPLATE_TAG: &str = "blackstart:template";

/// Role in the rebuild account with which CloudFormation creates the resources; `infra/accounts/rebuild.yaml` makes it.
pub const EXECUTION_ROLE: &str = "BlackstartStackExecution";
/// Policy in the rebuild account with what drift detection reads; `infra/accounts/rebuild.yaml` makes it.
pub const DRIFT_READ_POLICY: &str = "BlackstartDriftRead";
/// Longest session policy that STS takes, in characters.
pub const MAX_SESSION_POLICY: usize = 2_048;

/// The tags of a stack that this run makes from this template.
#[must_use]
pub fn stack_tags(run: &RunId, template: &Digest) -> BTreeMap<String, String> {
    BTreeMap::from([
        (RUN_TAG.to_owned(), run.to_string()),
        (TEMPLATE_TAG.to_owned(), template.to_string()),
    ])
}

/// ARN of the role with which CloudFormation creates the resources.
#[must_use]
pub fn execution_role(plan: &Plan) -> String {
    format!(
        "arn:{}:iam::{}:role/{EXECUTION_ROLE}",
        plan.partition, plan.accounts.rebuild
    )
}

/// ARN of the policy with what drift detection reads.
///
/// CloudFormation reads live resources with the credentials of whoever asks for the detection, not with the stack's role,
/// and demands `cloudformation:BatchDescribeTypeConfigurations` beside the detection itself (CloudFormation User Guide,
/// "Detect unmanaged configuration changes to stacks and resources", considerations). A session that asks for one is
/// bounded by this policy too: as a managed session policy (`AssumeRole`, `PolicyArns`) it needs no room in the inline one.
#[must_use]
pub fn drift_read_policy(plan: &Plan) -> String {
    format!(
        "arn:{}:iam::{}:policy/{DRIFT_READ_POLICY}",
        plan.partition, plan.accounts.rebuild
    )
}

/// The client request token of a stack operation: the same for every repeat of it, another for everything else.
#[must_use]
pub fn request_token(run: &RunId, stack: &Stack, purpose: &str) -> String {
    let digest =
        Digest::of(format!("{run}\n{}\n{}\n{purpose}", stack.name, stack.template.sha256).as_bytes());
    format!("blackstart-{digest}")
}

/// What a session in the rebuild account may do at most: work on this plan's stacks.
#[must_use]
pub fn session_policy(plan: &Plan) -> String {
    let policy = |names: &[&str]| {
        let stacks: Vec<_> = names
            .iter()
            .map(|name| {
                format!(
                    "arn:{}:cloudformation:{}:{}:stack/{name}/*",
                    plan.partition, plan.region, plan.accounts.rebuild
                )
            })
            .collect();
        serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                { "Effect": "Allow", "Action": "cloudformation:*", "Resource": stacks },
                { "Effect": "Allow", "Action": "cloudformation:DescribeStackDriftDetectionStatus", "Resource": "*" },
                { "Effect": "Allow", "Action": "iam:PassRole", "Resource": execution_role(plan) },
            ],
        })
        .to_string()
    };
    let names: Vec<&str> = plan
        .rebuild
        .stacks
        .iter()
        .map(|stack| stack.name.as_str())
        .collect();
    let exact = policy(&names);
    if exact.len() <= MAX_SESSION_POLICY {
        exact
    } else {
        policy(&["*"])
    }
}
