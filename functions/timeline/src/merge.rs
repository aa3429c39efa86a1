//! From the results of all batches to the boundary, the timeline, and the ledger.

use std::collections::BTreeMap;

use blackstart_aws::digest_signature;
use blackstart_aws::port::PortError;
use blackstart_core::artifact::{ArtifactRef, Digest, canonical_json};
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::Merged;
use blackstart_core::timeline::batches::place;
use blackstart_core::timeline::boundary::{self, Established, establish_beside};
use blackstart_core::timeline::digests::{self, Checked};
use blackstart_core::timeline::facts::{Kind, ObjectFacts};
use blackstart_core::timeline::rows::{Row, Selection, csv, json_lines, ordered};
use blackstart_core::timeline::{CurrentBoundary, Gap, late, ocsf};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::collect::{LISTING, Listing};
use crate::ports::{Deps, Logs};
use crate::scan::{ScanResult, result_path};
use crate::{FETCHED_AT_ONCE, Failed, reader, rules};

/// Where the boundary document is kept.
const DOCUMENT: &str = "timeline/boundary.json";

/// Attempts to set the boundary against others who set it at the same time.
const ATTEMPTS: usize = 8;

/// Merges, and once more if evidence came meanwhile: whoever records a trigger after the last look finds the
/// document, and revises.
pub(crate) async fn merge<D: Deps>(
    deps: &D,
    run: &RunId,
    plan: &Plan,
    batches: u32,
    now: Timestamp,
) -> Result<Merged, Failed> {
    let mut evidence = late(deps, run, now).await?;
    for _ in 1..ATTEMPTS {
        let merged = merge_with(deps, run, plan, batches, &evidence, now).await?;
        let present = late(deps, run, now).await?;
        if present == evidence {
            return Ok(merged);
        }
        evidence = present;
    }
    merge_with(deps, run, plan, batches, &evidence, now).await
}

async fn merge_with<D: Deps>(
    deps: &D,
    run: &RunId,
    plan: &Plan,
    batches: u32,
    late: &[ObjectFacts],
    now: Timestamp,
) -> Result<Merged, Failed> {
    let (facts, mut gaps) = results(deps, run, batches).await?;
    let (table, not_applied) = rules::table(deps, run, plan).await?;
    gaps.extend(not_applied);
    let checked = check_digests(plan, &facts);
    gaps.extend(checked.gaps);
    let Established {
        document,
        actors,
        objects,
    } = establish_beside(&facts, &gaps, &checked.unseen, late);
    drop(facts);

    let reader = reader(plan, table, now);
    let selection = Selection::of(&reader, &actors);
    let rows = ordered(rows(deps, run, plan, &selection, objects).await?);
    let timeline = deps
        .put(
            run,
            "timeline/timeline.jsonl",
            "application/x-ndjson",
            json_lines(&rows)?,
        )
        .await?;
    deps.put(run, "timeline/timeline.csv", "text/csv", csv(&rows).into_bytes())
        .await?;
    deps.put(
        run,
        "timeline/findings.ocsf.jsonl",
        "application/x-ndjson",
        ocsf::findings(&document, now)?,
    )
    .await?;
    let bytes = canonical_json(&document).map_err(blackstart_aws::artifacts::ArtifactError::from)?;
    let written = deps.put(run, DOCUMENT, "application/json", bytes).await?;
    let covered = document.coverage.gaps.is_empty()
        && document
            .boundary
            .as_ref()
            .is_none_or(|boundary| !boundary.unbounded);
    match document.boundary {
        Some(found) => {
            let set = set_boundary(deps, run, found.best, written).await?;
            tracing::info!(boundary = %set.boundary, covered, rows = rows.len(), "the boundary is set");
            Ok(Merged::Boundary {
                boundary: set.boundary,
                document: set.document,
                timeline,
                covered,
            })
        }
        None => match deps.boundary(run).await? {
            // Evidence that is gone does not take the boundary back.
            Some(known) => Ok(Merged::Boundary {
                boundary: known.document.boundary,
                document: known.document.document,
                timeline,
                covered,
            }),
            None => Ok(Merged::NoIndicator {
                document: written,
                timeline,
            }),
        },
    }
}

/// Merges again from the results that the batches left.
///
/// While the batches are still being read there is nothing to revise: `merge` reads what came late when it comes to
/// its turn, after the trigger was recorded.
pub(crate) async fn revise<D: Deps>(
    deps: &D,
    run: &RunId,
    plan: &Plan,
    now: Timestamp,
) -> Result<Merged, Failed> {
    let listing = deps.find(run, LISTING).await?;
    let merged = deps.find(run, DOCUMENT).await?.is_some();
    match listing
        .map(|bytes| serde_json::from_slice::<Listing>(&bytes))
        .transpose()?
    {
        Some(listing) if merged => merge(deps, run, plan, listing.batches, now).await,
        Some(_) | None => Ok(Merged::NothingToRevise {}),
    }
}

/// What the digest files say, if the plan has the keys to check them.
fn check_digests(plan: &Plan, facts: &[ObjectFacts]) -> Checked {
    let keys: Vec<_> = plan.timeline.digest_keys().cloned().collect();
    if keys.is_empty() {
        return Checked::default();
    }
    let checked = digests::check(facts, &keys, &digest_signature::verify);
    tracing::info!(
        signed = checked.signed,
        proven = checked.proven,
        unseen = checked.unseen.len(),
        "digest files are checked"
    );
    checked
}

/// The results of all batches; one that is missing or unreadable is a gap.
async fn results<D: Deps>(
    deps: &D,
    run: &RunId,
    batches: u32,
) -> Result<(Vec<ObjectFacts>, Vec<Gap>), Failed> {
    let mut gaps = match deps.find(run, LISTING).await? {
        Some(bytes) => serde_json::from_slice::<Listing>(&bytes)?.gaps,
        None => vec![Gap {
            what: "the listing of log objects".to_owned(),
            reason: "is missing: what could not be listed is not known".to_owned(),
        }],
    };
    let found: Vec<_> = stream::iter(0..batches)
        .map(|batch| async move { Ok::<_, Failed>((batch, deps.find(run, &result_path(batch)).await?)) })
        .buffered(FETCHED_AT_ONCE)
        .try_collect()
        .await?;
    let mut facts = Vec::new();
    for (batch, bytes) in found {
        let result = bytes.as_deref().map(serde_json::from_slice::<ScanResult>);
        match result {
            Some(Ok(result)) => {
                facts.extend(result.objects);
                gaps.extend(result.gaps);
            }
            Some(Err(error)) => gaps.push(Gap {
                what: format!("batch {batch}"),
                reason: format!("left a result that cannot be read: {error}"),
            }),
            None => gaps.push(Gap {
                what: format!("batch {batch}"),
                reason: "left no result: its objects were not read".to_owned(),
            }),
        }
    }
    Ok((facts, gaps))
}

/// What triggers and people said beside the logs, in a stable order.
async fn late<D: Deps>(deps: &D, run: &RunId, now: Timestamp) -> Result<Vec<ObjectFacts>, Failed> {
    let mut late = Vec::new();
    for trigger in deps.triggers(run).await? {
        let sha256 = Digest::of(&serde_json::to_vec(&trigger)?);
        late.extend(late::of(run, &trigger, sha256, now));
    }
    late.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(late)
}

/// The second pass: the rows of the objects that hold acts of the actors.
async fn rows<D: Deps>(
    deps: &D,
    run: &RunId,
    plan: &Plan,
    selection: &Selection<'_>,
    objects: impl IntoIterator<Item = String>,
) -> Result<Vec<Row>, Failed> {
    let objects: Vec<_> = objects.into_iter().collect();
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: BTreeMap<(&str, &str), Kind<'_>> = plan
        .timeline
        .sources
        .iter()
        .map(|source| {
            let (bucket, prefix, kind) = place(source);
            ((bucket, prefix), kind)
        })
        .collect();
    let logs = deps.logs(plan, run).await?;
    let (logs, kinds) = (&logs, &kinds);
    let read: Vec<Vec<Row>> = stream::iter(objects)
        .map(|name| async move {
            let place = name.strip_prefix("s3://").and_then(|name| name.split_once('/'));
            let Some((bucket, key)) = place else {
                return Ok(Vec::new());
            };
            let kind = kinds
                .iter()
                .filter(|((of, prefix), _)| *of == bucket && key.starts_with(prefix))
                .max_by_key(|((_, prefix), _)| prefix.len())
                .map_or(Kind::CloudTrail, |(_, kind)| *kind);
            match logs.get(bucket, key).await {
                Ok(bytes) => Ok(selection.rows(&name, &bytes, kind)),
                Err(error @ PortError::Transient { .. }) => Err(Failed::from(error)),
                Err(error) => {
                    tracing::warn!(object = %name, error = %error_chain(&error), "an object vanished after it was scanned");
                    Ok(Vec::new())
                }
            }
        })
        .buffer_unordered(FETCHED_AT_ONCE)
        .try_collect()
        .await?;
    Ok(read.into_iter().flatten().collect())
}

/// Puts the boundary into the ledger unless an earlier one is there, and returns the one that holds.
async fn set_boundary<D: Deps>(
    deps: &D,
    run: &RunId,
    best: Timestamp,
    document: ArtifactRef,
) -> Result<CurrentBoundary, Failed> {
    let wanted = CurrentBoundary {
        boundary: best,
        document,
    };
    for _ in 0..ATTEMPTS {
        let known = deps.boundary(run).await?;
        let expected = match known {
            Some(known)
                if boundary::revise(Some(known.document.boundary), best) == known.document.boundary =>
            {
                return Ok(known.document);
            }
            Some(known) => Some(known.version),
            None => None,
        };
        if deps.set_boundary(run, expected, &wanted).await? {
            return Ok(wanted);
        }
    }
    Err(Failed::Contended)
}
