//! The load balancer of the new environment: it serves, at one path, an object of the rebuild account. By HTTP, and by
//! HTTPS under a certificate for its name that an authority of its own issued.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::accounts::{REBUILD, root_of};
use crate::authority::{Authority, TlsListener};

/// The path of the health document.
pub const HEALTH_PATH: &str = "/health";

/// How long its certificates are valid, before and after now, in hours.
const VALID_HOURS: (i64, i64) = (24, 24 * 30);

/// A running load balancer. It ends when this value is dropped.
#[derive(Debug)]
pub struct Edge {
    address: SocketAddr,
    secure: Front,
    servers: [JoinHandle<()>; 2],
}

/// Where a name is served by HTTPS.
#[derive(Debug, Clone)]
pub struct Front {
    /// Port on the loopback interface.
    pub port: u16,
    /// The authority that issued its certificate, PEM.
    pub authorities: String,
}

#[derive(Debug)]
struct Served {
    s3: aws_sdk_s3::Client,
    bucket: String,
    key: String,
}

impl Edge {
    /// Starts it under this name; the bucket need not exist yet.
    ///
    /// # Errors
    /// The operating system's, when no port is free; the cryptographic library's.
    pub async fn start(emulator: &str, bucket: &str, key: &str, name: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let served = Arc::new(Served {
            s3: aws_sdk_s3::Client::new(&root_of(emulator, REBUILD)),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        });
        let router = Router::new().route(HEALTH_PATH, get(health)).with_state(served);
        let now = Timestamp::now();
        let (before, after) = VALID_HOURS;
        let valid = (
            now - SignedDuration::from_hours(before),
            now + SignedDuration::from_hours(after),
        );
        let authority = Authority::new("Authority of the drill", valid)?;
        let guarded = TlsListener::bind(authority.issue(name, valid)?).await?;
        let secure = Front {
            port: guarded.address()?.port(),
            authorities: authority.pem(),
        };
        let plain = axum::serve(listener, router.clone()).into_future();
        let encrypted = axum::serve(guarded, router).into_future();
        let servers = [
            tokio::spawn(until_it_ends(plain)),
            tokio::spawn(until_it_ends(encrypted)),
        ];
        Ok(Self {
            address,
            secure,
            servers,
        })
    }

    /// Its port on the loopback interface.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where its name is served by HTTPS.
    #[must_use]
    pub fn secure(&self) -> &Front {
        &self.secure
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

async fn until_it_ends(server: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = server.await {
        tracing::error!("the load balancer ended: {error}");
    }
}

async fn health(State(served): State<Arc<Served>>) -> Response {
    let object = served
        .s3
        .get_object()
        .bucket(&served.bucket)
        .key(&served.key)
        .send()
        .await;
    let object = match object {
        Ok(object) => object,
        Err(error) => {
            let missing = error
                .as_service_error()
                .is_some_and(aws_sdk_s3::operation::get_object::GetObjectError::is_no_such_key);
            return if missing {
                StatusCode::NOT_FOUND.into_response()
            } else {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            };
        }
    };
    match object.body.collect().await {
        Ok(body) => ([(header::CONTENT_TYPE, "text/plain")], body.into_bytes()).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
