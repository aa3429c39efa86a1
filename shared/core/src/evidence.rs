//! The evidence of a run: an append-only hash chain with one link per decision and effect, from trigger to report.
//!
//! Every link holds the hash of the link before it, the first one that of the run's id. A checkpoint, kept and
//! signed elsewhere, says how long the chain was and how it ended, so that a cut is seen too. [`operations`] says
//! which operation leaves which links, [`bundle`] what is exported and how it is verified.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::artifact::{ArtifactRef, Digest, NotCanonical, canonical_digest};
use crate::run::RunId;

pub mod bundle;
pub mod dsse;
pub mod operations;

#[cfg(test)]
mod tests;

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
    /// Another trigger was attached to the run.
    TriggerAttached,
    /// The log objects were listed.
    LogsCollected,
    /// The event boundary was set or moved earlier.
    BoundarySet,
    /// The logs hold no indicator.
    BoundaryNotFound,
    /// Recovery points were listed and grouped.
    CandidatesListed,
    /// What to validate next was decided, or that nothing is left to.
    WalkDecided,
    /// Scans and trial restores of a recovery set were started.
    TrialStarted,
    /// A recovery set was judged.
    SetJudged,
    /// The trial restores of a recovery set were removed.
    TrialRemoved,
    /// A recovery set was selected.
    SetSelected,
    /// No recovery set could be selected.
    NothingSelected,
    /// The templates were checked against their digests and rules.
    TemplatesChecked,
    /// The creation or deletion of stacks was requested.
    StacksRequested,
    /// All stacks exist.
    StacksBuilt,
    /// The stacks were removed.
    StacksRemoved,
    /// Infrastructure was built and checked for isolation.
    InfrastructureBuilt,
    /// The references of one sibling were inventoried.
    SiblingInventoried,
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
    /// The approval team of AWS Backup was asked to open the vault.
    TeamAsked,
    /// The approval team decided, or did not in time.
    TeamDecided,
    /// An operator was asked.
    OperatorAsked,
    /// An operator answered.
    OperatorAnswered,
    /// A restore of one resource was requested.
    RestoreRequested,
    /// The restore of one resource ended.
    RestoreEnded,
    /// A setting, a hook or a change set for what was restored was asked for.
    AdoptionRequested,
    /// A setting that a restore loses was put back and read again.
    SettingRestored,
    /// A stack is proven to own a restored resource, or to refer to it.
    ResourceAdopted,
    /// What a drill restored was removed.
    CopiesRemoved,
    /// All restores of the approved set were requested.
    RestoreStarted,
    /// Data was restored and equals what was validated.
    DataRestored,
    /// One credential was made new. Its name and version, never its value.
    CredentialRotated,
    /// All credentials were made new.
    CredentialsRotated,
    /// The steps of the cutover were computed and proven.
    CutoverPlanned,
    /// The live values were compared with the plan before anything was changed.
    CutoverPrechecked,
    /// The journal of the cutover grew.
    JournalWritten,
    /// The old account was cut off.
    OldAccountContained,
    /// The references of one sibling were changed.
    ReferencesChanged,
    /// What to do after a failure was decided.
    AftermathDecided,
    /// A change was undone.
    StepReverted,
    /// The nonce was published and the health check created.
    TrafficPrepared,
    /// The new environment answered as itself.
    EnvironmentProbed,
    /// Records were changed.
    TrafficShifted,
    /// The change of records reached all authoritative servers.
    TrafficInSync,
    /// The state after a phase was read back and compared.
    StateVerified,
    /// A step failed. What it had done until then has links of its own.
    StepFailed,
    /// A step ended with an answer that has no other link.
    StepAnswered,
    /// The report was written.
    ReportWritten,
    /// The run was closed.
    RunClosed,
}

impl Kind {
    /// Whether this is an effect past the gate: it needs an approval of exactly the package that it names.
    #[must_use]
    pub fn needs_approval(self) -> bool {
        match self {
            Self::RestoreRequested
            | Self::AdoptionRequested
            | Self::SettingRestored
            | Self::ResourceAdopted
            | Self::RestoreStarted
            | Self::DataRestored
            | Self::CredentialRotated
            | Self::CredentialsRotated
            | Self::CutoverPlanned
            | Self::CutoverPrechecked
            | Self::JournalWritten
            | Self::OldAccountContained
            | Self::ReferencesChanged
            | Self::StepReverted
            | Self::TrafficPrepared
            | Self::EnvironmentProbed
            | Self::TrafficShifted
            | Self::TrafficInSync
            | Self::StateVerified => true,
            Self::RunOpened
            | Self::TriggerAttached
            | Self::LogsCollected
            | Self::BoundarySet
            | Self::BoundaryNotFound
            | Self::CandidatesListed
            | Self::WalkDecided
            | Self::TrialStarted
            | Self::SetJudged
            | Self::TrialRemoved
            | Self::CopiesRemoved
            | Self::SetSelected
            | Self::NothingSelected
            | Self::TemplatesChecked
            | Self::StacksRequested
            | Self::StacksBuilt
            | Self::StacksRemoved
            | Self::InfrastructureBuilt
            | Self::SiblingInventoried
            | Self::ReferencesInventoried
            | Self::PackagePrepared
            | Self::GateOpened
            | Self::AttemptTurnedAway
            | Self::VoteTaken
            | Self::GateDecided
            | Self::GateAnswered
            | Self::TeamAsked
            | Self::TeamDecided
            | Self::OperatorAsked
            | Self::OperatorAnswered
            | Self::RestoreEnded
            | Self::AftermathDecided
            | Self::StepFailed
            | Self::StepAnswered
            | Self::ReportWritten
            | Self::RunClosed => false,
        }
    }
}

/// Name under which a link refers to a decision package.
pub const PACKAGE: &str = "package";
/// Fact of a prepared package: the approval team that guards its vault.
pub const TEAM: &str = "team";
/// Name under which a link refers to the journal of a cutover, and its path as an artifact.
pub const JOURNAL: &str = "journal.json";

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

    /// Adds an artifact of the run as a subject, under its path within the run.
    #[must_use]
    pub fn artifact(self, artifact: &ArtifactRef) -> Self {
        let path = artifact_path(&artifact.key).to_owned();
        self.subject(&path, &artifact.sha256)
    }

    /// Names the event by what it says, whenever it is said: the same effect recorded again has the same id.
    ///
    /// # Errors
    /// [`NotCanonical`] when the event has no canonical form.
    pub fn id(&self) -> Result<Digest, NotCanonical> {
        canonical_digest(&(self.kind, &self.subjects, &self.facts))
    }
}

/// Path of an artifact within its run: `runs/RUN/PATH` to `PATH`.
#[must_use]
pub fn artifact_path(key: &str) -> &str {
    let mut parts = key.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("runs"), Some(_), Some(path)) => path,
        _ => key,
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
