//! Log review: what the timeline says about a resource while one of its recovery points was being made.
//!
//! A set that precedes the boundary cannot hold an act of the actor that set it. But the timeline also knows strong
//! indicators of others, which did not set the boundary ([`BoundaryDocument::suspects`]). If one of them touches a
//! resource inside the backup window of its point, nobody knows what the backup holds, and the set is unknown.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::content::shown;
use super::{Candidate, CandidateDocument, RecoverySet, Verdict};
use crate::timeline::{BoundaryDocument, Reason};

/// Services whose acts can touch the backup of any resource.
const ANY_RESOURCE: [&str; 2] = ["backup", "kms"];

/// Set id to what speaks against it; sets without such a reason are not mentioned.
#[must_use]
pub fn review(candidates: &CandidateDocument, boundary: &BoundaryDocument) -> BTreeMap<String, Vec<String>> {
    candidates
        .sets
        .iter()
        .map(|set| (set.id.clone(), of_set(set, &boundary.suspects)))
        .filter(|(_, reasons)| !reasons.is_empty())
        .collect()
}

/// The verdicts with the review applied: what was clean is unknown where the review has a reason.
pub fn apply(verdicts: &mut BTreeMap<String, Verdict>, reviewed: &BTreeMap<String, Vec<String>>) {
    for (set, verdict) in verdicts {
        if reviewed.contains_key(set) {
            *verdict = Verdict::Unknown.max(*verdict);
        }
    }
}

fn of_set(set: &RecoverySet, suspects: &[Reason]) -> Vec<String> {
    set.points
        .iter()
        .flat_map(|(resource, point)| {
            suspects
                .iter()
                .filter(|reason| touches(reason, point))
                .map(move |reason| {
                    format!(
                        "log_review unknown: {resource}: `{}` ({}) at {} lies in the backup window from {} to {}",
                        shown(&reason.what),
                        reason.indicator,
                        reason.at,
                        window(point).0,
                        point.latest
                    )
                })
        })
        .collect()
}

/// Whether the act is of the resource's service and lies in the window. The timeline names the call and not the
/// resource, so every resource of the service counts as touched.
fn touches(reason: &Reason, point: &Candidate) -> bool {
    let (from, to) = window(point);
    let service = reason.what.split(':').next().unwrap_or_default();
    let own = point.resource_type.service();
    (from..=to).contains(&reason.at) && (service == own || ANY_RESOURCE.contains(&service))
}

fn window(point: &Candidate) -> (Timestamp, Timestamp) {
    (point.begun.unwrap_or(point.latest), point.latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Digest;
    use crate::timeline::{Coverage, Evidence, SCHEMA};
    use crate::validation::testing::{at, set};

    fn boundary(acts: &[(i64, &str)]) -> BoundaryDocument {
        BoundaryDocument {
            schema: SCHEMA.to_owned(),
            boundary: None,
            actors: Vec::new(),
            suspects: acts
                .iter()
                .map(|(minute, what)| Reason {
                    at: at(*minute),
                    what: (*what).to_owned(),
                    indicator: "s3.mass-delete".to_owned(),
                    evidence: Evidence {
                        object: "o".to_owned(),
                        sha256: Digest::of(b""),
                        record: 0,
                        event_id: "e".to_owned(),
                    },
                })
                .collect(),
            coverage: Coverage::default(),
        }
    }

    fn reviewed(acts: &[(i64, &str)]) -> Vec<String> {
        let mut sets = vec![set("new", 300), set("old", 200)];
        for set in &mut sets {
            for point in set.points.values_mut() {
                point.begun = Some(point.latest - jiff::SignedDuration::from_mins(20));
            }
        }
        let candidates = CandidateDocument {
            schema: String::new(),
            sets,
            dropped: Vec::new(),
            known_clean: BTreeMap::new(),
        };
        review(&candidates, &boundary(acts)).into_keys().collect()
    }

    #[test]
    fn an_act_of_the_service_inside_the_window_makes_the_set_unknown() {
        assert_eq!(reviewed(&[(290, "s3:DeleteObject")]), ["new"]);
        assert_eq!(
            reviewed(&[(280, "s3:DeleteObject"), (200, "backup:StopBackupJob")]),
            ["new", "old"]
        );
        for outside in [
            (279, "s3:DeleteObject"),
            (301, "s3:DeleteObject"),
            (290, "iam:CreateUser"),
            (290, ""),
        ] {
            assert_eq!(reviewed(&[outside]), [""; 0], "{outside:?}");
        }
    }

    #[test]
    fn clean_becomes_unknown_and_tainted_stays() {
        let mut verdicts = BTreeMap::from([
            ("a".to_owned(), Verdict::Clean),
            ("b".to_owned(), Verdict::Tainted),
            ("c".to_owned(), Verdict::Clean),
        ]);
        let reviewed = BTreeMap::from([
            ("a".to_owned(), vec![String::new()]),
            ("b".to_owned(), vec![String::new()]),
        ]);
        apply(&mut verdicts, &reviewed);
        let said: Vec<Verdict> = verdicts.into_values().collect();
        assert_eq!(said, [Verdict::Unknown, Verdict::Tainted, Verdict::Clean]);
    }
}
