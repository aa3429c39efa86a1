//! The environment of the function.

use blackstart_aws::env::{InvalidEnvironment, Settings};

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The ledger table.
    pub ledger_table: String,
    /// The artifact bucket.
    pub artifact_bucket: String,
    /// The KMS key that encrypts task tokens.
    pub token_key: String,
    /// The SNS topic that tells the approvers.
    pub notification_topic: String,
    /// Which of its two surfaces this deployment is.
    pub surface: Surface,
}

/// Who calls the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The state machine.
    Stage,
    /// People, through the function URL.
    Gateway,
}

impl Config {
    /// Reads the environment through `get`.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with every problem.
    pub fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, InvalidEnvironment> {
        let mut settings = Settings::new(get);
        let surface = match settings.required("SURFACE").as_str() {
            "gateway" => Surface::Gateway,
            "stage" | "" => Surface::Stage,
            other => {
                settings.problem(format!("`SURFACE` is `{other}`; it must be `stage` or `gateway`"));
                Surface::Stage
            }
        };
        let config = Self {
            ledger_table: settings.required("LEDGER_TABLE"),
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            token_key: settings.required("TOKEN_KEY_ID"),
            notification_topic: settings.required("NOTIFICATION_TOPIC"),
            surface,
        };
        settings.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surface_is_never_guessed() {
        let get = |name: &str| Some(if name == "SURFACE" { "web" } else { "x" }.to_owned());
        let problems = Config::from_environment(&get).unwrap_err().0;
        assert_eq!(problems, ["`SURFACE` is `web`; it must be `stage` or `gateway`"]);
        assert_eq!(Config::from_environment(&|_| None).unwrap_err().0.len(), 5);
    }
}
