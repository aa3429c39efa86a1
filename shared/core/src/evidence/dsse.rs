//! DSSE, the Dead Simple Signing Envelope (secure-systems-lab/dsse, protocol 1.0), and the key behind a signature.
//!
//! What is signed is not the payload but its pre-authentication encoding, which holds the payload's type too, so that
//! one kind of document cannot be passed off as another. The signing itself happens elsewhere: here is what is to be
//! signed, and what a signature claims.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::artifact::Digest;

/// Payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The signature algorithm, in words: ECDSA over NIST P-256 with SHA-256, signatures in DER, as AWS KMS makes them
/// under `ECDSA_SHA_256`.
pub const ALGORITHM: &str = "ecdsa-p256-sha256-der";

/// Pre-authentication encoding: `DSSEv1 LEN(type) type LEN(payload) payload`, lengths in decimal ASCII.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// What is to be signed for a payload of [`PAYLOAD_TYPE`]: the sha256 digest of its encoding, 32 bytes.
#[must_use]
pub fn to_sign(payload: &[u8]) -> Vec<u8> {
    Sha256::digest(pae(PAYLOAD_TYPE, payload)).to_vec()
}

/// One signed document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The document, base64.
    pub payload: String,
    /// What kind of document.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Who signed it. Exactly one here.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Which key: the sha256 digest of its DER.
    pub keyid: String,
    /// The signature, base64.
    pub sig: String,
}

/// An envelope does not hold what it claims.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Forged {
    /// It is signed by nobody, or by several.
    #[error("it carries {0} signatures, exactly one is expected")]
    Signatures(usize),
    /// Its payload is of another kind.
    #[error("its payload type is `{0}`, `{PAYLOAD_TYPE}` is expected")]
    PayloadType(String),
    /// A field is no base64.
    #[error("its {0} is no base64")]
    NotBase64(&'static str),
    /// It names another key.
    #[error("it names key `{0}`, which is not the key of this evidence")]
    OtherKey(String),
    /// The signature is not that of this key over this payload.
    #[error("its signature does not hold: the document was changed, or another key signed it")]
    Signature,
}

impl Envelope {
    /// The envelope of a payload that was signed.
    #[must_use]
    pub fn signed(payload: &[u8], key: &PublicKey, signature: &[u8]) -> Self {
        Self {
            payload: STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![Signature {
                keyid: key.id().to_string(),
                sig: STANDARD.encode(signature),
            }],
        }
    }

    /// The payload, not verified yet.
    ///
    /// # Errors
    /// [`Forged::NotBase64`].
    pub fn payload(&self) -> Result<Vec<u8>, Forged> {
        STANDARD
            .decode(&self.payload)
            .map_err(|_| Forged::NotBase64("payload"))
    }

    /// The payload, if this key signed it.
    ///
    /// # Errors
    /// [`Forged`].
    pub fn verified(&self, key: &PublicKey, signed: &SignedBy<'_>) -> Result<Vec<u8>, Forged> {
        let [signature] = self.signatures.as_slice() else {
            return Err(Forged::Signatures(self.signatures.len()));
        };
        if self.payload_type != PAYLOAD_TYPE {
            return Err(Forged::PayloadType(self.payload_type.clone()));
        }
        if signature.keyid != key.id().as_str() {
            return Err(Forged::OtherKey(signature.keyid.clone()));
        }
        let payload = self.payload()?;
        let bytes = STANDARD
            .decode(&signature.sig)
            .map_err(|_| Forged::NotBase64("signature"))?;
        if signed(key, &pae(&self.payload_type, &payload), &bytes) {
            Ok(payload)
        } else {
            Err(Forged::Signature)
        }
    }
}

/// Whether a key signed a message: key, message, signature. The cryptography is the caller's.
pub type SignedBy<'a> = dyn Fn(&PublicKey, &[u8], &[u8]) -> bool + 'a;

/// The public half of the signing key: its DER-encoded `SubjectPublicKeyInfo` (RFC 5280), as KMS hands it out.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

/// The text is no PEM of a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no public key: `-----BEGIN PUBLIC KEY-----`, base64 and `-----END PUBLIC KEY-----` are expected")]
pub struct NotPem;

impl PublicKey {
    const BEGIN: &'static str = "-----BEGIN PUBLIC KEY-----";
    const END: &'static str = "-----END PUBLIC KEY-----";

    /// The key with this encoding.
    #[must_use]
    pub fn of_der(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// Reads PEM (RFC 7468, label `PUBLIC KEY`). Text around it is not read.
    ///
    /// # Errors
    /// [`NotPem`].
    pub fn of_pem(text: &str) -> Result<Self, NotPem> {
        let (_, rest) = text.split_once(Self::BEGIN).ok_or(NotPem)?;
        let (body, _) = rest.split_once(Self::END).ok_or(NotPem)?;
        let body: String = body.split_ascii_whitespace().collect();
        STANDARD.decode(body).map(Self).map_err(|_| NotPem)
    }

    /// The key as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let mut text = format!("{}\n", Self::BEGIN);
        for (place, letter) in STANDARD.encode(&self.0).chars().enumerate() {
            if place > 0 && place % 64 == 0 {
                text.push('\n');
            }
            text.push(letter);
        }
        text.push_str(&format!("\n{}\n", Self::END));
        text
    }

    /// The encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// Name of the key: the sha256 digest of its encoding.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the DSSE protocol document.
    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        // Lengths are those of bytes, not of characters.
        assert_eq!(
            pae("\u{fc}", "\u{20ac}".as_bytes()),
            "DSSEv1 2 \u{fc} 3 \u{20ac}".as_bytes()
        );
    }

    /// No two pairs of type and payload have the same encoding, whatever spaces and digits they hold.
    #[test]
    fn type_and_payload_cannot_flow_into_each_other() {
        assert_ne!(pae("a 1 b", b""), pae("a", b"b"));
        assert_ne!(pae("a", b"1 b"), pae("a 1", b"b"));
    }

    #[test]
    fn a_key_survives_pem_and_nothing_else_is_a_key() {
        let key = PublicKey::of_der((0..91).collect());
        assert_eq!(PublicKey::of_pem(&key.pem()).unwrap(), key);
        assert_eq!(
            PublicKey::of_pem(&format!("issued to you\r\n{}", key.pem().replace('\n', "\r\n"))).unwrap(),
            key
        );
        assert!(key.pem().lines().all(|line| line.len() <= 64));
        for bad in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\n%\n-----END PUBLIC KEY-----",
            "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----",
        ] {
            assert_eq!(PublicKey::of_pem(bad), Err(NotPem), "{bad}");
        }
    }
}
