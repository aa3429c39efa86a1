//! The way to the gateway: its function URL with an AWS signature (version 4), or, where no function URL verifies
//! signatures, an invocation with the event that a function URL would deliver.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// Longest wait for the gateway.
const PATIENCE: Duration = Duration::from_secs(35);

/// A gateway to which requests can be sent.
#[derive(Debug)]
pub(crate) struct Gateway(Way);

#[derive(Debug)]
enum Way {
    Url {
        base: String,
        region: String,
        config: Box<SdkConfig>,
        connector: Connector,
    },
    Invocation {
        lambda: aws_sdk_lambda::Client,
        function: String,
        identity: String,
    },
}

/// The gateway did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    /// The address is no function URL.
    #[error(
        "`{0}` is no address of a gateway: the stack's output looks like https://….lambda-url.REGION.on.aws/"
    )]
    Address(String),
    /// A local identity was given for AWS itself.
    #[error("an identity can be chosen on a local AWS only: set `AWS_ENDPOINT_URL`, or sign in")]
    NotLocal,
    /// There are no credentials to sign with.
    #[error("there are no AWS credentials to sign with: log in as one of the plan's approvers")]
    Credentials(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The request cannot be signed.
    #[error("the request cannot be signed")]
    Signing(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The gateway cannot be reached.
    #[error("the gateway cannot be reached; repeating the request is safe")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The gateway answered something that is no answer.
    #[error("the gateway answered HTTP {status} without an explanation")]
    Unexplained {
        /// HTTP status.
        status: u16,
    },
    /// The gateway turned the request away.
    #[error("{message} (HTTP {status})")]
    TurnedAway {
        /// HTTP status.
        status: u16,
        /// Why.
        message: String,
    },
    /// The answer cannot be shown.
    #[error("the answer cannot be written")]
    Output(#[source] std::io::Error),
}

impl Gateway {
    /// The gateway at a function URL; requests are signed with the caller's own credentials.
    pub(crate) fn at(address: &str, config: &SdkConfig) -> Result<Self, GatewayError> {
        let base = address.trim_end_matches('/');
        let host = base
            .strip_prefix("https://")
            .filter(|host| !host.is_empty() && !host.contains(['/', '@', '?', '#']));
        let region = host
            .and_then(|host| host.split_once(".lambda-url."))
            .and_then(|(_, rest)| rest.split('.').next())
            .map(str::to_owned)
            .ok_or_else(|| GatewayError::Address(address.to_owned()))?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .build();
        let mut connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .connector_settings(settings);
        connector.set_sleep_impl(config.sleep_impl());
        let config = Box::new(config.clone());
        Ok(Self(Way::Url {
            base: base.to_owned(),
            region,
            config,
            connector: connector.build(),
        }))
    }

    /// The gateway function itself, on a local AWS whose function URLs verify nobody. On AWS, whoever could do this
    /// could be anybody, so there it is refused here and permitted to nobody.
    pub(crate) fn invoking(config: &SdkConfig, function: &str, identity: &str) -> Result<Self, GatewayError> {
        if config.endpoint_url().is_none() {
            return Err(GatewayError::NotLocal);
        }
        let lambda = aws_sdk_lambda::Client::new(config);
        Ok(Self(Way::Invocation {
            lambda,
            function: function.to_owned(),
            identity: identity.to_owned(),
        }))
    }

    /// Sends a request and returns the body of the answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, GatewayError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, text) = match &self.0 {
            Way::Url {
                base,
                region,
                config,
                connector,
            } => {
                let request = signed(method, &format!("{base}{path}"), body, region, config).await?;
                exchange(connector, request).await?
            }
            Way::Invocation {
                lambda,
                function,
                identity,
            } => invoke(lambda, function, &event(identity, method, path, &body)).await?,
        };
        let answer: Value = serde_json::from_str(&text).map_err(|_| GatewayError::Unexplained { status })?;
        if status == 200 {
            return Ok(answer);
        }
        let message = answer
            .get("message")
            .or_else(|| answer.get("Message"))
            .and_then(Value::as_str);
        match message {
            Some(message) => Err(GatewayError::TurnedAway {
                status,
                message: message.to_owned(),
            }),
            None => Err(GatewayError::Unexplained { status }),
        }
    }
}

async fn signed(
    method: &str,
    url: &str,
    body: String,
    region: &str,
    config: &SdkConfig,
) -> Result<HttpRequest, GatewayError> {
    let provider = config
        .credentials_provider()
        .ok_or(GatewayError::Credentials(None))?;
    let credentials = provider
        .provide_credentials()
        .await
        .map_err(|error| GatewayError::Credentials(Some(Box::new(error))))?;
    let headers = signature(method, url, &body, region, credentials, SystemTime::now())
        .map_err(GatewayError::Signing)?;
    let mut request = HttpRequest::new(SdkBody::from(body));
    request
        .set_method(method)
        .map_err(|error| GatewayError::Signing(Box::new(error)))?;
    request
        .set_uri(url)
        .map_err(|error| GatewayError::Signing(Box::new(error)))?;
    request.headers_mut().insert("content-type", "application/json");
    for (name, value) in headers {
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// The headers of a signature, version 4, for the service `lambda`.
fn signature(
    method: &str,
    url: &str,
    body: &str,
    region: &str,
    credentials: Credentials,
    time: SystemTime,
) -> Result<Vec<(String, String)>, Box<dyn std::error::Error + Send + Sync>> {
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("lambda")
        .time(time)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers = [("content-type", "application/json")].into_iter();
    let request = SignableRequest::new(method, url, headers, SignableBody::Bytes(body.as_bytes()))?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    Ok(instructions
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

async fn exchange(connector: &Connector, request: HttpRequest) -> Result<(u16, String), GatewayError> {
    let response = connector
        .call(request)
        .await
        .map_err(|error| GatewayError::Unreachable(Box::new(error)))?;
    let status = response.status().as_u16();
    let bytes = aws_sdk_lambda::primitives::ByteStream::new(response.into_body())
        .collect()
        .await
        .map_err(|error| GatewayError::Unreachable(Box::new(error)))?
        .to_vec();
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

async fn invoke(
    lambda: &aws_sdk_lambda::Client,
    function: &str,
    event: &Value,
) -> Result<(u16, String), GatewayError> {
    let answer = lambda
        .invoke()
        .function_name(function)
        .payload(Blob::new(event.to_string()))
        .send()
        .await
        .map_err(|error| GatewayError::Unreachable(Box::new(error)))?;
    let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
    let response: Value =
        serde_json::from_slice(&payload).map_err(|error| GatewayError::Unreachable(Box::new(error)))?;
    let status = response.get("statusCode").and_then(Value::as_u64);
    let status = status
        .and_then(|status| u16::try_from(status).ok())
        .unwrap_or(502);
    let body = response.get("body").and_then(Value::as_str).unwrap_or_default();
    Ok((status, body.to_owned()))
}

/// The event that a function URL delivers (payload format 2.0) for a request that IAM authenticated as `identity`.
fn event(identity: &str, method: &str, path: &str, body: &str) -> Value {
    let request = format!(
        "{:?}",
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    );
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "requestId": request,
            "authorizer": {"iam": {"userArn": identity}},
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1"},
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;

    #[test]
    fn only_a_function_url_is_an_address() {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .build();
        let Gateway(Way::Url { region, base, .. }) =
            Gateway::at("https://abc.lambda-url.us-east-1.on.aws/", &config).unwrap()
        else {
            panic!("a function URL is reached as one")
        };
        assert_eq!(
            (region.as_str(), base.as_str()),
            ("us-east-1", "https://abc.lambda-url.us-east-1.on.aws")
        );
        for bad in [
            "",
            "abc.lambda-url.us-east-1.on.aws",
            "http://abc.lambda-url.us-east-1.on.aws",
            "https://evil.example/abc.lambda-url.us-east-1.on.aws",
            "https://x@abc.lambda-url.us-east-1.on.aws",
        ] {
            assert!(
                matches!(Gateway::at(bad, &config), Err(GatewayError::Address(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_signature_covers_the_body() {
        let credentials = || Credentials::new("AKIDEXAMPLE", "secret", Some("session".into()), None, "test");
        let url = "https://abc.lambda-url.us-east-1.on.aws/runs/x/votes";
        let headers = |body: &str| {
            signature(
                "POST",
                url,
                body,
                "us-east-1",
                credentials(),
                SystemTime::UNIX_EPOCH,
            )
            .unwrap()
        };
        let one = headers("{}");
        let names: Vec<&str> = one.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let authorization = |headers: &[(String, String)]| {
            headers
                .iter()
                .find(|(name, _)| name == "authorization")
                .unwrap()
                .1
                .clone()
        };
        assert!(
            authorization(&one).contains("Credential=AKIDEXAMPLE/19700101/us-east-1/lambda/aws4_request")
        );
        assert_ne!(
            authorization(&one),
            authorization(&headers("{\"decision\":\"approve\"}"))
        );
    }
}
