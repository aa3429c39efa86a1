//! Answers to Step Functions for states that wait with a task token.

use std::future::Future;

use aws_sdk_sfn::operation::send_task_success::SendTaskSuccessError;
use blackstart_core::task::approval::TaskToken;

use crate::port::{Effect, PortError, classify};

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The waiting state goes on with it.
    Taken,
    /// No state waits with this token: it was answered already, timed out or was stopped.
    NotWaiting,
}

/// Gives a waiting state its answer.
pub trait Callbacks: Send + Sync {
    /// Ends the wait with this output, JSON text.
    fn succeed(
        &self,
        token: &TaskToken,
        output: String,
    ) -> impl Future<Output = Result<Delivery, PortError>> + Send;
}

/// Step Functions itself.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: aws_sdk_sfn::Client,
}

impl StepFunctions {
    /// Step Functions of the function's own account.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: aws_sdk_sfn::Client::new(config),
        }
    }
}

impl Callbacks for StepFunctions {
    async fn succeed(&self, token: &TaskToken, output: String) -> Result<Delivery, PortError> {
        let answer = self
            .client
            .send_task_success()
            .task_token(token.expose())
            .output(output)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Delivery::Taken),
            Err(error) => match error.as_service_error() {
                Some(SendTaskSuccessError::TaskDoesNotExist(_) | SendTaskSuccessError::TaskTimedOut(_)) => {
                    Ok(Delivery::NotWaiting)
                }
                // A token works once, so a repeat after a lost answer is harmless.
                _ => Err(without_token(
                    classify("answering the waiting state", Effect::IdempotentWrite, &error),
                    token,
                )),
            },
        }
    }
}

/// A service may repeat its input in its message, and the message is logged.
fn without_token(error: PortError, token: &TaskToken) -> PortError {
    let clean = |why: String| why.replace(token.expose(), "(token)");
    match error {
        PortError::Refused { what, why } => PortError::Refused {
            what,
            why: clean(why),
        },
        PortError::Transient { what, why } => PortError::Transient {
            what,
            why: clean(why),
        },
        PortError::NotFound { what, why } => PortError::NotFound {
            what,
            why: clean(why),
        },
        PortError::OutcomeUnknown { what, why } => PortError::OutcomeUnknown {
            what,
            why: clean(why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_repeats_the_token_loses_it() {
        let error = PortError::Refused {
            what: "x".into(),
            why: "InvalidToken: 'AAAA' is bad".into(),
        };
        let clean = without_token(error, &TaskToken::new("AAAA".into()));
        assert_eq!(clean.to_string(), "x was refused: InvalidToken: '(token)' is bad");
    }
}
