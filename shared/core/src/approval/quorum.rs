//! What a set of votes amounts to: one pure function that the gateway, the report and the auditor share.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strum::IntoStaticStr;

use super::vote::{BadRationale, Choice, Vote, check_rationale};
use crate::artifact::Digest;

/// The rules under which one package is voted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The package.
    pub digest: Digest,
    /// The people who may vote: the roster without whoever asked for the run.
    pub eligible: BTreeSet<String>,
    /// Who asked for the run, if it was a person of the roster.
    pub requester: Option<String>,
    /// How many distinct people must approve.
    pub quorum: u8,
    /// Least length of a rationale, in characters.
    pub minimum_rationale: u16,
    /// The last instant at which a vote counts.
    pub decide_by: Timestamp,
}

/// Where the decision stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not enough votes yet, and there is still time.
    Pending {
        /// Approvals that count.
        approvals: usize,
        /// Approvals needed.
        needed: usize,
    },
    /// The quorum of distinct eligible people approved.
    Approved {
        /// When the quorum was complete.
        at: Timestamp,
    },
    /// Somebody eligible refused. One refusal outweighs any number of approvals.
    Refused {
        /// The earliest refusal.
        at: Timestamp,
        /// Who, by name in the roster.
        by: String,
    },
    /// The time to decide is over.
    Expired,
    /// The boundary moved after the package was made.
    Void,
}

/// Why a vote does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Ignored {
    /// It names another package.
    #[error("it was cast on another package")]
    OtherDigest,
    /// The person asked for the run.
    #[error("whoever asked for the run cannot vote on it")]
    Requester,
    /// The person is on no roster.
    #[error("the person is not on the roster")]
    NotOnRoster,
    /// It came after the deadline.
    #[error("it came after the time to decide")]
    Late,
    /// The rationale is too short or too long.
    #[error(transparent)]
    Rationale(BadRationale),
    /// The person has voted already.
    #[error("the person has voted already")]
    SecondVote,
}

/// The decision, the votes that count and those that do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<'a> {
    /// Where the decision stands.
    pub outcome: Outcome,
    /// One vote per person, by person.
    pub counted: BTreeMap<&'a str, &'a Vote>,
    /// The others, each with its reason, in a total order.
    pub ignored: Vec<(&'a Vote, Ignored)>,
}

/// Whether this vote may count at all.
///
/// # Errors
/// The reason why it does not.
pub fn admit(vote: &Vote, rules: &Rules) -> Result<(), Ignored> {
    if vote.digest != rules.digest {
        return Err(Ignored::OtherDigest);
    }
    if rules.requester.as_deref() == Some(vote.person.as_str()) {
        return Err(Ignored::Requester);
    }
    if !rules.eligible.contains(&vote.person) {
        return Err(Ignored::NotOnRoster);
    }
    if vote.at > rules.decide_by {
        return Err(Ignored::Late);
    }
    check_rationale(&vote.rationale, rules.minimum_rationale).map_err(Ignored::Rationale)
}

/// Counts votes. The order in which they are given does not matter.
///
/// Of several votes of one person a refusal counts, or else the earliest approval. `moved` says that the boundary
/// is no longer the package's: then nothing else matters.
#[must_use]
pub fn tally<'a>(votes: &'a [Vote], rules: &Rules, moved: bool, now: Timestamp) -> Tally<'a> {
    let mut ordered: Vec<&Vote> = votes.iter().collect();
    ordered.sort_by(|a, b| (a.decision, a).cmp(&(b.decision, b)));

    let mut counted: BTreeMap<&str, &Vote> = BTreeMap::new();
    let mut ignored = Vec::new();
    for vote in ordered {
        match admit(vote, rules) {
            Err(reason) => ignored.push((vote, reason)),
            Ok(()) if counted.contains_key(vote.person.as_str()) => ignored.push((vote, Ignored::SecondVote)),
            Ok(()) => {
                counted.insert(&vote.person, vote);
            }
        }
    }
    Tally {
        outcome: outcome(&counted, rules, moved, now),
        counted,
        ignored,
    }
}

fn outcome(counted: &BTreeMap<&str, &Vote>, rules: &Rules, moved: bool, now: Timestamp) -> Outcome {
    if moved {
        return Outcome::Void;
    }
    let refusals = counted.values().filter(|vote| vote.decision == Choice::Refuse);
    if let Some(first) = refusals.min() {
        return Outcome::Refused {
            at: first.at,
            by: first.person.clone(),
        };
    }
    let mut approvals: Vec<Timestamp> = counted.values().map(|vote| vote.at).collect();
    approvals.sort_unstable();
    // A quorum of nobody would approve everything; the plan refuses it, and so does this.
    let needed = usize::from(rules.quorum).max(1);
    match approvals.get(needed - 1) {
        Some(at) => Outcome::Approved { at: *at },
        None if now > rules.decide_by => Outcome::Expired,
        None => Outcome::Pending {
            approvals: approvals.len(),
            needed,
        },
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const PEOPLE: [&str; 5] = ["ada", "bob", "cy", "requester", "stranger"];

    fn deadline() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().unwrap()
    }

    fn rules(quorum: u8) -> Rules {
        Rules {
            digest: Digest::of(b"this"),
            eligible: ["ada", "bob", "cy"].map(str::to_owned).into(),
            requester: Some("requester".into()),
            quorum,
            minimum_rationale: 5,
            decide_by: deadline(),
        }
    }

    fn vote(person: &str, decision: Choice, minutes_before: i64) -> Vote {
        Vote {
            at: deadline() - SignedDuration::from_mins(minutes_before),
            person: person.into(),
            identity: format!("arn:aws:iam::111111111111:user/{person}"),
            digest: Digest::of(b"this"),
            decision,
            rationale: "looked at it".into(),
        }
    }

    fn any_vote() -> impl Strategy<Value = Vote> {
        (
            0..PEOPLE.len(),
            any::<bool>(),
            -3..50i64,
            any::<bool>(),
            0..9u8,
            prop::sample::select(vec!["", "ok", "äöüßé", "looked"]),
        )
            .prop_map(|(person, role, before, approve, other, rationale)| Vote {
                identity: format!(
                    "arn:aws:iam::111111111111:{}/x",
                    if role { "role" } else { "user" }
                ),
                digest: Digest::of(if other == 0 { b"that" } else { b"this" }),
                rationale: rationale.into(),
                ..vote(
                    PEOPLE[person],
                    if approve { Choice::Approve } else { Choice::Refuse },
                    before,
                )
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_order_of_votes_does_not_matter(votes in prop::collection::vec(any_vote(), 0..9), quorum in 1..4u8, seed in any::<prop::sample::Index>(), late in -60..60i64) {
            let now = deadline() + SignedDuration::from_mins(late);
            let mut other = votes.clone();
            other.reverse();
            if !other.is_empty() {
                let by = seed.index(other.len());
                other.rotate_left(by);
            }
            prop_assert_eq!(tally(&votes, &rules(quorum), false, now), tally(&other, &rules(quorum), false, now));
        }

        #[test]
        fn approval_needs_a_quorum_of_distinct_eligible_people_for_this_package(votes in prop::collection::vec(any_vote(), 0..12), quorum in 1..4u8, late in -60..60i64) {
            let rules = rules(quorum);
            let tally = tally(&votes, &rules, false, deadline() + SignedDuration::from_mins(late));
            // Stated without the code under test.
            let good = |v: &&Vote| v.digest == Digest::of(b"this") && ["ada", "bob", "cy"].contains(&v.person.as_str())
                && v.at <= deadline() && v.rationale.chars().count() >= 5;
            let approving: BTreeSet<&str> = votes.iter().filter(good).filter(|v| v.decision == Choice::Approve).map(|v| v.person.as_str()).collect();
            let refused = votes.iter().filter(good).any(|v| v.decision == Choice::Refuse);
            let expect = !refused && approving.len() >= usize::from(quorum);
            prop_assert_eq!(matches!(tally.outcome, Outcome::Approved { .. }), expect);
            prop_assert_eq!(matches!(tally.outcome, Outcome::Refused { .. }), refused);
            prop_assert_eq!(tally.counted.len() + tally.ignored.len(), votes.len());
        }

        #[test]
        fn a_moved_boundary_beats_every_vote(votes in prop::collection::vec(any_vote(), 0..9)) {
            prop_assert_eq!(tally(&votes, &rules(1), true, deadline()).outcome, Outcome::Void);
        }
    }

    #[test]
    fn every_vote_that_does_not_count_has_its_reason() {
        let good = vote("ada", Choice::Approve, 10);
        let votes = [
            good.clone(),
            vote("ada", Choice::Approve, 5),
            Vote {
                digest: Digest::of(b"that"),
                ..vote("bob", Choice::Approve, 9)
            },
            vote("requester", Choice::Approve, 9),
            vote("stranger", Choice::Approve, 9),
            vote("cy", Choice::Approve, -1),
            Vote {
                rationale: " \n a ".into(),
                ..vote("bob", Choice::Approve, 9)
            },
            Vote {
                rationale: "x".repeat(100_000),
                ..vote("bob", Choice::Approve, 9)
            },
        ];
        let tally = tally(&votes, &rules(2), false, deadline());
        assert_eq!(
            tally.outcome,
            Outcome::Pending {
                approvals: 1,
                needed: 2
            }
        );
        assert_eq!(tally.counted.into_values().collect::<Vec<_>>(), [&good]);
        let mut reasons: Vec<&str> = tally.ignored.iter().map(|(_, reason)| reason.into()).collect();
        reasons.sort_unstable();
        assert_eq!(
            reasons,
            [
                "late",
                "not_on_roster",
                "other_digest",
                "rationale",
                "rationale",
                "requester",
                "second_vote"
            ]
        );
    }

    #[test]
    fn time_runs_out_only_for_what_is_undecided() {
        let after = deadline() + SignedDuration::from_secs(1);
        let votes = [vote("ada", Choice::Approve, 9), vote("bob", Choice::Approve, 0)];
        assert_eq!(
            tally(&votes, &rules(2), false, after).outcome,
            Outcome::Approved { at: deadline() }
        );
        assert_eq!(
            tally(&votes[..1], &rules(2), false, after).outcome,
            Outcome::Expired
        );
        assert_eq!(
            tally(&votes[..1], &rules(2), false, deadline()).outcome,
            Outcome::Pending {
                approvals: 1,
                needed: 2
            }
        );
        assert_eq!(
            tally(&[], &rules(0), false, deadline()).outcome,
            Outcome::Pending {
                approvals: 0,
                needed: 1
            }
        );
    }
}
