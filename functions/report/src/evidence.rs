//! The evidence of a run: signed checkpoints while it lives, a signed bundle when it ends, both where they are locked.

use std::collections::BTreeMap;

use blackstart_aws::evidence::bundle;
use blackstart_aws::signer::{Signer, signed};
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::evidence::bundle::{Facts, checkpoint, lines, statement};
use blackstart_core::evidence::dsse::{Envelope, PublicKey};
use blackstart_core::evidence::{JOURNAL, Link, artifact_path};
use blackstart_core::journal::Entry;
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use blackstart_core::task::report::{Exported, Sealed};
use blackstart_core::timeline::CurrentBoundary;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::observe::rows;
use crate::{Deps, ReportError};

/// Checkpoints, in the order of the links that they vouch for.
const CHECKPOINTS: &str = "checkpoints/";
/// The bundle: in-toto's name for a file of signed statements, one per line.
const BUNDLE: &str = "evidence.intoto.jsonl";
/// What the timeline keeps for itself between two of its steps: thousands of objects that nobody decides by.
const INTERMEDIATE: &str = "timeline/scan/";
/// Artifacts that are read at once.
const READ_AT_ONCE: usize = 16;
/// The last checkpoint's stage.
const LAST: &str = "report";

/// Signs how long the chain is now and how it ends.
pub(crate) async fn seal(
    run: &RunId,
    stage: &str,
    deps: &Deps,
    now: Timestamp,
) -> Result<Sealed, ReportError> {
    let links = bundle(&deps.ledger, run).await?.links;
    let key = deps.signer.public_key().await?;
    seal_chain(run, stage, &links, &key, deps, now).await
}

async fn seal_chain(
    run: &RunId,
    stage: &str,
    links: &[Link],
    key: &PublicKey,
    deps: &Deps,
    now: Timestamp,
) -> Result<Sealed, ReportError> {
    let (Some(last), Some(payload)) = (links.last(), checkpoint(run, stage, links, now)?) else {
        return Err(ReportError::NoChain);
    };
    let seq = last.seq;
    let path = format!("{CHECKPOINTS}{seq:010}-{stage}.json");
    // A repeat finds what it signed before; the bucket would keep both.
    let checkpoint = match deps.evidence.find(run, &path).await? {
        Some((there, _)) => there,
        None => {
            let envelope = signed(&deps.signer, key, &payload).await?;
            deps.evidence.put_json(run, &path, &envelope).await?
        }
    };
    tracing::info!(stage, seq, "the chain of evidence is sealed");
    Ok(Sealed { seq, checkpoint })
}

/// Signs the whole chain with the digests of the run's artifacts.
///
/// A chain that does not verify is exported too: its faults are part of what is signed, and an auditor must see them.
pub(crate) async fn export(run: &RunId, deps: &Deps, now: Timestamp) -> Result<Exported, ReportError> {
    let entries = rows::<Entry>(run, Key::JOURNAL_PREFIX, deps).await?;
    if !entries.is_empty() {
        deps.artifacts.put_json(run, JOURNAL, &entries).await?;
    }
    let links = bundle(&deps.ledger, run).await?.links;
    let count = links.len() as u64;
    let key = deps.signer.public_key().await?;
    seal_chain(run, LAST, &links, &key, deps, now).await?;

    let mut envelopes = checkpoints(run, deps).await?;
    let payload = statement(Facts {
        run,
        links,
        checkpoints: &envelopes,
        artifacts: artifacts(run, deps).await?,
        key: &key,
        at: now,
    })?;
    envelopes.push(signed(&deps.signer, &key, &payload).await?);
    let bundle = deps
        .evidence
        .put(run, BUNDLE, "application/x-ndjson", lines(&envelopes)?)
        .await?;
    tracing::info!(links = count, lines = envelopes.len(), "the evidence is exported");
    Ok(Exported { bundle, links: count })
}

async fn checkpoints(run: &RunId, deps: &Deps) -> Result<Vec<Envelope>, ReportError> {
    let mut envelopes = Vec::new();
    for path in deps.evidence.paths(run, CHECKPOINTS).await? {
        if let Some((artifact, _)) = deps.evidence.find(run, &path).await? {
            envelopes.push(deps.evidence.get_json(&artifact).await?);
        }
    }
    Ok(envelopes)
}

/// Every artifact of the run by the digest of its bytes as they are now.
async fn artifacts(run: &RunId, deps: &Deps) -> Result<BTreeMap<String, Digest>, ReportError> {
    let paths = deps.artifacts.paths(run, "").await?;
    let decided_by = paths.into_iter().filter(|path| !path.starts_with(INTERMEDIATE));
    let found: Vec<Option<ArtifactRef>> = stream::iter(decided_by)
        .map(|path| async move {
            let found = deps.artifacts.find(run, &path).await?;
            Ok::<_, ReportError>(found.map(|(artifact, _)| artifact))
        })
        .buffered(READ_AT_ONCE)
        .try_collect()
        .await?;
    // A boundary that would have been later is written, but does not count: the ledger says which one does.
    let boundary = deps.ledger.get::<CurrentBoundary>(&Key::boundary(run)).await?;
    if let Some(boundary) = &boundary {
        deps.artifacts.get(&boundary.document.document).await?;
    }
    Ok(found
        .into_iter()
        .flatten()
        .chain(boundary.map(|boundary| boundary.document.document))
        .map(|artifact| (artifact_path(&artifact.key).to_owned(), artifact.sha256))
        .collect())
}
