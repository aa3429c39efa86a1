//! Fetching the evidence of a run: signed where the key is, kept where the caller wants it.

use std::io::Write;
use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_core::error_name::error_chain;
use blackstart_core::run::RunId;
use blackstart_core::task::report::{Exported, Operation};
use blackstart_core::task::{StateContext, Task};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{EvidenceError, within};

/// Name of the file, as in the evidence bucket.
const BUNDLE: &str = "evidence.intoto.jsonl";

/// Has the evidence of a run signed as it is now, and fetches it. A run that waits, failed or broke off has evidence, too.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The run, for example orders-0a1b2c3d4e5f.
    #[arg(value_parser = crate::approve::run_id)]
    run: RunId,
    /// The function that may sign: the stack's output `ReportFunction`.
    #[arg(long, env = "BLACKSTART_REPORT_FUNCTION")]
    function: String,
    /// The artifact bucket, to fetch the documents that the evidence names: the stack's output `ArtifactBucket`.
    #[arg(long, env = "BLACKSTART_ARTIFACTS", value_name = "BUCKET")]
    artifacts: Option<String>,
    /// Where to put it; by default a folder named like the run.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

impl Export {
    /// Exports and fetches.
    pub(super) async fn run(
        &self,
        config: &SdkConfig,
        now: Timestamp,
        out: &mut dyn Write,
    ) -> Result<(), EvidenceError> {
        let exported = self.sign(config, now).await?;
        let folder = self
            .to
            .clone()
            .unwrap_or_else(|| PathBuf::from(self.run.as_str()));
        let store = ArtifactStore::new(config, exported.bundle.bucket.clone());
        let bundle = store.get(&exported.bundle).await?;
        write(&folder.join(BUNDLE), &bundle)?;
        let mut fetched = 0;
        if let Some(bucket) = &self.artifacts {
            fetched = fetch(&ArtifactStore::new(config, bucket.clone()), &self.run, &folder).await?;
        }
        let folder = folder.display();
        writeln!(
            out,
            "{} links in {folder}/{BUNDLE}, {fetched} artifacts beside it.\n\
             Verify it with the key from where it is not from:\n  \
             blackstart evidence verify {folder}/{BUNDLE} --key KEY --artifacts {folder}",
            exported.links
        )
        .map_err(EvidenceError::Output)
    }

    /// The report function signs: nobody else has the key, this command neither.
    async fn sign(&self, config: &SdkConfig, now: Timestamp) -> Result<Exported, EvidenceError> {
        let task = Task {
            context: StateContext {
                execution: "blackstart evidence export".to_owned(),
                started: now,
                state: "Export evidence".to_owned(),
                entered: now,
                retry_count: 0,
                redrive_count: 0,
            },
            run: Some(self.run.clone()),
            input: Operation::Export {},
        };
        let failed = |why: String| EvidenceError::NotExported {
            run: self.run.clone(),
            why,
        };
        let payload = serde_json::to_string(&task).map_err(|error| failed(error.to_string()))?;
        let answer = aws_sdk_lambda::Client::new(config)
            .invoke()
            .function_name(&self.function)
            .payload(Blob::new(payload))
            .send()
            .await
            .map_err(|error| failed(error_chain(&error)))?;
        let bytes = answer.payload.map(Blob::into_inner).unwrap_or_default();
        if answer.function_error.is_some() {
            return Err(failed(message(&bytes)));
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            failed(format!(
                "`{}` is no function of Blackstart: {error}",
                self.function
            ))
        })
    }
}

/// What a function says that failed.
fn message(bytes: &[u8]) -> String {
    let error: Option<Value> = serde_json::from_slice(bytes).ok();
    let member = |name: &str| Some(error.as_ref()?.get(name)?.as_str()?.to_owned());
    match (member("errorType"), member("errorMessage")) {
        (Some(name), Some(message)) => format!("{name}: {message}"),
        (name, message) => name
            .or(message)
            .unwrap_or_else(|| "it does not say why".to_owned()),
    }
}

async fn fetch(store: &ArtifactStore, run: &RunId, folder: &Path) -> Result<usize, EvidenceError> {
    let mut fetched = 0;
    for path in store.paths(run, "").await? {
        let (Some(place), Some((_, bytes))) = (within(folder, &path), store.find(run, &path).await?) else {
            continue;
        };
        write(&place, &bytes)?;
        fetched += 1;
    }
    Ok(fetched)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EvidenceError> {
    let unwritable = |source| EvidenceError::Unwritable {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(unwritable)?;
    }
    std::fs::write(path, bytes).map_err(unwritable)
}

impl From<ArtifactError> for EvidenceError {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_says_is_passed_on() {
        assert_eq!(
            message(
                br#"{"errorType": "Recovery.InvalidInput", "errorMessage": "run `x` is not in the ledger"}"#
            ),
            "Recovery.InvalidInput: run `x` is not in the ledger"
        );
        assert_eq!(message(b"<html>"), "it does not say why");
    }
}
