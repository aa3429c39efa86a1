//! The way of traffic from what is served today to the new environment: at once, or share by share.
//!
//! A share is served by two weighted records, the new environment under its health check and the holding page without
//! one, so that what the new environment cannot serve is answered by the page. The last step is always the failover
//! pair. Every step is a batch of its own that changes exactly what the step before wrote.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NEW, RecordSet, TrafficChange, TrafficRefused, differences, too_large};

/// Step id: the records become what they are to be. Before it stand the steps of smaller shares.
pub const SHIFT_TRAFFIC: &str = "shift-traffic";
/// Weights are shares: both records of a pair have this together.
const WHOLE: u8 = 100;

/// What is served on the way, between *before* and *after* of a change of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficStage {
    /// Share of the answers that name the new environment, in percent.
    pub share: u8,
    /// The record sets meanwhile.
    pub records: Vec<RecordSet>,
}

/// The stages of these shares; a share of 100 is the change's *after* and no stage.
///
/// # Errors
/// [`TrafficRefused`] when a batch between two stages is above the quotas of Route 53.
pub fn stages(change: &TrafficChange, shares: &[u8]) -> Result<Vec<TrafficStage>, TrafficRefused> {
    let stages: Vec<TrafficStage> = shares
        .iter()
        .filter(|share| **share < WHOLE)
        .map(|share| TrafficStage {
            share: *share,
            records: change.after.iter().map(|set| weighted(set, *share)).collect(),
        })
        .collect();
    let pairs = stages
        .iter()
        .any(|stage| too_large(change.after.iter().chain(&stage.records)));
    if pairs {
        return Err(TrafficRefused(vec![
            "the batch of a share is larger than Route 53 takes at once, and is not split".to_owned(),
        ]));
    }
    Ok(stages)
}

/// The record of a failover pair as that of a weighted pair.
fn weighted(set: &RecordSet, share: u8) -> RecordSet {
    let weight = match set.set_identifier.as_deref() {
        Some(NEW) => share,
        _ => WHOLE.saturating_sub(share),
    };
    RecordSet {
        failover: None,
        weight: Some(weight),
        ..set.clone()
    }
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficStep {
    /// Step id.
    pub id: String,
    /// Share of the answers that name the new environment after it, in percent.
    pub share: u8,
    /// Its batch.
    pub change: TrafficChange,
}

/// The way of traffic: images of the records, from what is served today to what is wanted, and a step between any two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    zone: String,
    first: Vec<RecordSet>,
    steps: Vec<(String, TrafficStage)>,
}

impl Course {
    /// The way of a change over these stages.
    #[must_use]
    pub fn new(change: &TrafficChange, stages: &[TrafficStage]) -> Self {
        let mut steps: Vec<(String, TrafficStage)> = stages
            .iter()
            .map(|stage| (format!("{SHIFT_TRAFFIC}-{}", stage.share), stage.clone()))
            .collect();
        steps.push((
            SHIFT_TRAFFIC.to_owned(),
            TrafficStage {
                share: WHOLE,
                records: change.after.clone(),
            },
        ));
        Self {
            zone: change.zone.clone(),
            first: change.before.clone(),
            steps,
        }
    }

    /// The same with the health check's id in place of [`super::CHECK_OF_THE_RUN`].
    #[must_use]
    pub fn with_check(mut self, id: &str) -> Self {
        for set in self.steps.iter_mut().flat_map(|(_, stage)| &mut stage.records) {
            set.bind_check(id);
        }
        self
    }

    /// Every step, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<TrafficStep> {
        self.steps
            .iter()
            .enumerate()
            .map(|(at, (id, stage))| TrafficStep {
                id: id.clone(),
                share: stage.share,
                change: self.between(at, at + 1),
            })
            .collect()
    }

    /// How many steps there are. The image before all of them is image 0; image *n* is what step *n* leaves.
    #[must_use]
    pub fn length(&self) -> usize {
        self.steps.len()
    }

    /// The change from one image to another, forward or back.
    #[must_use]
    pub fn between(&self, from: usize, to: usize) -> TrafficChange {
        TrafficChange {
            zone: self.zone.clone(),
            before: self.image(from).to_vec(),
            after: self.image(to).to_vec(),
        }
    }

    fn image(&self, at: usize) -> &[RecordSet] {
        at.checked_sub(1)
            .and_then(|step| self.steps.get(step))
            .map_or(&self.first, |(_, stage)| &stage.records)
    }

    /// Which image the live records are; the latest, where two are alike.
    ///
    /// # Errors
    /// None of them: somebody else changed the records. Holds the differences to the image that is nearest, for people.
    pub fn place(&self, live: &[RecordSet]) -> Result<usize, Vec<String>> {
        let names = self.between(0, self.length()).names();
        let mut nearest: Option<Vec<String>> = None;
        for at in (0..=self.length()).rev() {
            let differences = differences(&names, self.image(at), live);
            if differences.is_empty() {
                return Ok(at);
            }
            if nearest
                .as_ref()
                .is_none_or(|known| differences.len() < known.len())
            {
                nearest = Some(differences);
            }
        }
        Err(nearest.unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "shift_tests.rs"]
mod tests;
