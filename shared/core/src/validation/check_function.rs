//! A function of the validation account that looks at a restored resource and gives a verdict.
//!
//! For what cannot be judged from outside: start the database, run the queries, mount the file system. The function is
//! called once per trial, synchronously, with a [`Question`], and answers with an [`Answer`]. Whatever else it does
//! (time out, fail, answer something else) is unknown, and unknown is never clean.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::shown;
use super::{LayerVerdict, Verdict};
use crate::plan::ResourceType;

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
    /// Figures worth keeping, for people.
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

/// What that says about the resource.
#[must_use]
pub fn judge(function: &str, called: &Called) -> LayerVerdict {
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
    LayerVerdict {
        verdict: answer.verdict,
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &str) -> LayerVerdict {
        judge(
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
            assert_eq!(judge("f", &called).verdict, Verdict::Unknown);
        }
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
