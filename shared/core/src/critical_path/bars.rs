//! What a stage did at every moment of its time: bars that neither overlap nor leave a gap.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::seconds_between;
use crate::history::{Activity, Visit};

/// What happens in a bar. Of several at once the first of these counts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BarKind {
    /// A function works.
    Work,
    /// A person is waited for.
    People,
    /// Something failed in passing (throttled, not reachable) and is tried again after a pause.
    Throttled,
    /// Something elsewhere goes on, and will be looked at again.
    Events,
    /// None of these: entering, choosing, passing on.
    Orchestration,
}

impl BarKind {
    /// Its name, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::People => "waiting for people",
            Self::Throttled => "throttled, waiting to retry",
            Self::Events => "waiting for events",
            Self::Orchestration => "orchestration",
        }
    }
}

/// A stretch of time in which one thing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Beginning.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// What goes on.
    pub kind: BarKind,
}

impl Bar {
    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        seconds_between(self.from, self.to)
    }
}

/// What one visit shows, up to `until` where it is open.
pub(super) fn of_visit(visit: &Visit, until: Timestamp, spans: &mut Vec<Bar>) {
    let mut push = |from: Timestamp, to: Timestamp, kind| {
        if to > from {
            spans.push(Bar { from, to, kind });
        }
    };
    let exited = visit.exited.unwrap_or(until);
    match visit.activity {
        Activity::People => push(visit.entered, exited, BarKind::People),
        Activity::Events => push(visit.entered, exited, BarKind::Events),
        Activity::Work => {
            let mut failed: Option<Timestamp> = None;
            for attempt in &visit.attempts {
                if let Some(failed) = failed {
                    push(failed, attempt.from, BarKind::Throttled);
                }
                let ended = attempt.to.unwrap_or(exited);
                push(attempt.from, ended, BarKind::Work);
                failed = attempt.error.is_some().then_some(ended);
            }
            // The next attempt is still waited for.
            if let (Some(failed), None) = (failed, visit.exited) {
                push(failed, until, BarKind::Throttled);
            }
        }
        Activity::Container | Activity::Passing => {}
    }
}

/// Cuts a stretch of time into bars by what goes on in it: disjoint, in order, together as long as the stretch.
///
/// `rest` is what goes on where no span says anything; with `None` such time has no bar.
#[must_use]
pub fn partition(from: Timestamp, to: Timestamp, spans: &[Bar], rest: Option<BarKind>) -> Vec<Bar> {
    let mut changes = BTreeMap::<Timestamp, Vec<(BarKind, i64)>>::new();
    changes.entry(from).or_default();
    for span in spans {
        let (begins, ends) = (span.from.max(from), span.to.min(to));
        if begins < ends {
            changes.entry(begins).or_default().push((span.kind, 1));
            changes.entry(ends).or_default().push((span.kind, -1));
        }
    }
    changes.entry(to).or_default();
    let mut bars: Vec<Bar> = Vec::new();
    let mut active = BTreeMap::<BarKind, i64>::new();
    let mut since = from;
    for (at, changed) in changes {
        let at = at.min(to);
        let kind = active
            .iter()
            .find(|(_, count)| **count > 0)
            .map(|(kind, _)| *kind)
            .or(rest);
        if let Some(kind) = kind
            && at > since
        {
            match bars.last_mut() {
                Some(last) if last.kind == kind && last.to == since => last.to = at,
                _ => bars.push(Bar {
                    from: since,
                    to: at,
                    kind,
                }),
            }
        }
        since = at;
        for (kind, by) in changed {
            *active.entry(kind).or_default() += by;
        }
    }
    bars
}
