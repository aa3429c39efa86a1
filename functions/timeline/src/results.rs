//! What the batches left, fetched to the function's disk.

use std::fs::File;

use blackstart_core::run::RunId;
use blackstart_core::timeline::Gap;
use blackstart_core::timeline::results::{BatchResult, NotTaken, Results};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::Failed;
use crate::collect::{LISTING, Listing};
use crate::ports::Deps;

/// Results that are fetched at once.
const AT_ONCE: usize = 8;

/// Where the facts of a batch are kept for `merge`.
pub(crate) fn facts_path(batch: u32) -> String {
    format!("timeline/scan/{batch:05}.facts")
}

/// Where its sketches are kept.
pub(crate) fn sketches_path(batch: u32) -> String {
    format!("timeline/scan/{batch:05}.sketches")
}

/// The results of all batches, and what could not be listed or fetched; a batch whose result is missing or unreadable
/// is a gap.
pub(crate) async fn fetch<D: Deps>(
    deps: &D,
    run: &RunId,
    batches: u32,
) -> Result<(Results<File>, Vec<Gap>), Failed> {
    let mut gaps = match deps.find(run, LISTING).await? {
        Some(bytes) => serde_json::from_slice::<Listing>(&bytes)?.gaps,
        None => vec![Gap {
            what: "the listing of log objects".to_owned(),
            reason: "is missing: what could not be listed is not known".to_owned(),
        }],
    };
    let mut results = Results::new(tempfile::tempfile()?, tempfile::tempfile()?);
    let mut found = stream::iter(0..batches)
        .map(|batch| async move {
            let facts = deps.find(run, &facts_path(batch)).await?;
            let sketches = deps.find(run, &sketches_path(batch)).await?;
            let result = facts
                .zip(sketches)
                .map(|(facts, sketches)| BatchResult { facts, sketches });
            Ok::<_, Failed>((batch, result))
        })
        .buffered(AT_ONCE);
    while let Some((batch, result)) = found.try_next().await? {
        let mut gap = |reason: String| {
            gaps.push(Gap {
                what: format!("batch {batch}"),
                reason,
            });
        };
        match result.as_ref().map(|result| results.take(result)) {
            Some(Ok(())) => {}
            Some(Err(NotTaken::Medium(error))) => return Err(error.into()),
            Some(Err(malformed @ NotTaken::Malformed(_))) => gap(malformed.to_string()),
            None => gap("left no result: its objects were not read".to_owned()),
        }
    }
    gaps.extend_from_slice(results.gaps());
    Ok((results, gaps))
}
