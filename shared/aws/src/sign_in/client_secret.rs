//! The secret with which a confidential client shows who it is. It is in no setting, log or message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed};

const GET: Operation = Operation {
    endpoint: Endpoint {
        id: "Secrets Manager",
        host: "secretsmanager",
        signing: "secretsmanager",
    },
    permission: "secretsmanager:GetSecretValue",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "secretsmanager.GetSecretValue",
    },
};

/// A client's secret.
pub(super) struct ClientSecret(String);

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(redacted)")
    }
}

/// How it is shown to the issuer's token endpoint.
pub(super) enum Shown {
    /// As the value of `Authorization`: `client_secret_basic`.
    Header(String),
    /// As the field `client_secret` of the form: `client_secret_post`.
    Field(String),
}

/// Reads the secret: the text itself, or the member `client_secret` of a JSON object.
pub(super) async fn read(secrets: &Signed, arn: &str) -> Result<ClientSecret, PortError> {
    let what = "reading the client secret";
    let answer = secrets.json(&GET, what, "/", &json!({"SecretId": arn})).await?;
    let text = answer.get("SecretString").and_then(Value::as_str);
    let secret = text.map(|text| match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => members
            .get("client_secret")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        Ok(_) | Err(_) => text.to_owned(),
    });
    match secret.filter(|secret| !secret.is_empty()) {
        Some(secret) => Ok(ClientSecret(secret)),
        None => Err(PortError::Refused {
            what: what.to_owned(),
            why: "it holds no text, or JSON without `client_secret`".to_owned(),
        }),
    }
}

impl ClientSecret {
    /// By the methods that the issuer knows.
    ///
    /// It is a header where the issuer does not say (OpenID Connect Discovery
    /// 1.0, section 3), and the parts of a header are form-encoded first (RFC 6749, section 2.3.1).
    pub(super) fn shown(self, client: &str, methods: &[String]) -> Shown {
        let knows = |wanted: &str| methods.iter().any(|method| method == wanted);
        if knows("client_secret_post") && !knows("client_secret_basic") {
            return Shown::Field(self.0);
        }
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pair = format!("{}:{}", encoded(client), encoded(&self.0));
        Shown::Header(format!("Basic {}", STANDARD.encode(pair)))
    }
}
