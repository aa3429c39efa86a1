//! Who asks: the account behind the access key of a signed request.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::RwLock;

use super::wire::ServiceError;
use crate::accounts::{REGION, root_of};

/// Resolves access keys to accounts, with the emulator's STS as the source.
#[derive(Debug, Clone)]
pub(super) struct Callers {
    emulator: String,
    http: reqwest::Client,
    enforce_policies: bool,
    sts: aws_sdk_sts::Client,
    known: Arc<RwLock<BTreeMap<String, String>>>,
}

/// One request, whole.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Incoming {
    /// Takes a request apart.
    pub(super) async fn read(request: axum::extract::Request) -> Result<Self, ServiceError> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 16 << 20)
            .await
            .map_err(|error| ServiceError::invalid(format!("unreadable body: {error}")))?;
        Ok(Self {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
        })
    }

    /// The access key id of its signature.
    fn access_key(&self) -> Option<&str> {
        let authorization = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (_, scope) = authorization.split_once("Credential=")?;
        scope.split('/').next().filter(|key| !key.is_empty())
    }
}

impl Callers {
    pub(super) fn new(emulator: &str, http: reqwest::Client, enforce_policies: bool) -> Self {
        Self {
            emulator: emulator.to_owned(),
            http,
            enforce_policies,
            sts: aws_sdk_sts::Client::new(&root_of(emulator, crate::accounts::RECOVERY)),
            known: Arc::default(),
        }
    }

    /// The account that asks, if it may.
    ///
    /// # Errors
    /// The response to send instead: no signature, an unknown key, or (where policies are enforced) the
    /// emulator's refusal.
    pub(super) async fn admit(&self, incoming: &Incoming) -> Result<String, Response> {
        let key = incoming.access_key().ok_or_else(|| {
            ServiceError::denied("Missing Authentication Token: the request is not signed").into_response()
        })?;
        let account = self.account_of(key).await.map_err(IntoResponse::into_response)?;
        if self.enforce_policies {
            self.ask_the_emulator(incoming).await?;
        }
        Ok(account)
    }

    /// The account that asks, of a service that the emulator does not know and so has no opinion on.
    ///
    /// # Errors
    /// The response to send instead: no signature, or an unknown key.
    pub(super) async fn identify(&self, incoming: &Incoming) -> Result<String, Response> {
        let key = incoming.access_key().ok_or_else(|| {
            ServiceError::denied("Missing Authentication Token: the request is not signed").into_response()
        })?;
        self.account_of(key).await.map_err(IntoResponse::into_response)
    }

    async fn account_of(&self, key: &str) -> Result<String, ServiceError> {
        if key.len() == 12 && key.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(key.to_owned());
        }
        if let Some(account) = self.known.read().await.get(key) {
            return Ok(account.clone());
        }
        let answer = self
            .sts
            .get_access_key_info()
            .access_key_id(key)
            .send()
            .await
            .map_err(|_| ServiceError::denied("The security token included in the request is invalid."))?;
        let account = answer
            .account
            .ok_or_else(|| ServiceError::denied("The security token included in the request is invalid."))?;
        self.known.write().await.insert(key.to_owned(), account.clone());
        Ok(account)
    }

    /// Shows the request to the emulator for its opinion on signature and policies; whatever else it says
    /// about a service that it lacks does not count.
    async fn ask_the_emulator(&self, incoming: &Incoming) -> Result<(), Response> {
        let answer = self
            .pass_on(incoming)
            .await
            .map_err(IntoResponse::into_response)?;
        if answer.status() == StatusCode::FORBIDDEN {
            Err(answer)
        } else {
            Ok(())
        }
    }

    /// Sends the request as it came to the emulator and returns what it answers, byte for byte.
    pub(super) async fn pass_on(&self, incoming: &Incoming) -> Result<Response, ServiceError> {
        let path = incoming.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = incoming.headers.clone();
        // The signature covers the host as the client wrote it, so that stays; lengths are written anew.
        for per_connection in [
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
        ] {
            headers.remove(per_connection);
        }
        let answer = self
            .http
            .request(incoming.method.clone(), format!("{}{path}", self.emulator))
            .headers(headers)
            .body(incoming.body.clone())
            .send()
            .await
            .map_err(|error| ServiceError::unavailable(format!("the emulator does not answer: {error}")))?;
        let status = answer.status();
        let mut headers = answer.headers().clone();
        for per_connection in [
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
        ] {
            headers.remove(per_connection);
        }
        let body = answer
            .bytes()
            .await
            .map_err(|error| ServiceError::unavailable(format!("the emulator broke off: {error}")))?;
        Ok((status, headers, body).into_response())
    }
}

/// The ARN of a resource of the one region there is.
pub(super) fn arn(service: &str, account: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{account}:{resource}")
}
