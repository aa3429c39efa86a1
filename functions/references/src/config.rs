//! Where things are.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// The function's settings.
#[derive(Debug)]
pub struct Config {
    /// Bucket of the artifacts.
    pub artifact_bucket: String,
    /// Table of the ledger.
    pub ledger_table: String,
    /// External id that the roles in the siblings demand.
    pub external_id: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with every problem.
    pub fn parse(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, InvalidEnvironment> {
        let mut settings = Settings::new(get);
        let config = Self {
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            ledger_table: settings.required("LEDGER_TABLE"),
            external_id: settings.required("EXTERNAL_ID"),
        };
        settings.finish(config)
    }
}
