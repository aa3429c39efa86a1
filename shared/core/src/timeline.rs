//! Stage 1: indicators, the actor behind them, and the event boundary.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{ArtifactRef, Digest};

pub mod actor;
pub mod again;
pub mod agent;
pub mod batches;
pub mod boundary;
pub mod case;
mod catalogue;
pub mod cloudtrail;
pub mod context;
mod coverage;
pub mod delivery;
pub mod digests;
pub mod facts;
pub mod findings;
pub mod flow;
pub mod forms;
pub mod guardduty;
pub mod indicator;
mod kept;
pub mod late;
mod lineage;
pub mod object;
pub mod ocsf;
mod outline;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod pivot;
pub mod results;
pub mod rows;
pub mod rules;
pub mod securityhub;
mod segments;
mod selectors;
mod sign_in;
pub mod sketch;
pub mod sorted;
pub mod sources;
pub mod sweep;
pub mod workload;

/// The schema of [`BoundaryDocument`].
pub const SCHEMA: &str = "blackstart.boundary/1";

/// The boundary document: the answer of stage 1 with everything that set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundaryDocument {
    /// Always `blackstart.boundary/1`.
    pub schema: String,
    /// The boundary; absent when no indicator was found.
    pub boundary: Option<Boundary>,
    /// Who set the boundary.
    #[serde(default)]
    pub actors: Vec<ActorSummary>,
    /// Strong indicators whose actor showed no more than that, and which did not set the boundary because
    /// another actor showed more. A person may move the boundary before them.
    #[serde(default)]
    pub suspects: Vec<Reason>,
    /// What was really seen.
    pub coverage: Coverage,
}

/// An actor behind strong indicators. Text from logs in it is hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActorSummary {
    /// ARNs and unique ids.
    pub principals: BTreeSet<String>,
    /// Access key ids.
    pub credentials: BTreeSet<String>,
    /// Addresses, and services that called on its behalf.
    pub addresses: BTreeSet<String>,
    /// Indicator ids.
    pub indicators: BTreeSet<String>,
    /// Whether more than one kind of act speaks against it.
    pub confirmed: bool,
}

/// An interval with reasons. Late is the unsafe error, so every doubt widens it to earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boundary {
    /// The earliest act of the actor behind a strong indicator.
    pub best: Timestamp,
    /// The earliest strong indicator itself.
    pub not_later_than: Timestamp,
    /// The beginning of the actor's credential, as far as the logs show.
    pub floor: Timestamp,
    /// Whether the actor was already there when the logs begin: then the true boundary may be earlier still.
    #[serde(default)]
    pub unbounded: bool,
    /// Why, each with its evidence, earliest first.
    pub reasons: Vec<Reason>,
}

/// One record that set the boundary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// When the record's event happened.
    pub at: Timestamp,
    /// What it shows, for people. Text from logs in it is hostile.
    pub what: String,
    /// Indicator id, or `actor` for an act found by the pivot.
    pub indicator: String,
    /// Where the record is.
    pub evidence: Evidence,
}

/// Where a record is, so that anyone can look it up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// `s3://bucket/key` or a file name.
    pub object: String,
    /// Digest of the object's bytes as stored.
    pub sha256: Digest,
    /// Index of the record within the object, from 0.
    pub record: u64,
    /// The record's own id (CloudTrail `eventID`, finding id).
    pub event_id: String,
}

/// What was really seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Objects read; objects of equal bytes count once.
    pub objects: u64,
    /// Records read in them.
    pub records: u64,
    /// Earliest event time seen.
    pub first: Option<Timestamp>,
    /// Latest event time seen.
    pub last: Option<Timestamp>,
    /// Everything that could not be seen, with its reason. A gap widens the boundary, it never narrows it.
    pub gaps: Vec<Gap>,
    /// Hours seen, by kind of log, account and region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenHours>,
    /// Periods that were not recorded or not read, as far as they are known. The floor reaches back before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
}

/// The hours seen of one region of one account in one kind of log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenHours {
    /// Kind of log, for example `CloudTrail`.
    pub source: String,
    /// Account; empty when the objects' names do not say it.
    pub account: String,
    /// Region; empty when the objects' names do not say it.
    pub region: String,
    /// Objects.
    pub objects: u64,
    /// Hours in which there was an event or a delivery.
    pub hours: u64,
    /// Those hours as periods: beginning, and end that is not part of it. Short holes are closed when there were many;
    /// `hours` is exact.
    pub periods: Vec<[Timestamp; 2]>,
}

/// A period that was not recorded or not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unseen {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end, if it ended.
    pub to: Option<Timestamp>,
    /// Object, trail, or account and region.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Object, trail or period.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// The current boundary as the ledger keeps it under [`crate::ledger::Key::boundary`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurrentBoundary {
    /// The boundary.
    pub boundary: Timestamp,
    /// The document that says why.
    pub document: ArtifactRef,
}
