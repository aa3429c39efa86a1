//! The second pass as a Distributed Map: what is to be read again, and reading one batch of it.

use blackstart_core::artifact::Digest;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::{BatchAgain, ReadAgain, Traced};
use blackstart_core::timeline::again::{Gathered, Sought};
use blackstart_core::timeline::results::{BatchResult, NotTaken};
use blackstart_core::timeline::rows::Selection;
use jiff::Timestamp;

use crate::merge::late;
use crate::ports::Deps;
use crate::results::{by_batch, facts_path, rows_path};
use crate::second::Again;
use crate::{Failed, reader, results, rules};

/// What the second pass looks for.
const SOUGHT: &str = "timeline/scan/sought.json";

/// Finds the actors, and writes what is to be read again.
pub(crate) async fn trace<D: Deps>(
    deps: &D,
    run: &RunId,
    plan: &Plan,
    batches: u32,
    now: Timestamp,
) -> Result<Traced, Failed> {
    let mut fetched = results::fetch(deps, run, batches).await?;
    let case = fetched.results.case(plan.timeline.checks_digests())?;
    let traced = fetched.results.trace(case.pivot(&late(deps, run, now).await?))?;
    let wanted = by_batch(&fetched.wanted(&traced)?);
    deps.put(run, SOUGHT, "application/json", Sought::of(&traced).write()?)
        .await?;
    let manifest = deps
        .put(
            run,
            "timeline/scan/again.json",
            "application/json",
            serde_json::to_vec(&wanted)?,
        )
        .await?;
    let objects = wanted.iter().map(|batch| batch.objects.len() as u64).sum();
    tracing::info!(batches = wanted.len(), objects, "the actors are found");
    Ok(Traced {
        manifest,
        batches: u32::try_from(wanted.len()).unwrap_or(u32::MAX),
        objects,
    })
}

/// Reads objects of one batch again.
pub(crate) async fn again<D: Deps>(
    deps: &D,
    run: &RunId,
    plan: &Plan,
    batch: &BatchAgain,
    now: Timestamp,
) -> Result<ReadAgain, Failed> {
    let not_scanned = |why: &str| Failed::NotScanned {
        batch: batch.batch,
        why: why.to_owned(),
    };
    let unreadable = |error: NotTaken| not_scanned(&error.to_string());
    let sought = deps.find(run, SOUGHT).await?;
    let sought = sought.ok_or_else(|| not_scanned("what is looked for was not written"))?;
    let digest = Digest::of(&sought);
    let sought = Sought::read(&sought).map_err(unreadable)?;
    let facts = deps.find(run, &facts_path(batch.batch)).await?;
    let facts = facts.ok_or_else(|| not_scanned("it left no result"))?;
    let mut known: Vec<_> = BatchResult::objects(&facts)
        .map_err(unreadable)?
        .into_iter()
        .map(Some)
        .collect();
    let chosen: Option<Vec<_>> = batch
        .objects
        .iter()
        .map(|number| known.get_mut(usize::try_from(*number).ok()?)?.take())
        .collect();
    let chosen = chosen.ok_or_else(|| not_scanned("it has no object of that number"))?;

    let reader = reader(plan, rules::table(deps, run, plan).await?.0, now);
    let logs = deps.logs(plan, run).await?;
    let again = Again {
        logs: &logs,
        plan,
        reader: &reader,
    };
    let mut gathered = Gathered::new(tempfile::tempfile()?);
    let mut lost = 0;
    let selection = Selection::sought(&reader, &sought);
    again
        .objects(
            chosen.into_iter().map(Ok),
            &selection,
            |facts, again| match again {
                Ok(again) => gathered.add(again),
                Err(why) => {
                    lost += 1;
                    gathered.lost(facts, why);
                    Ok(())
                }
            },
        )
        .await?;
    let left = gathered.finish(digest, batch.objects.clone())?;
    deps.put(run, &rows_path(batch.batch), "application/octet-stream", left)
        .await?;
    let objects = batch.objects.len() as u64;
    tracing::info!(batch = batch.batch, objects, lost, "a batch is read again");
    Ok(ReadAgain {
        batch: batch.batch,
        objects,
        lost,
    })
}
