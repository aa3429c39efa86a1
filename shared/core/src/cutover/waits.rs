//! What a cutover spent its time with, read from its journal.

use std::collections::BTreeSet;

use super::CutoverDocument;
use super::rate::Spent;
use crate::journal::{Entry, Event};

/// What every effect spent, as its executor recorded it, and what passed between the steps of traffic.
///
/// Those follow one another: until the checkers found the nonce, until all servers knew, until old answers were
/// forgotten and a share was looked at. That is propagation, too, and no executor waits for it.
///
/// Accounts are written side by side, and each counts; so this may be more than the clock says. What passes while
/// people are asked is nobody's.
#[must_use]
pub fn spent(document: &CutoverDocument, entries: &[Entry]) -> Spent {
    let traffic: BTreeSet<String> = document
        .course()
        .steps()
        .into_iter()
        .map(|step| step.id)
        .collect();
    let of_traffic = |entry: &Entry| entry.event.step().is_some_and(|step| traffic.contains(step));
    let mut all = Spent::default();
    let mut earlier: Option<&Entry> = None;
    for entry in entries {
        all = all.plus(entry.spent);
        if let Some(earlier) = earlier.filter(|earlier| follows(earlier, entry)) {
            let waited_for =
                of_traffic(entry) && matches!(entry.event, Event::Intent { .. } | Event::Verified { .. });
            let waited_after = of_traffic(earlier) && matches!(earlier.event, Event::Verified { .. });
            if waited_for || waited_after {
                let passed =
                    u64::try_from(entry.at.duration_since(earlier.at).as_millis()).unwrap_or_default();
                all.propagation = all
                    .propagation
                    .saturating_add(passed.saturating_sub(entry.spent.whole()));
            }
        }
        earlier = Some(entry);
    }
    all
}

/// Whether nothing but the way forward lies between two entries.
fn follows(earlier: &Entry, entry: &Entry) -> bool {
    let forward = |entry: &Entry| {
        matches!(
            entry.event,
            Event::Intent { .. } | Event::Applied { .. } | Event::Verified { .. } | Event::Contracted { .. }
        )
    };
    forward(earlier) && forward(entry)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> CutoverDocument {
        let record = json!({"name": "shop.example.com.", "type": "A", "values": ["192.0.2.1"]});
        serde_json::from_value(json!({
            "schema": super::super::SCHEMA, "package": crate::artifact::Digest::of(b""), "steps": [],
            "traffic": {"zone": "Z1", "before": [record], "after": []},
            "traffic_stages": [{"share": 5, "records": []}],
        }))
        .unwrap()
    }

    /// Entries of these seconds and events; each effect spent 20 ms in itself and 10 ms waiting.
    fn journal(events: &[(u32, &str, &str)]) -> Vec<Entry> {
        let digest = crate::artifact::Digest::of(b"");
        let entry = |(at, event, step): &(u32, &str, &str)| {
            let event = match *event {
                "intent" => json!({"event": "intent", "step": step, "before": digest, "after": digest}),
                "failed" => json!({"event": "failed", "id": "x", "failure": {"error": "e", "cause": "c"}}),
                other => json!({"event": other, "step": step}),
            };
            serde_json::from_value(json!({
                "sequence": 1, "at": format!("2026-03-01T12:{:02}:{:02}Z", at / 60, at % 60), "by": "x",
                "spent": {"rate_limits": 10, "propagation": 0, "itself": 20}, "event": event,
            }))
            .unwrap()
        };
        events.iter().map(entry).collect()
    }

    #[test]
    fn effects_count_what_they_recorded_and_traffic_also_what_passed_between_its_steps() {
        let entries = journal(&[
            (0, "intent", "expand-1"),
            // Another account was at work meanwhile; who waited is in its own entries.
            (30, "applied", "expand-1"),
            (31, "verified", "expand-1"),
            (51, "intent", "shift-traffic-5"),
            (52, "applied", "shift-traffic-5"),
            (62, "verified", "shift-traffic-5"),
            (362, "intent", "shift-traffic"),
            (363, "applied", "shift-traffic"),
            (373, "verified", "shift-traffic"),
            (433, "intent", "contract-1"),
        ]);
        let spent = spent(&document(), &entries);
        assert_eq!((spent.rate_limits, spent.itself), (100, 200));
        // 20 s until healthy, 10 s until known, 300 s held, 10 s and 60 s again, less what these entries recorded.
        assert_eq!(spent.propagation, 400_000 - 5 * 30);
    }

    #[test]
    fn what_passes_until_a_person_answers_is_nobodys() {
        let entries = journal(&[
            (0, "verified", "shift-traffic-5"),
            (10, "failed", ""),
            (500, "intent", "shift-traffic"),
        ]);
        assert_eq!(spent(&document(), &entries).propagation, 0);
    }
}
