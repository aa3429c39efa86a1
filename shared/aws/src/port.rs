//! What can go wrong at the border to AWS, in four words that decide what happens next.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use blackstart_core::error_name::{ErrorName, StageError};

/// A call that did not give its answer. The adapter classifies, because only it knows the SDK error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// AWS understood and said no; nothing was changed.
    #[error("{what} was refused: {why}")]
    Refused {
        /// What was attempted.
        what: String,
        /// What AWS said.
        why: String,
    },
    /// Nothing was changed, and trying again later may help.
    #[error("{what} did not get through: {why}")]
    Transient {
        /// What was attempted.
        what: String,
        /// What happened.
        why: String,
    },
    /// The thing does not exist.
    #[error("{what} found nothing: {why}")]
    NotFound {
        /// What was attempted.
        what: String,
        /// What AWS said.
        why: String,
    },
    /// The request may have taken effect. Verify before anything else.
    #[error("the outcome of {what} is not known: {why}")]
    OutcomeUnknown {
        /// What was attempted.
        what: String,
        /// What happened.
        why: String,
    },
}

impl StageError for PortError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Refused { .. } => ErrorName::PolicyRefused,
            Self::Transient { .. } => ErrorName::Transient,
            Self::NotFound { .. } => ErrorName::PreconditionChanged,
            Self::OutcomeUnknown { .. } => ErrorName::OutcomeUnknown,
        }
    }
}

/// Whether a call changes anything: a lost answer to a read can be asked for again, a lost answer to a write cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Changes something, and AWS offers no token that makes a repeat harmless.
    Write,
    /// Changes something, and a repeat with the same token, name or condition is harmless.
    IdempotentWrite,
}

/// Maps an SDK error to what happens next.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "`SdkError` is open; whatever it adds is a lost answer"
)]
pub fn classify<E>(what: impl Into<String>, effect: Effect, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let what = what.into();
    let why = describe(error);
    let lost = |what, why| match effect {
        Effect::Read | Effect::IdempotentWrite => PortError::Transient { what, why },
        Effect::Write => PortError::OutcomeUnknown { what, why },
    };
    match error {
        SdkError::ConstructionFailure(_) => PortError::Refused { what, why },
        SdkError::DispatchFailure(failure) if failure.is_user() => PortError::Refused { what, why },
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            classify_answer(what, effect, status, code, why)
        }
        // Timeout, failed dispatch, unreadable response, and whatever the SDK adds.
        _ => lost(what, why),
    }
}

/// Maps an error that a service answered, by its HTTP status and code, to what happens next.
pub fn classify_answer(
    what: impl Into<String>,
    effect: Effect,
    status: u16,
    code: &str,
    why: String,
) -> PortError {
    let what = what.into();
    if is_throttling(code) || status == 429 {
        PortError::Transient { what, why }
    } else if status >= 500 || (200..300).contains(&status) {
        // An answer of success that cannot be read is one: the service did what it was asked.
        match effect {
            Effect::Read | Effect::IdempotentWrite => PortError::Transient { what, why },
            Effect::Write => PortError::OutcomeUnknown { what, why },
        }
    } else if is_not_found(code) || status == 404 {
        PortError::NotFound { what, why }
    } else {
        PortError::Refused { what, why }
    }
}

/// Throttling codes of the AWS SDKs' retry behaviour reference (standard mode).
fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "TransactionInProgressException"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "LimitExceededException"
            | "RequestThrottled"
            | "SlowDown"
            | "PriorRequestNotComplete"
            | "EC2ThrottledException"
    )
}

fn is_not_found(code: &str) -> bool {
    code.starts_with("NoSuch")
        || code.ends_with("NotFound")
        || code.ends_with("NotFoundException")
        || code == "AWS.SimpleQueueService.NonExistentQueue"
        || code.ends_with("DoesNotExist")
}

fn describe<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let code = service.err().code().unwrap_or("unnamed error");
        return match service.err().message() {
            Some(message) => format!("{code}: {message}"),
            None => format!("{code}, HTTP {}", service.raw().status().as_u16()),
        };
    }
    blackstart_core::error_name::error_chain(error)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("service error")]
    struct Service(ErrorMetadata);
    impl ProvideErrorMetadata for Service {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn service(status: u16, code: &str) -> SdkError<Service, HttpResponse> {
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        SdkError::service_error(Service(ErrorMetadata::builder().code(code).build()), response)
    }

    fn name(error: &SdkError<Service, HttpResponse>, effect: Effect) -> ErrorName {
        classify("a call", effect, error).name()
    }

    #[test]
    fn a_lost_answer_to_a_write_is_never_retried_blindly() {
        let timeout = SdkError::timeout_error("too slow");
        assert_eq!(name(&timeout, Effect::Write), ErrorName::OutcomeUnknown);
        assert_eq!(name(&timeout, Effect::IdempotentWrite), ErrorName::Transient);
        assert_eq!(name(&timeout, Effect::Read), ErrorName::Transient);
        let cut = SdkError::dispatch_failure(ConnectorError::io("connection reset".into()));
        assert_eq!(name(&cut, Effect::Write), ErrorName::OutcomeUnknown);
        assert_eq!(
            name(&service(503, "ServiceUnavailable"), Effect::Write),
            ErrorName::OutcomeUnknown
        );
    }

    #[test]
    fn a_success_that_cannot_be_read_is_no_refusal() {
        assert_eq!(name(&service(201, ""), Effect::Write), ErrorName::OutcomeUnknown);
        assert_eq!(
            name(&service(200, ""), Effect::IdempotentWrite),
            ErrorName::Transient
        );
        assert_eq!(name(&service(400, ""), Effect::Write), ErrorName::PolicyRefused);
    }

    #[test]
    fn throttling_is_transient_even_for_a_write_and_refusals_are_final() {
        assert_eq!(
            name(&service(400, "ThrottlingException"), Effect::Write),
            ErrorName::Transient
        );
        assert_eq!(
            name(&service(503, "SlowDown"), Effect::Write),
            ErrorName::Transient
        );
        assert_eq!(
            name(&service(403, "AccessDenied"), Effect::Read),
            ErrorName::PolicyRefused
        );
        assert_eq!(
            name(&service(404, "NoSuchEntity"), Effect::Read),
            ErrorName::PreconditionChanged
        );
    }
}
