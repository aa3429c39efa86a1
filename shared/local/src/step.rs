//! Errors of set-up steps: what was being done, and the whole chain of causes in one line.

use std::error::Error;

/// A step of setting up or checking the local AWS failed.
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed: {cause}")]
pub struct StepFailed {
    doing: String,
    cause: String,
}

impl StepFailed {
    /// With the cause as text.
    #[must_use]
    pub fn new(doing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            cause: cause.into(),
        }
    }
}

/// Says what was being done when an error came.
pub(crate) trait Doing<T> {
    /// Names the step.
    fn doing(self, step: impl Into<String>) -> Result<T, StepFailed>;
}

impl<T, E: Error> Doing<T> for Result<T, E> {
    fn doing(self, step: impl Into<String>) -> Result<T, StepFailed> {
        self.map_err(|error| StepFailed::new(step, told(&error)))
    }
}

impl<T> Doing<T> for Option<T> {
    fn doing(self, step: impl Into<String>) -> Result<T, StepFailed> {
        self.ok_or_else(|| StepFailed::new(step, "the answer is empty"))
    }
}

/// An error with its causes in one line. The SDK's own text says little more than "service error".
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
