//! Stage 1: from logs to the event boundary.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;

/// What `timeline` can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Lists the log objects and writes the manifest that the Distributed Map reads.
    Collect {
        /// The run's plan.
        plan: ArtifactRef,
    },
    /// Reads one batch of log objects.
    Scan {
        /// The run's plan.
        plan: ArtifactRef,
        /// One item of the manifest.
        batch: Batch,
    },
    /// Pivots from strong indicators to the actor, and writes the manifest of what is to be read again.
    Trace {
        /// The run's plan.
        plan: ArtifactRef,
        /// How many batches there were; every one must have left its result.
        batches: u32,
    },
    /// Reads objects of one batch again, for what the actors did.
    Again {
        /// The run's plan.
        plan: ArtifactRef,
        /// One item of the manifest.
        batch: BatchAgain,
    },
    /// Merges what the batches found, and sets the boundary. What was not read again yet, or for other actors, is read
    /// here.
    Merge {
        /// The run's plan.
        plan: ArtifactRef,
        /// How many batches there were; every one must have left its result.
        batches: u32,
    },
    /// Merges again because evidence came late: from the results that the batches left, without reading all logs
    /// again. The boundary can become earlier, never later.
    Revise {
        /// The run's plan.
        plan: ArtifactRef,
    },
}

/// One item of the manifest: a batch of log objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Number within the manifest, from 0.
    pub batch: u32,
    /// Index of the plan's log source.
    pub source: u32,
    /// Bucket of all objects.
    pub bucket: String,
    /// The objects.
    pub objects: Vec<BatchObject>,
}

/// One log object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchObject {
    /// Key.
    pub key: String,
    /// Size in bytes as listed.
    pub bytes: u64,
}

/// The answer to [`Operation::Collect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collected {
    /// The manifest: a JSON array of [`Batch`].
    pub manifest: ArtifactRef,
    /// Number of batches.
    pub batches: u32,
    /// Number of objects.
    pub objects: u64,
}

/// The answer to [`Operation::Scan`]. The hits themselves are in the batch's artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scanned {
    /// Number of the batch.
    pub batch: u32,
    /// Records read.
    pub records: u64,
    /// Records that an indicator marked.
    pub hits: u64,
    /// Objects that could not be read; each is a coverage gap.
    pub gaps: u64,
}

/// The answer to [`Operation::Trace`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traced {
    /// The manifest: a JSON array of [`BatchAgain`].
    pub manifest: ArtifactRef,
    /// Number of batches that hold something to read again.
    pub batches: u32,
    /// Number of objects to read again.
    pub objects: u64,
}

/// One item of the manifest: objects of a batch that are to be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchAgain {
    /// Number of the batch that was scanned.
    pub batch: u32,
    /// Numbers of the objects within its result.
    pub objects: Vec<u32>,
}

/// The answer to [`Operation::Again`]. The rows themselves are in the batch's artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadAgain {
    /// Number of the batch.
    pub batch: u32,
    /// Objects that were read again.
    pub objects: u64,
    /// Objects that are not any more what they were; each is a coverage gap.
    pub lost: u64,
}

/// The answer to [`Operation::Merge`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Merged {
    /// There is a boundary.
    Boundary {
        /// The best estimate: the earliest act of the actor behind a strong indicator.
        boundary: Timestamp,
        /// The boundary document: interval, reasons, evidence, coverage.
        document: ArtifactRef,
        /// The timeline itself, JSON lines.
        timeline: ArtifactRef,
        /// Whether every source, account and hour that the plan names was really seen.
        covered: bool,
    },
    /// Asked to revise before there was anything to merge: the evidence is read with the rest, later.
    NothingToRevise {},
    /// No indicator at all: a person must set the boundary.
    NoIndicator {
        /// The boundary document: coverage only.
        document: ArtifactRef,
        /// The timeline, possibly empty.
        timeline: ArtifactRef,
    },
}
