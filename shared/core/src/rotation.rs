//! Stage 4: credentials that are made new, not carried over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was rotated. Names and versions only; values are in no document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationDocument {
    /// Always `blackstart.rotation/1`.
    pub schema: String,
    /// The credentials.
    pub rotated: Vec<RotatedCredential>,
}

/// One credential with a new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotatedCredential {
    /// Secret name.
    pub name: String,
    /// Version id of the new value.
    pub version: String,
}
