//! The environment of the function.

use blackstart_aws::env::{InvalidEnvironment, Settings};
use blackstart_aws::sign_in;

/// Where things are.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The ledger table.
    pub ledger_table: String,
    /// The artifact bucket.
    pub artifact_bucket: String,
    /// What the roles of other accounts demand of whoever assumes them.
    pub external_id: String,
    /// The KMS key that encrypts task tokens.
    pub token_key: String,
    /// The SNS topic that tells the approvers.
    pub notification_topic: String,
    /// Where people sign in to the page of the gate; `None` where votes come from the command line only.
    pub sign_in: Option<sign_in::Settings>,
    /// Origin of the page of the gate, for the notices that lead there.
    pub page: Option<String>,
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

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("ledger_table", &self.ledger_table)
            .field("artifact_bucket", &self.artifact_bucket)
            .field("sign_in", &self.sign_in)
            .field("surface", &self.surface)
            .finish_non_exhaustive()
    }
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
        let sign_in = settings.optional("OIDC_ISSUER").map(|issuer| sign_in::Settings {
            issuer,
            client: settings.optional("OIDC_CLIENT_ID").unwrap_or_default(),
            secret: settings.optional("OIDC_CLIENT_SECRET_ARN"),
            origin: settings.optional("PAGE_ORIGIN").unwrap_or_default(),
        });
        for problem in sign_in.iter().flat_map(sign_in::Settings::problems) {
            settings.problem(problem);
        }
        let config = Self {
            ledger_table: settings.required("LEDGER_TABLE"),
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            external_id: settings.required("EXTERNAL_ID"),
            token_key: settings.required("TOKEN_KEY_ID"),
            notification_topic: settings.required("NOTIFICATION_TOPIC"),
            sign_in,
            page: settings.optional("PAGE_ORIGIN"),
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
        assert!(problems.contains(&"`SURFACE` is `web`; it must be `stage` or `gateway`".to_owned()));
        assert_eq!(Config::from_environment(&|_| None).unwrap_err().0.len(), 6);
    }

    #[test]
    fn the_page_is_there_only_with_an_issuer_and_then_wholly() {
        let with = |issuer: &'static str, client: &'static str| {
            Config::from_environment(&move |name: &str| {
                let value = match name {
                    "OIDC_ISSUER" => issuer,
                    "OIDC_CLIENT_ID" => client,
                    "PAGE_ORIGIN" => "https://gate.example",
                    "SURFACE" => "gateway",
                    _ => "x",
                };
                Some(value.to_owned())
            })
        };
        assert_eq!(with("", "").unwrap().sign_in, None);
        assert!(with("https://issuer.example", "c").unwrap().sign_in.is_some());
        assert_eq!(with("http://issuer.example", "").unwrap_err().0.len(), 2);
    }
}
