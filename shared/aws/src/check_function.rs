//! A function of another account that gives a verdict on a restored resource.

use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use blackstart_core::artifact::{NotCanonical, canonical_json};
use blackstart_core::validation::check_function::{Called, Question};

use crate::port::{Effect, PortError, classify};

/// How much longer than the function itself the caller waits, in seconds: for its start.
const START: u64 = 10;

/// Longest answer that is read, in bytes. Lambda allows 6 MB.
const LONGEST: usize = 64 << 10;

/// Calls functions as one account.
#[derive(Debug, Clone)]
pub struct CheckFunctions {
    client: aws_sdk_lambda::Client,
}

impl CheckFunctions {
    /// With this configuration's account and region. Nothing is repeated: the caller decides what a lost answer means.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        let config = aws_sdk_lambda::config::Builder::from(config)
            .retry_config(aws_sdk_lambda::config::retry::RetryConfig::disabled())
            .build();
        Self {
            client: aws_sdk_lambda::Client::from_conf(config),
        }
    }

    /// Asks a function, and waits for its answer for `seconds` at most. Whatever happens is an answer.
    ///
    /// # Errors
    /// [`NotCanonical`] never happens for a question.
    pub async fn ask(
        &self,
        function: &str,
        question: &Question,
        seconds: u16,
    ) -> Result<Called, NotCanonical> {
        let payload = canonical_json(question)?;
        let patience = Duration::from_secs(u64::from(seconds).saturating_add(START));
        let call = self
            .client
            .invoke()
            .function_name(function)
            .payload(Blob::new(payload))
            .send();
        let Ok(answer) = tokio::time::timeout(patience, call).await else {
            return Ok(Called::TimedOut(seconds));
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(match classify("the call", Effect::Read, &error) {
                    PortError::Refused { why, .. }
                    | PortError::NotFound { why, .. }
                    | PortError::Transient { why, .. }
                    | PortError::OutcomeUnknown { why, .. } => Called::NotCalled(why),
                });
            }
        };
        let bytes = answer.payload.map(Blob::into_inner).unwrap_or_default();
        if let Some(kind) = answer.function_error {
            let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
            return Ok(Called::Failed(format!("{kind}: {text}")));
        }
        if bytes.len() > LONGEST {
            return Ok(Called::Failed(format!("its answer has {} bytes", bytes.len())));
        }
        Ok(Called::Returned(bytes))
    }
}
