//! Listing the log objects and writing the manifest of the Distributed Map.

use blackstart_aws::port::PortError;
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::Collected;
use blackstart_core::timeline::Gap;
use blackstart_core::timeline::batches::{BATCHES_PER_RUN, Listed, cut, listed, place};
use serde::{Deserialize, Serialize};

use crate::ports::{Deps, Logs};
use crate::{Failed, object_name};

/// Where the listing is kept for `merge`.
pub(crate) const LISTING: &str = "timeline/listing.json";

/// What the listing could not see.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// Sources and objects that will not be read.
    pub(crate) gaps: Vec<Gap>,
    /// How many batches the manifest has.
    #[serde(default)]
    pub(crate) batches: u32,
}

pub(crate) async fn collect<D: Deps>(deps: &D, run: &RunId, plan: &Plan) -> Result<Collected, Failed> {
    let logs = deps.logs(plan, run).await?;
    let mut batches = Vec::new();
    let mut gaps = Vec::new();
    let mut objects = 0_u64;
    for (source, place_of) in (0_u32..).zip(&plan.timeline.sources) {
        let (bucket, prefix, _) = place(place_of);
        let gap = |reason: String| Gap {
            what: object_name(bucket, prefix),
            reason,
        };
        let found = match logs.list(bucket, prefix).await {
            Ok(found) => found,
            Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => {
                return Err(error.into());
            }
            Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                gaps.push(gap(format!("cannot be listed: {}", error_chain(&error))));
                continue;
            }
        };
        let mut kept = Vec::new();
        for object in found {
            match listed(place_of, &object) {
                Listed::Log => kept.push(object),
                Listed::Other => {}
                Listed::Unknown(gap) => gaps.push(gap),
            }
        }
        if kept.is_empty() {
            gaps.push(gap("holds no log object".to_owned()));
        }
        objects += kept.len() as u64;
        cut(&mut batches, source, bucket, kept);
    }
    if batches.len() > BATCHES_PER_RUN {
        return Err(Failed::TooManyBatches {
            batches: batches.len(),
            limit: BATCHES_PER_RUN,
        });
    }
    let manifest = deps
        .put(
            run,
            "timeline/manifest.json",
            "application/json",
            serde_json::to_vec(&batches)?,
        )
        .await?;
    let batches = u32::try_from(batches.len()).unwrap_or(u32::MAX);
    let listing = serde_json::to_vec(&Listing { gaps, batches })?;
    deps.put(run, LISTING, "application/json", listing).await?;
    tracing::info!(batches, objects, "log objects are listed");
    Ok(Collected {
        manifest,
        batches,
        objects,
    })
}
