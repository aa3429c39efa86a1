//! Whether what was restored is what was validated.

use std::collections::BTreeSet;

use super::RestoredResource;
use super::request::RestoreRequest;
use crate::artifact::canonical_digest;
use crate::plan::Problem;
use crate::validation::{ContentManifest, LayerVerdict, Verdict};

/// How many differences of one resource are named; the rest is counted.
const NAMED: usize = 10;

/// What was restored is not what was validated. Holds every reason.
#[derive(Debug, thiserror::Error)]
#[error("the restored data is not the validated data, {} reason(s): {}", .0.len(), join(.0))]
pub struct NotAsValidated(pub Vec<Problem>);

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What was found in one restored resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its content.
    pub content: ContentManifest,
    /// What the plan's invariants say about it.
    pub invariants: LayerVerdict,
}

/// Compares one restored resource with the manifest that was validated, by digest, and reads its invariants.
///
/// `made` is the ARN of what was restored. `validated` only serves to name the differences.
///
/// # Errors
/// Every reason why it is not the same.
pub fn verify(
    request: &RestoreRequest,
    made: &str,
    found: &Found,
    validated: Option<&ContentManifest>,
) -> Result<RestoredResource, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut problem = |what: String| {
        problems.push(Problem {
            at: request.resource.clone(),
            what,
        });
    };
    match canonical_digest(&found.content) {
        Ok(digest) if digest == request.manifest => {}
        Ok(digest) => problem(format!(
            "its content has the digest {digest}, {} was validated: {}",
            request.manifest,
            differences(&found.content, validated)
        )),
        Err(error) => problem(format!("its content cannot be compared: {error}")),
    }
    if found.invariants.verdict != Verdict::Clean {
        problem(format!(
            "an invariant is not proven to hold: {}",
            found.invariants.reasons.join(", ")
        ));
    }
    if problems.is_empty() {
        Ok(RestoredResource {
            resource: request.resource.clone(),
            resource_type: request.resource_type,
            recovery_point: request.recovery_point.clone(),
            arn: made.to_owned(),
            entries: u64::try_from(found.content.entries.len()).unwrap_or(u64::MAX),
            manifest: request.manifest.clone(),
        })
    } else {
        Err(problems)
    }
}

fn differences(found: &ContentManifest, validated: Option<&ContentManifest>) -> String {
    let Some(validated) = validated else {
        return "the validated manifest is not at hand".to_owned();
    };
    let keys: BTreeSet<&String> = found.entries.keys().chain(validated.entries.keys()).collect();
    let mut named = Vec::new();
    let mut count = 0_usize;
    for key in keys {
        let what = match (validated.entries.get(key), found.entries.get(key)) {
            (Some(wanted), Some(found)) if wanted == found => continue,
            (Some(_), Some(_)) => "differs",
            (Some(_), None) => "is missing",
            (None, _) => "was not there",
        };
        count = count.saturating_add(1);
        if named.len() < NAMED {
            named.push(format!("`{}` {what}", key.escape_debug()));
        }
    }
    let more = count.saturating_sub(named.len());
    let mut text = named.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
