//! One digest file, as CloudTrail writes it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::timeline::cloudtrail::parse_time;
use crate::timeline::facts::printable_up_to;

/// One digest file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestFile {
    /// Beginning of the period whose deliveries it lists.
    pub start: Timestamp,
    /// End of that period as written, for the signature.
    pub end_text: String,
    /// End of that period.
    pub end: Timestamp,
    /// Bucket that it was delivered to.
    pub bucket: String,
    /// Key that it was delivered under.
    pub object: String,
    /// Fingerprint of the key that signed it.
    pub fingerprint: String,
    /// Digest of its inflated content.
    pub content: Digest,
    /// The digest file before it; absent where a chain begins.
    pub previous: Option<Previous>,
    /// The log files it lists.
    pub logs: Vec<Listed>,
    /// Its own signature in hexadecimal, where the object's metadata were at hand.
    pub signature: Option<String>,
}

/// What a digest file says of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Key.
    pub object: String,
    /// Hexadecimal SHA-256 of the inflated content.
    pub hash: String,
    /// Hexadecimal signature.
    pub signature: String,
}

/// A log file that a digest file lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub object: String,
    /// Hexadecimal SHA-256 of the inflated content.
    pub hash: String,
    /// Time of its first event.
    pub oldest: Option<Timestamp>,
    /// Time of its last event.
    pub newest: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    digest_start_time: String,
    digest_end_time: String,
    digest_s3_bucket: String,
    digest_s3_object: String,
    #[serde(default)]
    digest_public_key_fingerprint: String,
    #[serde(default)]
    digest_signature_algorithm: String,
    previous_digest_s3_object: Option<String>,
    previous_digest_hash_value: Option<String>,
    previous_digest_hash_algorithm: Option<String>,
    previous_digest_signature: Option<String>,
    #[serde(default)]
    log_files: Vec<RawLog>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    s3_bucket: String,
    s3_object: String,
    hash_value: String,
    hash_algorithm: String,
    #[serde(default)]
    oldest_event_time: Option<String>,
    #[serde(default)]
    newest_event_time: Option<String>,
}

/// Reads one digest file.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse(content: &[u8]) -> Result<DigestFile, String> {
    let raw: Raw =
        serde_json::from_slice(content).map_err(|error| format!("not a CloudTrail digest file: {error}"))?;
    let time = |text: &str| parse_time(text).ok_or("the digest file has no time");
    for algorithm in raw
        .previous_digest_hash_algorithm
        .iter()
        .chain(raw.log_files.iter().map(|log| &log.hash_algorithm))
    {
        if algorithm != "SHA-256" {
            return Err(format!(
                "the digest file uses the hash `{}`, which is not checked here",
                printable_up_to(algorithm, 40)
            ));
        }
    }
    if raw.digest_signature_algorithm != "SHA256withRSA" {
        return Err(format!(
            "the digest file uses the signature `{}`, which is not checked here",
            printable_up_to(&raw.digest_signature_algorithm, 40)
        ));
    }
    let previous = match (
        raw.previous_digest_s3_object,
        raw.previous_digest_hash_value,
        raw.previous_digest_signature,
    ) {
        (Some(object), Some(hash), Some(signature)) => Some(Previous {
            object,
            hash,
            signature,
        }),
        (None, None, None) => None,
        _ => return Err("the digest file names the one before it only in part".to_owned()),
    };
    Ok(DigestFile {
        start: time(&raw.digest_start_time)?,
        end: time(&raw.digest_end_time)?,
        end_text: raw.digest_end_time,
        bucket: raw.digest_s3_bucket,
        object: raw.digest_s3_object,
        fingerprint: raw.digest_public_key_fingerprint,
        content: Digest::of(content),
        previous,
        logs: raw
            .log_files
            .into_iter()
            .map(|log| Listed {
                bucket: log.s3_bucket,
                object: log.s3_object,
                hash: log.hash_value,
                oldest: log.oldest_event_time.as_deref().and_then(parse_time),
                newest: log.newest_event_time.as_deref().and_then(parse_time),
            })
            .collect(),
        signature: None,
    })
}

impl DigestFile {
    /// What its signature signs.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let previous = self.previous.as_ref().map_or("null", |p| p.signature.as_str());
        format!(
            "{}\n{}/{}\n{}\n{previous}",
            self.end_text,
            self.bucket,
            self.object,
            self.content.as_str()
        )
    }

    /// The trail and region whose chain it belongs to: its key without the time.
    pub(super) fn chain(&self) -> &str {
        let file = self.object.rfind('_').and_then(|i| self.object.get(..i));
        let folder = file.and_then(|file| file.rsplit_once('/')).map(|(_, name)| name);
        folder.unwrap_or(&self.object)
    }

    /// Late deliveries, which no chain connects.
    pub(super) fn is_backfill(&self) -> bool {
        self.object.contains("_backfill")
    }
}
