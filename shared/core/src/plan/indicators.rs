//! What a plan says about indicators beyond switching them off.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Problem, TimelinePlan};
use crate::artifact::Digest;
use crate::timeline::indicator::{self, Aim, Class};

/// The parts of a CloudTrail record that a predicate can look into.
const DOCUMENTS: [&str; 3] = ["requestParameters", "responseElements", "additionalEventData"];

/// Most records that a burst may ask for: so many hits are kept per indicator, caller and hour.
const LARGEST_BURST: usize = 1000;

/// An indicator of one workload, over single CloudTrail records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnIndicator {
    /// Name, `own.` and lower-case letters, digits and `-`.
    pub id: String,
    /// Why such a record counts, for the approvers.
    pub reason: String,
    /// Service without `.amazonaws.com`, for example `s3`.
    pub service: String,
    /// Action names as CloudTrail writes them, for example `DeleteTable`.
    pub events: BTreeSet<String>,
    /// How much one record means.
    pub class: Class,
    /// What it says about the intruder's aim.
    pub aim: Aim,
    /// Which outcome of the call counts.
    #[serde(default)]
    pub outcome: Outcome,
    /// What must hold of the record, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Predicate>,
}

/// Which outcome of a call counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Calls that did what was asked.
    #[default]
    Succeeded,
    /// Calls that were refused or failed.
    Refused,
    /// All calls.
    Any,
}

impl Outcome {
    /// Whether a call with, or without, an error code counts.
    #[must_use]
    pub fn admits(self, denied: bool) -> bool {
        match self {
            Self::Succeeded => !denied,
            Self::Refused => denied,
            Self::Any => true,
        }
    }
}

/// A condition on one value of a record. Every part that is given must hold of the same value; without any part it
/// is enough that the value is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Predicate {
    /// Dotted path that begins with `requestParameters`, `responseElements` or `additionalEventData`. It passes
    /// through arrays and ignores the case of keys.
    pub path: String,
    /// The value, as text, is one of these; case is ignored.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub one_of: BTreeSet<String>,
    /// The value, as text, contains one of these; case is ignored.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub contains: BTreeSet<String>,
    /// The value is a number of at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    /// The value is a number of at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// The value names an account other than the record's own.
    pub foreign_account: bool,
    /// The whole must not hold.
    pub not: bool,
}

impl Predicate {
    /// The part of the record and the path within it; nothing when the path begins with no known part.
    #[must_use]
    pub fn document(&self) -> Option<(&str, &str)> {
        let (document, path) = self.path.split_once('.')?;
        (DOCUMENTS.contains(&document) && path.split('.').all(|key| !key.is_empty()))
            .then_some((document, path))
    }
}

/// A file by place and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Key in the bucket of the plans, for example `rules/orders.yml`.
    pub key: String,
    /// Digest of the file's bytes. With any other content Sigma rules are a gap in the coverage, and YARA rules stop
    /// validation.
    pub sha256: Digest,
}

impl RuleFile {
    /// Where the file is kept for one run, beside the frozen plan.
    #[must_use]
    pub fn frozen_path(&self) -> String {
        format!("rules/{}.yml", self.sha256)
    }
}

/// Levels of Sigma rules, by the Sigma rules specification.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Context that is to be matched, not to be alerted on.
    Informational,
    /// Notable, rarely an incident.
    Low,
    /// Relevant, to be looked at with others.
    Medium,
    /// Relevant, to be looked at soon.
    #[default]
    High,
    /// Highly relevant, an incident.
    Critical,
}

impl Severity {
    /// Whether the plan need not say it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl TimelinePlan {
    /// What the schema alone cannot refuse of the plan's indicators: ids that do not exist, predicates that cannot
    /// hold.
    #[must_use]
    pub fn indicator_problems(&self) -> Vec<Problem> {
        problems(self)
    }
}

fn problems(plan: &TimelinePlan) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut problem = |at: String, what: String| found.push(Problem { at, what });
    let known: BTreeSet<&str> = indicator::ids().collect();
    for id in plan
        .disabled_indicators
        .iter()
        .filter(|id| !known.contains(id.as_str()))
    {
        problem(
            "timeline.disabled_indicators".to_owned(),
            format!("there is no indicator `{id}`{}", nearest(id, &known)),
        );
    }
    for (id, class) in &plan.indicator_classes {
        let at = format!("timeline.indicator_classes.{id}");
        if !known.contains(id.as_str()) {
            problem(
                at.clone(),
                format!("there is no indicator `{id}`{}", nearest(id, &known)),
            );
        } else if plan.disabled_indicators.contains(id) {
            problem(
                at.clone(),
                "is switched off by `disabled_indicators`: name it once".to_owned(),
            );
        }
        if let Some(what) = impossible(*class) {
            problem(at, what);
        }
    }
    let mut ids = BTreeSet::new();
    for (i, own) in plan.own_indicators.iter().enumerate() {
        let at = |field: &str| format!("timeline.own_indicators[{i}].{field}");
        let name = own.id.strip_prefix("own.").unwrap_or_default();
        let named = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !named {
            problem(
                at("id"),
                "is not `own.` followed by lower-case letters, digits and `-`".to_owned(),
            );
        }
        if !ids.insert(own.id.as_str()) {
            problem(at("id"), "is used twice".to_owned());
        }
        if own.reason.trim().is_empty() {
            problem(
                at("reason"),
                "is empty: the approvers read why such a record counts".to_owned(),
            );
        }
        if own.service.is_empty() || own.service.contains('.') {
            problem(
                at("service"),
                "must be the service without `.amazonaws.com`, for example `s3`".to_owned(),
            );
        }
        if own.events.is_empty() || own.events.iter().any(String::is_empty) {
            problem(
                at("events"),
                "must name at least one action, and no empty one".to_owned(),
            );
        }
        if let Some(what) = impossible(own.class) {
            problem(at("class"), what);
        }
        for (j, predicate) in own.when.iter().enumerate() {
            if predicate.document().is_none() {
                problem(
                    at(&format!("when[{j}].path")),
                    format!(
                        "must begin with one of {}, a dot and a field",
                        DOCUMENTS.join(", ")
                    ),
                );
            }
            if let (Some(least), Some(most)) = (predicate.at_least, predicate.at_most)
                && least > most
            {
                problem(
                    at(&format!("when[{j}]")),
                    "`at_least` is more than `at_most`: nothing can match".to_owned(),
                );
            }
        }
    }
    let mut keys = BTreeSet::new();
    for (i, file) in plan.sigma_rules.iter().enumerate() {
        if file.key.is_empty() || !keys.insert(file.key.as_str()) {
            problem(
                format!("timeline.sigma_rules[{i}].key"),
                "is empty, or is listed twice".to_owned(),
            );
        }
    }
    found
}

fn impossible(class: Class) -> Option<String> {
    matches!(class, Class::Burst(records) if !(1..=LARGEST_BURST).contains(&records))
        .then(|| format!("a burst is of 1 to {LARGEST_BURST} records"))
}

/// A known id that differs from `id` the least, if it is close enough to be what was meant.
fn nearest(id: &str, known: &BTreeSet<&str>) -> String {
    let (_, name) = id.split_once('.').unwrap_or(("", id));
    known
        .iter()
        .map(|candidate| (distance(id, candidate), *candidate))
        .chain(
            known
                .iter()
                .filter(|candidate| candidate.ends_with(name) && !name.is_empty())
                .map(|candidate| (2, *candidate)),
        )
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map_or_else(String::new, |(_, candidate)| format!("; is `{candidate}` meant?"))
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let above = *cell;
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::timeline::cloudtrail::parse;
    use crate::timeline::indicator::Table;

    fn plan(parts: &Value) -> TimelinePlan {
        let mut whole = json!({"sources": []});
        whole
            .as_object_mut()
            .unwrap()
            .extend(parts.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn own() -> Value {
        json!({
            "id": "own.ledger-export", "reason": "nobody exports the ledger", "service": "dynamodb",
            "events": ["ExportTableToPointInTime"], "class": "strong", "aim": "exfiltration",
            "when": [
                {"path": "requestParameters.s3Bucket", "one_of": ["orders-exports"], "not": true},
                {"path": "requestParameters.s3BucketOwner", "foreign_account": true}
            ]
        })
    }

    fn marked(plan: &TimelinePlan, event: &str, error: bool, request: &Value) -> Vec<(String, Class)> {
        let mut record = json!({"eventSource": "dynamodb.amazonaws.com", "eventName": event,
            "recipientAccountId": "111111111111", "requestParameters": request});
        if error {
            record["errorCode"] = json!("AccessDenied");
        }
        let text = json!({"Records": [record]}).to_string();
        let read = parse(text.as_bytes());
        let table = Table::of(plan);
        let found = table.matching(&read.records[0].1);
        found
            .iter()
            .map(|rule| (rule.id.to_string(), rule.class))
            .collect()
    }

    #[test]
    fn an_own_indicator_marks_what_it_describes_and_nothing_else() {
        let plan = plan(&json!({"own_indicators": [own()]}));
        assert_eq!(problems(&plan), []);
        let export = "ExportTableToPointInTime";
        let abroad = json!({"s3Bucket": "elsewhere", "s3BucketOwner": "999988887777"});
        let strong = vec![("own.ledger-export".to_owned(), Class::Strong)];
        assert_eq!(marked(&plan, export, false, &abroad), strong);
        for (request, error) in [
            (
                json!({"s3Bucket": "Orders-Exports", "s3BucketOwner": "999988887777"}),
                false,
            ),
            (
                json!({"s3Bucket": "elsewhere", "s3BucketOwner": "111111111111"}),
                false,
            ),
            (json!({"s3Bucket": "elsewhere"}), false),
            (json!(null), false),
            (abroad.clone(), true),
        ] {
            assert_eq!(marked(&plan, export, error, &request), [], "{request} {error}");
        }
        assert_eq!(marked(&plan, "DescribeTable", false, &abroad), []);

        let mut refused = own();
        refused["outcome"] = json!("refused");
        let refused = self::plan(&json!({"own_indicators": [refused]}));
        assert_eq!(marked(&refused, export, true, &abroad), strong);
        assert_eq!(marked(&refused, export, false, &abroad), []);
    }

    #[test]
    fn numbers_and_parts_of_text_are_compared() {
        let mut counting = own();
        counting["when"] = json!([
            {"path": "requestParameters.limits.most", "at_least": 5, "at_most": 9},
            {"path": "requestParameters.name", "contains": ["LEDGER"]}
        ]);
        let plan = plan(&json!({"own_indicators": [counting]}));
        for (most, name, expected) in [
            (4, "my-ledger", 0),
            (5, "my-ledger", 1),
            (9, "my-ledger", 1),
            (10, "my-ledger", 0),
            (7, "other", 0),
        ] {
            let request = json!({"limits": [{"most": 1}, {"most": most}], "name": name});
            let found = marked(&plan, "ExportTableToPointInTime", false, &request);
            assert_eq!(found.len(), expected, "{request}");
        }
    }

    #[test]
    fn a_plan_switches_and_weights_built_in_indicators() {
        let all = plan(&json!({}));
        let request = json!({"tableName": "t"});
        let usual = marked(&all, "DeleteTable", false, &request);
        assert_eq!(usual.len(), 1);
        let id = usual[0].0.as_str();
        let weak = plan(&json!({"indicator_classes": {id: "weak"}}));
        assert_eq!(
            marked(&weak, "DeleteTable", false, &request),
            [(id.to_owned(), Class::Weak)]
        );
        let burst = plan(&json!({"indicator_classes": {id: {"burst": 50}}}));
        assert_eq!(
            marked(&burst, "DeleteTable", false, &request),
            [(id.to_owned(), Class::Burst(50))]
        );
        let off = plan(&json!({"disabled_indicators": [id]}));
        assert_eq!(marked(&off, "DeleteTable", false, &request), []);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let mut first = own();
        first["id"] = json!("Ledger");
        first["reason"] = json!(" ");
        first["service"] = json!("dynamodb.amazonaws.com");
        first["events"] = json!([]);
        first["class"] = json!({"burst": 0});
        first["when"] = json!([
            {"path": "userAgent", "one_of": ["x"]},
            {"path": "requestParameters..x"},
            {"path": "requestParameters.n", "at_least": 2, "at_most": 1}
        ]);
        let plan = plan(&json!({
            "disabled_indicators": ["s3.mass-deletes", "nothing"],
            "indicator_classes": {"stop-logging": "weak", "s3.mass-delete": {"burst": 2000}},
            "own_indicators": [first, own(), own()],
            "sigma_rules": [{"key": "", "sha256": Digest::of(b"")}]
        }));
        let told: Vec<String> = problems(&plan).iter().map(ToString::to_string).collect();
        for expected in [
            "disabled_indicators: there is no indicator `nothing`",
            "disabled_indicators: there is no indicator `s3.mass-deletes`; is `s3.mass-delete` meant?",
            "indicator_classes.stop-logging: there is no indicator `stop-logging`; is `cloudtrail.stop-logging` meant?",
            "indicator_classes.s3.mass-delete: a burst is of 1 to 1000 records",
            "own_indicators[0].id: is not `own.`",
            "own_indicators[0].reason",
            "own_indicators[0].service",
            "own_indicators[0].events",
            "own_indicators[0].class",
            "own_indicators[0].when[0].path: must begin with one of requestParameters",
            "own_indicators[0].when[1].path",
            "own_indicators[0].when[2]: `at_least` is more",
            "own_indicators[2].id: is used twice",
            "sigma_rules[0].key",
        ] {
            assert!(
                told.iter().any(|t| t.contains(expected)),
                "{expected} is not in {told:#?}"
            );
        }
        assert_eq!(told.len(), 14, "{told:#?}");
    }
}
