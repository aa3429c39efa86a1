//! What a plan lets pass although a check of the rebuilt environment does not prove it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Plan, Problem};
use crate::rebuild::{CheckStatus, Objection};

/// A named decision to go on although one thing keeps a check from passing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckWaiver {
    /// The check.
    pub check: WaivableCheck,
    /// What the check names: `STACK/LOGICAL_ID`, or `STACK` for what concerns it as a whole.
    pub subject: String,
    /// Why it may pass. Shown to the approvers.
    pub reason: String,
    /// Who decided that. Shown to the approvers.
    pub by: String,
}

/// The checks that a plan can waive. Trust and the template's own identity are not among them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum WaivableCheck {
    /// A way to another network, on purpose, or a type without a rule.
    Network,
    /// A public address, on purpose, or one that cannot be known beforehand.
    PublicAddress,
    /// Ingress from everywhere, on purpose, or from a range that cannot be known beforehand.
    SecurityGroups,
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
            Self::Complete | Self::Drift => status != CheckStatus::Fail,
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
            let stack = waiver
                .subject
                .split_once('/')
                .map_or(waiver.subject.as_str(), |(stack, _)| stack);
            if !self.rebuild.stacks.iter().any(|known| known.name == stack) {
                problem(
                    "subject",
                    "names no stack of the plan: `STACK/LOGICAL_ID`, or `STACK`",
                );
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
