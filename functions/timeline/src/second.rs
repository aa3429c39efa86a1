//! The second pass: reading again what the actors touched, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;

use blackstart_aws::port::PortError;
use blackstart_core::artifact::Digest;
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::timeline::again::{BatchAgain, Sought};
use blackstart_core::timeline::batches::place;
use blackstart_core::timeline::case::Acts;
use blackstart_core::timeline::context::Context;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::pivot::Traced;
use blackstart_core::timeline::rows::{Again as Found, Selection};
use blackstart_core::timeline::sorted::Sorted;
use blackstart_core::timeline::sweep::Sweep;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::Failed;
use crate::fetch::Budget;
use crate::ports::{Deps, Logs};
use crate::results::{Fetched, Wanted, by_batch, rows_path};

/// Bytes of an object whose size is not known any more: those of a busy account's objects, as stored.
const LIKELY: u64 = 1 << 20;

/// Results of batches that are fetched at once; each holds the rows of up to 64 MiB of stored logs.
const RESULTS_AT_ONCE: usize = 2;

/// What the second pass left.
pub(crate) struct Second<'t> {
    pub(crate) acts: Acts<'t>,
    pub(crate) context: Context,
    pub(crate) rows: Sorted<File>,
}

/// The second pass over the log buckets of a plan.
pub(crate) struct Again<'a, L> {
    pub(crate) logs: &'a L,
    pub(crate) plan: &'a Plan,
    pub(crate) reader: &'a Reader,
}

impl<L: Logs> Again<'_, L> {
    /// Takes what the children of the map left for these actors, and reads what they did not.
    pub(crate) async fn read<'t, D: Deps>(
        &self,
        deps: &D,
        run: &RunId,
        fetched: &mut Fetched,
        traced: &'t Traced,
    ) -> Result<Second<'t>, Failed> {
        let mut second = Second {
            acts: Acts::of(traced),
            context: Context::default(),
            rows: Sorted::new(tempfile::tempfile()?),
        };
        let sought = Sought::of(traced);
        let wanted = fetched.wanted(traced)?;
        let left = take(deps, run, &sought, &wanted, &mut second).await?;
        let selection = Selection::sought(self.reader, &sought);
        if !left.is_empty() {
            tracing::warn!(
                objects = left.len(),
                "objects were not read again for these actors before"
            );
            let objects = fetched.results.objects()?;
            self.objects(
                chosen(objects, |number, _| left.contains(&number)),
                &selection,
                |facts, again| second.add(facts, again),
            )
            .await?;
        }
        let mut context = Context::of(second.acts.addresses());
        let selection = selection.with_addresses(context.addresses());
        let acts = Acts::of(traced);
        self.objects(
            chosen(fetched.results.objects()?, |number, facts| {
                acts.may_show(&mut context, number, facts)
            }),
            &selection,
            |facts, again| second.add(facts, again),
        )
        .await?;
        second.context = context;
        Ok(second)
    }

    /// Reads these objects again. `each` takes what one says, or why it says nothing any more.
    pub(crate) async fn objects(
        &self,
        objects: impl Iterator<Item = io::Result<ObjectFacts>>,
        selection: &Selection<'_>,
        mut each: impl FnMut(&ObjectFacts, Result<Found, String>) -> io::Result<()>,
    ) -> Result<(), Failed> {
        let kinds: BTreeMap<(&str, &str), Kind<'_>> = self
            .plan
            .timeline
            .sources
            .iter()
            .map(|source| {
                let (bucket, prefix, kind) = place(source);
                ((bucket, prefix), kind)
            })
            .collect();
        let kind_of = |bucket: &str, key: &str| {
            kinds
                .iter()
                .filter(|((of, prefix), _)| *of == bucket && key.starts_with(prefix))
                .max_by_key(|((_, prefix), _)| prefix.len())
                .map_or(Kind::CloudTrail, |(_, kind)| *kind)
        };
        let mut sweep = Sweep::new(self.reader);
        let budget = Budget::new();
        let mut fetched = std::pin::pin!(budget.fetch(self.logs, objects, |object| {
            let (bucket, key) = bucket_and_key(&object.as_ref().ok()?.object)?;
            Some((bucket.to_owned(), key.to_owned(), LIKELY))
        }));
        while let Some((object, fetched)) = fetched.next().await {
            let facts = object?;
            let (Some(fetched), Some((bucket, key))) = (fetched, bucket_and_key(&facts.object)) else {
                continue;
            };
            let again = match fetched.stored {
                Ok(stored) => sweep
                    .again(&facts, &stored, kind_of(bucket, key), selection)
                    .map_err(|error| error.to_string()),
                Err(error @ PortError::Transient { .. }) => return Err(error.into()),
                Err(error) => Err(error_chain(&error)),
            };
            if let Err(why) = &again {
                tracing::warn!(object = %facts.object, why, "an object cannot be read again");
            }
            each(&facts, again)?;
        }
        Ok(())
    }
}

impl Second<'_> {
    fn add(&mut self, facts: &ObjectFacts, again: Result<Found, String>) -> io::Result<()> {
        match again {
            Ok(mut again) => {
                self.acts.add(&mut again);
                self.rows.extend(again.rows)
            }
            Err(why) => {
                self.acts.lost(facts, why);
                Ok(())
            }
        }
    }
}

/// The objects that are wanted.
fn chosen(
    objects: impl Iterator<Item = io::Result<(u64, ObjectFacts)>>,
    mut wants: impl FnMut(u64, &ObjectFacts) -> bool,
) -> impl Iterator<Item = io::Result<ObjectFacts>> {
    objects.filter_map(move |object| match object {
        Ok((number, facts)) => wants(number, &facts).then_some(Ok(facts)),
        Err(error) => Some(Err(error)),
    })
}

/// Takes what the batches left that looked for the same in the same objects, and gives the numbers of all other
/// objects.
async fn take<D: Deps>(
    deps: &D,
    run: &RunId,
    sought: &Sought,
    wanted: &[Wanted],
    second: &mut Second<'_>,
) -> Result<BTreeSet<u64>, Failed> {
    let digest = Digest::of(&sought.write()?);
    let mut left: BTreeSet<_> = wanted.iter().map(|wanted| wanted.number).collect();
    let batches = wanted.chunk_by(|one, other| one.batch == other.batch);
    let mut found = stream::iter(batches.zip(by_batch(wanted)))
        .map(|(objects, batch)| async move {
            let bytes = deps.find(run, &rows_path(batch.batch)).await?;
            Ok::<_, Failed>((objects, batch, bytes))
        })
        .buffered(RESULTS_AT_ONCE);
    while let Some((objects, batch, bytes)) = found.try_next().await? {
        let read = bytes.map(|bytes| BatchAgain::read(bytes, &digest, &batch.objects));
        if let Some(Ok(read)) = read {
            second.acts.take(&read);
            second.rows.take(&read)?;
            for object in objects {
                left.remove(&object.number);
            }
        }
    }
    Ok(left)
}

fn bucket_and_key(object: &str) -> Option<(&str, &str)> {
    object.strip_prefix("s3://")?.split_once('/')
}
