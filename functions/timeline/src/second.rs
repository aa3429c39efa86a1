//! The second pass: reading again what the actors touched, and nothing else.

use std::collections::BTreeMap;
use std::fs::File;

use blackstart_aws::port::PortError;
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::Plan;
use blackstart_core::timeline::batches::place;
use blackstart_core::timeline::case::Acts;
use blackstart_core::timeline::context::Context;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::pivot::Traced;
use blackstart_core::timeline::results::Results;
use blackstart_core::timeline::rows::Selection;
use blackstart_core::timeline::sorted::Sorted;
use blackstart_core::timeline::sweep::Sweep;
use futures_util::StreamExt as _;

use crate::Failed;
use crate::fetch::Budget;
use crate::ports::Logs;

/// Bytes of an object whose size is not known any more: those of a busy account's objects, as stored.
const LIKELY: u64 = 1 << 20;

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
    pub(crate) async fn read<'t>(
        &self,
        results: &mut Results<File>,
        traced: &'t Traced,
    ) -> Result<Second<'t>, Failed> {
        let mut second = Second {
            acts: Acts::of(traced),
            context: Context::default(),
            rows: Sorted::new(tempfile::tempfile()?),
        };
        let selection = Selection::traced(self.reader, traced);
        let wanted = Acts::of(traced);
        self.objects(results, &selection, &mut second, |number, facts| {
            wanted.wants(number, facts)
        })
        .await?;
        let mut context = Context::of(second.acts.addresses());
        let selection = selection.with_addresses(context.addresses());
        self.objects(results, &selection, &mut second, |number, facts| {
            wanted.may_show(&mut context, number, facts)
        })
        .await?;
        second.context = context;
        Ok(second)
    }

    async fn objects(
        &self,
        results: &mut Results<File>,
        selection: &Selection<'_>,
        second: &mut Second<'_>,
        mut wants: impl FnMut(u64, &ObjectFacts) -> bool,
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
        let objects = results.objects()?.filter(|object| match object {
            Ok((number, facts)) => wants(*number, facts),
            Err(_) => true,
        });
        let mut sweep = Sweep::new(self.reader);
        let budget = Budget::new();
        let mut fetched = std::pin::pin!(budget.fetch(self.logs, objects, |object| {
            let (bucket, key) = bucket_and_key(&object.as_ref().ok()?.1.object)?;
            Some((bucket.to_owned(), key.to_owned(), LIKELY))
        }));
        while let Some((object, fetched)) = fetched.next().await {
            let (_, facts) = object?;
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
            match again {
                Ok(mut again) => {
                    second.acts.add(&mut again);
                    second.rows.extend(again.rows)?;
                }
                Err(why) => {
                    tracing::warn!(object = %facts.object, why, "an object cannot be read again");
                    second.acts.lost(&facts, why);
                }
            }
        }
        Ok(())
    }
}

fn bucket_and_key(object: &str) -> Option<(&str, &str)> {
    object.strip_prefix("s3://")?.split_once('/')
}
