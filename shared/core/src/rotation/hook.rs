//! What is said to a hook of the workload, and what it may answer.

use serde::{Deserialize, Serialize};

/// Longest name of a version.
const LONGEST: usize = 128;

/// The event of a hook. The same token asks for the same replacement: it is made once, however often it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookRequest {
    /// Always `rotate`.
    pub operation: &'static str,
    /// The run.
    pub run: String,
    /// Name of the credential in the plan.
    pub credential: String,
    /// What makes a repeat known.
    pub token: String,
}

/// The answer of a hook: that the credential is new, its consumers use it, and the old one is out of use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookAnswer {
    /// By what the new credential is known: a serial number or an id, never its value.
    pub version: String,
}

/// The answer is none. It is not quoted: it could hold the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the answer is not `{{\"version\": …}}` with up to {LONGEST} letters, digits and `:/._+=-`: see the runbook under `Hooks`"
)]
pub struct NoAnswer;

impl HookAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn read(bytes: &[u8]) -> Result<Self, NoAnswer> {
        let answer: Self = serde_json::from_slice(bytes).map_err(|_| NoAnswer)?;
        let fit = (1..=LONGEST).contains(&answer.version.len())
            && answer
                .version
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b":/._+=-".contains(&b));
        if fit { Ok(answer) } else { Err(NoAnswer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_a_version_and_nothing_else() {
        let read = |text: &str| HookAnswer::read(text.as_bytes());
        assert_eq!(
            read(r#"{"version":"serial:01:af"}"#).unwrap().version,
            "serial:01:af"
        );
        let long = format!(r#"{{"version":"{}"}}"#, "a".repeat(129));
        for bad in [
            "",
            "{}",
            r#"{"version":""}"#,
            r#"{"version":"a b"}"#,
            r#"{"version":"a","key":"secret"}"#,
            r#"{"version":"\u202e"}"#,
            &long,
        ] {
            assert_eq!(read(bad), Err(NoAnswer), "{bad}");
        }
    }
}
