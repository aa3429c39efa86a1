//! The walk over the recovery sets: newest first, several at a time, before the boundary is known.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::cost::Budget;
use super::{RecoverySet, Verdict};
use crate::plan::Plan;
use crate::task::validation::NextRound;

/// What steers the walk. None of it but `max_sets` may change which set is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A set must precede the boundary by more than this.
    pub margin: SignedDuration,
    /// How many sets are validated at once.
    pub speculation: usize,
    /// How many eligible sets are looked at, newest first. It counts eligible sets and not validations, so that
    /// sets validated in vain before the boundary was known cannot crowd out the one that would have been found.
    pub max_sets: usize,
}

impl Pace {
    /// As the plan says.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            margin: SignedDuration::from_mins(i64::from(plan.timeline.margin_minutes)),
            speculation: usize::from(plan.validation.speculation).max(1),
            max_sets: usize::from(plan.validation.max_sets),
        }
    }
}

/// Whether a set may be restored: its newest point must precede the boundary minus the margin.
///
/// Without a boundary every set is eligible, for validation only; selection needs a boundary.
#[must_use]
pub fn is_eligible(set: &RecoverySet, boundary: Option<Timestamp>, margin: SignedDuration) -> bool {
    boundary.is_none_or(|boundary| boundary.checked_sub(margin).is_ok_and(|limit| set.newest < limit))
}

/// What the walk can still come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead<'a> {
    /// Eligible sets without a verdict, newest first, and none older than a known clean one.
    pub waiting: Vec<&'a RecoverySet>,
    /// The newest eligible set that is known to be clean. It is found once nothing is waiting.
    pub clean: Option<&'a RecoverySet>,
}

/// What the walk can still come to: nothing beyond `max_sets` eligible sets, and nothing older than a known clean one.
///
/// `sets` must be newest first, as in [`super::CandidateDocument`].
#[must_use]
pub fn ahead<'a>(
    sets: &'a [RecoverySet],
    verdicts: &BTreeMap<String, Verdict>,
    boundary: Option<Timestamp>,
    pace: Pace,
) -> Ahead<'a> {
    let mut ahead = Ahead::default();
    let eligible = sets
        .iter()
        .filter(|set| is_eligible(set, boundary, pace.margin))
        .take(pace.max_sets);
    for set in eligible {
        match verdicts.get(&set.id) {
            Some(Verdict::Clean) => {
                ahead.clean = Some(set);
                break;
            }
            Some(Verdict::Unknown | Verdict::Tainted) => {}
            None => ahead.waiting.push(set),
        }
    }
    ahead
}

/// Says what to do next.
///
/// A set is found only when every newer eligible set has a verdict that is not clean; nothing older than a known clean set
/// is ever validated. With a `budget`, only what fits under its ceiling is validated, and never an older set instead of a
/// newer one: what is clean and older is named then, for a person to decide.
#[must_use]
pub fn next(
    sets: &[RecoverySet],
    verdicts: &BTreeMap<String, Verdict>,
    boundary: Option<Timestamp>,
    pace: Pace,
    budget: Option<&Budget>,
) -> NextRound {
    let Ahead { waiting, clean } = ahead(sets, verdicts, boundary, pace);
    if waiting.is_empty() {
        return match clean {
            Some(set) => NextRound::Found { set: set.id.clone() },
            None => NextRound::Exhausted {},
        };
    }
    let round: Vec<String> = waiting
        .iter()
        .take(pace.speculation.max(1))
        .map(|set| set.id.clone())
        .collect();
    match budget.map(|budget| budget.affordable(&round)) {
        None => NextRound::Validate { sets: round },
        Some(Ok(sets)) => NextRound::Validate { sets },
        Some(Err(reason)) => NextRound::OverCeiling {
            reason: match clean {
                Some(set) => format!(
                    "{reason}; set {}, whose newest point is of {}, is clean, and is chosen only once nothing newer is without \
                     a verdict",
                    set.id, set.newest
                ),
                None => reason,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::Amount;
    use crate::validation::testing::{at, set};

    fn pace(speculation: usize, max_sets: usize) -> Pace {
        Pace {
            margin: SignedDuration::from_mins(60),
            speculation,
            max_sets,
        }
    }

    /// One set after the other, with the boundary known from the start.
    fn sequential(
        sets: &[RecoverySet],
        truth: &BTreeMap<String, Verdict>,
        boundary: Timestamp,
        max_sets: usize,
    ) -> Option<String> {
        let limit = boundary - SignedDuration::from_mins(60);
        sets.iter()
            .filter(|set| set.newest < limit)
            .take(max_sets)
            .find(|set| truth[&set.id] == Verdict::Clean)
            .map(|set| set.id.clone())
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Clean),
            Just(Verdict::Unknown),
            Just(Verdict::Tainted)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// For every width, order of arrival and sequence of boundary moves: the answer of the sequential walk.
        #[test]
        fn the_walk_finds_what_the_sequential_walk_finds(
            truth in prop::collection::vec(verdict(), 0..14),
            speculation in 1_usize..6,
            max_sets in 1_usize..14,
            moves in prop::collection::vec(prop::option::of(0_i64..20), 0..24),
            last in 0_i64..20,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
        ) {
            let newest = i64::try_from(truth.len()).unwrap();
            let sets: Vec<RecoverySet> = (0..truth.len())
                .map(|i| set(&format!("s{i:02}"), (newest - i64::try_from(i).unwrap()) * 60))
                .collect();
            let truth: BTreeMap<String, Verdict> =
                sets.iter().map(|set| set.id.clone()).zip(truth).collect();
            let pace = pace(speculation, max_sets);

            let mut verdicts = BTreeMap::new();
            let mut boundary: Option<Timestamp> = None;
            let mut moves = moves.into_iter();
            let mut picks = picks.into_iter().cycle();
            let mut settled = false;
            loop {
                // The boundary appears late and then only moves earlier.
                match moves.next() {
                    Some(Some(hour)) => {
                        let moved = at(hour * 60 + 30);
                        boundary = Some(boundary.map_or(moved, |known| known.min(moved)));
                    }
                    Some(None) => {}
                    None if !settled => {
                        let moved = at(last * 60 + 30);
                        boundary = Some(boundary.map_or(moved, |known| known.min(moved)));
                        settled = true;
                    }
                    None => {}
                }
                match next(&sets, &verdicts, boundary, pace, None) {
                    NextRound::Validate { sets: round } => {
                        prop_assert!(!round.is_empty() && round.len() <= speculation);
                        prop_assert!(round.iter().all(|id| !verdicts.contains_key(id)));
                        // Only one of the round arrives before the walk looks again.
                        let id = picks.next().unwrap().get(&round);
                        verdicts.insert(id.clone(), truth[id]);
                    }
                    answer @ (NextRound::Found { .. } | NextRound::Exhausted {}) if settled => {
                        let found = match answer {
                            NextRound::Found { set } => Some(set),
                            NextRound::Exhausted {}
                            | NextRound::OverCeiling { .. }
                            | NextRound::Validate { .. } => None,
                        };
                        prop_assert_eq!(found, sequential(&sets, &truth, boundary.unwrap(), max_sets));
                        break;
                    }
                    NextRound::Found { .. } | NextRound::Exhausted {} | NextRound::OverCeiling { .. } => {}
                }
            }
        }

        /// A ceiling is kept whatever the width, and changes whether a set is found, never which.
        #[test]
        fn a_ceiling_is_kept_and_changes_no_choice(
            truth in prop::collection::vec((verdict(), 0_u32..9), 1..12),
            speculation in 1_usize..6,
            ceiling in 0_u32..60,
        ) {
            let newest = i64::try_from(truth.len()).unwrap();
            let sets: Vec<RecoverySet> = (0..truth.len())
                .map(|i| set(&format!("s{i:02}"), (newest - i64::try_from(i).unwrap()) * 60))
                .collect();
            let price = |units: u32| Amount::try_from(units.to_string()).unwrap();
            let costs: BTreeMap<String, u32> =
                sets.iter().map(|set| set.id.clone()).zip(truth.iter().map(|(_, cost)| *cost)).collect();
            let truth: BTreeMap<String, Verdict> =
                sets.iter().map(|set| set.id.clone()).zip(truth.iter().map(|(verdict, _)| *verdict)).collect();
            let boundary = at(100_000);
            let (mut verdicts, mut spent) = (BTreeMap::new(), 0);
            let ended = loop {
                let budget = Budget {
                    currency: "USD".to_owned(),
                    ceiling: price(ceiling),
                    spent: price(spent),
                    trials: costs.iter().map(|(id, cost)| (id.clone(), Ok(price(*cost)))).collect(),
                };
                match next(&sets, &verdicts, Some(boundary), pace(speculation, 12), Some(&budget)) {
                    NextRound::Validate { sets: round } => {
                        prop_assert!(!round.is_empty());
                        for id in round {
                            spent += costs[&id];
                            prop_assert_eq!(verdicts.insert(id.clone(), truth[&id]), None);
                        }
                        prop_assert!(spent <= ceiling);
                    }
                    ended @ (NextRound::Found { .. }
                    | NextRound::Exhausted {}
                    | NextRound::OverCeiling { .. }) => break ended,
                }
            };
            let expected = sequential(&sets, &truth, boundary, 12);
            match ended {
                NextRound::Found { set } => prop_assert_eq!(Some(set), expected),
                NextRound::Exhausted {} => prop_assert_eq!(None, expected),
                NextRound::OverCeiling { .. } => {
                    prop_assert!(costs.values().sum::<u32>() > ceiling);
                }
                NextRound::Validate { .. } => unreachable!(),
            }
        }
    }

    #[test]
    fn a_ceiling_does_not_hide_what_is_clean_already() {
        let sets = [set("new", 300), set("mid", 200), set("old", 100)];
        let budget = Budget {
            currency: "USD".to_owned(),
            ceiling: Amount::default(),
            spent: Amount::default(),
            trials: BTreeMap::from([("new".to_owned(), Ok(Amount::try_from("1".to_owned()).unwrap()))]),
        };
        let reason = |verdicts: &BTreeMap<String, Verdict>| match next(
            &sets,
            verdicts,
            Some(at(1000)),
            pace(2, 12),
            Some(&budget),
        ) {
            NextRound::OverCeiling { reason } => reason,
            other @ (NextRound::Validate { .. } | NextRound::Found { .. } | NextRound::Exhausted { .. }) => {
                panic!("{other:?}")
            }
        };
        let none = BTreeMap::from([("mid".to_owned(), Verdict::Unknown)]);
        assert!(!reason(&none).contains("is clean"));
        let clean = BTreeMap::from([("mid".to_owned(), Verdict::Clean)]);
        let told = reason(&clean);
        assert!(
            told.contains("set mid, whose newest point is of 2026-01-01T03:20:00Z, is clean"),
            "{told}"
        );
    }

    #[test]
    fn only_what_the_walk_can_come_to_is_ahead() {
        let sets = [
            set("late", 900),
            set("new", 300),
            set("mid", 200),
            set("old", 100),
            set("older", 50),
        ];
        let seen = |verdicts: &BTreeMap<String, Verdict>, max_sets| {
            let ahead = ahead(&sets, verdicts, Some(at(500)), pace(1, max_sets));
            let waiting: Vec<String> = ahead.waiting.iter().map(|set| set.id.clone()).collect();
            (waiting.join(" "), ahead.clean.map(|set| set.id.clone()))
        };
        assert_eq!(seen(&BTreeMap::new(), 2), ("new mid".to_owned(), None));
        let known = BTreeMap::from([
            ("mid".to_owned(), Verdict::Tainted),
            ("old".to_owned(), Verdict::Clean),
        ]);
        assert_eq!(seen(&known, 12), ("new".to_owned(), Some("old".to_owned())));
    }

    #[test]
    fn nothing_older_than_a_clean_set_is_validated() {
        let sets = [set("new", 300), set("mid", 200), set("old", 100)];
        let verdicts = BTreeMap::from([("mid".to_owned(), Verdict::Clean)]);
        assert_eq!(
            next(&sets, &verdicts, None, pace(3, 12), None),
            NextRound::Validate {
                sets: vec!["new".to_owned()]
            }
        );
    }

    #[test]
    fn a_boundary_that_moves_earlier_makes_the_walk_resume() {
        let sets = [set("new", 300), set("mid", 200), set("old", 100)];
        let verdicts = BTreeMap::from([("new".to_owned(), Verdict::Clean)]);
        let found = NextRound::Found {
            set: "new".to_owned(),
        };
        assert_eq!(next(&sets, &verdicts, None, pace(1, 12), None), found);
        assert_eq!(next(&sets, &verdicts, Some(at(361)), pace(1, 12), None), found);
        assert_eq!(
            next(&sets, &verdicts, Some(at(360)), pace(1, 12), None),
            NextRound::Validate {
                sets: vec!["mid".to_owned()]
            }
        );
    }

    #[test]
    fn an_empty_vault_is_exhausted_at_once() {
        assert_eq!(
            next(&[], &BTreeMap::new(), None, pace(2, 12), None),
            NextRound::Exhausted {}
        );
    }
}
