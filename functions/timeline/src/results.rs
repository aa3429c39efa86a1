//! What the batches left, fetched to the function's disk.

use std::fs::File;

use blackstart_core::run::RunId;
use blackstart_core::task::timeline::BatchAgain;
use blackstart_core::timeline::Gap;
use blackstart_core::timeline::case::Acts;
use blackstart_core::timeline::pivot::Traced;
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

/// Where the rows of a batch are kept that was read again.
pub(crate) fn rows_path(batch: u32) -> String {
    format!("timeline/scan/{batch:05}.rows")
}

/// What the batches of the first pass left.
pub(crate) struct Fetched {
    pub(crate) results: Results<File>,
    /// Number of each batch whose result was taken.
    taken: Vec<u32>,
    /// What could not be listed or fetched; a batch whose result is missing or unreadable is a gap.
    pub(crate) gaps: Vec<Gap>,
}

impl Fetched {
    /// What is to be read again for the acts of these actors, and for findings, in a stable order.
    pub(crate) fn wanted(&mut self, traced: &Traced) -> Result<Vec<Wanted>, Failed> {
        let acts = Acts::of(traced);
        let mut numbers = Vec::new();
        for object in self.results.objects()? {
            let (number, facts) = object?;
            if acts.wants(number, &facts) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        let wanted = numbers.into_iter().filter_map(|number| {
            let (batch, within) = self.results.place(number)?;
            Some(Wanted {
                number,
                batch: *self.taken.get(batch)?,
                within,
            })
        });
        Ok(wanted.collect())
    }
}

/// An object that is to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Among all objects.
    pub(crate) number: u64,
    /// The batch that holds it.
    pub(crate) batch: u32,
    /// Its number there.
    pub(crate) within: u32,
}

/// Items of the manifest.
pub(crate) fn by_batch(wanted: &[Wanted]) -> Vec<BatchAgain> {
    let of_batch = |objects: &[Wanted]| {
        Some(BatchAgain {
            batch: objects.first()?.batch,
            objects: objects.iter().map(|wanted| wanted.within).collect(),
        })
    };
    let batches = wanted.chunk_by(|one, other| one.batch == other.batch);
    batches.filter_map(of_batch).collect()
}

/// The results of all batches.
pub(crate) async fn fetch<D: Deps>(deps: &D, run: &RunId, batches: u32) -> Result<Fetched, Failed> {
    let mut gaps = match deps.find(run, LISTING).await? {
        Some(bytes) => serde_json::from_slice::<Listing>(&bytes)?.gaps,
        None => vec![Gap {
            what: "the listing of log objects".to_owned(),
            reason: "is missing: what could not be listed is not known".to_owned(),
        }],
    };
    let mut results = Results::new(tempfile::tempfile()?, tempfile::tempfile()?);
    let mut taken = Vec::new();
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
            Some(Ok(())) => taken.push(batch),
            Some(Err(NotTaken::Medium(error))) => return Err(error.into()),
            Some(Err(malformed @ NotTaken::Malformed(_))) => gap(malformed.to_string()),
            None => gap("left no result: its objects were not read".to_owned()),
        }
    }
    gaps.extend_from_slice(results.gaps());
    Ok(Fetched { results, taken, gaps })
}
