//! The environment of the function.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// What the function is told by its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `LEDGER_TABLE`.
    pub ledger_table: String,
    /// `ARTIFACT_BUCKET`.
    pub artifact_bucket: String,
    /// `EXTERNAL_ID`: demanded by every role in another account.
    pub external_id: String,
    /// `TOKEN_KEY_ID`: encrypts task tokens.
    pub token_key: String,
    /// `NOTIFICATION_TOPIC`: tells the operators.
    pub topic: String,
}

impl Config {
    /// Reads the environment through `get`.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with every problem.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, InvalidEnvironment> {
        let mut settings = Settings::new(get);
        let config = Self {
            ledger_table: settings.required("LEDGER_TABLE"),
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            external_id: settings.required("EXTERNAL_ID"),
            token_key: settings.required("TOKEN_KEY_ID"),
            topic: settings.required("NOTIFICATION_TOPIC"),
        };
        settings.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn every_missing_variable_is_named() {
        let error = Config::read(&|_| None).unwrap_err();
        assert_eq!(error.0.len(), 5, "{error}");
    }
}
