//! An authority that issues certificates to whoever asks, and a listener that serves under them: for a new environment
//! that is asked by HTTPS, and for certificates that nobody should accept.
//!
//! Certificates are X.509 version 3 in DER (RFC 5280; ITU-T X.690), keys are P-256.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
/// `dNSName` of a subject alternative name.
const DNS_NAME: u8 = 0x82;
/// `version` and `extensions` of a certificate.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Object identifiers, encoded: `ecdsa-with-SHA256`, `ecPublicKey`, `prime256v1`, and those of names and extensions.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// When a certificate is valid: from, and until. Before 2050, as `UTCTime` wants it.
pub type Validity = (Timestamp, Timestamp);

/// A certificate and its key.
#[derive(Debug)]
pub struct Issued {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// An authority.
pub struct Authority {
    name: String,
    pair: EcdsaKeyPair,
    certificate: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Errors
    /// When the cryptographic library makes no key or no signature.
    pub fn new(name: &str, valid: Validity) -> std::io::Result<Self> {
        let (pair, _) = key()?;
        let body = body(name, name, valid, &pair, &[constraints()])?;
        let certificate = signed(&body, &pair)?;
        Ok(Self {
            name: name.to_owned(),
            pair,
            certificate,
        })
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let lines: Vec<String> = text
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    }

    /// Issues a certificate for a host.
    ///
    /// # Errors
    /// When the cryptographic library makes no key or no signature.
    pub fn issue(&self, host: &str, valid: Validity) -> std::io::Result<Issued> {
        let (pair, document) = key()?;
        let body = body(&self.name, host, valid, &pair, &[alternative_name(host)])?;
        Ok(Issued {
            certificate: signed(&body, &self.pair)?.into(),
            key: document,
        })
    }
}

/// A certificate that a host issued to itself.
///
/// # Errors
/// When the cryptographic library makes no key or no signature.
pub fn self_signed(host: &str, valid: Validity) -> std::io::Result<Issued> {
    let (pair, document) = key()?;
    let body = body(host, host, valid, &pair, &[alternative_name(host)])?;
    Ok(Issued {
        certificate: signed(&body, &pair)?.into(),
        key: document,
    })
}

/// A port of the loopback interface behind a certificate.
pub struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsListener")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

impl TlsListener {
    /// Takes a free port.
    ///
    /// # Errors
    /// The operating system's, or that key and certificate do not belong together.
    pub async fn bind(issued: Issued) -> std::io::Result<Self> {
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    builder
                        .with_no_client_auth()
                        .with_single_cert(vec![issued.certificate], issued.key)
                })
                .map_err(std::io::Error::other)?;
        Ok(Self {
            tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Its address.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection whose handshake came to an end.
    ///
    /// # Errors
    /// The operating system's, or that the other side did not like what it saw.
    pub async fn shake(&self) -> std::io::Result<(TlsStream<TcpStream>, SocketAddr)> {
        let (stream, from) = self.tcp.accept().await?;
        Ok((self.acceptor.accept(stream).await?, from))
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.shake().await {
                Ok(shaken) => return shaken,
                Err(error) => tracing::debug!("a handshake failed: {error}"),
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.address()
    }
}

fn key() -> std::io::Result<(EcdsaKeyPair, PrivateKeyDer<'static>)> {
    let none = |_| std::io::Error::other("no key was made");
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).map_err(none)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref())
        .map_err(std::io::Error::other)?;
    let document = PrivatePkcs8KeyDer::from(document.as_ref().to_vec());
    Ok((pair, document.into()))
}

/// `TBSCertificate` (RFC 5280, 4.1).
fn body(
    issuer: &str,
    subject: &str,
    valid: Validity,
    subject_key: &EcdsaKeyPair,
    extensions: &[Vec<u8>],
) -> std::io::Result<Vec<u8>> {
    let mut serial = [0; 8];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| std::io::Error::other("no random number was made"))?;
    // Positive, and without a leading zero.
    serial[0] = serial[0] & 0x3f | 0x40;
    let time = |at: Timestamp| {
        let text = at.to_zoned(TimeZone::UTC).strftime("%y%m%d%H%M%SZ").to_string();
        element(UTC_TIME, text.as_bytes())
    };
    let algorithm = concat(&[&element(OBJECT, EC_PUBLIC_KEY), &element(OBJECT, PRIME256V1)]);
    let key = concat(&[
        &element(SEQUENCE, &algorithm),
        &element(BIT_STRING, &concat(&[&[0], subject_key.public_key().as_ref()])),
    ]);
    let extensions: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
    Ok(element(
        SEQUENCE,
        &concat(&[
            // Version 3 is written 2.
            &element(VERSION, &element(INTEGER, &[2])),
            &element(INTEGER, &serial),
            &signature_algorithm(),
            &name(issuer),
            &element(SEQUENCE, &concat(&[&time(valid.0), &time(valid.1)])),
            &name(subject),
            &element(SEQUENCE, &key),
            &element(EXTENSIONS, &element(SEQUENCE, &concat(&extensions))),
        ]),
    ))
}

fn signed(body: &[u8], issuer: &EcdsaKeyPair) -> std::io::Result<Vec<u8>> {
    let signature = issuer
        .sign(&SystemRandom::new(), body)
        .map_err(|_| std::io::Error::other("no signature was made"))?;
    Ok(element(
        SEQUENCE,
        &concat(&[
            body,
            &signature_algorithm(),
            &element(BIT_STRING, &concat(&[&[0], signature.as_ref()])),
        ]),
    ))
}

fn signature_algorithm() -> Vec<u8> {
    element(SEQUENCE, &element(OBJECT, ECDSA_WITH_SHA256))
}

fn name(common: &str) -> Vec<u8> {
    let attribute = concat(&[&element(OBJECT, COMMON_NAME), &element(UTF8, common.as_bytes())]);
    element(SEQUENCE, &element(SET, &element(SEQUENCE, &attribute)))
}

/// That the subject is an authority; critical.
fn constraints() -> Vec<u8> {
    let yes = element(BOOLEAN, &[0xff]);
    let value = element(OCTET_STRING, &element(SEQUENCE, &yes));
    element(
        SEQUENCE,
        &concat(&[&element(OBJECT, BASIC_CONSTRAINTS), &yes, &value]),
    )
}

fn alternative_name(host: &str) -> Vec<u8> {
    let names = element(SEQUENCE, &element(DNS_NAME, host.as_bytes()));
    element(
        SEQUENCE,
        &concat(&[&element(OBJECT, ALTERNATIVE_NAME), &element(OCTET_STRING, &names)]),
    )
}

/// Tag, length and contents (X.690, 8.1).
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    let length = contents.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => element.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            element.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
            element.extend(significant);
        }
    }
    element.extend_from_slice(contents);
    element
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}
