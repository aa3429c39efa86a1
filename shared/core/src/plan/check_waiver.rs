//! What a plan lets pass although a check of the rebuilt environment does not prove it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Plan, Problem};
use crate::rebuild::surroundings::Kind;
use crate::rebuild::{CheckStatus, Objection};

/// A named decision to go on although one thing keeps a check from passing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckWaiver {
    /// The check.
    pub check: WaivableCheck,
    /// What the check names: `STACK/LOGICAL_ID`, or `STACK` for what concerns it as a whole; `TYPE/ID` for what the
    /// account holds outside of the stacks, for example `AWS::IAM::Role/OrganizationAccountAccessRole`.
    pub subject: String,
    /// Why it may pass. Shown to the approvers.
    pub reason: String,
    /// Who decided that. Shown to the approvers.
    pub by: String,
}

/// The checks that a plan can waive. The template's own identity is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum WaivableCheck {
    /// A way to another network, on purpose, or a type without a rule.
    Network,
    /// A public address, on purpose, or one that cannot be known beforehand.
    PublicAddress,
    /// Ingress from everywhere, on purpose, or from a range that cannot be known beforehand.
    SecurityGroups,
    /// A role that no stack made and that trusts an account of which nothing is known. Trust of the old account and of
    /// everybody is never waived, nor that in a template.
    Trust,
    /// A resource whose state CloudFormation does not tell. One that was not made from the template is never waived.
    Complete,
    /// A resource that CloudFormation cannot compare. One that differs is never waived.
    Drift,
}

impl WaivableCheck {
    /// Whether an objection of this weight can be waived at all.
    #[must_use]
    pub fn lets_pass(self, status: CheckStatus) -> bool {
        match self {
            Self::Network | Self::PublicAddress | Self::SecurityGroups => true,
            Self::Trust | Self::Complete | Self::Drift => status != CheckStatus::Fail,
        }
    }
}

impl CheckWaiver {
    /// Whether this waiver lets pass what keeps the check `check` from passing.
    #[must_use]
    pub fn covers(&self, check: &str, objection: &Objection) -> bool {
        <&str>::from(self.check) == check
            && self.subject == objection.subject
            && self.check.lets_pass(objection.status)
    }
}

impl Plan {
    /// What is wrong with the waivers themselves.
    pub(super) fn check_waiver_problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (i, waiver) in self.rebuild.waivers.iter().enumerate() {
            let mut problem = |field: &str, what: &str| {
                found.push(Problem {
                    at: format!("rebuild.waivers[{i}].{field}"),
                    what: what.to_owned(),
                });
            };
            match Kind::of_subject(&waiver.subject) {
                Some(kind) if kind.check() == waiver.check => {}
                Some(_) => problem("check", "does not look at what `subject` names"),
                None if waiver.check == WaivableCheck::Trust => problem(
                    "subject",
                    "names no role of the account: `AWS::IAM::Role/NAME`; trust in a template is not waived",
                ),
                None => {
                    let stack = waiver
                        .subject
                        .split_once('/')
                        .map_or(waiver.subject.as_str(), |(stack, _)| stack);
                    if !self.rebuild.stacks.iter().any(|known| known.name == stack) {
                        problem(
                            "subject",
                            "names no stack of the plan (`STACK/LOGICAL_ID`, or `STACK`) and no type that is looked \
                             for in the account (`TYPE/ID`)",
                        );
                    }
                }
            }
            for (field, text) in [("reason", &waiver.reason), ("by", &waiver.by)] {
                if text.trim().is_empty() {
                    problem(field, "is empty: a waiver says what, why and who decided it");
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../../../../tests/data/plan/orders.json");

    fn objection(status: CheckStatus) -> Objection {
        Objection {
            subject: "orders-app/Queue".to_owned(),
            status,
            what: "was not compared".to_owned(),
        }
    }

    fn waiver(check: WaivableCheck, subject: &str) -> CheckWaiver {
        CheckWaiver {
            check,
            subject: subject.to_owned(),
            reason: "the type cannot be compared".to_owned(),
            by: "ada".to_owned(),
        }
    }

    #[test]
    fn a_waiver_covers_its_check_and_its_subject_and_never_what_differs() {
        let drift = waiver(WaivableCheck::Drift, "orders-app/Queue");
        assert!(drift.covers("drift", &objection(CheckStatus::Unknown)));
        assert!(!drift.covers("drift", &objection(CheckStatus::Fail)));
        assert!(!drift.covers("network", &objection(CheckStatus::Unknown)));
        let other = waiver(WaivableCheck::Drift, "orders-app");
        assert!(!other.covers("drift", &objection(CheckStatus::Unknown)));
        let network = waiver(WaivableCheck::Network, "orders-app/Queue");
        assert!(network.covers("network", &objection(CheckStatus::Fail)));
        assert!(!network.covers("trust", &objection(CheckStatus::Fail)));
    }

    #[test]
    fn what_the_account_holds_is_waived_by_type_and_id_under_the_check_that_looks_for_it() {
        let mut plan = Plan::parse(PLAN.as_bytes()).unwrap();
        plan.rebuild.waivers = vec![
            waiver(
                WaivableCheck::Trust,
                "AWS::IAM::Role/OrganizationAccountAccessRole",
            ),
            waiver(WaivableCheck::Network, "AWS::EC2::VPCEndpoint/vpce-1"),
            waiver(WaivableCheck::SecurityGroups, "AWS::EC2::SecurityGroup"),
        ];
        assert_eq!(plan.problems(), []);
        plan.rebuild.waivers = vec![
            waiver(WaivableCheck::Network, "AWS::IAM::Role/R"),
            waiver(WaivableCheck::Trust, "orders-app/Role"),
            waiver(WaivableCheck::Network, "AWS::SQS::Queue/q"),
        ];
        let at: Vec<_> = plan.problems().into_iter().map(|problem| problem.at).collect();
        assert_eq!(
            at,
            [
                "rebuild.waivers[0].check",
                "rebuild.waivers[1].subject",
                "rebuild.waivers[2].subject"
            ]
        );
    }

    #[test]
    fn a_waiver_says_what_why_and_who() {
        let mut plan = Plan::parse(PLAN.as_bytes()).unwrap();
        plan.rebuild
            .waivers
            .push(waiver(WaivableCheck::Drift, "orders-app/Queue"));
        assert_eq!(plan.problems(), []);
        plan.rebuild.waivers.push(CheckWaiver {
            reason: " ".to_owned(),
            ..waiver(WaivableCheck::Drift, "elsewhere/Queue")
        });
        let at: Vec<_> = plan.problems().into_iter().map(|problem| problem.at).collect();
        assert_eq!(at, ["rebuild.waivers[1].subject", "rebuild.waivers[1].reason"]);
    }
}
