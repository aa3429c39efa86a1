//! Signing in with OpenID Connect: what this gateway asks of its issuer over HTTP.
//!
//! Authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636), as a public client or with a secret from
//! Secrets Manager. What the claims must say is decided in [`blackstart_core::approval::sign_in`].

mod client_secret;
pub mod jws;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use blackstart_core::approval::sign_in::{BadToken, Claims, SignIn};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::client_secret::Shown;
use self::jws::{Key, KeySet, Token};
use crate::port::PortError;
use crate::signed::Signed;

/// Longest wait for the issuer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A token signed with a key that is not known makes the keys be read again, but not more often than this.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);
/// Keys older than this are read again before they vouch for anybody: the issuer may have taken one out of use.
const TRUSTED: SignedDuration = SignedDuration::from_mins(10);
/// The path to which the issuer sends people back.
pub const RETURN_PATH: &str = "/signed-in";

/// Where people sign in, and as which client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The issuer's identifier, an address without a final slash, exactly as in its metadata.
    pub issuer: String,
    /// The client id of this gateway.
    pub client: String,
    /// ARN of the secret with which the gateway shows that it is this client; `None` for a public client.
    pub secret: Option<String>,
    /// The origin under which people reach the page, for example `https://gate.example`.
    pub origin: String,
}

impl Settings {
    /// What is wrong with the settings, all of it.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, url) in [("OIDC_ISSUER", &self.issuer), ("PAGE_ORIGIN", &self.origin)] {
            // Without TLS only on this machine, where a rehearsal has no certificate.
            let host = url.strip_prefix("https://").or_else(|| {
                url.strip_prefix("http://")
                    .filter(|host| host.starts_with("127.0.0.1:"))
            });
            let good = host.is_some_and(|host| {
                !host.is_empty() && !host.ends_with('/') && !host.contains(['?', '#', ' '])
            });
            if !good {
                problems.push(format!(
                    "`{name}` is `{url}`; it must be an `https://` address without a final slash"
                ));
            }
        }
        if self.client.is_empty() {
            problems.push("`OIDC_CLIENT_ID` is empty".to_owned());
        }
        problems
    }

    /// Whether cookies can be given the attributes that need TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

/// A token was not verified.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The token is at fault.
    #[error(transparent)]
    Bad(#[from] BadToken),
    /// The issuer did not answer as hoped.
    #[error(transparent)]
    Issuer(#[from] PortError),
}

/// The issuer.
#[derive(Debug, Clone)]
pub struct Issuer {
    settings: Settings,
    http: SharedHttpConnector,
    secrets: Signed,
    known: Arc<Mutex<Option<Known>>>,
}

#[derive(Debug, Clone)]
struct Known {
    metadata: Metadata,
    keys: Arc<[Key]>,
    read: Timestamp,
}

/// The parts of the issuer's metadata that are needed (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Redeemed {
    id_token: String,
}

impl Issuer {
    /// An issuer; nothing is asked of it yet.
    #[must_use]
    pub fn new(own: &SdkConfig, settings: Settings) -> Self {
        let timeouts = HttpConnectorSettings::builder()
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .build();
        let mut connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .connector_settings(timeouts);
        connector.set_sleep_impl(own.sleep_impl());
        let http = SharedHttpConnector::new(connector.build());
        Self::over(settings, http, Signed::new(own))
    }

    /// An issuer over another connection, with its client's secret from there.
    #[must_use]
    pub fn over(settings: Settings, http: SharedHttpConnector, secrets: Signed) -> Self {
        Self {
            settings,
            http,
            secrets,
            known: Arc::default(),
        }
    }

    /// Where people sign in, and as which client.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The address at which a person signs in.
    ///
    /// # Errors
    /// [`PortError`] when the issuer's metadata cannot be read.
    pub async fn address(&self, begun: &SignIn, now: Timestamp) -> Result<String, PortError> {
        let endpoint = self.known(now, false).await?.metadata.authorization_endpoint;
        let back = self.return_address();
        let query = form(&[
            ("response_type", "code"),
            ("scope", "openid"),
            ("client_id", &self.settings.client),
            ("redirect_uri", &back),
            ("state", &begun.state),
            ("nonce", &begun.nonce),
            ("code_challenge", &begun.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{joint}{query}"))
    }

    /// Redeems the code with which a person came back for an ID token, not verified yet.
    ///
    /// # Errors
    /// [`SignInError`] when the issuer refuses the code or does not answer.
    pub async fn redeem(&self, code: &str, begun: &SignIn, now: Timestamp) -> Result<String, SignInError> {
        let metadata = self.known(now, false).await?.metadata;
        let back = self.return_address();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &back),
            ("client_id", &self.settings.client),
            ("code_verifier", &begun.verifier),
        ];
        // Read each time: people sign in rarely, and a secret that was made new is good at once.
        let shown = match &self.settings.secret {
            Some(secret) => {
                let secret = client_secret::read(&self.secrets, secret).await?;
                Some(secret.shown(
                    &self.settings.client,
                    &metadata.token_endpoint_auth_methods_supported,
                ))
            }
            None => None,
        };
        if let Some(Shown::Field(secret)) = &shown {
            fields.push(("client_secret", secret));
        }
        let header = match &shown {
            Some(Shown::Header(header)) => Some(header.as_str()),
            Some(Shown::Field(_)) | None => None,
        };
        let what = "redeeming a sign-in";
        let (status, bytes) = self
            .exchange(what, "POST", &metadata.token_endpoint, form(&fields), header)
            .await?;
        match status {
            200 => Ok(parse::<Redeemed>(what, &bytes)?.id_token),
            // Not the person's fault: the issuer does not take us for this client (RFC 6749, section 5.2).
            401 => Err(PortError::Refused {
                what: what.to_owned(),
                why: "the issuer does not accept this gateway as its client: compare client id and secret"
                    .to_owned(),
            }
            .into()),
            400..500 => Err(BadToken::OtherSignIn.into()),
            _ => Err(unexpected(what, status).into()),
        }
    }

    /// The claims of a token whose signature holds under one of the issuer's keys.
    ///
    /// # Errors
    /// [`SignInError`] when it does not, or when the keys cannot be read.
    pub async fn verified(&self, token: &str, now: Timestamp) -> Result<Claims, SignInError> {
        let token = Token::parse(token)?;
        let mut keys = self.known(now, false).await?.keys;
        if !keys.iter().any(|key| key.may_have_signed(&token)) {
            keys = self.known(now, true).await?.keys;
        }
        Ok(token.verified(&keys)?)
    }

    fn return_address(&self) -> String {
        format!("{}{RETURN_PATH}", self.settings.origin)
    }

    async fn known(&self, now: Timestamp, again: bool) -> Result<Known, PortError> {
        let kept = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let oldest = if again { SETTLED } else { TRUSTED };
        if let Some(known) = kept.filter(|known| now.duration_since(known.read) < oldest) {
            return Ok(known);
        }
        let what = "reading the issuer's metadata";
        let place = format!("{}/.well-known/openid-configuration", self.settings.issuer);
        let metadata: Metadata = self.read(what, &place).await?;
        let insecure =
            |url: &String| url.starts_with("http://") && !self.settings.issuer.starts_with("http://");
        let endpoints = [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ];
        if metadata.issuer != self.settings.issuer || endpoints.into_iter().any(insecure) {
            return Err(PortError::Refused {
                what: what.to_owned(),
                why: "it is that of another issuer, or leads away from TLS".to_owned(),
            });
        }
        let keys: KeySet = self.read("reading the issuer's keys", &metadata.jwks_uri).await?;
        let known = Known {
            keys: keys.usable().into(),
            metadata,
            read: now,
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    async fn read<T: DeserializeOwned>(&self, what: &str, url: &str) -> Result<T, PortError> {
        match self.exchange(what, "GET", url, String::new(), None).await? {
            (200, bytes) => parse(what, &bytes),
            (status, _) => Err(unexpected(what, status)),
        }
    }

    async fn exchange(
        &self,
        what: &str,
        method: &str,
        url: &str,
        body: String,
        authorization: Option<&str>,
    ) -> Result<(u16, Vec<u8>), PortError> {
        let failed = |why: String| PortError::Transient {
            what: what.to_owned(),
            why,
        };
        let mut request = HttpRequest::new(SdkBody::from(body));
        request
            .set_method(method)
            .map_err(|error| failed(error.to_string()))?;
        request.set_uri(url).map_err(|error| failed(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert("accept", "application/json");
        if method == "POST" {
            headers.insert("content-type", "application/x-www-form-urlencoded");
        }
        if let Some(authorization) = authorization {
            headers.insert("authorization", authorization.to_owned());
        }
        let response = self
            .http
            .call(request)
            .await
            .map_err(|error| failed(format!("{error:?}")))?;
        let status = response.status().as_u16();
        let body = ByteStream::new(response.into_body()).collect().await;
        Ok((status, body.map_err(|error| failed(error.to_string()))?.to_vec()))
    }
}

fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, PortError> {
    serde_json::from_slice(bytes).map_err(|error| PortError::Transient {
        what: what.to_owned(),
        why: error.to_string(),
    })
}

fn unexpected(what: &str, status: u16) -> PortError {
    PortError::Transient {
        what: what.to_owned(),
        why: format!("the issuer answered HTTP {status}"),
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let field =
        |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::testing::Wire;

    #[test]
    fn only_tls_or_this_machine() {
        let settings = |issuer: &str, origin: &str| Settings {
            issuer: issuer.into(),
            client: "c".into(),
            secret: None,
            origin: origin.into(),
        };
        assert!(
            settings("https://issuer.example/a", "https://gate.example")
                .problems()
                .is_empty()
        );
        assert!(
            settings("http://127.0.0.1:9", "http://127.0.0.1:8")
                .problems()
                .is_empty()
        );
        for bad in [
            "",
            "http://issuer.example",
            "https://issuer.example/",
            "https://",
            "http://127.0.0.1.evil.example",
        ] {
            assert_eq!(settings(bad, bad).problems().len(), 2, "{bad}");
        }
    }

    #[test]
    fn a_form_is_escaped() {
        assert_eq!(form(&[("a", "b c&d=é"), ("e", "")]), "a=b%20c%26d%3D%C3%A9&e=");
    }

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:gate";

    fn settings() -> Settings {
        Settings {
            issuer: "https://i.example".to_owned(),
            client: "gate 1".to_owned(),
            secret: Some(ARN.to_owned()),
            origin: "https://gate.example".to_owned(),
        }
    }

    fn secrets(wire: &Wire) -> Signed {
        Signed::over(&wire.config(), wire.connector())
    }

    /// What the issuer was sent when a sign-in was redeemed with this secret, and what came of it.
    async fn redeemed(methods: &str, stored: &str, status: u16) -> (Wire, Result<String, SignInError>) {
        let metadata = format!(
            r#"{{"issuer": "https://i.example", "authorization_endpoint": "https://i.example/a",
            "token_endpoint": "https://i.example/token", "jwks_uri": "https://i.example/keys"{methods}}}"#
        );
        let answer = serde_json::json!({ "SecretString": stored }).to_string();
        let wire = Wire::new(move |asked| {
            if asked.target == "secretsmanager.GetSecretValue" {
                return (200, answer.clone());
            }
            match asked.uri.rsplit('/').next() {
                Some("openid-configuration") => (200, metadata.clone()),
                Some("keys") => (200, r#"{"keys": []}"#.to_owned()),
                Some("token") => (status, r#"{"id_token": "t"}"#.to_owned()),
                _ => (404, String::new()),
            }
        });
        let issuer = Issuer::over(settings(), wire.connector(), secrets(&wire));
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let begun = SignIn::begin(&[7; 32], "/", now);
        let answer = issuer.redeem("code", &begun, now).await;
        (wire, answer)
    }

    /// A key that the issuer takes out of use vouches for nobody after that, however busy the gate is.
    #[tokio::test]
    async fn keys_are_read_again_every_ten_minutes() {
        let (wire, _) = redeemed("", "s:e", 200).await;
        let issuer = Issuer::over(settings(), wire.connector(), secrets(&wire));
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut reads = Vec::new();
        for minutes in [0, 5, 9, 11, 12] {
            let now = start + SignedDuration::from_mins(minutes);
            let begun = SignIn::begin(&[7; 32], "/", now);
            issuer.address(&begun, now).await.unwrap();
            let of_keys = wire
                .asked()
                .iter()
                .filter(|asked| asked.uri.ends_with("/keys"))
                .count();
            reads.push(of_keys);
        }
        let first = reads[0];
        assert_eq!(reads, [first, first, first, first + 1, first + 1]);
    }

    #[tokio::test]
    async fn a_confidential_client_shows_its_secret_as_the_issuer_wants_it() {
        let token = |wire: &Wire| {
            wire.asked()
                .into_iter()
                .find(|asked| asked.uri.ends_with("/token"))
        };
        for stored in ["s:e", r#"{"client_secret": "s:e"}"#] {
            let (wire, answer) = redeemed("", stored, 200).await;
            assert_eq!(answer.unwrap(), "t");
            let asked = token(&wire).unwrap();
            // base64 of `gate%201:s%3Ae`
            assert_eq!(asked.authorization, "Basic Z2F0ZSUyMDE6cyUzQWU=");
            assert!(!asked.body.contains("s%3Ae"), "{}", asked.body);
        }
        let post = r#", "token_endpoint_auth_methods_supported": ["client_secret_post"]"#;
        let (wire, _) = redeemed(post, "s:e", 200).await;
        let asked = token(&wire).unwrap();
        assert_eq!(asked.authorization, "");
        assert!(asked.body.ends_with("&client_secret=s%3Ae"), "{}", asked.body);
    }

    #[tokio::test]
    async fn a_secret_that_is_wrong_or_missing_is_our_fault_and_is_not_repeated() {
        let (_, refused) = redeemed("", "hunter22", 401).await;
        let said = blackstart_core::error_name::error_chain(&refused.unwrap_err());
        assert!(
            said.contains("client id and secret") && !said.contains("hunter22"),
            "{said}"
        );
        let (wire, missing) = redeemed("", "{}", 200).await;
        assert!(matches!(
            missing,
            Err(SignInError::Issuer(PortError::Refused { .. }))
        ));
        assert!(wire.asked().iter().all(|asked| !asked.uri.ends_with("/token")));
    }
}
