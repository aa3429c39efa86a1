//! The final choice: which set goes before the approvers, and why none of the newer ones.

use std::collections::BTreeMap;

use super::cost::Budget;
use super::log_review;
use super::walk::{self, Pace, is_eligible};
use super::{
    CandidateDocument, Considered, RecoverySet, SELECTION_SCHEMA, SelectionDocument, SetVerdict, Verdict,
};
use crate::task::validation::NextRound;
use crate::timeline::CurrentBoundary;

/// What the final boundary and the verdicts say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// This set goes before the approvers.
    Selected(Box<SelectionDocument>),
    /// Eligible sets that could be newer than any known clean one have no verdict yet.
    NeedsValidation,
    /// No eligible set is clean.
    NoCleanPoint {
        /// Why, for people.
        reason: String,
    },
}

/// Decides under the final boundary. The same function as the walk's, so both always agree.
#[must_use]
pub fn select(
    candidates: &CandidateDocument,
    verdicts: &BTreeMap<String, SetVerdict>,
    boundary: &CurrentBoundary,
    reviewed: &BTreeMap<String, Vec<String>>,
    pace: Pace,
    budget: Option<&Budget>,
) -> Selection {
    let mut known = verdicts
        .iter()
        .map(|(id, said)| (id.clone(), said.verdict))
        .collect();
    log_review::apply(&mut known, reviewed);
    match walk::next(&candidates.sets, &known, Some(boundary.boundary), pace, budget) {
        NextRound::Validate { .. } => Selection::NeedsValidation,
        NextRound::OverCeiling { reason } => Selection::NoCleanPoint { reason },
        NextRound::Exhausted {} => Selection::NoCleanPoint {
            reason: why_none(candidates, verdicts, boundary, reviewed, pace),
        },
        NextRound::Found { set: id } => {
            let chosen = candidates.sets.iter().find(|set| set.id == id);
            match (chosen, verdicts.get(&id)) {
                (Some(set), Some(verdict)) => Selection::Selected(Box::new(SelectionDocument {
                    schema: SELECTION_SCHEMA.to_owned(),
                    set: set.clone(),
                    verdict: verdict.clone(),
                    boundary: boundary.clone(),
                    considered: considered(candidates, verdicts, boundary, reviewed, pace, Some(set)),
                    cost: budget.map(Budget::estimate),
                })),
                (None, _) | (_, None) => Selection::NeedsValidation,
            }
        }
    }
}

/// What became of every set, newest first.
#[must_use]
pub fn considered(
    candidates: &CandidateDocument,
    verdicts: &BTreeMap<String, SetVerdict>,
    boundary: &CurrentBoundary,
    reviewed: &BTreeMap<String, Vec<String>>,
    pace: Pace,
    chosen: Option<&RecoverySet>,
) -> Vec<Considered> {
    let mut looked_at = 0_usize;
    candidates
        .sets
        .iter()
        .map(|set| {
            let eligible = is_eligible(set, Some(boundary.boundary), pace.margin);
            looked_at = looked_at.saturating_add(usize::from(eligible));
            let verdict = verdicts.get(&set.id);
            let mut reasons = reviewed.get(&set.id).cloned().unwrap_or_default();
            let doubted = !reasons.is_empty();
            if !eligible {
                reasons.push(format!(
                    "its newest point, {}, does not precede the boundary {} by more than {:#}",
                    set.newest, boundary.boundary, pace.margin
                ));
            }
            if let Some(said) = verdict {
                reasons.extend(why(said));
            } else if eligible && looked_at > pace.max_sets {
                reasons.push(format!("beyond the plan's limit of {} sets", pace.max_sets));
            } else if eligible && chosen.is_some_and(|chosen| set.newest < chosen.newest) {
                reasons.push("older than the chosen set".to_owned());
            }
            if chosen.is_some_and(|chosen| chosen.id == set.id) {
                reasons.insert(0, "chosen: the newest eligible set that is clean".to_owned());
            }
            Considered {
                set: set.id.clone(),
                newest: set.newest,
                eligible,
                verdict: verdict.map(|said| {
                    if doubted {
                        said.verdict.max(Verdict::Unknown)
                    } else {
                        said.verdict
                    }
                }),
                reasons,
            }
        })
        .collect()
}

/// The reasons of the layers that decided: all of them for a clean set, the worst ones for any other.
fn why(said: &SetVerdict) -> Vec<String> {
    said.layers
        .iter()
        .filter(|(_, layer)| said.verdict == Verdict::Clean || layer.verdict != Verdict::Clean)
        .flat_map(|(name, layer)| {
            let verdict: &str = layer.verdict.into();
            let name: &str = name.into();
            layer
                .reasons
                .iter()
                .map(move |reason| format!("{name} {verdict}: {reason}"))
        })
        .collect()
}

fn why_none(
    candidates: &CandidateDocument,
    verdicts: &BTreeMap<String, SetVerdict>,
    boundary: &CurrentBoundary,
    reviewed: &BTreeMap<String, Vec<String>>,
    pace: Pace,
) -> String {
    if candidates.sets.is_empty() {
        return format!(
            "the vault holds no complete recovery set; {} recovery point(s) were dropped",
            candidates.dropped.len()
        );
    }
    let considered = considered(candidates, verdicts, boundary, reviewed, pace, None);
    let eligible: Vec<&Considered> = considered.iter().filter(|set| set.eligible).collect();
    if eligible.is_empty() {
        return format!(
            "none of the {} recovery set(s) precedes the boundary {} by more than {:#}",
            considered.len(),
            boundary.boundary,
            pace.margin
        );
    }
    let count = |verdict| eligible.iter().filter(|set| set.verdict == Some(verdict)).count();
    let beyond = eligible.len().saturating_sub(pace.max_sets);
    format!(
        "of {} eligible recovery set(s) none is clean: {} tainted, {} unknown, {beyond} beyond the plan's limit of {} sets",
        eligible.len(),
        count(Verdict::Tainted),
        count(Verdict::Unknown),
        pace.max_sets
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{ArtifactRef, Digest};
    use crate::plan::Layer;
    use crate::validation::testing::{at, set};
    use crate::validation::{CANDIDATES_SCHEMA, LayerVerdict};

    fn candidates() -> CandidateDocument {
        CandidateDocument {
            schema: CANDIDATES_SCHEMA.to_owned(),
            sets: vec![
                set("late", 400),
                set("mid", 300),
                set("old", 200),
                set("older", 100),
            ],
            dropped: vec![],
            known_clean: BTreeMap::new(),
        }
    }

    fn boundary(minutes: i64) -> CurrentBoundary {
        CurrentBoundary {
            boundary: at(minutes),
            document: ArtifactRef {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
                version: None,
                sha256: Digest::of(b""),
                bytes: 0,
            },
        }
    }

    fn said(id: &str, verdict: Verdict) -> (String, SetVerdict) {
        let layer = LayerVerdict::new(verdict, "data: because");
        let said = SetVerdict {
            set: id.to_owned(),
            verdict,
            layers: BTreeMap::from([(Layer::ContentScan, layer)]),
            manifests: BTreeMap::new(),
            at: at(0),
        };
        (id.to_owned(), said)
    }

    fn pace() -> Pace {
        Pace {
            margin: jiff::SignedDuration::from_mins(60),
            speculation: 2,
            max_sets: 12,
        }
    }

    #[test]
    fn the_choice_says_why_no_newer_set_was_taken() {
        let verdicts = BTreeMap::from([
            said("late", Verdict::Clean),
            said("mid", Verdict::Tainted),
            said("old", Verdict::Clean),
        ]);
        let Selection::Selected(document) = select(
            &candidates(),
            &verdicts,
            &boundary(400),
            &BTreeMap::new(),
            pace(),
            None,
        ) else {
            panic!("nothing was selected");
        };
        assert_eq!(document.set.id, "old");
        let told: Vec<(bool, Option<Verdict>)> = document
            .considered
            .iter()
            .map(|set| (set.eligible, set.verdict))
            .collect();
        assert_eq!(
            told,
            [
                (false, Some(Verdict::Clean)),
                (true, Some(Verdict::Tainted)),
                (true, Some(Verdict::Clean)),
                (true, None)
            ]
        );
        assert!(document.considered.iter().all(|set| !set.reasons.is_empty()));
        assert_eq!(
            document.considered[1].reasons,
            ["content_scan tainted: data: because"]
        );
    }

    #[test]
    fn an_earlier_boundary_changes_the_choice_and_reuses_the_verdicts() {
        let mut verdicts = BTreeMap::from([said("late", Verdict::Clean)]);
        let Selection::Selected(document) = select(
            &candidates(),
            &verdicts,
            &boundary(461),
            &BTreeMap::new(),
            pace(),
            None,
        ) else {
            panic!("nothing was selected");
        };
        assert_eq!(document.set.id, "late");
        assert_eq!(
            select(
                &candidates(),
                &verdicts,
                &boundary(300),
                &BTreeMap::new(),
                pace(),
                None
            ),
            Selection::NeedsValidation
        );
        verdicts.extend([said("old", Verdict::Clean)]);
        let Selection::Selected(document) = select(
            &candidates(),
            &verdicts,
            &boundary(300),
            &BTreeMap::new(),
            pace(),
            None,
        ) else {
            panic!("nothing was selected");
        };
        assert_eq!(document.set.id, "old");
    }

    #[test]
    fn a_set_that_the_log_review_doubts_is_passed_over_with_its_reason() {
        let verdicts = BTreeMap::from([said("mid", Verdict::Clean), said("old", Verdict::Clean)]);
        let reviewed = BTreeMap::from([("mid".to_owned(), vec!["log_review unknown: why".to_owned()])]);
        let Selection::Selected(document) =
            select(&candidates(), &verdicts, &boundary(400), &reviewed, pace(), None)
        else {
            panic!("nothing was selected");
        };
        assert_eq!(document.set.id, "old");
        assert_eq!(document.considered[1].verdict, Some(Verdict::Unknown));
        assert_eq!(document.considered[1].reasons[0], "log_review unknown: why");
    }

    #[test]
    fn no_clean_point_says_why() {
        let reason = |verdicts: &BTreeMap<String, SetVerdict>, minutes, max_sets| {
            let pace = Pace { max_sets, ..pace() };
            match select(
                &candidates(),
                verdicts,
                &boundary(minutes),
                &BTreeMap::new(),
                pace,
                None,
            ) {
                Selection::NoCleanPoint { reason } => reason,
                other @ (Selection::Selected(_) | Selection::NeedsValidation) => panic!("{other:?}"),
            }
        };
        let verdicts = BTreeMap::from([said("mid", Verdict::Unknown), said("old", Verdict::Tainted)]);
        assert!(reason(&BTreeMap::new(), 100, 12).contains("none of the 4 recovery set(s) precedes"));
        let told = reason(&verdicts, 400, 2);
        assert!(told.contains("1 tainted, 1 unknown, 1 beyond"), "{told}");
    }
}
