//! Verifying a bundle offline.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::statement::{
    CHECKPOINT_PREDICATE, CheckpointPredicate, Key, RUN_PREDICATE, RunPredicate, STATEMENT, Statement,
    Subject, head_name, lines,
};
use crate::artifact::Digest;
use crate::evidence::dsse::{ALGORITHM, Envelope, Forged, PublicKey, SignedBy};
use crate::evidence::{Bundle, Checkpoint, Fault, Kind, Link, PACKAGE, Proven, TEAM, verify as verify_chain};
use crate::run::RunId;

/// What is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum BundleFault {
    /// A line is no envelope.
    #[error("line {line} is no signed envelope: {why}")]
    NoEnvelope {
        /// The line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// The bytes are not the ones that were exported, although they say the same.
    #[error(
        "the file is not byte for byte what was exported: spaces, order of fields or line ends were changed"
    )]
    Reformatted,
    /// The line that holds the chain is missing.
    #[error(
        "there is no run statement, which is the last line: the file was truncated, or it is no evidence bundle"
    )]
    Truncated,
    /// The run statement is not the last line, or there are several.
    #[error("line {line} is a run statement, which only the last line may be: lines were added or reordered")]
    Misplaced {
        /// The line.
        line: usize,
    },
    /// The key in the bundle is no key.
    #[error("the key in the bundle is not one of `{ALGORITHM}`")]
    NoKey,
    /// Another key signed than the one that the caller trusts.
    #[error("the evidence is signed by key {found}, not by the one that you gave, {wanted}")]
    NotPinned {
        /// In the bundle.
        found: Digest,
        /// Given.
        wanted: Digest,
    },
    /// An envelope is not what it claims.
    #[error("line {line} was forged or damaged: {why}")]
    Forged {
        /// The line.
        line: usize,
        /// Why.
        why: Forged,
    },
    /// A payload is no statement of the expected kind.
    #[error("line {line} holds no statement of the expected kind: {why}")]
    NoStatement {
        /// The line.
        line: usize,
        /// Why.
        why: String,
    },
    /// A checkpoint is that of another run.
    #[error("line {line} is a checkpoint of run `{run}`")]
    OtherRun {
        /// The line.
        line: usize,
        /// Whose.
        run: RunId,
    },
    /// Checkpoints were left out, added or moved.
    #[error(
        "the checkpoints are not the {listed} that the run statement lists, in its order: {found} are here"
    )]
    OtherCheckpoints {
        /// In the run statement.
        listed: usize,
        /// In the file.
        found: usize,
    },
    /// The chain itself.
    #[error(transparent)]
    Chain(Fault),
    /// The chain was broken when it was exported.
    #[error("when the evidence was exported, the chain was already broken: {0}")]
    BrokenAtExport(String),
    /// An artifact is listed twice.
    #[error("artifact `{0}` is listed twice")]
    ListedTwice(String),
    /// An artifact that the chain names was not exported.
    #[error("the artifact `{name}`, named by link {seq}, was not exported")]
    MissingArtifact {
        /// Path within the run.
        name: String,
        /// The last link that names it.
        seq: u64,
    },
    /// The artifact that was exported is not the one of the chain.
    #[error("artifact `{name}` was changed after link {seq}: no link names it with the digest that it has")]
    OtherArtifact {
        /// Path within the run.
        name: String,
        /// The last link that names it.
        seq: u64,
    },
    /// An effect without an approval of its package before it.
    #[error("link {seq} is an effect past the gate, and no approval of its package stands before it")]
    NotApproved {
        /// The link.
        seq: u64,
    },
    /// An effect that the approval team had not let begin.
    #[error(
        "link {seq} is an effect of a package that an approval team guards, and no opening of the vault stands before it"
    )]
    ShutVault {
        /// The link.
        seq: u64,
    },
    /// An approval without a quorum.
    #[error("link {seq} approves a package with {approvals} approvals, its gate asks for {quorum}")]
    NoQuorum {
        /// The link.
        seq: u64,
        /// Distinct people whose approvals the chain holds.
        approvals: usize,
        /// How many the gate asked for.
        quorum: usize,
    },
}

/// What a verified bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The chain: length, head, last link that a checkpoint vouches for.
    pub proven: Proven,
    /// The run.
    pub run: RunId,
    /// When it was exported.
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
    /// Whether that is the key that the caller gave.
    pub pinned: bool,
    /// Stage and last link of every checkpoint.
    pub checkpoints: Vec<(String, u64)>,
    /// The links.
    pub links: Vec<Link>,
    /// The artifacts: path within the run to digest.
    pub artifacts: BTreeMap<String, Digest>,
    /// Effects past the gate, each after an approval of its package.
    pub approved_effects: usize,
    /// Who approved which package.
    pub approvals: Vec<Approval>,
}

/// An approval, as the chain tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The package.
    pub package: Digest,
    /// How many the gate asked for.
    pub quorum: usize,
    /// Who approved.
    pub people: BTreeSet<String>,
}

/// Verifies a bundle. `pinned` is the key that the caller got elsewhere; without it the key in the bundle is taken,
/// and whoever made the bundle could have made that too.
///
/// # Errors
/// Every [`BundleFault`] found, in order.
pub fn verify(
    bytes: &[u8],
    pinned: Option<&PublicKey>,
    signed: &SignedBy<'_>,
) -> Result<Attested, Vec<BundleFault>> {
    let envelopes = envelopes(bytes)?;
    let mut faults = BTreeSet::new();
    if lines(&envelopes).ok().as_deref() != Some(bytes) {
        faults.insert(BundleFault::Reformatted);
    }
    let Some((last, checkpoints)) = envelopes.split_last() else {
        return Err(vec![BundleFault::Truncated]);
    };
    let last_line = envelopes.len();
    let run = run_statement(last, last_line).map_err(|fault| vec![fault])?;
    let key = key_of(&run.predicate.key).ok_or_else(|| vec![BundleFault::NoKey])?;
    if let Some(wanted) = pinned.filter(|wanted| **wanted != key) {
        faults.insert(BundleFault::NotPinned {
            found: key.id(),
            wanted: wanted.id(),
        });
    }
    if let Err(why) = last.verified(&key, signed) {
        faults.insert(BundleFault::Forged { line: last_line, why });
    }

    let mut seals = Vec::new();
    let mut found = Vec::new();
    for (index, envelope) in checkpoints.iter().enumerate() {
        match sealed(envelope, index + 1, &run.predicate.run, &key, signed) {
            Ok((checkpoint, stage, payload)) => {
                found.push(payload);
                seals.push((checkpoint, stage));
            }
            Err(fault) => {
                faults.insert(fault);
            }
        }
    }
    if found != run.predicate.checkpoints {
        faults.insert(BundleFault::OtherCheckpoints {
            listed: run.predicate.checkpoints.len(),
            found: checkpoints.len(),
        });
    }
    faults.extend(
        run.predicate
            .faults
            .iter()
            .cloned()
            .map(BundleFault::BrokenAtExport),
    );

    let chain = Bundle {
        schema: run.predicate.schema,
        run: run.predicate.run,
        links: run.predicate.links,
        checkpoints: seals.iter().map(|(checkpoint, _)| checkpoint.clone()).collect(),
    };
    let proven = verify_chain(&chain).map_err(|found| {
        faults.extend(found.into_iter().map(BundleFault::Chain));
    });
    let artifacts = artifacts(run.subject, &chain.links, &mut faults);
    let (approvals, approved_effects) = approvals(&chain.links, &mut faults);
    match proven {
        Ok(proven) if faults.is_empty() => Ok(Attested {
            proven,
            run: chain.run,
            at: run.predicate.at,
            key,
            pinned: pinned.is_some(),
            checkpoints: seals
                .into_iter()
                .map(|(checkpoint, stage)| (stage, checkpoint.seq))
                .collect(),
            links: chain.links,
            artifacts,
            approved_effects,
            approvals,
        }),
        _ => Err(faults.into_iter().collect()),
    }
}

fn envelopes(bytes: &[u8]) -> Result<Vec<Envelope>, Vec<BundleFault>> {
    let mut envelopes = Vec::new();
    let mut faults = Vec::new();
    let lines = bytes
        .strip_suffix(b"\n")
        .unwrap_or(bytes)
        .split(|byte| *byte == b'\n');
    for (index, line) in lines.enumerate() {
        match serde_json::from_slice::<Envelope>(line) {
            Ok(envelope) => envelopes.push(envelope),
            Err(error) => faults.push(BundleFault::NoEnvelope {
                line: index + 1,
                why: error.to_string(),
            }),
        }
    }
    if faults.is_empty() {
        Ok(envelopes)
    } else {
        Err(faults)
    }
}

/// A statement of this kind; the predicate type is compared before the predicate is read.
fn read_statement<P: DeserializeOwned>(
    payload: &[u8],
    predicate_type: &str,
    line: usize,
) -> Result<Statement<P>, BundleFault> {
    let no = |why: String| BundleFault::NoStatement { line, why };
    let any: Statement<serde_json::Value> =
        serde_json::from_slice(payload).map_err(|error| no(error.to_string()))?;
    if any.statement_type != STATEMENT {
        return Err(no(format!("its type is `{}`", any.statement_type)));
    }
    if any.predicate_type != predicate_type {
        return Err(no(format!("its predicate type is `{}`", any.predicate_type)));
    }
    // Read from the text again, not from the value, which has lost repeated fields.
    serde_json::from_slice(payload).map_err(|error| no(error.to_string()))
}

fn run_statement(envelope: &Envelope, line: usize) -> Result<Statement<RunPredicate>, BundleFault> {
    let payload = envelope
        .payload()
        .map_err(|why| BundleFault::Forged { line, why })?;
    read_statement(&payload, RUN_PREDICATE, line).map_err(|fault| {
        let checkpoint = read_statement::<CheckpointPredicate>(&payload, CHECKPOINT_PREDICATE, line);
        if checkpoint.is_ok() {
            BundleFault::Truncated
        } else {
            fault
        }
    })
}

fn key_of(key: &Key) -> Option<PublicKey> {
    let der = STANDARD.decode(&key.spki).ok()?;
    (key.algorithm == ALGORITHM).then(|| PublicKey::of_der(der))
}

/// A checkpoint, its stage, and the digest of its payload.
fn sealed(
    envelope: &Envelope,
    line: usize,
    run: &RunId,
    key: &PublicKey,
    signed: &SignedBy<'_>,
) -> Result<(Checkpoint, String, Digest), BundleFault> {
    let payload = envelope
        .verified(key, signed)
        .map_err(|why| BundleFault::Forged { line, why })?;
    if read_statement::<RunPredicate>(&payload, RUN_PREDICATE, line).is_ok() {
        return Err(BundleFault::Misplaced { line });
    }
    let statement: Statement<CheckpointPredicate> = read_statement(&payload, CHECKPOINT_PREDICATE, line)?;
    let CheckpointPredicate {
        run: of,
        stage,
        seq,
        at,
    } = statement.predicate;
    if of != *run {
        return Err(BundleFault::OtherRun { line, run: of });
    }
    match statement.subject.as_slice() {
        [head] if head.name == head_name(run, seq) => {
            let head = head.digest.sha256.clone();
            Ok((Checkpoint { seq, head, at }, stage, Digest::of(&payload)))
        }
        _ => Err(BundleFault::NoStatement {
            line,
            why: "its subject is not the head that it counts".to_owned(),
        }),
    }
}

/// The artifacts. What the chain names must have been exported with a digest that the chain names: an artifact that is
/// written anew, by a repetition or with more in it, is named anew.
fn artifacts(
    subjects: Vec<Subject>,
    links: &[Link],
    faults: &mut BTreeSet<BundleFault>,
) -> BTreeMap<String, Digest> {
    let mut artifacts = BTreeMap::new();
    for Subject { name, digest } in subjects {
        if artifacts.insert(name.clone(), digest.sha256).is_some() {
            faults.insert(BundleFault::ListedTwice(name));
        }
    }
    let mut named: BTreeMap<&str, (u64, BTreeSet<&Digest>)> = BTreeMap::new();
    for link in links {
        for (name, digest) in &link.event.subjects {
            let (seq, digests) = named.entry(name).or_default();
            *seq = link.seq;
            digests.insert(digest);
        }
    }
    for (name, (seq, digests)) in named {
        let is_path = name.contains('.');
        match artifacts.get(name) {
            Some(exported) if !digests.contains(exported) => {
                let name = name.to_owned();
                faults.insert(BundleFault::OtherArtifact { name, seq });
            }
            None if is_path => {
                let name = name.to_owned();
                faults.insert(BundleFault::MissingArtifact { name, seq });
            }
            Some(_) | None => {}
        }
    }
    artifacts
}

/// The approvals of the chain, and the number of effects that stand behind one.
fn approvals(links: &[Link], faults: &mut BTreeSet<BundleFault>) -> (Vec<Approval>, usize) {
    let fact =
        |link: &Link, name: &str, value: &str| link.event.facts.get(name).is_some_and(|is| is == value);
    let of = |link: &Link, package: &Digest| link.event.subjects.get(PACKAGE) == Some(package);
    let mut approvals: Vec<Approval> = Vec::new();
    let mut effects = 0;
    for link in links {
        let package = link.event.subjects.get(PACKAGE);
        if link.event.kind == Kind::GateDecided && fact(link, "state", "approved") {
            let Some(package) = package else {
                faults.insert(BundleFault::NotApproved { seq: link.seq });
                continue;
            };
            // A vote may be recorded by its own request after another request counted it.
            let people: BTreeSet<String> = links
                .iter()
                .filter(|vote| vote.event.kind == Kind::VoteTaken && of(vote, package))
                .filter(|vote| fact(vote, "decision", "approve"))
                .filter_map(|vote| vote.event.facts.get("person").cloned())
                .collect();
            let quorum = links
                .iter()
                .filter(|opened| opened.seq < link.seq)
                .filter(|opened| opened.event.kind == Kind::GateOpened && of(opened, package))
                .find_map(|opened| opened.event.facts.get("quorum")?.parse().ok())
                .unwrap_or(usize::MAX);
            if people.len() < quorum {
                faults.insert(BundleFault::NoQuorum {
                    seq: link.seq,
                    approvals: people.len(),
                    quorum,
                });
            }
            approvals.push(Approval {
                package: package.clone(),
                quorum,
                people,
            });
        } else if link.event.kind == Kind::GateDecided {
            // A gate that was decided otherwise after all: nothing may stand behind its approval any more.
            approvals.retain(|known| package != Some(&known.package));
        } else if link.event.kind.needs_approval() {
            effects += 1;
            let approved =
                package.is_some_and(|package| approvals.iter().any(|known| known.package == *package));
            if !approved {
                faults.insert(BundleFault::NotApproved { seq: link.seq });
            }
            let before = |kind: Kind| {
                links.iter().filter(move |other| {
                    other.seq < link.seq && other.event.kind == kind && package.is_some_and(|p| of(other, p))
                })
            };
            let guarded = before(Kind::PackagePrepared).any(|link| link.event.facts.contains_key(TEAM));
            if guarded && !before(Kind::TeamDecided).any(|link| fact(link, "state", "open")) {
                faults.insert(BundleFault::ShutVault { seq: link.seq });
            }
        }
    }
    (approvals, effects)
}
