//! Reading one batch of log objects.

use blackstart_aws::port::PortError;
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::{Batch, Scanned};
use blackstart_core::timeline::Gap;
use blackstart_core::timeline::batches::place;
use blackstart_core::timeline::results::BatchResult;
use blackstart_core::timeline::sweep::Sweep;
use futures_util::StreamExt as _;
use jiff::Timestamp;

use crate::fetch::Budget;
use crate::ports::{Deps, Logs};
use crate::results::{facts_path, sketches_path};
use crate::{Failed, object_name, reader, rules};

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
    let (mut objects, mut gaps) = (Vec::new(), Vec::new());
    let mut scanned = Scanned {
        batch: batch.batch,
        records: 0,
        hits: 0,
        gaps: 0,
    };
    let mut sweep = Sweep::new(&reader);
    let budget = Budget::new();
    let mut fetched = std::pin::pin!(budget.fetch(&logs, batch.objects.iter(), |object| {
        Some((bucket.to_owned(), object.key.clone(), object.bytes))
    }));
    // Facts of an object are small; its bytes are dropped as soon as it is read.
    while let Some((object, fetched)) = fetched.next().await {
        let name = object_name(bucket, &object.key);
        match fetched.map(|fetched| fetched.stored) {
            Some(Ok(stored)) => {
                let mut swept = sweep.read(&name, &stored, kind);
                drop(stored);
                if let Some(digest) = &mut swept.facts.sources.digest {
                    digest.signature = signature(&logs, bucket, &object.key).await?;
                }
                scanned.records += swept.facts.records;
                scanned.hits += swept.facts.hits.len() as u64;
                scanned.gaps += u64::from(!swept.facts.problems.is_empty());
                objects.push(swept);
            }
            Some(Err(error @ PortError::Transient { .. })) => return Err(error.into()),
            Some(Err(error)) => gaps.push(Gap {
                what: name,
                reason: error_chain(&error),
            }),
            None => {}
        }
    }
    scanned.gaps += gaps.len() as u64;
    let BatchResult { facts, sketches } = BatchResult::of(objects, gaps)?;
    for (path, bytes) in [
        (sketches_path(batch.batch), sketches),
        (facts_path(batch.batch), facts),
    ] {
        deps.put(run, &path, "application/octet-stream", bytes).await?;
    }
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
