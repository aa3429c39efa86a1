//! What the lines of a bundle say, and how they are written.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::{Digest, NotCanonical, canonical_json};
use crate::evidence::dsse::{ALGORITHM, Envelope, PublicKey};
use crate::evidence::{Bundle, Checkpoint, Link, SCHEMA, verify as verify_chain};
use crate::run::RunId;

/// Type of an in-toto statement (in-toto attestation framework, Statement v1).
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// Predicate type of a run statement.
pub const RUN_PREDICATE: &str = "urn:blackstart:evidence:run:1";

/// Predicate type of a checkpoint.
pub const CHECKPOINT_PREDICATE: &str = "urn:blackstart:evidence:checkpoint:1";

/// An in-toto statement: a predicate about subjects that are known by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement<Predicate> {
    /// Always [`STATEMENT`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// What kind of predicate follows.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said.
    pub predicate: Predicate,
}

/// One subject of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Name: the artifact's path within the run.
    pub name: String,
    /// Its digests.
    pub digest: DigestSet,
}

/// The digests of a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// sha256.
    pub sha256: Digest,
}

/// What a checkpoint says of the subject, which is the head of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointPredicate {
    /// The run.
    pub run: RunId,
    /// The stage that had ended.
    pub stage: String,
    /// Place of the last link.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
}

/// What the run statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPredicate {
    /// Always `blackstart.evidence/1`.
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// When it was exported.
    pub at: Timestamp,
    /// The key that signed every line.
    pub key: Key,
    /// Digests of the payloads of the checkpoints, in the order of their lines.
    pub checkpoints: Vec<Digest>,
    /// What was wrong with the chain already when it was exported.
    pub faults: Vec<String>,
    /// The chain.
    pub links: Vec<Link>,
}

/// A signing key, as the run statement names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Always [`ALGORITHM`].
    pub algorithm: String,
    /// DER of the public key, base64.
    pub spki: String,
}

impl Key {
    fn of(key: &PublicKey) -> Self {
        Self {
            algorithm: ALGORITHM.to_owned(),
            spki: STANDARD.encode(key.der()),
        }
    }
}

/// The payload of a checkpoint: the head of the chain as it is now. `None`: there is no link yet.
///
/// # Errors
/// [`NotCanonical`] when it has no JSON form.
pub fn checkpoint(
    run: &RunId,
    stage: &str,
    links: &[Link],
    at: Timestamp,
) -> Result<Option<Vec<u8>>, NotCanonical> {
    let Some(last) = links.last() else {
        return Ok(None);
    };
    canonical_json(&Statement {
        statement_type: STATEMENT.to_owned(),
        subject: vec![Subject {
            name: head_name(run, last.seq),
            digest: DigestSet {
                sha256: last.hash.clone(),
            },
        }],
        predicate_type: CHECKPOINT_PREDICATE.to_owned(),
        predicate: CheckpointPredicate {
            run: run.clone(),
            stage: stage.to_owned(),
            seq: last.seq,
            at,
        },
    })
    .map(Some)
}

pub(super) fn head_name(run: &RunId, seq: u64) -> String {
    format!("{run}/evidence/{seq}")
}

/// What is exported, before it is signed.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The chain.
    pub links: Vec<Link>,
    /// The signed checkpoints, in the order in which they were made.
    pub checkpoints: &'a [Envelope],
    /// The artifacts: path within the run to digest.
    pub artifacts: BTreeMap<String, Digest>,
    /// The key that signs.
    pub key: &'a PublicKey,
    /// When.
    pub at: Timestamp,
}

/// The payload of the run statement. Faults of the chain do not keep it from being exported: they are part of it.
///
/// # Errors
/// [`NotCanonical`] when it has no JSON form.
pub fn statement(facts: Facts<'_>) -> Result<Vec<u8>, NotCanonical> {
    let payloads: Vec<Vec<u8>> = facts
        .checkpoints
        .iter()
        .map(|envelope| envelope.payload().unwrap_or_default())
        .collect();
    let chain = Bundle {
        schema: SCHEMA.to_owned(),
        run: facts.run.clone(),
        links: facts.links,
        checkpoints: payloads
            .iter()
            .filter_map(|payload| read_checkpoint(payload))
            .collect(),
    };
    let faults = match verify_chain(&chain) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    };
    let subject = facts
        .artifacts
        .into_iter()
        .map(|(name, sha256)| Subject {
            name,
            digest: DigestSet { sha256 },
        })
        .collect();
    canonical_json(&Statement {
        statement_type: STATEMENT.to_owned(),
        subject,
        predicate_type: RUN_PREDICATE.to_owned(),
        predicate: RunPredicate {
            schema: SCHEMA.to_owned(),
            run: chain.run,
            at: facts.at,
            key: Key::of(facts.key),
            checkpoints: payloads.iter().map(|payload| Digest::of(payload)).collect(),
            faults,
            links: chain.links,
        },
    })
}

fn read_checkpoint(payload: &[u8]) -> Option<Checkpoint> {
    let statement: Statement<CheckpointPredicate> = serde_json::from_slice(payload).ok()?;
    let CheckpointPredicate { seq, at, .. } = statement.predicate;
    let head = statement.subject.into_iter().next()?.digest.sha256;
    Some(Checkpoint { seq, head, at })
}

/// The file: one envelope per line.
///
/// # Errors
/// [`NotCanonical`] when an envelope has no JSON form.
pub fn lines(envelopes: &[Envelope]) -> Result<Vec<u8>, NotCanonical> {
    let mut bytes = Vec::new();
    for envelope in envelopes {
        bytes.extend(canonical_json(envelope)?);
        bytes.push(b'\n');
    }
    Ok(bytes)
}
