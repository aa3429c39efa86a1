//! The YARA rules in force: the starter set, and the files that the plan names as they were when the run was opened.

use std::sync::Arc;

use blackstart_core::artifact::Digest;
use blackstart_core::plan::{Plan, RuleFile, ValidationPlan};
use blackstart_core::run::RunId;
use blackstart_core::validation::content::Signatures;
use blackstart_yara::{RuleProblem, Rules};

use crate::deps::RunRecords;
use crate::error::ValidationError;

/// Reads and compiles the rules.
///
/// Rules that cannot be applied would have found nobody knows what, so no set could be clean without them: it is better
/// to say so before the first trial.
///
/// # Errors
/// [`ValidationError::Rules`] with every problem of every file.
pub(crate) async fn load<R: RunRecords>(
    records: &R,
    run: &RunId,
    plan: &Plan,
) -> Result<Arc<dyn Signatures>, ValidationError> {
    let mut texts = Vec::new();
    let mut problems = Vec::new();
    for file in &plan.validation.yara_rules {
        let frozen = records.frozen(run, &ValidationPlan::frozen_rules(file)).await?;
        match read(file, frozen) {
            Ok(text) => texts.push((file.key.as_str(), text)),
            Err(what) => problems.push(RuleProblem {
                file: file.key.clone(),
                line: 1,
                what,
            }),
        }
    }
    match Rules::compile(texts.iter().map(|(name, text)| (*name, text.as_str()))) {
        Ok(rules) if problems.is_empty() => Ok(Arc::new(rules)),
        Ok(_) => Err(ValidationError::Rules(problems)),
        Err(more) => {
            problems.extend(more);
            Err(ValidationError::Rules(problems))
        }
    }
}

fn read(file: &RuleFile, frozen: Option<Vec<u8>>) -> Result<String, String> {
    let Some(bytes) = frozen else {
        return Err(format!(
            "was not in the bucket of the plans with the digest {} when the run was opened",
            file.sha256
        ));
    };
    if Digest::of(&bytes) != file.sha256 {
        return Err(format!(
            "does not have the digest {} that the plan names",
            file.sha256
        ));
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}
