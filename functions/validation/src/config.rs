//! The environment of `validation`.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// Where things are, and what the validation account demands.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `LEDGER_TABLE`.
    pub ledger_table: String,
    /// `ARTIFACT_BUCKET`.
    pub artifact_bucket: String,
    /// `EXTERNAL_ID`: what the role in the validation account demands.
    pub external_id: String,
    /// `TRIAL_TOKEN_KEY_ID`: the KMS key of the tokens of states that wait for a trial.
    pub trial_token_key: String,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("ledger_table", &self.ledger_table)
            .field("artifact_bucket", &self.artifact_bucket)
            .field("trial_token_key", &self.trial_token_key)
            .finish_non_exhaustive()
    }
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
            external_id: settings.required("EXTERNAL_ID"),
            trial_token_key: settings.required("TRIAL_TOKEN_KEY_ID"),
        };
        settings.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_variable_is_named_and_the_external_id_is_not_shown() {
        let error = Config::read(&|_| None).unwrap_err().to_string();
        for name in [
            "LEDGER_TABLE",
            "ARTIFACT_BUCKET",
            "EXTERNAL_ID",
            "TRIAL_TOKEN_KEY_ID",
        ] {
            assert!(error.contains(name), "{error}");
        }
        let config = Config::read(&|name| Some(format!("<{name}>"))).unwrap();
        assert!(!format!("{config:?}").contains("<EXTERNAL_ID>"));
    }
}
