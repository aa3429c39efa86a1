//! Requests to services whose client crate is not worth its build time: signed (Signature Version 4), sent and retried
//! here, with answers as JSON or XML text.
//!
//! Reading an inventory takes one or two operations of each of a dozen services. Their clients would be most of the
//! build; `aws-sdk-ec2` alone is. What is asked here is small, and only what is named in an [`Operation`].

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_types::service_config::ServiceConfigKey;
use serde_json::Value;

use crate::port::{Effect, PortError, classify_answer};

/// Attempts per request, the first included: as many as the SDK's clients make.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Its name in `AWS_ENDPOINT_URL_<NAME>` and in a profile.
    pub id: &'static str,
    /// What stands before `.REGION.amazonaws.com`.
    pub host: &'static str,
    /// The service name in the signature.
    pub signing: &'static str,
}

/// An operation of a service.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// The service.
    pub endpoint: Endpoint,
    /// The permission that it takes.
    pub permission: &'static str,
    /// What it does.
    pub effect: Effect,
    /// Its protocol.
    pub protocol: Protocol,
}

/// How an operation is called.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// `POST /` with `X-Amz-Target`, version 1.0 or 1.1.
    Json {
        /// `1.0` or `1.1`.
        version: &'static str,
        /// Prefix and name: `AWSGlue.GetResourcePolicies`.
        target: &'static str,
    },
    /// `GET` or `POST` of a path, with a JSON body.
    Rest {
        /// The method.
        method: &'static str,
    },
    /// `POST /` with a form; the answer is XML.
    Query,
}

/// Sends signed requests with the credentials and region of a configuration.
#[derive(Debug, Clone)]
pub struct Signed {
    config: SdkConfig,
    connector: SharedHttpConnector,
    first_pause: Duration,
}

impl Signed {
    /// A client with these credentials, in this region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .build();
        let mut connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .connector_settings(settings);
        connector.set_sleep_impl(config.sleep_impl());
        Self::over(config, SharedHttpConnector::new(connector.build()))
    }

    /// A client over another connection.
    #[must_use]
    pub fn over(config: &SdkConfig, connector: SharedHttpConnector) -> Self {
        Self {
            config: config.clone(),
            connector,
            first_pause: FIRST_PAUSE,
        }
    }

    /// The same client for another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        let region = aws_config::Region::new(region.to_owned());
        Self {
            config: self.config.to_builder().region(region).build(),
            ..self.clone()
        }
    }

    /// Calls an operation whose answer is JSON. `path` is used by [`Protocol::Rest`] alone.
    ///
    /// # Errors
    /// [`PortError`] as the service answers.
    pub async fn json(
        &self,
        operation: &Operation,
        what: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, PortError> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self.call(operation, what, path, body).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).map_err(|error| PortError::Refused {
            what: what.to_owned(),
            why: format!("the answer is no JSON: {error}"),
        })
    }

    /// Calls an operation of the query protocol; the answer is XML.
    ///
    /// # Errors
    /// [`PortError`] as the service answers.
    pub async fn query(
        &self,
        operation: &Operation,
        what: &str,
        form: &[(&str, &str)],
    ) -> Result<String, PortError> {
        let encoded: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", form_encoded(value)))
            .collect();
        self.call(operation, what, "/", encoded.join("&")).await
    }

    async fn call(
        &self,
        operation: &Operation,
        what: &str,
        path: &str,
        body: String,
    ) -> Result<String, PortError> {
        let mut pause = self.first_pause;
        let mut attempt = 1;
        loop {
            let outcome = self.once(operation, what, path, &body).await;
            match outcome {
                Err(PortError::Transient { .. }) if attempt < ATTEMPTS => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn once(
        &self,
        operation: &Operation,
        what: &str,
        path: &str,
        body: &str,
    ) -> Result<String, PortError> {
        let lost = |why: String| {
            let what = what.to_owned();
            match operation.effect {
                Effect::Read | Effect::IdempotentWrite => PortError::Transient { what, why },
                Effect::Write => PortError::OutcomeUnknown { what, why },
            }
        };
        let request = self
            .signed(operation, path, body)
            .await
            .map_err(|why| PortError::Refused {
                what: what.to_owned(),
                why,
            })?;
        let answer = tokio::time::timeout(PATIENCE, self.connector.call(request))
            .await
            .map_err(|_| lost("no answer in time".to_owned()))?
            .map_err(|error| lost(blackstart_core::error_name::error_chain(&error)))?;
        let status = answer.status().as_u16();
        let code = answer
            .headers()
            .get("x-amzn-errortype")
            .map(|code| code.split([':', ',']).next().unwrap_or(code).to_owned());
        let bytes = tokio::time::timeout(PATIENCE, ByteStream::new(answer.into_body()).collect())
            .await
            .map_err(|_| lost("the answer did not end in time".to_owned()))?
            .map_err(|error| lost(blackstart_core::error_name::error_chain(&error)))?
            .to_vec();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let (named, message) = explanation(&text);
        let code = code.or(named).unwrap_or_default();
        let why = match message {
            Some(message) => format!("{code}: {message}"),
            None => format!("{code}, HTTP {status}"),
        };
        Err(classify_answer(what, operation.effect, status, &code, why))
    }

    async fn signed(&self, operation: &Operation, path: &str, body: &str) -> Result<HttpRequest, String> {
        let region = self.config.region().ok_or("no region is configured")?.as_ref();
        let provider = self
            .config
            .credentials_provider()
            .ok_or("there are no credentials")?;
        let said = |error: &dyn std::error::Error| blackstart_core::error_name::error_chain(error);
        let identity = provider
            .provide_credentials()
            .await
            .map_err(|error| said(&error))?
            .into();
        let base = self.base(&operation.endpoint, region);
        let (method, url, content) = match operation.protocol {
            Protocol::Json { version, .. } => (
                "POST",
                format!("{base}/"),
                format!("application/x-amz-json-{version}"),
            ),
            Protocol::Rest { method } => (method, format!("{base}{path}"), "application/json".to_owned()),
            Protocol::Query => (
                "POST",
                format!("{base}/"),
                "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
            ),
        };
        let mut headers = vec![("content-type", content.as_str())];
        if let Protocol::Json { target, .. } = operation.protocol {
            headers.push(("x-amz-target", target));
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(operation.endpoint.signing)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| said(&error))?
            .into();
        let signable = SignableRequest::new(
            method,
            &url,
            headers.iter().copied(),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(|error| said(&error))?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| said(&error))?
            .into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method).map_err(|error| said(&error))?;
        request.set_uri(url.as_str()).map_err(|error| said(&error))?;
        for (name, value) in headers {
            request.headers_mut().insert(name, value.to_owned());
        }
        for (name, value) in instructions.headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }

    /// `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`, or the service's own address, as the SDK's clients do.
    fn base(&self, endpoint: &Endpoint, region: &str) -> String {
        let key = ServiceConfigKey::builder()
            .service_id(endpoint.id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok();
        let configured = self
            .config
            .service_config()
            .and_then(|loader| loader.load_config(key?))
            .or_else(|| self.config.endpoint_url().map(str::to_owned));
        match configured {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let suffix = if region.starts_with("cn-") {
                    "amazonaws.com.cn"
                } else {
                    "amazonaws.com"
                };
                format!("https://{}.{region}.{suffix}", endpoint.host)
            }
        }
    }
}

fn form_encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Code and message of an error, in JSON or XML.
fn explanation(text: &str) -> (Option<String>, Option<String>) {
    if let Ok(answer) = serde_json::from_str::<Value>(text) {
        let member = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| answer.get(*name)?.as_str().map(str::to_owned))
        };
        let code =
            member(["__type", "code"]).map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());
        return (code, member(["message", "Message"]));
    }
    let element = |name| elements(text, name).into_iter().next();
    (element("Code"), element("Message"))
}

/// The texts of all elements of this name, in order. Enough for answers whose elements of interest hold plain text.
#[must_use]
pub fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(open.as_str())
        .skip(1)
        .filter_map(|rest| rest.split_once(close.as_str()))
        .map(|(text, _)| xml::unescaped(text))
        .collect()
}

pub mod xml;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
