//! What the environment says.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// Settings of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `LEDGER_TABLE`.
    pub ledger_table: String,
    /// `ARTIFACT_BUCKET`.
    pub artifact_bucket: String,
    /// `EXTERNAL_ID`: what the roles of the other accounts demand.
    pub external_id: String,
}

impl Config {
    /// Reads `LEDGER_TABLE`, `ARTIFACT_BUCKET` and `EXTERNAL_ID`.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with every problem.
    pub fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, InvalidEnvironment> {
        let mut settings = Settings::new(get);
        let config = Self {
            ledger_table: settings.required("LEDGER_TABLE"),
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            external_id: settings.required("EXTERNAL_ID"),
        };
        settings.finish(config)
    }
}
