//! The HTTP API of the gate: requests become events of payload format 2.0, and answers become responses, as Amazon API
//! Gateway does it for a route without an authorizer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Largest body that an HTTP API takes (its documented limit).
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// Answers an event.
pub type Handler = Arc<dyn Fn(Value) -> BoxFuture<'static, Value> + Send + Sync>;

/// A running HTTP API. It ends when this value is dropped.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Front {
    /// Takes a port, for who must know the address before there is a handler.
    ///
    /// # Errors
    /// The operating system's, when no port is free.
    pub async fn listen() -> std::io::Result<(TcpListener, String)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        Ok((listener, origin))
    }

    /// Starts it.
    ///
    /// # Errors
    /// The operating system's, when the port is gone.
    pub fn start(listener: TcpListener, handler: Handler) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(handler);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the HTTP API ended: {error}");
            }
        });
        Ok(Self { address, server })
    }

    /// Under which it is reached.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(handler): State<Handler>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut headers = Map::new();
    let mut cookies = Vec::new();
    for (name, value) in &parts.headers {
        let Ok(value) = value.to_str() else { continue };
        if name == header::COOKIE {
            // Cookies have a field of their own in this format.
            cookies.extend(value.split(';').map(|cookie| json!(cookie.trim())));
        } else {
            headers.insert(name.as_str().to_owned(), json!(value));
        }
    }
    let event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.uri.path(),
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "cookies": cookies,
        "requestContext": {
            "requestId": format!("{:p}-{}", &parts, jiff::Timestamp::now().as_nanosecond()),
            "http": {"method": parts.method.as_str(), "path": parts.uri.path(), "protocol": "HTTP/1.1"},
        },
        "body": String::from_utf8_lossy(&body),
        "isBase64Encoded": false,
    });
    respond(&handler(event).await)
}

fn respond(answer: &Value) -> Response {
    let status = answer.get("statusCode").and_then(Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let mut headers = HeaderMap::new();
    let fields = answer.get("headers").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten() {
        let pair = HeaderName::try_from(name).ok().zip(text(value));
        headers.extend(pair);
    }
    let cookies = answer.get("cookies").and_then(Value::as_array);
    for cookie in cookies.into_iter().flatten().filter_map(text) {
        headers.append(header::SET_COOKIE, cookie);
    }
    let body = answer
        .get("body")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    (
        status.unwrap_or(StatusCode::BAD_GATEWAY),
        headers,
        Body::from(body),
    )
        .into_response()
}

fn text(value: &Value) -> Option<HeaderValue> {
    HeaderValue::try_from(value.as_str()?).ok()
}
