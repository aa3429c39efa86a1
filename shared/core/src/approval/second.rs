//! The second gate: the finished cutover plan is put before the approvers by the same machinery.
//!
//! What is approved first holds every document that may change and the rule by which. What is only known after the
//! restore completes the plan within that rule, and a plan can ask that people see the result before its first effect.

use jiff::Timestamp;

use super::package::{PackageRefused, Sealed, expiries, seal};
use super::{DecisionPackage, FinishedPlan};
use crate::artifact::{ArtifactRef, Digest};
use crate::cutover::CutoverDocument;
use crate::plan::{ApprovalPlan, Problem};

/// The package of the second gate: the first one with the finished plan in it, and with expiries of its own.
///
/// # Errors
/// [`PackageRefused`] when the cutover plan was computed under another package, or the first is itself a second one.
pub fn package(
    first: &DecisionPackage,
    follows: &Digest,
    cutover: (&CutoverDocument, &ArtifactRef),
    rules: &ApprovalPlan,
    now: Timestamp,
) -> Result<Sealed, PackageRefused> {
    let (document, artifact) = cutover;
    let mut problems = Vec::new();
    let mut problem = |at: &str, what: &str| {
        problems.push(Problem {
            at: at.to_owned(),
            what: what.to_owned(),
        });
    };
    if first.finished.is_some() {
        problem("package.finished", "is there already: there is no third gate");
    }
    if document.package != *follows {
        problem(
            "cutover.package",
            "is another package than the one that was approved",
        );
    }
    let expiries = expiries(rules, now);
    if expiries.is_none() {
        problem("plan.approval", "has an expiry beyond the calendar");
    }
    let (Some((decide_by, execute_by)), true) = (expiries, problems.is_empty()) else {
        return Err(PackageRefused::Inconsistent(problems));
    };
    let second = DecisionPackage {
        finished: Some(FinishedPlan {
            follows: follows.clone(),
            cutover: artifact.clone(),
        }),
        decide_by,
        execute_by,
        ..first.clone()
    };
    seal(second).map_err(PackageRefused::Unwritable)
}

/// Whether a package is that of the second gate for exactly this cutover plan under exactly this first package.
#[must_use]
pub fn is_for(second: &DecisionPackage, first: &Digest, cutover: &ArtifactRef) -> bool {
    let finished = second.finished.as_ref();
    finished.is_some_and(|finished| finished.follows == *first && finished.cutover.sha256 == cutover.sha256)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::approval::fixtures::{NOW, artifact, inputs, plan};

    fn cutover(package: &Digest) -> CutoverDocument {
        serde_json::from_value(json!({
            "schema": "blackstart.cutover/1", "package": package, "steps": [],
            "traffic": {"zone": "Z1", "before": [], "after": []},
        }))
        .unwrap()
    }

    #[test]
    fn the_second_package_is_the_first_with_the_finished_plan_and_its_own_time() {
        let first = inputs().build().unwrap();
        let later = NOW.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_hours(5);
        let (document, place) = (cutover(&first.digest), artifact("cutover"));
        let make = |place: &ArtifactRef| {
            package(
                &first.package,
                &first.digest,
                (&document, place),
                &plan().approval,
                later,
            )
            .unwrap()
        };
        let second = make(&place);
        assert_ne!(second.digest, first.digest);
        assert_eq!(
            second.package.decide_by,
            first.package.decide_by + jiff::SignedDuration::from_hours(5)
        );
        assert_eq!(second.package.references, first.package.references);
        assert!(is_for(&second.package, &first.digest, &place));
        // It approves this plan under this package, and nothing else.
        assert!(!is_for(&second.package, &first.digest, &artifact("other")));
        assert!(!is_for(&second.package, &second.digest, &place));
        assert!(!is_for(&first.package, &first.digest, &place));
        assert_ne!(make(&artifact("other")).digest, second.digest);
    }

    #[test]
    fn a_plan_under_another_package_and_a_third_gate_are_refused() {
        let first = inputs().build().unwrap();
        let (now, place) = (NOW.parse().unwrap(), artifact("cutover"));
        let foreign = cutover(&Digest::of(b"other"));
        assert!(
            package(
                &first.package,
                &first.digest,
                (&foreign, &place),
                &plan().approval,
                now
            )
            .is_err()
        );
        let own = cutover(&first.digest);
        let second = package(
            &first.package,
            &first.digest,
            (&own, &place),
            &plan().approval,
            now,
        )
        .unwrap();
        let next = cutover(&second.digest);
        assert!(
            package(
                &second.package,
                &second.digest,
                (&next, &place),
                &plan().approval,
                now
            )
            .is_err()
        );
    }
}
