//! An OpenID Connect issuer at which anybody signs in as anybody: real tokens with real signatures, for people who do
//! not exist.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The client as which the gate is known.
pub const CLIENT: &str = "blackstart-gate";
/// How long its tokens are good, in seconds.
const LIFE: i64 = 1800;

/// A running issuer. It ends when this value is dropped.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    keys: Arc<Keys>,
    server: JoinHandle<()>,
}

struct Keys {
    address: String,
    pair: EcdsaKeyPair,
    people: Vec<String>,
    codes: Mutex<BTreeMap<String, Asked>>,
    clock: fn() -> Timestamp,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What a client asks for when it sends a person here.
#[derive(Debug, Clone, Deserialize)]
struct Asked {
    client_id: String,
    redirect_uri: String,
    state: String,
    nonce: String,
    code_challenge: String,
    /// Set once the person said who he is.
    #[serde(default)]
    subject: String,
}

#[derive(Debug, Deserialize)]
struct Redeem {
    grant_type: String,
    code: String,
    redirect_uri: String,
    client_id: String,
    code_verifier: String,
}

impl Issuer {
    /// Starts it for these people, whose subjects are their names; its tokens are dated by `clock`.
    ///
    /// # Errors
    /// The operating system's, when no port or no key is to be had.
    pub async fn start(people: &[&str], clock: fn() -> Timestamp) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| std::io::Error::other("no key can be made"))?;
        let keys = Arc::new(Keys {
            address: format!("http://{address}"),
            pair,
            people: people.iter().map(|person| (*person).to_owned()).collect(),
            codes: Mutex::default(),
            clock,
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(key_set))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(keys.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the issuer ended: {error}");
            }
        });
        Ok(Self {
            address,
            keys,
            server,
        })
    }

    /// Its identifier.
    #[must_use]
    pub fn identifier(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Claims as it would issue them at `now`.
    #[must_use]
    pub fn claims(&self, subject: &str, now: Timestamp) -> Value {
        self.keys.claims(subject, "", now)
    }

    /// A token with any header and claims, signed with its key.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.keys.sign(header, claims)
    }

    /// A token as it would issue it.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.keys.sign(&json!({"alg": "ES256", "kid": "1"}), claims)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Keys {
    fn claims(&self, subject: &str, nonce: &str, now: Timestamp) -> Value {
        let now = now.as_second();
        json!({
            "iss": self.address, "sub": subject, "aud": CLIENT, "iat": now, "exp": now + LIFE, "nonce": nonce,
        })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map(|signature| URL_SAFE_NO_PAD.encode(signature.as_ref()));
        format!("{signed}.{}", signature.unwrap_or_default())
    }
}

async fn metadata(State(keys): State<Arc<Keys>>) -> Json<Value> {
    let address = &keys.address;
    Json(json!({
        "issuer": address,
        "authorization_endpoint": format!("{address}/authorize"),
        "token_endpoint": format!("{address}/token"),
        "jwks_uri": format!("{address}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn key_set(State(keys): State<Arc<Keys>>) -> Json<Value> {
    // 0x04, x, y
    let point = keys.pair.public_key().as_ref();
    let half = |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
    Json(json!({"keys": [
        {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1", "x": half(1), "y": half(33)},
    ]}))
}

/// Asks who it is; the answer comes back with the same query and a subject.
async fn authorize(
    State(keys): State<Arc<Keys>>,
    Query(asked): Query<Asked>,
    uri: axum::http::Uri,
) -> Response {
    if asked.client_id != CLIENT {
        return (StatusCode::BAD_REQUEST, "there is no such client").into_response();
    }
    if !asked.subject.is_empty() {
        let random: [u8; 32] = std::array::from_fn(|_| rand_byte());
        let code = URL_SAFE_NO_PAD.encode(random);
        let back = format!("{}?code={code}&state={}", asked.redirect_uri, asked.state);
        keys.codes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(code, asked);
        return (StatusCode::SEE_OTHER, [(header::LOCATION, back)]).into_response();
    }
    let query = uri.query().unwrap_or_default().replace('&', "&amp;");
    let links: String = keys
        .people
        .iter()
        .map(|person| {
            format!("<p><a id=\"{person}\" href=\"/authorize?{query}&amp;subject={person}\">{person}</a></p>")
        })
        .collect();
    Html(format!(
        "<!doctype html><title>Who are you?</title><h1>Who are you?</h1>{links}"
    ))
    .into_response()
}

fn rand_byte() -> u8 {
    let mut byte = [0];
    // Without randomness the code is guessable, which at worst lets somebody sign in who could anyway.
    let _filled = aws_lc_rs::rand::fill(&mut byte);
    byte[0]
}

async fn token(State(keys): State<Arc<Keys>>, form: String) -> Response {
    let read = format!("/?{form}").parse().ok();
    let Some(Query(redeem)) = read.and_then(|uri| Query::<Redeem>::try_from_uri(&uri).ok()) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_request"}))).into_response();
    };
    let asked = keys
        .codes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&redeem.code);
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, redeem.code_verifier.as_bytes()));
    let good = asked.filter(|asked| {
        redeem.grant_type == "authorization_code"
            && asked.client_id == redeem.client_id
            && asked.redirect_uri == redeem.redirect_uri
            && asked.code_challenge == challenge
    });
    match good {
        Some(asked) => {
            let claims = keys.claims(&asked.subject, &asked.nonce, (keys.clock)());
            let token = keys.sign(&json!({"alg": "ES256", "kid": "1"}), &claims);
            Json(json!({"id_token": token, "access_token": "none", "token_type": "Bearer", "expires_in": LIFE}))
                .into_response()
        }
        None => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response(),
    }
}
