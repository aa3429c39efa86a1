//! Whether the resources of a stack still are what its template says.
//!
//! CloudFormation compares only what a template sets explicitly, and not for every type; what it did not compare is
//! unknown, and unknown is not in sync (`StackResourceDriftStatus` in the CloudFormation API reference).

use std::collections::BTreeMap;

use super::isolation::StackResource;
use super::{CheckStatus, Objection};

/// Differences that are named of one resource; the rest is counted.
const NAMED: usize = 8;

/// What became of a drift detection, which takes minutes (`DescribeStackDriftDetectionStatus`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detection {
    /// It is still at work.
    Running,
    /// It has looked at everything it can look at.
    Complete,
    /// It could not look at something.
    Failed {
        /// Why, where CloudFormation says so.
        why: Option<String>,
    },
}

/// One resource that a detection looked at (`DescribeStackResourceDrifts`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDrift {
    /// Name in the template.
    pub logical_id: String,
    /// Resource type.
    pub resource_type: String,
    /// `IN_SYNC`, `MODIFIED`, `DELETED`, `NOT_CHECKED`, `UNKNOWN` or `UNSUPPORTED`.
    pub status: String,
    /// Why, where CloudFormation says so.
    pub reason: Option<String>,
    /// The properties that differ.
    pub differences: Vec<Difference>,
}

/// One property that differs. Its values stay out of it: they can be secrets, and what is found here is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// JSON pointer of the property.
    pub path: String,
    /// `ADD`, `REMOVE` or `NOT_EQUAL`.
    pub kind: String,
}

/// What a detection said of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftFacts {
    /// What became of it.
    pub detection: Detection,
    /// What it looked at.
    pub resources: Vec<ResourceDrift>,
}

/// Everything that speaks against `stack` being what its template says; empty only if that is known of each of its
/// `resources`.
#[must_use]
pub fn examine(stack: &str, resources: &[StackResource], facts: &DriftFacts) -> Vec<Objection> {
    let mut objections = Vec::new();
    let mut unknown = |what: String| {
        objections.push(Objection {
            subject: stack.to_owned(),
            status: CheckStatus::Unknown,
            what,
        });
    };
    match &facts.detection {
        Detection::Running => unknown("drift detection has not ended".to_owned()),
        Detection::Failed { why } => unknown(format!(
            "drift detection failed: {}",
            why.as_deref().map_or_else(
                || "no reason given".to_owned(),
                |why| why.escape_debug().to_string()
            )
        )),
        Detection::Complete => {}
    }
    let mut seen: BTreeMap<&str, (&str, Option<&ResourceDrift>)> = resources
        .iter()
        .map(|resource| {
            (
                resource.logical_id.as_str(),
                (resource.resource_type.as_str(), None),
            )
        })
        .collect();
    for drift in &facts.resources {
        seen.insert(&drift.logical_id, (&drift.resource_type, Some(drift)));
    }
    for (logical_id, (kind, drift)) in seen {
        if let Some((status, what)) = verdict(drift) {
            objections.push(Objection {
                subject: format!("{stack}/{}", logical_id.escape_debug()),
                status,
                what: format!("{what} ({})", kind.escape_debug()),
            });
        }
    }
    objections
}

/// What speaks against one resource, if anything does.
fn verdict(drift: Option<&ResourceDrift>) -> Option<(CheckStatus, String)> {
    let Some(drift) = drift else {
        return Some((CheckStatus::Unknown, "was not compared".to_owned()));
    };
    let because = drift
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(": {}", reason.escape_debug()));
    match drift.status.as_str() {
        "IN_SYNC" => None,
        "MODIFIED" => {
            let mut differences = drift.differences.clone();
            differences.sort();
            let mut named: Vec<String> = differences
                .iter()
                .take(NAMED)
                .map(|one| format!("`{}` {}", one.path.escape_debug(), one.kind.escape_debug()))
                .collect();
            if differences.len() > NAMED {
                named.push(format!("{} more", differences.len() - NAMED));
            }
            Some((
                CheckStatus::Fail,
                format!("is not what the template says: {}", named.join(", ")),
            ))
        }
        "DELETED" => Some((CheckStatus::Fail, format!("was deleted{because}"))),
        status => Some((
            CheckStatus::Unknown,
            format!("was not compared, it is {}{because}", status.escape_debug()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resource(logical_id: &str) -> StackResource {
        StackResource {
            logical_id: logical_id.to_owned(),
            resource_type: "AWS::SQS::Queue".to_owned(),
            physical_id: Some("q".to_owned()),
            status: "CREATE_COMPLETE".to_owned(),
        }
    }

    fn drift(logical_id: &str, status: &str, paths: &[&str]) -> ResourceDrift {
        ResourceDrift {
            logical_id: logical_id.to_owned(),
            resource_type: "AWS::SQS::Queue".to_owned(),
            status: status.to_owned(),
            reason: None,
            differences: paths
                .iter()
                .map(|path| Difference {
                    path: (*path).to_owned(),
                    kind: "NOT_EQUAL".to_owned(),
                })
                .collect(),
        }
    }

    fn complete(drifts: &[ResourceDrift]) -> DriftFacts {
        DriftFacts {
            detection: Detection::Complete,
            resources: drifts.to_vec(),
        }
    }

    #[test]
    fn what_differs_is_named_by_property_and_what_was_not_compared_is_unknown() {
        let resources = ["A", "B", "C", "D", "E"].map(resource);
        let drifts = [
            drift("A", "IN_SYNC", &[]),
            drift("B", "MODIFIED", &["/RedrivePolicy", "/DelaySeconds"]),
            drift("C", "DELETED", &[]),
            drift("D", "UNSUPPORTED", &[]),
        ];
        let found = examine("app", &resources, &complete(&drifts));
        let told: Vec<_> = found
            .iter()
            .map(|finding| (finding.subject.as_str(), finding.status))
            .collect();
        assert_eq!(
            told,
            [
                ("app/B", CheckStatus::Fail),
                ("app/C", CheckStatus::Fail),
                ("app/D", CheckStatus::Unknown),
                ("app/E", CheckStatus::Unknown),
            ]
        );
        assert!(
            found[0]
                .what
                .contains("`/DelaySeconds` NOT_EQUAL, `/RedrivePolicy` NOT_EQUAL"),
            "{}",
            found[0].what
        );
    }

    #[test]
    fn a_detection_that_did_not_end_well_leaves_the_stack_unknown() {
        for detection in [
            Detection::Running,
            Detection::Failed {
                why: Some("AccessDenied".to_owned()),
            },
        ] {
            let facts = DriftFacts {
                detection,
                resources: vec![drift("A", "IN_SYNC", &[])],
            };
            let found = examine("app", &[resource("A")], &facts);
            assert_eq!(found.len(), 1, "{facts:?}");
            assert_eq!(found[0].status, CheckStatus::Unknown);
            assert_eq!(found[0].subject, "app");
        }
    }

    fn statuses() -> impl Strategy<Value = Option<&'static str>> {
        prop_oneof![
            Just(None),
            Just(Some("IN_SYNC")),
            Just(Some("MODIFIED")),
            Just(Some("DELETED")),
            Just(Some("NOT_CHECKED")),
            Just(Some("UNKNOWN")),
            Just(Some("UNSUPPORTED")),
            Just(Some("SOMETHING_NEW")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn only_what_was_compared_and_is_equal_raises_no_finding(found in proptest::collection::vec(statuses(), 1..6)) {
            let names: Vec<String> = (0..found.len()).map(|i| format!("R{i}")).collect();
            let resources: Vec<_> = names.iter().map(|name| resource(name)).collect();
            let mut drifts: Vec<_> = names
                .iter()
                .zip(&found)
                .filter_map(|(name, status)| status.map(|status| drift(name, status, &["/X"])))
                .collect();
            let objections = examine("app", &resources, &complete(&drifts));
            let in_sync = found.iter().filter(|status| **status == Some("IN_SYNC")).count();
            prop_assert_eq!(objections.len(), found.len() - in_sync);
            drifts.reverse();
            prop_assert_eq!(objections, examine("app", &resources, &complete(&drifts)));
        }
    }
}
