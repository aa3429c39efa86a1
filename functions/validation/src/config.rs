//! The function's environment.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the ledger table.
    pub ledger_table: String,
    /// Name of the artifact bucket.
    pub artifact_bucket: String,
    /// External id that the roles in other accounts demand.
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
            ledger_table: settings.required("LEDGER_TABLE"),
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            external_id: settings.required("EXTERNAL_ID"),
        };
        settings.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn every_missing_variable_is_named() {
        let error = Config::parse(&|_| None).unwrap_err().to_string();
        for name in ["LEDGER_TABLE", "ARTIFACT_BUCKET", "EXTERNAL_ID"] {
            assert!(error.contains(name), "{error}");
        }
    }
}
