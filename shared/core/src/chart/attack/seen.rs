//! How often what was seen when: the rows of the timeline, counted for the chart.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::ACTS;

/// How often something was seen at which instant, by the source that showed it. Names are hostile text.
pub type Seen = BTreeMap<String, BTreeMap<Timestamp, u64>>;

/// Most instants of one source that are kept apart.
pub(super) const INSTANTS: i64 = 1_000;

/// The source of an indicator by its id: what stands before the first `:`, `cloudtrail` where nothing does.
#[must_use]
pub fn source_of(indicator: &str) -> &str {
    match indicator.split_once(':') {
        _ if indicator == "actor" => ACTS,
        Some((source, _)) => source,
        None => "cloudtrail",
    }
}

/// A row of `timeline.jsonl`, as far as the chart needs it.
#[derive(Deserialize)]
struct SeenRow {
    datetime: Timestamp,
    #[serde(default)]
    source: String,
    #[serde(default)]
    indicators: Vec<String>,
}

/// What the rows of a timeline (JSON lines) show. Lines that are no rows are left out.
///
/// Instants that are closer than a thousandth of the whole are one, so that a long timeline makes no long document.
#[must_use]
pub fn seen_in(json_lines: &[u8]) -> Seen {
    let mut seen = Seen::new();
    for line in json_lines.split(|byte| *byte == b'\n') {
        let Ok(row) = serde_json::from_slice::<SeenRow>(line) else {
            continue;
        };
        let source = if row.indicators.is_empty() {
            ACTS.to_owned()
        } else {
            row.source
        };
        let count = seen.entry(source).or_default().entry(row.datetime).or_default();
        *count = count.saturating_add(1);
    }
    seen.into_iter()
        .map(|(source, counts)| (source, thinned(counts)))
        .collect()
}

pub(super) fn thinned(counts: BTreeMap<Timestamp, u64>) -> BTreeMap<Timestamp, u64> {
    let (Some((first, _)), Some((last, _))) = (counts.first_key_value(), counts.last_key_value()) else {
        return counts;
    };
    let (first, step) = (*first, last.duration_since(*first).as_secs() / INSTANTS + 1);
    let mut thin = BTreeMap::<Timestamp, u64>::new();
    for (at, count) in counts {
        let steps = at.duration_since(first).as_secs() / step;
        let at = first
            .checked_add(SignedDuration::from_secs(steps.saturating_mul(step)))
            .unwrap_or(at);
        let sum = thin.entry(at).or_default();
        *sum = sum.saturating_add(count);
    }
    thin
}

pub(super) fn total(counts: &BTreeMap<Timestamp, u64>) -> u64 {
    counts.values().copied().fold(0, u64::saturating_add)
}
