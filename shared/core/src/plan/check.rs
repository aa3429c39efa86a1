//! Reading a plan, and everything that its schema alone cannot refuse.

use std::collections::BTreeSet;

use crate::artifact::Digest;

use super::{GATE_MINUTES, InvalidPlan, Layer, Plan, Problem, SCHEMA, Shift};

/// Longest time for which a share of the traffic is looked at.
const LONGEST_HOLD_SECONDS: u32 = 6 * 60 * 60;

impl Plan {
    /// Reads and checks a plan, JSON or YAML.
    ///
    /// # Errors
    /// [`InvalidPlan`] with every problem that can be seen: every place that does not match the schema, and all of
    /// [`Plan::problems`] once the schema is matched.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidPlan> {
        let plan = super::mismatch::read(bytes).map_err(InvalidPlan)?;
        let problems = plan.problems();
        if problems.is_empty() {
            Ok(plan)
        } else {
            Err(InvalidPlan(problems))
        }
    }

    /// Everything that the schema alone cannot refuse.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = self.contradictions();
        found.extend(self.timeline.indicator_problems());
        found.extend(self.outer_gate_problems());
        found.extend(self.names());
        found.extend(self.restore_problems());
        found.extend(self.fix_up_problems());
        found.extend(self.rotation_problems());
        found.extend(self.rule_problems());
        found.extend(self.check_waiver_problems());
        found
    }

    /// What contradicts itself or leaves out what a recovery needs.
    fn contradictions(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |at: String, what: &str| {
            found.push(Problem {
                at,
                what: what.to_owned(),
            })
        };

        if self.schema != SCHEMA {
            problem("schema".to_owned(), "must be `blackstart.plan/1`");
        }
        let a = &self.accounts;
        for (name, account) in [
            ("validation", &a.validation),
            ("rebuild", &a.rebuild),
            ("log_archive", &a.log_archive),
        ] {
            if *account == a.old {
                problem(
                    format!("accounts.{name}"),
                    "must not be the old account: nothing in it is trusted",
                );
            }
        }
        let mut seen = BTreeSet::new();
        for (i, sibling) in a.siblings.iter().enumerate() {
            if *sibling == a.old || *sibling == a.rebuild {
                problem(
                    format!("accounts.siblings[{i}]"),
                    "must be neither the old nor the rebuild account",
                );
            }
            if !seen.insert(sibling) {
                problem(format!("accounts.siblings[{i}]"), "is listed twice");
            }
        }
        if self.timeline.sources.is_empty() {
            problem(
                "timeline.sources".to_owned(),
                "is empty: without logs there is no event boundary",
            );
        }
        for (i, source) in self.timeline.sources.iter().enumerate() {
            for wrong in source.problems(&format!("timeline.sources[{i}]")) {
                problem(wrong.at, &wrong.what);
            }
        }
        if self.resources.is_empty() {
            problem(
                "resources".to_owned(),
                "is empty: name at least one resource to restore",
            );
        }
        let mut ids = BTreeSet::new();
        for (i, resource) in self.resources.iter().enumerate() {
            if !ids.insert(resource.id.as_str()) {
                problem(format!("resources[{i}].id"), "is used twice");
            }
        }
        for wrong in self.validation.problems(&ids) {
            problem(wrong.at, &wrong.what);
        }
        let of_layers = self.validation.layer_problems(&self.resources);
        for wrong in of_layers
            .into_iter()
            .chain(self.validation.configuration_problems(&self.resources))
        {
            problem(wrong.at, &wrong.what);
        }
        if let Some(cost) = &self.validation.cost {
            for wrong in cost.problems(&self.resources, &self.validation.layers) {
                problem(wrong.at, &wrong.what);
            }
        }
        if self.validation.speculation == 0 {
            problem("validation.speculation".to_owned(), "must be at least 1");
        }
        if self.validation.max_sets == 0 {
            problem("validation.max_sets".to_owned(), "must be at least 1");
        }
        if !self.validation.layers.contains(&Layer::TrialRestore) {
            problem(
                "validation.layers".to_owned(),
                "must contain `trial_restore`: what cannot be restored is no candidate",
            );
        }
        let quorum = usize::from(self.approval.quorum);
        if quorum == 0 || quorum > self.approval.approvers.len() {
            problem(
                "approval.quorum".to_owned(),
                "must be between 1 and the number of approvers",
            );
        }
        if self.approval.decide_within_minutes == 0 || self.approval.decide_within_minutes > GATE_MINUTES {
            problem(
                "approval.decide_within_minutes".to_owned(),
                "must be between 1 and 1440: the gate waits a day",
            );
        }
        let mut people = BTreeSet::new();
        let mut identities = BTreeSet::new();
        for (i, approver) in self.approval.approvers.iter().enumerate() {
            if !people.insert(approver.person.as_str()) {
                problem(format!("approval.approvers[{i}].person"), "is listed twice");
            }
            for identity in &approver.identities {
                if !identities.insert(identity.as_str()) {
                    problem(
                        format!("approval.approvers[{i}].identities"),
                        "contains an identity that another person has too: one vote per person needs one person per identity",
                    );
                }
            }
        }
        for (i, stack) in self.rebuild.stacks.iter().enumerate() {
            if stack.parameters.values().any(|v| v.contains(a.old.as_str())) {
                problem(format!("rebuild.stacks[{i}].parameters"), "names the old account");
            }
        }
        for (i, pair) in self.references.identifiers.iter().enumerate() {
            if pair.old == pair.new {
                problem(
                    format!("references.identifiers[{i}]"),
                    "maps an identifier to itself",
                );
            }
        }
        for (i, waiver) in self.references.waivers.iter().enumerate() {
            for (field, text) in [
                ("document", &waiver.document),
                ("reason", &waiver.reason),
                ("by", &waiver.by),
            ] {
                if text.trim().is_empty() {
                    problem(
                        format!("references.waivers[{i}].{field}"),
                        "is empty: a waiver says what, why and who decided it",
                    );
                }
            }
        }
        if let Some(contain) = &self.cutover.contain {
            if contain.account == a.old {
                problem(
                    "cutover.contain.account".to_owned(),
                    "must not be the old account: nothing in it is trusted",
                );
            }
            if !contain
                .policies
                .iter()
                .any(|attachment| attachment.target == a.old.as_str())
            {
                problem(
                    "cutover.contain.policies".to_owned(),
                    "must attach at least one policy to the old account: it is the one that is cut off",
                );
            }
            let trusted = [&a.validation, &a.rebuild, &a.log_archive];
            for (i, attachment) in contain.policies.iter().enumerate() {
                if trusted
                    .iter()
                    .any(|account| account.as_str() == attachment.target)
                {
                    problem(
                        format!("cutover.contain.policies[{i}].target"),
                        "must not be an account that the recovery itself works in",
                    );
                }
            }
        }
        if self.cutover.names.is_empty() {
            problem(
                "cutover.names".to_owned(),
                "is empty: name at least one DNS name to move",
            );
        }
        for (i, name) in self.cutover.names.iter().enumerate() {
            if !name.name.ends_with('.') {
                problem(
                    format!("cutover.names[{i}].name"),
                    "must be fully qualified, with its final dot",
                );
            }
            if !matches!(name.record_type.as_str(), "A" | "AAAA" | "CNAME") {
                problem(format!("cutover.names[{i}].type"), "must be A, AAAA or CNAME");
            }
            if name.new.is_empty() || name.holding.is_empty() {
                problem(
                    format!("cutover.names[{i}]"),
                    "needs values for `new` and for `holding`",
                );
            }
        }
        if let Some(tls) = &self.cutover.health.tls {
            for (i, name) in self.cutover.names.iter().enumerate() {
                if name.name.contains('*') {
                    problem(
                        format!("cutover.names[{i}].name"),
                        "is a wildcard, whose certificate nobody can be asked for: name what is served",
                    );
                }
            }
            if let Some(authorities) = &tls.authorities {
                if Digest::of(authorities.pem.as_bytes()) != authorities.sha256 {
                    problem(
                        "cutover.health.tls.authorities.sha256".to_owned(),
                        "is not the SHA-256 of `pem`",
                    );
                }
                if !authorities.pem.contains("-----BEGIN CERTIFICATE-----") {
                    problem(
                        "cutover.health.tls.authorities.pem".to_owned(),
                        "holds no certificate",
                    );
                }
                if authorities.pem.contains("PRIVATE KEY-----") {
                    problem(
                        "cutover.health.tls.authorities.pem".to_owned(),
                        "holds a private key: give the certificates alone, and replace that key",
                    );
                }
            }
        }
        if let Shift::Weighted { shares, hold_seconds } = &self.cutover.shift {
            let rises = shares
                .windows(2)
                .all(|pair| matches!(pair, [one, next] if one < next));
            if !rises || shares.first().is_none_or(|share| *share == 0) || shares.last() != Some(&100) {
                problem(
                    "cutover.shift.shares".to_owned(),
                    "must rise from at least 1 and end with 100, for example `[1, 5, 25, 100]`",
                );
            }
            if *hold_seconds > LONGEST_HOLD_SECONDS {
                problem(
                    "cutover.shift.hold_seconds".to_owned(),
                    "must be at most 21600, which is six hours",
                );
            }
        }
        found
    }

    /// Names that AWS would refuse, that are used twice, or that would reach further than they should.
    fn names(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |at: String, what: &str| {
            found.push(Problem {
                at,
                what: what.to_owned(),
            });
        };
        if !matches!(self.partition.as_str(), "aws" | "aws-cn" | "aws-us-gov") {
            problem("partition".to_owned(), "must be `aws`, `aws-cn` or `aws-us-gov`");
        }
        if !made_of(&self.region, 1..=32, |b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
        }) {
            problem(
                "region".to_owned(),
                "is not a region name, for example `eu-central-1`",
            );
        }
        for region in &self.references.regions {
            if !made_of(region, 1..=32, |b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
            }) {
                problem(
                    "references.regions".to_owned(),
                    "holds something that is not a region name, for example `eu-central-1`",
                );
            }
        }
        let roles = &self.roles;
        for (name, role) in [
            ("validation", &roles.validation),
            ("rebuild", &roles.rebuild),
            ("vault_requester", &roles.vault_requester),
            ("log_archive", &roles.log_archive),
            ("sibling_reader", &roles.sibling_reader),
            ("sibling_writer", &roles.sibling_writer),
        ]
        .into_iter()
        .chain(
            self.cutover
                .contain
                .iter()
                .map(|contain| ("containment", &contain.role)),
        ) {
            if !made_of(role, 1..=64, |b| {
                b.is_ascii_alphanumeric() || b"+=,.@-_".contains(&b)
            }) {
                problem(
                    format!("roles.{name}"),
                    "is not the name of an IAM role (no path, no ARN)",
                );
            }
        }

        let mut targets = BTreeSet::new();
        for (i, resource) in self.resources.iter().enumerate() {
            let at = |field: &str| format!("resources[{i}].{field}");
            if !targets.insert((resource.resource_type, resource.restore_to.as_str())) {
                problem(at("restore_to"), "is the target of another resource too");
            }
            let service = resource.resource_type.service();
            let named = resource.resource_type.is_name(&resource.restore_to);
            if !named {
                problem(
                    at("restore_to"),
                    "is not a name that a new resource of this type can have",
                );
            }
            let fields: Vec<&str> = resource.arn.splitn(6, ':').collect();
            match fields.as_slice() {
                ["arn", partition, of, _, account, _] => {
                    if *partition != self.partition {
                        problem(at("arn"), "is of another partition than the plan");
                    }
                    if *of != service {
                        problem(at("arn"), "is of another service than `type` says");
                    }
                    if !account.is_empty() && *account != self.accounts.old.as_str() {
                        problem(at("arn"), "is not of the old account");
                    }
                }
                _ => problem(at("arn"), "is not an ARN"),
            }
        }

        let mut stacks = BTreeSet::new();
        for (i, stack) in self.rebuild.stacks.iter().enumerate() {
            let at = format!("rebuild.stacks[{i}].name");
            let begins = stack.name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
            if !begins || !made_of(&stack.name, 1..=128, |b| b.is_ascii_alphanumeric() || b == b'-') {
                problem(
                    at.clone(),
                    "is not a stack name: letters, digits and `-`, beginning with a letter",
                );
            }
            if !stacks.insert(stack.name.as_str()) {
                problem(at, "is used twice");
            }
        }
        if self
            .rebuild
            .allowed_resource_types
            .contains("AWS::CloudFormation::Stack")
        {
            problem(
                "rebuild.allowed_resource_types".to_owned(),
                "must not contain `AWS::CloudFormation::Stack`: a nested template is not checked",
            );
        }
        found
    }
}

pub(super) fn made_of(
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(u8) -> bool,
) -> bool {
    length.contains(&text.len()) && text.bytes().all(allowed)
}
