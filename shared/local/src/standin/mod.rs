//! The stand-in: what the emulator lacks, on the wire as AWS documents it, warts included.
//!
//! One HTTP server for all services that it knows; their paths do not collide. It is test equipment: functions
//! reach it by `AWS_ENDPOINT_URL_<SERVICE>` and cannot tell.

mod access_analyzer;
mod access_points;
mod backup;
mod caller;
mod control;
mod events;
mod guardduty;
mod health;
mod mpa;
mod nameserver;
mod organizations;
mod restore;
mod route53;
mod sharing;
mod unverified;
mod vaults;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use nameserver::NameServer;

pub use backup::DATA_KEY;
pub use control::{
    Content, Control, Fault, Operation, RecoveryPoint, ScanOutcome, StartedJob, Table, TeamAnswer,
};

/// What every service of the stand-in works with.
#[derive(Debug, Clone)]
struct Shared {
    control: Control,
    emulator: String,
    http: reqwest::Client,
    callers: caller::Callers,
    /// Where the authoritative server of the zones is.
    name_server: SocketAddr,
}

/// The running stand-in. It ends when this value is dropped.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    control: Control,
    server: JoinHandle<()>,
    _name_server: NameServer,
}

/// The stand-in cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed")]
pub struct StandInError {
    doing: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StandIn {
    /// Starts the stand-in in front of the emulator at this address, which need not run yet.
    ///
    /// With `enforce_policies` every request is first shown to the emulator, which then refuses what the caller's
    /// policies do not allow.
    ///
    /// # Errors
    /// [`StandInError`] when no port is free.
    pub async fn start(emulator: &str, enforce_policies: bool) -> Result<Self, StandInError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(|source| StandInError {
                doing: "opening the stand-in's port",
                source: source.into(),
            })?;
        let address = listener.local_addr().map_err(|source| StandInError {
            doing: "reading the stand-in's port",
            source: source.into(),
        })?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| StandInError {
                doing: "making the stand-in's client",
                source: source.into(),
            })?;
        let io = |doing| {
            move |source: std::io::Error| StandInError {
                doing,
                source: source.into(),
            }
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(io("taking a port for the name server"))?;
        let name_server = socket
            .local_addr()
            .map_err(io("reading the name server's port"))?;
        let control = Control::default();
        let shared = Arc::new(Shared {
            control: control.clone(),
            emulator: emulator.to_owned(),
            callers: caller::Callers::new(emulator, http.clone(), enforce_policies),
            http,
            name_server,
        });
        let name_server = NameServer::start(socket, shared.clone());
        let router = Router::new()
            .merge(backup::routes())
            .merge(restore::routes())
            .merge(guardduty::routes())
            .merge(mpa::routes())
            .merge(access_analyzer::routes())
            .merge(access_points::routes())
            .merge(route53::routes())
            .merge(sharing::routes())
            .merge(vaults::routes())
            .fallback(wire::unknown_operation)
            .with_state(shared);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the stand-in ended: {error}");
            }
        });
        Ok(Self {
            address,
            control,
            server,
            _name_server: name_server,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The handle by which a scenario fills and disturbs it.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The variables that send the SDK's clients to it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            "BACKUP",
            "GUARDDUTY",
            "ROUTE_53",
            "ACCESSANALYZER",
            "GLUE",
            "MPA",
            "ORGANIZATIONS",
            "RAM",
        ]
        .map(|service| (format!("AWS_ENDPOINT_URL_{service}"), self.endpoint()))
        .to_vec()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}
