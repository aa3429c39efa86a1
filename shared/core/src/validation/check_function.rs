//! A function of the validation account that looks at a restored resource and gives a verdict.
//!
//! For what cannot be judged from outside: start the database, run the queries, mount the file system. The function is
//! called once per trial, synchronously, with a [`Question`], and answers with an [`Answer`]. Whatever else it does
//! (time out, fail, answer something else) is unknown, and unknown is never clean.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::shown;
use super::{ContentEntry, LayerVerdict, Verdict};
use crate::artifact::Digest;
use crate::plan::{Invariant, Plan, Resource, ResourceType};
use crate::run::RunId;

/// How many reasons of an answer are kept.
const REASONS: usize = 10;

/// What the function is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Always `blackstart.check/1`.
    pub schema: String,
    /// The run.
    pub run: String,
    /// Plan id of the resource.
    pub resource: String,
    /// What kind of resource it is.
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    /// Name of the restored bucket or table, in the function's own account.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The recovery point that it was restored from.
    pub recovery_point: String,
}

/// The schema of [`Question`].
pub const CHECK_SCHEMA: &str = "blackstart.check/1";

/// What the function answers. Further fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, for people; at least one for anything but clean.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Figures worth keeping, for people. Of a database, a disk or a file system they are the content that is compared
    /// (count of rows, sums, digests), and at least one is needed. The copy that goes into production must give the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, i64>,
}

/// What the call of a function came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// It returned these bytes.
    Returned(Vec<u8>),
    /// It ended with an error of its own.
    Failed(String),
    /// It did not answer in time, in seconds.
    TimedOut(u16),
    /// It could not be called.
    NotCalled(String),
}

/// What the plan's functions are asked about one restored resource: function, question, and how many seconds it may take.
#[must_use]
pub fn questions(
    plan: &Plan,
    run: &RunId,
    resource: &Resource,
    restored: (&str, &str),
    recovery_point: &str,
) -> Vec<(String, Question, u16)> {
    let (name, arn) = restored;
    plan.validation
        .invariants
        .iter()
        .filter_map(|invariant| {
            let Invariant::Function {
                resource: of,
                function,
                timeout_seconds,
            } = invariant
            else {
                return None;
            };
            let question = Question {
                schema: CHECK_SCHEMA.to_owned(),
                run: run.to_string(),
                resource: resource.id.clone(),
                resource_type: resource.resource_type,
                name: name.to_owned(),
                arn: arn.to_owned(),
                recovery_point: recovery_point.to_owned(),
            };
            (*of == resource.id).then(|| (function.clone(), question, *timeout_seconds))
        })
        .collect()
}

/// The figures of an answer as entries of a manifest, so that a later answer about another copy can be compared with
/// them: what a resource holds that cannot be read from outside.
#[must_use]
pub fn figures(function: &str, called: &Called) -> BTreeMap<String, ContentEntry> {
    let Called::Returned(bytes) = called else {
        return BTreeMap::new();
    };
    let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else {
        return BTreeMap::new();
    };
    answer
        .figures
        .iter()
        .map(|(name, value)| {
            let value = value.to_string();
            let entry = ContentEntry {
                sha256: Digest::of(value.as_bytes()),
                bytes: u64::try_from(value.len()).unwrap_or(u64::MAX),
                centibits: None,
            };
            // In full: two long names that are shown alike are two figures.
            (format!("{function}: {name}"), entry)
        })
        .collect()
}

/// What that says about the resource. Of what cannot be read from outside, the figures are all that is ever compared:
/// without any, *clean* is a word that nothing stands behind, and unknown.
#[must_use]
pub fn judge(resource_type: ResourceType, function: &str, called: &Called) -> LayerVerdict {
    let unknown =
        |why: String| LayerVerdict::new(Verdict::Unknown, format!("function `{}` {why}", shown(function)));
    let bytes = match called {
        Called::Returned(bytes) => bytes,
        Called::Failed(why) => return unknown(format!("failed: {}", shown(why))),
        Called::TimedOut(seconds) => return unknown(format!("gave no answer within {seconds} s")),
        Called::NotCalled(why) => return unknown(format!("could not be called: {}", shown(why))),
    };
    let answer: Answer = match serde_json::from_slice(bytes) {
        Ok(answer) => answer,
        Err(error) => return unknown(format!("gave no verdict: {}", shown(&error.to_string()))),
    };
    let word: &str = answer.verdict.into();
    let mut reasons = vec![format!("function `{}` says {word}", shown(function))];
    reasons.extend(answer.reasons.iter().take(REASONS).map(|reason| shown(reason)));
    let untold = answer.reasons.len().saturating_sub(REASONS);
    if untold > 0 {
        reasons.push(format!("and {untold} more reason(s)"));
    }
    reasons.extend(
        answer
            .figures
            .iter()
            .take(REASONS)
            .map(|(name, value)| format!("{}: {value}", shown(name))),
    );
    let said = LayerVerdict {
        verdict: answer.verdict,
        reasons,
    };
    if resource_type.is_readable() || !answer.figures.is_empty() {
        return said;
    }
    said.and(unknown(
        "gives no figures: there is nothing with which the copy that goes into production could be compared"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &str) -> LayerVerdict {
        judge(
            ResourceType::DynamoDb,
            "blackstart-check-db",
            &Called::Returned(answer.as_bytes().to_vec()),
        )
    }

    #[test]
    fn a_verdict_is_taken_over_with_its_reasons() {
        let clean = said(r#"{"verdict": "clean", "figures": {"rows": 12}, "trace": "x"}"#);
        assert_eq!(clean.verdict, Verdict::Clean);
        assert_eq!(
            clean.reasons,
            ["function `blackstart-check-db` says clean", "rows: 12"]
        );
        let tainted = said(r#"{"verdict": "tainted", "reasons": ["table `x` is\n empty"]}"#);
        assert_eq!(tainted.verdict, Verdict::Tainted);
        assert_eq!(tainted.reasons[1], "table \\u{60}x\\u{60} is\\u{a} empty");
    }

    #[test]
    fn everything_else_is_unknown() {
        for answer in [
            "",
            "null",
            "\"clean\"",
            r#"{"verdict": "fine"}"#,
            r#"{"Verdict": "clean"}"#,
            r#"{"statusCode": 200, "body": "{\"verdict\": \"clean\"}"}"#,
            r#"{"verdict": "unknown"}"#,
        ] {
            assert_eq!(said(answer).verdict, Verdict::Unknown, "{answer}");
        }
        for called in [
            Called::Failed("exit status: 1".to_owned()),
            Called::TimedOut(300),
            Called::NotCalled("refused".to_owned()),
        ] {
            assert_eq!(judge(ResourceType::Rds, "f", &called).verdict, Verdict::Unknown);
        }
    }

    #[test]
    fn another_figure_is_another_content() {
        let of = |answer: &str| figures("f", &Called::Returned(answer.as_bytes().to_vec()));
        let twelve = of(r#"{"verdict": "clean", "figures": {"rows": 12}}"#);
        assert_eq!(twelve.keys().collect::<Vec<_>>(), ["f: rows"]);
        assert_ne!(twelve, of(r#"{"verdict": "clean", "figures": {"rows": 11}}"#));
        assert!(of("{}").is_empty() && figures("f", &Called::TimedOut(1)).is_empty());
    }

    #[test]
    fn a_database_of_which_nothing_is_counted_is_not_clean() {
        let of = |resource_type, answer: &str| {
            judge(resource_type, "f", &Called::Returned(answer.as_bytes().to_vec()))
        };
        let word = r#"{"verdict": "clean"}"#;
        assert_eq!(of(ResourceType::S3, word).verdict, Verdict::Clean);
        let counted = r#"{"verdict": "clean", "figures": {"rows": 0}}"#;
        assert_eq!(of(ResourceType::Rds, counted).verdict, Verdict::Clean);
        let said = of(ResourceType::Rds, word);
        assert_eq!(said.verdict, Verdict::Unknown);
        assert!(
            said.reasons.iter().any(|why| why.contains("gives no figures")),
            "{said:?}"
        );
        let tainted = of(ResourceType::Efs, r#"{"verdict": "tainted"}"#);
        assert_eq!(tainted.verdict, Verdict::Tainted);
    }

    #[test]
    fn names_that_are_shown_alike_are_different_figures() {
        let long = "x".repeat(130);
        let answer = serde_json::json!({
            "verdict": "clean", "figures": {format!("{long}a"): 1, format!("{long}b"): 2}
        });
        let called = Called::Returned(answer.to_string().into_bytes());
        assert_eq!(figures("f", &called).len(), 2);
    }

    #[test]
    fn a_flood_of_reasons_is_cut() {
        let reasons = vec!["x".repeat(10_000); 500];
        let answer = serde_json::json!({"verdict": "tainted", "reasons": reasons}).to_string();
        let told = said(&answer);
        assert_eq!(told.reasons.len(), REASONS + 2);
        assert!(told.reasons.iter().all(|reason| reason.chars().count() <= 130));
    }
}
