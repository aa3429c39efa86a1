//! What flow logs and the workload's logs show of actors' addresses.
//!
//! It never accuses anybody: it stands in the timeline, and widens the floor to the first of it that got through.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::facts::{ObjectFacts, printable, printable_up_to};
use super::forms::Form;
use super::sources::{EGRESS, LINE, TRAFFIC};
use super::{Evidence, Reason};

/// Bytes to an actor's address that count as a lot: more than control traffic and a few files.
const LARGE_EGRESS: u64 = 1 << 30;

/// What flow logs and the workload's logs show of the actors' addresses.
#[derive(Debug, Default)]
pub(super) struct Context<'o> {
    /// Objects with traffic or lines of these addresses.
    pub(super) objects: BTreeSet<&'o str>,
    /// The earliest of it that got through.
    pub(super) first: Option<Timestamp>,
    /// The earliest of each kind, and large amounts of data that went to an actor.
    pub(super) reasons: Vec<Reason>,
}

impl<'o> Context<'o> {
    /// What the facts of all objects say of these addresses.
    pub(super) fn of(addresses: &BTreeSet<&str>, objects: impl IntoIterator<Item = &'o ObjectFacts>) -> Self {
        let mut context = Self::default();
        let mut first = BTreeMap::<&str, Reason>::new();
        let mut sent = BTreeMap::<&str, (u64, Reason)>::new();
        for object in objects {
            if addresses.is_empty() {
                break;
            }
            if object.sources.more_sightings {
                context.objects.insert(&object.object);
            }
            for sighting in &object.sources.sightings {
                let Some(address) = addresses.get(sighting.address.as_str()) else {
                    continue;
                };
                context.objects.insert(&object.object);
                let Some(seen) = &sighting.first else { continue };
                let (indicator, what) = if object.sources.form == Form::FlowLogs {
                    (TRAFFIC, "traffic with the actor's address")
                } else {
                    (LINE, "the workload's log has the actor's address")
                };
                let reason = Reason {
                    at: seen.at,
                    what: printable_up_to(&format!("{what} {address}"), 400),
                    indicator: indicator.to_owned(),
                    evidence: Evidence {
                        object: object.object.clone(),
                        sha256: object.sha256.clone(),
                        record: seen.record,
                        event_id: seen.event_id.clone(),
                    },
                };
                let order = |reason: &Reason| (reason.at, reason.evidence.clone());
                let (bytes, earliest) = sent.entry(address).or_insert_with(|| (0, reason.clone()));
                *bytes = bytes.saturating_add(sighting.bytes_to);
                if order(&reason) < order(earliest) {
                    *earliest = reason.clone();
                }
                match first.get(indicator) {
                    Some(known) if order(known) <= order(&reason) => {}
                    _ => {
                        first.insert(indicator, reason);
                    }
                }
            }
        }
        context.first = first.values().map(|reason| reason.at).min();
        context.reasons = first.into_values().collect();
        for (address, (bytes, reason)) in sent {
            if bytes >= LARGE_EGRESS {
                context.reasons.push(Reason {
                    what: printable(&format!("{bytes} bytes went to the actor's address {address}")),
                    indicator: EGRESS.to_owned(),
                    ..reason
                });
            }
        }
        context
    }
}
