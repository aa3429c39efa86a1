//! The endpoints behind the names, and what their certificates must prove.
//!
//! HTTPS health checks of Route 53 take any certificate (developer guide, *How Route 53 determines whether a health
//! check is healthy*), and clients do not: so every new value is asked for its certificate under the real name before
//! traffic moves there.

use jiff::Timestamp;

use crate::plan::TrafficName;

/// One place at which a name will be served.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The name that clients ask for, without final dot.
    pub name: String,
    /// An address, or the name of another host.
    pub address: String,
    /// Port.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` at {} port {}", self.name, self.address, self.port)
    }
}

/// Every place at which the names will be served.
#[must_use]
pub fn endpoints(names: &[TrafficName], port: u16) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = names
        .iter()
        .flat_map(|name| {
            name.new.iter().map(move |value| Endpoint {
                name: host(&name.name),
                address: host(value),
                port,
            })
        })
        .collect();
    endpoints.sort();
    endpoints.dedup();
    endpoints
}

/// A name as a host is called: lower case, without the final dot.
#[must_use]
pub fn host(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Why an endpoint does not prove that it is what clients look for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Out of date.
    #[error("its certificate expired{}", since(.0.as_ref()))]
    Expired(Option<Timestamp>),
    /// Ahead of its time.
    #[error("its certificate is not valid yet{}", since(.0.as_ref()))]
    NotValidYet(Option<Timestamp>),
    /// For other names.
    #[error("its certificate is not for this name, but for {}", if .0.is_empty() { "none".to_owned() } else { .0.join(", ") })]
    WrongName(Vec<String>),
    /// Issued by itself.
    #[error("its certificate is self-signed")]
    SelfSigned,
    /// Issued by somebody whom nobody trusts.
    #[error("no trusted authority issued its certificate")]
    UnknownIssuer,
    /// Anything else that is wrong with it.
    #[error("its certificate is not accepted: {0}")]
    NotAccepted(String),
    /// There is nobody, or nobody who speaks TLS.
    #[error("it does not answer by TLS: {0}")]
    NoAnswer(String),
}

fn since(at: Option<&Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" ({at})"))
}
