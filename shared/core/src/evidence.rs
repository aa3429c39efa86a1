//! The evidence of a run: an append-only hash chain with one link per decision and effect, from trigger to report.
//!
//! Every link holds the hash of the link before it, the first one that of the run's id. A checkpoint, kept and
//! signed elsewhere, says how long the chain was and how it ended, so that a cut is seen too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::artifact::{Digest, NotCanonical, canonical_digest};
use crate::run::RunId;

/// The schema of an evidence bundle.
pub const SCHEMA: &str = "blackstart.evidence/1";

/// What a link is about.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// The run was opened by a trigger.
    RunOpened,
    /// The event boundary was set or moved earlier.
    BoundarySet,
    /// A recovery set was judged.
    SetJudged,
    /// A recovery set was selected.
    SetSelected,
    /// Infrastructure was built and checked for isolation.
    InfrastructureBuilt,
    /// The references of all siblings were inventoried.
    ReferencesInventoried,
    /// A decision package was made.
    PackagePrepared,
    /// A gate was opened and the approvers were notified.
    GateOpened,
    /// Somebody tried to vote, or to answer for the operator, and was turned away.
    AttemptTurnedAway,
    /// A vote was taken.
    VoteTaken,
    /// A gate was decided.
    GateDecided,
    /// Step Functions took the decision.
    GateAnswered,
    /// An operator was asked.
    OperatorAsked,
    /// An operator answered.
    OperatorAnswered,
    /// Data was restored.
    DataRestored,
    /// Credentials were made new.
    CredentialsRotated,
    /// The steps of the cutover were computed and proven.
    CutoverPlanned,
    /// A document of a sibling was changed.
    ReferenceChanged,
    /// A change was undone.
    StepReverted,
    /// Records were changed.
    TrafficShifted,
    /// The state after a phase was read back and compared.
    StateVerified,
    /// The report was written.
    ReportWritten,
    /// The run was closed.
    RunClosed,
}

/// What happened, before it is part of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, by the clock of the function that records it.
    pub at: Timestamp,
    /// What it is about.
    pub kind: Kind,
    /// What it is about, by digest: name to digest of an artifact, a document or a package.
    pub subjects: BTreeMap<String, Digest>,
    /// Facts for people: who, which, why. Hostile text; no secrets.
    pub facts: BTreeMap<String, String>,
}

impl Event {
    /// An event without subjects or facts.
    #[must_use]
    pub fn new(kind: Kind, at: Timestamp) -> Self {
        Self {
            at,
            kind,
            subjects: BTreeMap::new(),
            facts: BTreeMap::new(),
        }
    }

    /// Adds a subject.
    #[must_use]
    pub fn subject(mut self, name: &str, digest: &Digest) -> Self {
        self.subjects.insert(name.to_owned(), digest.clone());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<String>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// One link of the chain, as the ledger keeps it under [`crate::ledger::Key::evidence`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Place in the chain, from 0.
    pub seq: u64,
    /// Hash of the link before; of the run's id for the first.
    pub prev: Digest,
    /// What happened.
    pub event: Event,
    /// Digest of the canonical JSON of `seq`, `prev` and `event`.
    pub hash: Digest,
}

#[derive(Serialize)]
struct Hashed<'a> {
    seq: u64,
    prev: &'a Digest,
    event: &'a Event,
}

impl Link {
    fn recomputed(&self) -> Result<Digest, NotCanonical> {
        canonical_digest(&Hashed {
            seq: self.seq,
            prev: &self.prev,
            event: &self.event,
        })
    }
}

/// What the first link of a run's chain refers to.
#[must_use]
pub fn origin(run: &RunId) -> Digest {
    Digest::of(format!("{SCHEMA}\n{run}").as_bytes())
}

/// The link that follows `last`; the first one if there is none.
///
/// # Errors
/// [`NotCanonical`] when the event has no canonical form.
pub fn append(run: &RunId, last: Option<&Link>, event: Event) -> Result<Link, NotCanonical> {
    let (seq, prev) = last.map_or_else(
        || (0, origin(run)),
        |last| (last.seq.saturating_add(1), last.hash.clone()),
    );
    let hash = canonical_digest(&Hashed {
        seq,
        prev: &prev,
        event: &event,
    })?;
    Ok(Link {
        seq,
        prev,
        event,
        hash,
    })
}

/// How long the chain was at some moment, and how it ended. Kept where the chain is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Place of the last link.
    pub seq: u64,
    /// Its hash.
    pub head: Digest,
    /// When the checkpoint was made.
    pub at: Timestamp,
}

/// A chain with its checkpoints, as it is exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Always `blackstart.evidence/1`.
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// The links, in order.
    pub links: Vec<Link>,
    /// The checkpoints, in order.
    pub checkpoints: Vec<Checkpoint>,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// The bundle is of another schema.
    #[error("the bundle has schema `{0}`, `{SCHEMA}` is needed")]
    OtherSchema(String),
    /// There is nothing to verify.
    #[error("the chain is empty")]
    Empty,
    /// The content of a link is not what its hash says.
    #[error("link {seq} was edited: its content does not have the hash it carries")]
    Edited {
        /// The link.
        seq: u64,
    },
    /// A link does not refer to the one before it.
    #[error("link {seq} does not follow the link before it: that one was edited or exchanged")]
    Broken {
        /// The link.
        seq: u64,
    },
    /// Links are not in the order of their places.
    #[error("link {seq} stands after a later one: the links were reordered")]
    Reordered {
        /// The link.
        seq: u64,
    },
    /// Links are missing.
    #[error("links {from} to {to} are missing")]
    Gap {
        /// First missing.
        from: u64,
        /// Last missing.
        to: u64,
    },
    /// Two links claim the same place.
    #[error("place {seq} is taken twice: the chain forks there")]
    Fork {
        /// The place.
        seq: u64,
    },
    /// A checkpoint knows of more links than there are.
    #[error("a checkpoint of {at} knows link {seq}, the chain ends before it: it was truncated")]
    Truncated {
        /// The checkpoint's link.
        seq: u64,
        /// When the checkpoint was made.
        at: Timestamp,
    },
    /// A checkpoint knows another link at this place.
    #[error("the checkpoint of {at} knows another link {seq}: the chain was rewritten")]
    Rewritten {
        /// The checkpoint's link.
        seq: u64,
        /// When the checkpoint was made.
        at: Timestamp,
    },
}

/// What a verified chain proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Number of links.
    pub links: u64,
    /// Hash of the last one.
    pub head: Digest,
    /// The last link that a checkpoint vouches for. What follows it could have been cut without a trace.
    pub vouched: Option<u64>,
}

/// Verifies a chain against itself and its checkpoints.
///
/// # Errors
/// Every [`Fault`] found, in order.
pub fn verify(bundle: &Bundle) -> Result<Proven, Vec<Fault>> {
    let mut faults = BTreeSet::new();
    if bundle.schema != SCHEMA {
        faults.insert(Fault::OtherSchema(bundle.schema.clone()));
    }
    let mut places: BTreeMap<u64, &Link> = BTreeMap::new();
    let mut latest = None;
    for link in &bundle.links {
        if !link.recomputed().is_ok_and(|hash| hash == link.hash) {
            faults.insert(Fault::Edited { seq: link.seq });
        }
        if latest.is_some_and(|latest| link.seq < latest) {
            faults.insert(Fault::Reordered { seq: link.seq });
        }
        latest = latest.max(Some(link.seq));
        if places.insert(link.seq, link).is_some() {
            faults.insert(Fault::Fork { seq: link.seq });
        }
    }
    verify_succession(&bundle.run, &places, &mut faults);
    for checkpoint in &bundle.checkpoints {
        let Checkpoint { seq, at, .. } = *checkpoint;
        match places.get(&seq) {
            Some(link) if link.hash == checkpoint.head => {}
            Some(_) => {
                faults.insert(Fault::Rewritten { seq, at });
            }
            None => {
                faults.insert(Fault::Truncated { seq, at });
            }
        }
    }
    match places.last_key_value() {
        Some((_, last)) if faults.is_empty() => Ok(Proven {
            links: last.seq.saturating_add(1),
            head: last.hash.clone(),
            vouched: bundle.checkpoints.iter().map(|checkpoint| checkpoint.seq).max(),
        }),
        Some(_) => Err(faults.into_iter().collect()),
        None => {
            faults.insert(Fault::Empty);
            Err(faults.into_iter().collect())
        }
    }
}

fn verify_succession(run: &RunId, places: &BTreeMap<u64, &Link>, faults: &mut BTreeSet<Fault>) {
    let mut expected = 0;
    let mut prev = Some(origin(run));
    for (seq, link) in places {
        if *seq > expected {
            faults.insert(Fault::Gap {
                from: expected,
                to: seq - 1,
            });
            prev = None;
        }
        if prev.is_some_and(|prev| prev != link.prev) {
            faults.insert(Fault::Broken { seq: *seq });
        }
        prev = Some(link.hash.clone());
        expected = seq.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::WorkloadName;

    fn run() -> RunId {
        RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    fn extend(links: &mut Vec<Link>, kind: Kind, who: &str) {
        let second = i64::try_from(links.len()).unwrap();
        let event = Event::new(kind, at(second))
            .subject("package", &Digest::of(b"p"))
            .fact("person", who);
        let link = append(&run(), links.last(), event).unwrap();
        links.push(link);
    }

    fn bundle(length: usize) -> Bundle {
        let mut links = Vec::new();
        for _ in 0..length {
            extend(&mut links, Kind::VoteTaken, "ada");
        }
        let checkpoints = links
            .iter()
            .filter(|link| link.seq % 3 == 2)
            .map(|link| Checkpoint {
                seq: link.seq,
                head: link.hash.clone(),
                at: at(99),
            })
            .collect();
        Bundle {
            schema: SCHEMA.to_owned(),
            run: run(),
            links,
            checkpoints,
        }
    }

    #[test]
    fn the_chain_verifies_at_every_prefix() {
        let whole = bundle(10);
        for length in 1..=10 {
            let links = whole.links[..length].to_vec();
            let end = length as u64;
            let checkpoints = whole
                .checkpoints
                .iter()
                .filter(|c| c.seq < end)
                .cloned()
                .collect();
            let proven = verify(&Bundle {
                links,
                checkpoints,
                ..whole.clone()
            })
            .unwrap();
            assert_eq!(proven.links, end);
        }
        assert_eq!(verify(&whole).unwrap().vouched, Some(8));
        assert_eq!(verify(&bundle(0)).unwrap_err(), [Fault::Empty]);
    }

    #[test]
    fn an_edit_is_found_with_its_hash_left_or_made_to_fit() {
        let mut edited = bundle(9);
        edited.links[4].event.facts.insert("person".into(), "eve".into());
        assert_eq!(verify(&edited).unwrap_err(), [Fault::Edited { seq: 4 }]);
        edited.links[4].hash = edited.links[4].recomputed().unwrap();
        assert_eq!(verify(&edited).unwrap_err(), [Fault::Broken { seq: 5 }]);
    }

    #[test]
    fn a_chain_rewritten_from_the_edit_on_contradicts_its_checkpoint() {
        let original = bundle(9);
        let mut links = original.links[..4].to_vec();
        for _ in 4..9 {
            extend(&mut links, Kind::VoteTaken, "eve");
        }
        let rewritten = Bundle { links, ..original };
        assert_eq!(
            verify(&rewritten).unwrap_err(),
            [
                Fault::Rewritten { seq: 5, at: at(99) },
                Fault::Rewritten { seq: 8, at: at(99) }
            ]
        );
    }

    #[test]
    fn a_reordering_is_found() {
        let mut reordered = bundle(9);
        reordered.links.swap(3, 4);
        assert_eq!(verify(&reordered).unwrap_err(), [Fault::Reordered { seq: 3 }]);
    }

    #[test]
    fn a_gap_is_found() {
        let mut gap = bundle(9);
        gap.links.drain(3..5);
        assert_eq!(verify(&gap).unwrap_err(), [Fault::Gap { from: 3, to: 4 }]);
        let mut beginning = bundle(9);
        beginning.links.remove(0);
        assert_eq!(verify(&beginning).unwrap_err(), [Fault::Gap { from: 0, to: 0 }]);
    }

    #[test]
    fn a_truncation_is_found_by_the_checkpoint() {
        let mut cut = bundle(9);
        cut.links.truncate(8);
        assert_eq!(
            verify(&cut).unwrap_err(),
            [Fault::Truncated { seq: 8, at: at(99) }]
        );
    }

    #[test]
    fn a_fork_is_found() {
        let mut fork = bundle(9);
        let mut other = fork.links[..4].to_vec();
        extend(&mut other, Kind::GateDecided, "eve");
        fork.links.insert(5, other.remove(4));
        assert!(verify(&fork).unwrap_err().contains(&Fault::Fork { seq: 4 }));
    }

    #[test]
    fn the_chain_of_another_run_is_not_this_one_s() {
        let other = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "y");
        assert_eq!(
            verify(&Bundle {
                run: other,
                ..bundle(9)
            })
            .unwrap_err(),
            [Fault::Broken { seq: 0 }]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_changed_byte_of_a_bundle_is_found_or_changes_nothing(at in any::<prop::sample::Index>(), mask in 1..=255u8) {
            let original = bundle(6);
            let mut bytes = serde_json::to_vec(&original).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            if let Ok(read) = serde_json::from_slice::<Bundle>(&bytes) {
                // The time of a checkpoint is not part of the chain; its signature covers it.
                prop_assert!(verify(&read).is_err() || read.links == original.links);
            }
        }
    }
}
