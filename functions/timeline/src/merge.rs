//! From the results of all batches to the boundary, the timeline, and the ledger.

use std::io::BufWriter;

use blackstart_aws::digest_signature;
use blackstart_core::artifact::{ArtifactRef, Digest, canonical_json};
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::Merged;
use blackstart_core::timeline::boundary;
use blackstart_core::timeline::case::Case;
use blackstart_core::timeline::digests::{self, Checked};
use blackstart_core::timeline::facts::{ObjectFacts, Reader};
use blackstart_core::timeline::{CurrentBoundary, Gap, Unseen, late, ocsf};
use jiff::Timestamp;
use tempfile::NamedTempFile;

use crate::collect::{LISTING, Listing};
use crate::ports::Deps;
use crate::results::Fetched;
use crate::second::{Again, Second};
use crate::{Failed, reader, results, rules};

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
    let mut fetched = results::fetch(deps, run, batches).await?;
    let mut gaps = std::mem::take(&mut fetched.gaps);
    let (table, not_applied) = rules::table(deps, run, plan).await?;
    gaps.extend(not_applied);
    let case = fetched.results.case(plan.timeline.checks_digests())?;
    let checked = check_digests(plan, case.objects());
    gaps.extend(checked.gaps);
    let reader = reader(plan, table, now);
    let mut scan = Scan {
        run,
        plan,
        reader: &reader,
        fetched: &mut fetched,
        case: &case,
        gaps: &gaps,
        unseen: &checked.unseen,
    };
    let mut evidence = late(deps, run, now).await?;
    for _ in 1..ATTEMPTS {
        let merged = merge_with(deps, &mut scan, &evidence, now).await?;
        let present = late(deps, run, now).await?;
        if present == evidence {
            return Ok(merged);
        }
        evidence = present;
    }
    merge_with(deps, &mut scan, &evidence, now).await
}

/// What the first pass left, and how objects are read again.
struct Scan<'s> {
    run: &'s RunId,
    plan: &'s Plan,
    reader: &'s Reader,
    fetched: &'s mut Fetched,
    case: &'s Case,
    gaps: &'s [Gap],
    unseen: &'s [Unseen],
}

async fn merge_with<D: Deps>(
    deps: &D,
    scan: &mut Scan<'_>,
    late: &[ObjectFacts],
    now: Timestamp,
) -> Result<Merged, Failed> {
    let run = scan.run;
    let traced = scan.fetched.results.trace(scan.case.pivot(late))?;
    let Second { acts, context, rows } = Again {
        logs: &deps.logs(scan.plan, run).await?,
        plan: scan.plan,
        reader: scan.reader,
    }
    .read(deps, run, scan.fetched, &traced)
    .await?;
    let document = scan.case.establish(&acts, &context, scan.gaps, scan.unseen, late);
    let (mut lines, mut table) = (NamedTempFile::new()?, NamedTempFile::new()?);
    let rows = rows.write(
        None,
        &mut BufWriter::new(&mut lines),
        &mut BufWriter::new(&mut table),
    )?;
    let timeline = deps
        .put_file(
            run,
            "timeline/timeline.jsonl",
            "application/x-ndjson",
            lines.path(),
        )
        .await?;
    deps.put_file(run, "timeline/timeline.csv", "text/csv", table.path())
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
            tracing::info!(boundary = %set.boundary, covered, rows = rows.rows, "the boundary is set");
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

/// What triggers and people said beside the logs, in a stable order.
pub(crate) async fn late<D: Deps>(deps: &D, run: &RunId, now: Timestamp) -> Result<Vec<ObjectFacts>, Failed> {
    let mut late = Vec::new();
    for trigger in deps.triggers(run).await? {
        let sha256 = Digest::of(&serde_json::to_vec(&trigger)?);
        late.extend(late::of(run, &trigger, sha256, now));
    }
    late.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(late)
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
