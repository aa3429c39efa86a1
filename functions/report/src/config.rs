//! The environment of `report`.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `LEDGER_TABLE`.
    pub ledger_table: String,
    /// `ARTIFACT_BUCKET`.
    pub artifact_bucket: String,
    /// `EVIDENCE_BUCKET`: where checkpoints and bundles are locked.
    pub evidence_bucket: String,
    /// `EVIDENCE_KEY_ID`: the KMS key that signs them.
    pub evidence_key: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with all problems.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, InvalidEnvironment> {
        let mut settings = Settings::new(get);
        let config = Self {
            ledger_table: settings.required("LEDGER_TABLE"),
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            evidence_bucket: settings.required("EVIDENCE_BUCKET"),
            evidence_key: settings.required("EVIDENCE_KEY_ID"),
        };
        settings.finish(config)
    }
}
