//! An own look at the new environment: TLS under the real name at the new address, and the health document.

use std::future::poll_fn;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use blackstart_core::dns::{Endpoint, Untrusted};
use blackstart_core::plan::Authorities;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long an endpoint may take to answer us.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);
/// A checker looks at the first 5,120 bytes; so do we.
const HEALTH_BYTES: usize = 5_120;

/// Shakes hands with an endpoint under its real name. Every address that the endpoint has must prove itself.
///
/// # Errors
/// [`Untrusted`]: chain, name and validity of the certificate, as rustls and webpki judge them.
pub async fn handshake(endpoint: &Endpoint, authorities: Option<&Authorities>) -> Result<(), Untrusted> {
    let trusted = trusted(authorities)?;
    let addresses = in_time(addresses(endpoint)).await?;
    if addresses.is_empty() {
        return Err(Untrusted::NoAnswer("it has no address".to_owned()));
    }
    for address in addresses {
        in_time(connect(endpoint, address, &trusted)).await?;
    }
    Ok(())
}

/// The health document that is served by HTTPS, asked for at the endpoint under its real name.
///
/// # Errors
/// [`Untrusted`], also when the answer is no success.
pub async fn document(
    endpoint: &Endpoint,
    authorities: Option<&Authorities>,
    path: &str,
) -> Result<String, Untrusted> {
    let trusted = trusted(authorities)?;
    let address = in_time(addresses(endpoint)).await?.into_iter().next();
    let address = address.ok_or_else(|| Untrusted::NoAnswer("it has no address".to_owned()))?;
    in_time(async {
        let stream = connect(endpoint, address, &trusted).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
        let request = Request::get(path)
            .header(HOST, &endpoint.name)
            .body(String::new())
            .map_err(no_answer)?;
        let asked = async {
            let answer = sender.send_request(request).await.map_err(no_answer)?;
            read(answer).await
        };
        tokio::pin!(asked);
        // The connection moves only while it is looked at.
        tokio::select! {
            answer = &mut asked => answer,
            closed = connection => {
                closed.map_err(no_answer)?;
                asked.await
            }
        }
    })
    .await
}

async fn read(answer: Response<Incoming>) -> Result<String, Untrusted> {
    if !answer.status().is_success() {
        return Err(Untrusted::NoAnswer(format!("it answers {}", answer.status())));
    }
    let mut body = answer.into_body();
    let mut seen = Vec::new();
    while seen.len() < HEALTH_BYTES
        && let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.map_err(no_answer)?.into_data() {
            seen.extend_from_slice(&data);
        }
    }
    seen.truncate(HEALTH_BYTES);
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

async fn in_time<T>(work: impl Future<Output = Result<T, Untrusted>>) -> Result<T, Untrusted> {
    match tokio::time::timeout(ANSWER_WITHIN, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Untrusted::NoAnswer("not in time".to_owned())),
    }
}

fn no_answer(error: impl std::fmt::Display) -> Untrusted {
    Untrusted::NoAnswer(error.to_string())
}

async fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Untrusted> {
    // An IPv6 address stands in brackets before a port.
    let host = match endpoint.address.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{}", endpoint.port),
        Err(_) => format!("{}:{}", endpoint.address, endpoint.port),
    };
    let found = tokio::net::lookup_host(host).await.map_err(no_answer)?;
    Ok(found.collect())
}

/// Who may have issued a certificate.
struct Trusted {
    provider: Arc<CryptoProvider>,
    authorities: Arc<RootCertStore>,
}

/// The plan's authorities alone, or those of the system.
fn trusted(authorities: Option<&Authorities>) -> Result<Trusted, Untrusted> {
    let mut store = RootCertStore::empty();
    let certificates: Vec<CertificateDer<'_>> = match authorities {
        Some(given) => CertificateDer::pem_slice_iter(given.pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| {
                Untrusted::NotAccepted(format!("the plan's authorities cannot be read: {error}"))
            })?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (added, _) = store.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(Untrusted::NotAccepted("no authority is trusted here".to_owned()));
    }
    Ok(Trusted {
        provider: Arc::new(aws_lc_rs::default_provider()),
        authorities: Arc::new(store),
    })
}

async fn connect(
    endpoint: &Endpoint,
    address: SocketAddr,
    trusted: &Trusted,
) -> Result<TlsStream<TcpStream>, Untrusted> {
    let name = ServerName::try_from(endpoint.name.clone())
        .map_err(|_| Untrusted::NotAccepted(format!("`{}` is no name of a host", endpoint.name)))?;
    let inner =
        WebPkiServerVerifier::builder_with_provider(trusted.authorities.clone(), trusted.provider.clone())
            .build()
            .map_err(|error| Untrusted::NotAccepted(error.to_string()))?;
    let witness = Arc::new(Witness {
        inner,
        verdict: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(trusted.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Untrusted::NotAccepted(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.map_err(no_answer)?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    shaken.map_err(|error| witness.take().unwrap_or_else(|| no_answer(error)))
}

/// Verifies as webpki does, nothing less, and remembers why a certificate was not accepted.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    verdict: Mutex<Option<Untrusted>>,
}

impl Witness {
    fn take(&self) -> Option<Untrusted> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let outcome = self
            .inner
            .verify_server_cert(certificate, intermediates, name, stapled, now);
        if let Err(error) = &outcome {
            let verdict = verdict(error, is_self_signed(certificate));
            *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        }
        outcome
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether a certificate names itself as its issuer.
fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|read| read.issuer() == read.subject())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of reasons grows, and every other one is told as it is"
)]
fn verdict(error: &rustls::Error, self_signed: bool) -> Untrusted {
    let rustls::Error::InvalidCertificate(why) = error else {
        return Untrusted::NotAccepted(error.to_string());
    };
    match why {
        CertificateError::Expired => Untrusted::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => Untrusted::Expired(instant(*not_after)),
        CertificateError::NotValidYet => Untrusted::NotValidYet(None),
        CertificateError::NotValidYetContext { not_before, .. } => {
            Untrusted::NotValidYet(instant(*not_before))
        }
        CertificateError::NotValidForName => Untrusted::WrongName(Vec::new()),
        CertificateError::NotValidForNameContext { presented, .. } => Untrusted::WrongName(presented.clone()),
        // An authority's own certificate is refused as that of a server under a name of its own.
        _ if self_signed => Untrusted::SelfSigned,
        CertificateError::UnknownIssuer => Untrusted::UnknownIssuer,
        other => Untrusted::NotAccepted(format!("{other:?}")),
    }
}

fn instant(at: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(at.as_secs()).ok()?).ok()
}
