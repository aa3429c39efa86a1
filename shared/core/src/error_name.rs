//! The error names that the state machine sees, and nothing else.

use std::error::Error as StdError;

use strum::{EnumIter, IntoStaticStr};

/// Every error name that a `Catch` or `Retry` in `infra/statemachine` may mention.
///
/// Expected outcomes (no clean recovery set, refused, expired, still running) are data, not errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, IntoStaticStr)]
pub enum ErrorName {
    /// The payload or the plan does not match its schema. Not retried.
    #[strum(serialize = "Recovery.InvalidInput")]
    InvalidInput,
    /// Throttled, 5xx or connection refused, before any effect. Retried with full jitter.
    #[strum(serialize = "Recovery.Transient")]
    Transient,
    /// A live value is neither the recorded old nor the wanted new. Needs a new plan and a new approval.
    #[strum(serialize = "Recovery.PreconditionChanged")]
    PreconditionChanged,
    /// The digest differs from the approved one, an account is not allowed, an approver is the requester.
    #[strum(serialize = "Recovery.PolicyRefused")]
    PolicyRefused,
    /// A request may have taken effect. Verified, never blindly retried.
    #[strum(serialize = "Recovery.OutcomeUnknown")]
    OutcomeUnknown,
    /// A broken invariant or a panic. Stops, and asks an operator.
    #[strum(serialize = "Recovery.Defect")]
    Defect,
}

impl ErrorName {
    /// The name as it stands in the state machine, for example `Recovery.Transient`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What the error of a stage must be able to say about itself.
pub trait StageError: StdError + Send + Sync + 'static {
    /// The name under which the state machine sees this error.
    fn name(&self) -> ErrorName;
}

/// `outer: middle: inner`, each layer once.
#[must_use]
pub fn error_chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut current = error.source();
    while let Some(source) = current {
        text.push_str(": ");
        text.push_str(&source.to_string());
        current = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::ErrorName;

    #[test]
    fn names_never_use_the_prefix_that_asl_reserves() {
        for name in ErrorName::iter() {
            assert!(name.as_str().starts_with("Recovery."), "{name:?}");
        }
    }
}
