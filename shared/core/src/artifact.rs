//! Documents by digest: how a state refers to something too large, or too important, to be passed by value.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A sha256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-9a-f]{64}$"))]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The digest and the number of all bytes that a reader gives.
    ///
    /// # Errors
    /// As the reader fails.
    pub fn of_reader(mut from: impl std::io::Read) -> std::io::Result<(Self, u64)> {
        let mut hash = Sha256::new();
        let (mut bytes, mut part) = (0, vec![0; 1 << 16]);
        loop {
            let length = match from.read(&mut part) {
                Ok(0) => return Ok((Self::of_hash(hash), bytes)),
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hash.update(part.get(..length).unwrap_or_default());
            bytes += length as u64;
        }
    }

    /// The digest of bytes that were hashed while they streamed by.
    #[must_use]
    pub fn of_hash(hash: Sha256) -> Self {
        Self(hex::encode(hash.finalize()))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// The text is not a sha256 digest.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a sha256 digest: 64 lower-case hexadecimal digits are needed")]
pub struct InvalidDigest(String);

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let well_formed = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if well_formed {
            Ok(Self(text))
        } else {
            Err(InvalidDigest(text))
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

/// A document in S3 that is known by bucket, key, version and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
    /// S3 version id; absent where the bucket keeps no versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of the object's bytes. A reader refuses any other content.
    pub sha256: Digest,
    /// Length in bytes.
    pub bytes: u64,
}

/// The value cannot be written as canonical JSON (a map with keys that are no strings, a number that is not finite).
#[derive(Debug, thiserror::Error)]
#[error("the value has no canonical JSON form")]
pub struct NotCanonical(#[source] serde_json::Error);

/// Canonical JSON by RFC 8785: the bytes over which digests of decisions are taken.
///
/// # Errors
/// [`NotCanonical`] when the value has no JSON form.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    serde_json_canonicalizer::to_vec(value).map_err(NotCanonical)
}

/// The digest of a value's canonical JSON.
///
/// # Errors
/// [`NotCanonical`] when the value has no JSON form.
pub fn canonical_digest<T: Serialize>(value: &T) -> Result<Digest, NotCanonical> {
    Ok(Digest::of(&canonical_json(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_change_the_digest() {
        let one: serde_json::Value = serde_json::from_str(r#"{"b":1,"a":{"d":2,"c":3}}"#).unwrap();
        let other: serde_json::Value = serde_json::from_str(r#"{"a":{"c":3,"d":2},"b":1}"#).unwrap();
        assert_eq!(canonical_digest(&one).unwrap(), canonical_digest(&other).unwrap());
    }

    #[test]
    fn a_digest_is_exactly_64_lower_case_digits() {
        for bad in ["", "abc", &"A".repeat(64), &"0".repeat(63), &"g".repeat(64)] {
            assert!(
                serde_json::from_value::<Digest>(serde_json::json!(bad)).is_err(),
                "{bad}"
            );
        }
        let digest = Digest::of(b"");
        assert_eq!(
            digest.as_str(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            serde_json::from_value::<Digest>(serde_json::json!(digest.as_str())).unwrap(),
            digest
        );
    }
}
