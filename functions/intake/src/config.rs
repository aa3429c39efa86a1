//! The environment of `intake`.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `LEDGER_TABLE`.
    pub ledger_table: String,
    /// `ARTIFACT_BUCKET`.
    pub artifact_bucket: String,
    /// `PLAN_BUCKET`: holds `plans/WORKLOAD.json`.
    pub plan_bucket: String,
    /// `TRIAL_TOKEN_KEY_ID`: the KMS key of the tokens of states that wait for a trial.
    pub trial_token_key: String,
    /// `DETECTOR_ID`: the delegated administrator's detector, against which findings are checked. Without one a
    /// finding is taken as EventBridge delivered it.
    pub detector: Option<String>,
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
            plan_bucket: settings.required("PLAN_BUCKET"),
            trial_token_key: settings.required("TRIAL_TOKEN_KEY_ID"),
            detector: settings.optional("DETECTOR_ID"),
        };
        settings.finish(config)
    }
}
