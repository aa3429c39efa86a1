//! Signing evidence with an asymmetric KMS key.

use std::future::Future;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use blackstart_core::evidence::dsse::{Envelope, PublicKey, to_sign};

use crate::port::{Effect, PortError, classify};

/// A key that signs, and never leaves where it is.
pub trait Signer: Send + Sync {
    /// Its public half.
    fn public_key(&self) -> impl Future<Output = Result<PublicKey, PortError>> + Send;
    /// Signs a sha256 digest; the signature is DER.
    fn sign(&self, digest: &[u8]) -> impl Future<Output = Result<Vec<u8>, PortError>> + Send;
}

/// A KMS key of spec `ECC_NIST_P256`.
#[derive(Debug, Clone)]
pub struct KmsSigner {
    kms: aws_sdk_kms::Client,
    key: String,
}

impl KmsSigner {
    /// The key with this id or ARN.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, key: String) -> Self {
        Self {
            kms: aws_sdk_kms::Client::new(config),
            key,
        }
    }
}

impl Signer for KmsSigner {
    async fn public_key(&self) -> Result<PublicKey, PortError> {
        let what = "reading the evidence key";
        let answer = self
            .kms
            .get_public_key()
            .key_id(&self.key)
            .send()
            .await
            .map_err(|error| classify(what, Effect::Read, &error))?;
        answer
            .public_key
            .map(|der| PublicKey::of_der(der.into_inner()))
            .ok_or_else(|| empty(what))
    }

    async fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, PortError> {
        let what = "signing evidence";
        let answer = self
            .kms
            .sign()
            .key_id(&self.key)
            .message(Blob::new(digest))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            // Another signature over the same document is as good.
            .map_err(|error| classify(what, Effect::Read, &error))?;
        answer.signature.map(Blob::into_inner).ok_or_else(|| empty(what))
    }
}

/// Signs a payload.
///
/// # Errors
/// [`PortError`] as the key answers.
pub async fn signed<S: Signer>(signer: &S, key: &PublicKey, payload: &[u8]) -> Result<Envelope, PortError> {
    let signature = signer.sign(&to_sign(payload)).await?;
    Ok(Envelope::signed(payload, key, &signature))
}

fn empty(what: &str) -> PortError {
    PortError::Transient {
        what: what.to_owned(),
        why: "the answer is empty".to_owned(),
    }
}
