//! The outer gate of a plan: the approval team that AWS Backup asks before it opens a vault.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GATE_MINUTES, Plan, Problem};

/// An approval team (AWS multi-party approval) that guards the vault.
///
/// It is asked once the approvers of this plan have approved, and nothing is restored before it has opened the vault to
/// the rebuild account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OuterGatePlan {
    /// ARN of the team, `arn:aws:mpa:us-east-1:ACCOUNT:approval-team/NAME`. It must be the one that is associated with
    /// the vault; the session of another team opens nothing.
    pub team: String,
    /// How long the team is given, in minutes. AWS ends a session by a clock of its own, too.
    #[serde(default = "default_wait_minutes")]
    pub wait_minutes: u32,
    /// Whether drills ask the team, too. What a drill was given can only be revoked by the team again.
    #[serde(default)]
    pub in_drills: bool,
}

fn default_wait_minutes() -> u32 {
    GATE_MINUTES
}

impl Plan {
    /// What is wrong with the outer gate, if there is one.
    pub(super) fn outer_gate_problems(&self) -> Vec<Problem> {
        let Some(gate) = &self.approval.outer_gate else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut problem = |at: &str, what: &str| {
            found.push(Problem {
                at: at.to_owned(),
                what: what.to_owned(),
            });
        };
        match gate.team.splitn(6, ':').collect::<Vec<_>>().as_slice() {
            ["arn", partition, "mpa", region, account, resource]
                if !region.is_empty()
                    && account.len() == 12
                    && account.bytes().all(|b| b.is_ascii_digit())
                    && resource.strip_prefix("approval-team/").is_some_and(is_name) =>
            {
                if *partition != self.partition {
                    problem(
                        "approval.outer_gate.team",
                        "is of another partition than the plan",
                    );
                }
                if *account == self.accounts.old.as_str() {
                    problem(
                        "approval.outer_gate.team",
                        "is of the old account: who holds that account holds the team",
                    );
                }
            }
            _ => problem(
                "approval.outer_gate.team",
                "is not the ARN of an approval team, `arn:aws:mpa:us-east-1:ACCOUNT:approval-team/NAME`",
            ),
        }
        if gate.wait_minutes == 0 || gate.wait_minutes > GATE_MINUTES {
            problem(
                "approval.outer_gate.wait_minutes",
                "must be between 1 and 1440: the gate waits a day",
            );
        }
        let vault = &self.validation.vault;
        if *vault.account.as_ref().unwrap_or(&self.accounts.validation) == self.accounts.rebuild {
            problem(
                "approval.outer_gate",
                "guards nothing: the vault is in the rebuild account, which reads it without asking",
            );
        }
        found
    }
}

/// The characters of a team's name (API reference of `CreateApprovalTeam`).
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::STARTING_POINT;

    fn problems(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let plan = Plan::parse(STARTING_POINT.as_bytes()).unwrap();
        let mut plan = serde_json::to_value(plan).unwrap();
        plan["approval"]["outer_gate"] =
            json!({"team": "arn:aws:mpa:us-east-1:777777777777:approval-team/recovery"});
        change(&mut plan);
        match Plan::parse(plan.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(invalid) => invalid.0.into_iter().map(|problem| problem.to_string()).collect(),
        }
    }

    #[test]
    fn a_team_of_another_account_guards_a_vault_of_another_account() {
        assert_eq!(problems(|_| ()), [""; 0]);
        for (team, why) in [
            ("recovery", "is not the ARN"),
            (
                "arn:aws:mpa:us-east-1:777777777777:session/recovery/x",
                "is not the ARN",
            ),
            (
                "arn:aws:mpa:us-east-1:777777777777:approval-team/",
                "is not the ARN",
            ),
            (
                "arn:aws-cn:mpa:cn-north-1:777777777777:approval-team/r",
                "another partition",
            ),
            (
                "arn:aws:mpa:us-east-1:999999999999:approval-team/r",
                "of the old account",
            ),
        ] {
            let found = problems(|plan| plan["approval"]["outer_gate"]["team"] = json!(team));
            assert!(
                matches!(found.as_slice(), [one] if one.contains(why)),
                "{team}: {found:?}"
            );
        }
        let found = problems(|plan| plan["validation"]["vault"]["account"] = json!("333333333333"));
        assert!(
            matches!(found.as_slice(), [one] if one.contains("guards nothing")),
            "{found:?}"
        );
        for minutes in [0, 1441] {
            let found = problems(|plan| plan["approval"]["outer_gate"]["wait_minutes"] = json!(minutes));
            assert_eq!(found.len(), 1, "{minutes}");
        }
    }
}
