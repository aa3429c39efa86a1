//! The shapes of AWS answers: errors by protocol, and XML text.

use std::fmt::Write as _;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error as a rest-json service sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceError {
    status: StatusCode,
    code: &'static str,
    message: String,
    arn: Option<String>,
}

impl ServiceError {
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ResourceNotFoundException", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "MissingParameterValueException",
            format!("{parameter} is required"),
        )
    }

    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestException", message)
    }

    pub(super) fn exists(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "AlreadyExistsException", message)
    }

    /// The same error with the ARN of what is there already.
    pub(super) fn with_arn(mut self, arn: &str) -> Self {
        self.arn = Some(arn.to_owned());
        self
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ServiceUnavailableException",
            message,
        )
    }

    pub(super) fn throttled() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "ThrottlingException",
            "Rate exceeded",
        )
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            arn: None,
        }
    }

    /// The same error as Route 53, a rest-xml service, sends it.
    pub(super) fn into_xml(self) -> Response {
        let code = match self.code {
            "ResourceNotFoundException" => "NoSuchHealthCheck",
            "InvalidParameterValueException" | "MissingParameterValueException" => "InvalidInput",
            other => other,
        };
        let body = format!(
            "<ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{}</Message></Error><RequestId>stand-in</RequestId></ErrorResponse>",
            escaped(&self.message)
        );
        let status = if code.starts_with("NoSuch") {
            StatusCode::NOT_FOUND
        } else {
            self.status
        };
        xml(status, &body)
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        let mut body = json!({"message": self.message, "Message": self.message});
        if let (Some(arn), Some(fields)) = (self.arn, body.as_object_mut()) {
            fields.insert("Arn".to_owned(), json!(arn));
        }
        let mut response = (self.status, Json(body)).into_response();
        response
            .headers_mut()
            .insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        response
    }
}

/// What a rest-json operation answers.
pub(super) type Answer = Result<Json<Value>, ServiceError>;

/// The answer to everything that the stand-in does not know.
pub(super) async fn unknown_operation(request: axum::extract::Request) -> ServiceError {
    ServiceError::new(
        StatusCode::NOT_FOUND,
        "UnknownOperationException",
        format!(
            "the stand-in has no operation {} {}",
            request.method(),
            request.uri().path()
        ),
    )
}

/// An XML document.
pub(super) fn xml(status: StatusCode, body: &str) -> Response {
    let document = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    (status, [(header::CONTENT_TYPE, "text/xml")], document).into_response()
}

/// Text as XML content.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            plain if plain.is_control() && !matches!(plain, '\n' | '\t') => {
                let _infallible = write!(out, "\u{fffd}");
            }
            plain => out.push(plain),
        }
    }
    out
}

/// Seconds since 1970 with milliseconds, as rest-json writes an instant.
pub(super) fn epoch(at: jiff::Timestamp) -> Value {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this century need 41 bits of the 53 that are exact"
    )]
    let seconds = at.as_millisecond() as f64 / 1000.0;
    json!(seconds)
}

/// A page of a list: the items from the token on, and the token of the next page.
///
/// # Errors
/// `InvalidParameterValueException` for a token that no page gave out.
pub(super) fn page<T>(
    all: Vec<T>,
    token: Option<&str>,
    most: usize,
) -> Result<(Vec<T>, Option<String>), ServiceError> {
    let from = match token {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|from| *from <= all.len())
            .ok_or_else(|| ServiceError::invalid("Invalid NextToken"))?,
    };
    let most = most.clamp(1, 1000);
    let next = (from + most < all.len()).then(|| (from + most).to_string());
    Ok((all.into_iter().skip(from).take(most).collect(), next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_text_is_no_markup() {
        assert_eq!(
            escaped("<a b=\"c\">&\u{0}"),
            "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}"
        );
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_whole(count in 0_usize..50, most in 1_usize..20) {
            let all: Vec<usize> = (0..count).collect();
            let mut seen = Vec::new();
            let mut token = None;
            loop {
                let (items, next) = page(all.clone(), token.as_deref(), most).unwrap();
                prop_assert!(items.len() <= most);
                seen.extend(items);
                match next {
                    Some(next) => token = Some(next),
                    None => break,
                }
            }
            prop_assert_eq!(seen, all);
        }
    }
}
