//! The environment of the function.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// Where things are.
#[derive(Clone)]
pub struct Config {
    /// Bucket for artifacts.
    pub artifact_bucket: String,
    /// The ledger table.
    pub ledger_table: String,
    /// What the roles of other accounts demand of whoever assumes them.
    pub external_id: String,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("artifact_bucket", &self.artifact_bucket)
            .field("ledger_table", &self.ledger_table)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the settings through `get`.
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
