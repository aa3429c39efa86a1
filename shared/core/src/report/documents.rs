//! The documents of a run, and what each of them proves to who was not there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::artifact::ArtifactRef;

/// A kind of document that a report names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "title_case")]
pub enum Document {
    /// The plan as the run froze it.
    Plan,
    /// Stage 1.
    EventBoundary,
    /// Stage 1.
    Timeline,
    /// Stage 2.
    Candidates,
    /// Stage 2.
    Selection,
    /// Stage 3.
    DecisionPackage,
    /// Stage 4.
    Rebuild,
    /// Stage 4.
    Restore,
    /// Stage 4.
    Rotation,
    /// Stage 5.
    #[strum(serialize = "inventory of references")]
    Inventory,
    /// Stage 5.
    CutoverPlan,
    /// Of the report itself.
    RecordedTimes,
}

impl Document {
    /// Its name, for people.
    #[must_use]
    pub fn words(self) -> String {
        let name: &str = self.into();
        name.to_lowercase()
    }

    /// What it proves.
    #[must_use]
    pub fn proves(self) -> &'static str {
        match self {
            Self::Plan => "what was agreed before: accounts, approvers, targets, what may be left alone",
            Self::EventBoundary => "which log records set the boundary, and where the logs have gaps",
            Self::Timeline => "every hostile record that was found, with its place in the logs",
            Self::Candidates => "which recovery points there were, and which sets they make",
            Self::Selection => "why this set and no newer one",
            Self::DecisionPackage => "what exactly was approved: its digest is the one that was voted on",
            Self::Rebuild => "which templates were built, and how isolation was tested",
            Self::Restore => "that the restored content equals the validated content",
            Self::Rotation => "which secrets have new values; no value is in it",
            Self::Inventory => "every document of the siblings that names the old account",
            Self::CutoverPlan => "every document before and after its change, with the proof of the change",
            Self::RecordedTimes => "every duration of this report: measure again from it",
        }
    }
}

/// A document of the run, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedDocument {
    /// What it is, for people.
    pub what: String,
    /// What it proves, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proves: String,
    /// Where it is.
    pub artifact: ArtifactRef,
}

impl NamedDocument {
    /// A document of this kind.
    #[must_use]
    pub fn new(document: Document, artifact: ArtifactRef) -> Self {
        Self {
            what: document.words(),
            proves: document.proves().to_owned(),
            artifact,
        }
    }
}
