//! Verdicts on single recovery points, kept beyond the run: a point does not change, so it need not be tried twice.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LayerVerdict, Verdict};
use crate::artifact::{ArtifactRef, Digest, NotCanonical, canonical_digest};
use crate::plan::{Invariant, Plan, Resource};
use crate::run::RunId;

/// Counts changes to what the layers and the starter set of YARA rules look for. A verdict of another version is not reused.
pub const LAYERS_VERSION: u32 = 6;

/// How long a verdict is reused: malware signatures and our own eyes get better.
pub const GOOD_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the layers said about one recovery point, under [`crate::ledger::Key::point_verdict`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PointVerdict {
    /// Recovery point ARN.
    pub point: String,
    /// What was looked for: see [`basis`].
    pub basis: Digest,
    /// What each layer said.
    pub layers: BTreeMap<crate::plan::Layer, LayerVerdict>,
    /// The restored content by digest: [`super::ContentManifest`].
    pub manifest: ArtifactRef,
    /// When it was judged.
    pub at: Timestamp,
    /// In which run.
    pub run: RunId,
}

impl PointVerdict {
    /// The worst of the layers.
    #[must_use]
    pub fn worst(&self) -> Verdict {
        self.layers
            .values()
            .map(|said| said.verdict)
            .max()
            .unwrap_or(Verdict::Unknown)
    }

    /// Whether it spares a new trial. Unknown never does: another try may bring an answer.
    #[must_use]
    pub fn is_reusable(&self, now: Timestamp) -> bool {
        self.worst() != Verdict::Unknown && now.duration_since(self.at) <= GOOD_FOR
    }

    /// Whether this may take the place of a recorded verdict: never of a tainted one, and of a clean one only as
    /// newer evidence, not as the lack of it.
    #[must_use]
    pub fn may_replace(&self, recorded: &Self) -> bool {
        match (recorded.worst(), self.worst()) {
            (Verdict::Tainted, _) | (Verdict::Clean, Verdict::Unknown) => false,
            (Verdict::Unknown, _) | (Verdict::Clean, Verdict::Tainted) => true,
            (Verdict::Clean, Verdict::Clean) => self.at > recorded.at,
        }
    }
}

/// What is looked for in a resource. Any difference makes an earlier verdict worthless.
///
/// The layers that the plan requires, its invariants on the resource, its YARA rules, how much may have changed, the template
/// of the resource, and the version of the layers.
///
/// # Errors
/// [`NotCanonical`] never happens for a plan that was read from JSON.
pub fn basis(plan: &Plan, resource: &Resource) -> Result<Digest, NotCanonical> {
    let invariants: Vec<&Invariant> = plan
        .validation
        .invariants
        .iter()
        .filter(|invariant| invariant.resource() == resource.id)
        .collect();
    // By content: where a file lies changes nothing.
    let rules: BTreeSet<&Digest> = plan
        .validation
        .yara_rules
        .iter()
        .map(|file| &file.sha256)
        .collect();
    canonical_digest(&serde_json::json!({
        "version": LAYERS_VERSION,
        "resource": resource.id,
        "type": resource.resource_type,
        "layers": plan.validation.layers,
        "trial": plan.validation.trial,
        "invariants": invariants,
        "yara_rules": rules,
        "max_changed_percent": plan.validation.max_changed_percent,
        "configuration": plan.validation.known_good(&resource.id),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Layer;
    use crate::run::WorkloadName;
    use crate::validation::testing::{at, plan};

    fn said(verdict: Verdict, minutes: i64) -> PointVerdict {
        PointVerdict {
            point: "p".to_owned(),
            basis: Digest::of(b""),
            layers: BTreeMap::from([(Layer::ContentScan, LayerVerdict::new(verdict, "r"))]),
            manifest: ArtifactRef {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
                version: None,
                sha256: Digest::of(b""),
                bytes: 0,
            },
            at: at(minutes),
            run: RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x"),
        }
    }

    #[test]
    fn only_a_recent_answer_is_reused() {
        assert!(said(Verdict::Clean, 0).is_reusable(at(7 * 1440)));
        assert!(!said(Verdict::Clean, 0).is_reusable(at(7 * 1440 + 1)));
        assert!(said(Verdict::Tainted, 0).is_reusable(at(1)));
        assert!(!said(Verdict::Unknown, 0).is_reusable(at(1)));
    }

    #[test]
    fn tainted_stays_and_clean_gives_way_only_to_evidence() {
        let (clean, unknown, tainted) = (Verdict::Clean, Verdict::Unknown, Verdict::Tainted);
        for (old, new, expected) in [
            (tainted, clean, false),
            (tainted, unknown, false),
            (clean, unknown, false),
            (clean, tainted, true),
            (clean, clean, true),
            (unknown, clean, true),
        ] {
            assert_eq!(
                said(new, 1).may_replace(&said(old, 0)),
                expected,
                "{old:?} {new:?}"
            );
        }
        assert!(!said(clean, 0).may_replace(&said(clean, 1)));
    }

    #[test]
    fn another_layer_or_invariant_is_another_basis() {
        let plan = plan();
        let before = basis(&plan, &plan.resources[0]).unwrap();
        assert_ne!(before, basis(&plan, &plan.resources[1]).unwrap());
        let mut fewer = plan.clone();
        fewer.validation.layers.remove(&Layer::MalwareScan);
        assert_ne!(before, basis(&fewer, &plan.resources[0]).unwrap());
        let mut ruled = plan.clone();
        ruled.validation.yara_rules.push(crate::plan::RuleFile {
            key: "rules/own.yar".to_owned(),
            sha256: Digest::of(b"rule"),
        });
        assert_ne!(before, basis(&ruled, &plan.resources[0]).unwrap());
        let mut other = plan.clone();
        other.validation.invariants.push(Invariant::MinimumItems {
            resource: "table".to_owned(),
            minimum: 1,
        });
        assert_eq!(before, basis(&other, &plan.resources[0]).unwrap());
        assert_ne!(
            basis(&plan, &plan.resources[1]).unwrap(),
            basis(&other, &plan.resources[1]).unwrap()
        );
    }
}
