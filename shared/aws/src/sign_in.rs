//! Signing in with OpenID Connect: what this gateway asks of its issuer over HTTP.
//!
//! Authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636) as a public client: there is no secret to
//! keep. What the claims must say is decided in [`blackstart_core::approval::sign_in`].

pub mod jws;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use blackstart_core::approval::sign_in::{BadToken, Claims, SignIn};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::jws::{Key, KeySet, Token};
use crate::port::PortError;

/// Longest wait for the issuer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A token signed with a key that is not known makes the keys be read again, but not more often than this.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);
/// The path to which the issuer sends people back.
pub const RETURN_PATH: &str = "/signed-in";

/// Where people sign in, and as which client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The issuer's identifier, an address without a final slash, exactly as in its metadata.
    pub issuer: String,
    /// The client id of this gateway.
    pub client: String,
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
    http: Arc<Connector>,
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
        Self {
            settings,
            http: Arc::new(connector.build()),
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
        let endpoint = self.known(now, false).await?.metadata.token_endpoint;
        let back = self.return_address();
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &back),
            ("client_id", &self.settings.client),
            ("code_verifier", &begun.verifier),
        ]);
        let what = "redeeming a sign-in";
        let (status, bytes) = self.exchange(what, "POST", &endpoint, body).await?;
        match status {
            200 => Ok(parse::<Redeemed>(what, &bytes)?.id_token),
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
        if let Some(known) = kept.filter(|known| !again || now.duration_since(known.read) < SETTLED) {
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
        match self.exchange(what, "GET", url, String::new()).await? {
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

    #[test]
    fn only_tls_or_this_machine() {
        let settings = |issuer: &str, origin: &str| Settings {
            issuer: issuer.into(),
            client: "c".into(),
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
}
