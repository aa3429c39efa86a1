//! Files that say how logs are to be read.

use std::fs;
use std::path::Path;

use blackstart_core::plan::{DigestKey, WorkloadFormat};

use super::TimelineError;

/// The answer of `ListPublicKeys`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKeys {
    public_key_list: Vec<PublicKey>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKey {
    value: String,
    fingerprint: String,
}

pub(super) fn digest_keys(path: &Path) -> Result<Vec<DigestKey>, TimelineError> {
    let keys: PublicKeys = setting(path, "the output of `aws cloudtrail list-public-keys`")?;
    let key = |key: PublicKey| DigestKey {
        fingerprint: key.fingerprint,
        value: key.value,
    };
    Ok(keys.public_key_list.into_iter().map(key).collect())
}

pub(super) fn workload_format(path: &Path) -> Result<WorkloadFormat, TimelineError> {
    const EXPECTED: &str = "the format of a workload's log";
    let format: WorkloadFormat = setting(path, EXPECTED)?;
    let problems = format.problems("format");
    if problems.is_empty() {
        Ok(format)
    } else {
        Err(TimelineError::Setting {
            path: path.to_owned(),
            expected: EXPECTED,
            why: problems.iter().map(ToString::to_string).collect(),
        })
    }
}

fn setting<T: serde::de::DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, TimelineError> {
    let bytes = fs::read(path).map_err(|source| TimelineError::Path {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| TimelineError::Setting {
        path: path.to_owned(),
        expected,
        why: vec![error.to_string()],
    })
}
