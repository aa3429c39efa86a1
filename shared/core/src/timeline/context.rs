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

/// What flow logs and the workload's logs show of the actors' addresses, object by object.
#[derive(Debug, Default)]
pub struct Context {
    addresses: BTreeSet<String>,
    first: BTreeMap<&'static str, Reason>,
    sent: BTreeMap<String, (u64, Reason)>,
}

impl Context {
    /// A look for these addresses.
    #[must_use]
    pub fn of(addresses: BTreeSet<String>) -> Self {
        Self {
            addresses,
            ..Self::default()
        }
    }

    /// The addresses that are looked for.
    #[must_use]
    pub fn addresses(&self) -> &BTreeSet<String> {
        &self.addresses
    }

    /// Takes note of an object. Objects of equal bytes come once. Whether it may hold traffic or lines of these
    /// addresses.
    pub fn see(&mut self, object: &ObjectFacts) -> bool {
        if self.addresses.is_empty() {
            return false;
        }
        let mut has = object.sources.more_sightings;
        for sighting in &object.sources.sightings {
            let Some(address) = self.addresses.get(sighting.address.as_str()) else {
                continue;
            };
            has = true;
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
            let (bytes, earliest) = self
                .sent
                .entry(address.clone())
                .or_insert_with(|| (0, reason.clone()));
            *bytes = bytes.saturating_add(sighting.bytes_to);
            if order(&reason) < order(earliest) {
                *earliest = reason.clone();
            }
            match self.first.get(indicator) {
                Some(known) if order(known) <= order(&reason) => {}
                _ => {
                    self.first.insert(indicator, reason);
                }
            }
        }
        has
    }

    /// The earliest of it that got through.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.first.values().map(|reason| reason.at).min()
    }

    /// The earliest of each kind, and large amounts of data that went to an actor.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<_> = self.first.values().cloned().collect();
        for (address, (bytes, reason)) in &self.sent {
            if *bytes >= LARGE_EGRESS {
                reasons.push(Reason {
                    what: printable(&format!("{bytes} bytes went to the actor's address {address}")),
                    indicator: EGRESS.to_owned(),
                    ..reason.clone()
                });
            }
        }
        reasons
    }
}
