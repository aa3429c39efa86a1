//! The load balancer of the new environment: it serves, at one path, an object of the rebuild account.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::accounts::{REBUILD, root_of};

/// The path of the health document.
pub const HEALTH_PATH: &str = "/health";

/// A running load balancer. It ends when this value is dropped.
#[derive(Debug)]
pub struct Edge {
    address: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Served {
    s3: aws_sdk_s3::Client,
    bucket: String,
    key: String,
}

impl Edge {
    /// Starts it; the bucket need not exist yet.
    ///
    /// # Errors
    /// The operating system's, when no port is free.
    pub async fn start(emulator: &str, bucket: &str, key: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let served = Arc::new(Served {
            s3: aws_sdk_s3::Client::new(&root_of(emulator, REBUILD)),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        });
        let router = Router::new().route(HEALTH_PATH, get(health)).with_state(served);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the load balancer ended: {error}");
            }
        });
        Ok(Self { address, server })
    }

    /// Its port on the loopback interface.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.server.abort();
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
