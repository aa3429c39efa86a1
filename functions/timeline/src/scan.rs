//! Reading one batch of log objects.

use blackstart_aws::port::PortError;
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::{Batch, Scanned};
use blackstart_core::timeline::Gap;
use blackstart_core::timeline::batches::place;
use blackstart_core::timeline::facts::ObjectFacts;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::{Deps, Logs};
use crate::{FETCHED_AT_ONCE, Failed, object_name, reader, rules};

/// What one batch says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScanResult {
    /// Facts, one entry per object that could be fetched.
    pub(crate) objects: Vec<ObjectFacts>,
    /// Objects that could not be fetched.
    pub(crate) gaps: Vec<Gap>,
}

/// Where the result of a batch is kept for `merge`.
pub(crate) fn result_path(batch: u32) -> String {
    format!("timeline/scan/{batch:05}.json")
}

pub(crate) async fn scan<D: Deps>(
    deps: &D,
    run: &RunId,
    plan: &Plan,
    batch: &Batch,
    now: Timestamp,
) -> Result<Scanned, Failed> {
    let sources = &plan.timeline.sources;
    let source = usize::try_from(batch.source).ok().and_then(|i| sources.get(i));
    let source = source.ok_or(Failed::UnknownSource {
        source_index: batch.source,
        sources: sources.len(),
    })?;
    let (bucket, _, kind) = place(source);
    let reader = reader(plan, rules::table(deps, run, plan).await?.0, now);
    let logs = deps.logs(plan, run).await?;
    let (logs, reader) = (&logs, &reader);
    // Facts of an object are small; its bytes are dropped as soon as it is read.
    let mut read: Vec<Result<ObjectFacts, Gap>> = stream::iter(&batch.objects)
        .map(|object| async move {
            let name = object_name(bucket, &object.key);
            match logs.get(bucket, &object.key).await {
                Ok(bytes) => {
                    let mut facts = reader.read(&name, &bytes, kind);
                    if let Some(digest) = &mut facts.sources.digest {
                        digest.signature = signature(logs, bucket, &object.key).await?;
                    }
                    Ok(Ok(facts))
                }
                Err(error @ PortError::Transient { .. }) => Err(Failed::from(error)),
                Err(error) => Ok(Err(Gap {
                    what: name,
                    reason: error_chain(&error),
                })),
            }
        })
        .buffer_unordered(FETCHED_AT_ONCE)
        .try_collect()
        .await?;
    read.sort_by(|a, b| name_of(a).cmp(name_of(b)));

    let mut result = ScanResult {
        objects: Vec::new(),
        gaps: Vec::new(),
    };
    for read in read {
        match read {
            Ok(facts) => result.objects.push(facts),
            Err(gap) => result.gaps.push(gap),
        }
    }
    let broken = result.objects.iter().filter(|o| !o.problems.is_empty()).count();
    let scanned = Scanned {
        batch: batch.batch,
        records: result.objects.iter().map(|o| o.records).sum(),
        hits: result.objects.iter().map(|o| o.hits.len() as u64).sum(),
        gaps: (broken + result.gaps.len()) as u64,
    };
    let path = result_path(batch.batch);
    deps.put(run, &path, "application/json", serde_json::to_vec(&result)?)
        .await?;
    tracing::info!(
        batch = scanned.batch,
        records = scanned.records,
        hits = scanned.hits,
        gaps = scanned.gaps,
        "a batch is scanned"
    );
    Ok(scanned)
}

/// The signature of a digest file. One that cannot be read leaves the file unproven, which is said.
async fn signature(logs: &impl Logs, bucket: &str, key: &str) -> Result<Option<String>, Failed> {
    match logs.signature(bucket, key).await {
        Ok(signature) => Ok(signature),
        Err(error @ PortError::Transient { .. }) => Err(error.into()),
        Err(error) => {
            tracing::warn!(key, error = %error_chain(&error), "the signature of a digest file cannot be read");
            Ok(None)
        }
    }
}

fn name_of(read: &Result<ObjectFacts, Gap>) -> &str {
    match read {
        Ok(facts) => &facts.object,
        Err(gap) => &gap.what,
    }
}
