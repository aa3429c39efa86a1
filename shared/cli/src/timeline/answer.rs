//! What people read.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use blackstart_core::timeline::BoundaryDocument;
use blackstart_core::timeline::actor::OWNER;
use blackstart_core::timeline::facts::printable_up_to;
use blackstart_core::timeline::sorted::Written;

/// Gaps, actors and suspects that are printed; the document has all.
const PRINTED: usize = 8;

/// What people read. Writing to a string does not fail.
pub(super) fn describe(text: &mut String, document: &BoundaryDocument, written: &Written) {
    let coverage = &document.coverage;
    if let Some(boundary) = &document.boundary {
        let _ = writeln!(text, "Event boundary  {}", boundary.best);
        if boundary.unbounded {
            let _ = writeln!(
                text,
                "                unbounded: the actor is there when the logs begin, and may have been there before"
            );
        }
        let _ = writeln!(
            text,
            "  not later than  {}  (earliest strong indicator)",
            boundary.not_later_than
        );
        let _ = writeln!(
            text,
            "  floor           {}  (first use of the actor's credentials)",
            boundary.floor
        );
        let owners = boundary.reasons.iter();
        for owner in owners.filter(|reason| reason.indicator == OWNER).take(PRINTED) {
            let _ = writeln!(
                text,
                "  left out        {}  {}",
                owner.at,
                printable_up_to(&owner.what, 250)
            );
        }
    } else {
        let _ = writeln!(
            text,
            "No strong indicator was found. That is no proof of innocence: see the coverage, and let a person set the boundary."
        );
    }
    for actor in document.actors.iter().take(PRINTED) {
        let strength = if actor.confirmed {
            "confirmed"
        } else {
            "one kind of act only"
        };
        let _ = writeln!(
            text,
            "\nActor ({strength}): {}\n  from {}\n  {} credentials; indicators {}",
            list(&actor.principals),
            list(&actor.addresses),
            actor.credentials.len(),
            list(&actor.indicators)
        );
    }
    if let Some(boundary) = &document.boundary {
        let _ = writeln!(text, "\nAround the boundary ({} rows in all)", written.rows);
        for row in &written.around {
            let mark = if row.datetime < boundary.best { ' ' } else { '>' };
            let _ = writeln!(
                text,
                "{mark} {}  {}",
                row.datetime,
                printable_up_to(&row.message, 150)
            );
        }
    }
    if !document.suspects.is_empty() {
        let _ = writeln!(
            text,
            "\n{} strong indicators of others, which showed no more than that:",
            document.suspects.len()
        );
        for suspect in document.suspects.iter().take(PRINTED) {
            let _ = writeln!(text, "  {}  {}", suspect.at, printable_up_to(&suspect.what, 150));
        }
    }
    let period = match (coverage.first, coverage.last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "no period".to_owned(),
    };
    let _ = writeln!(
        text,
        "\nCoverage: {} objects, {} records, {period}; {} gaps",
        coverage.objects,
        coverage.records,
        coverage.gaps.len()
    );
    for seen in coverage.seen.iter().take(PRINTED) {
        let place = if seen.account.is_empty() {
            "accounts and regions not named".to_owned()
        } else {
            format!("account {} {}", seen.account, seen.region)
        };
        let _ = writeln!(
            text,
            "  seen: {}, {}: {} objects, {} hours",
            seen.source,
            printable_up_to(&place, 80),
            seen.objects,
            seen.hours
        );
    }
    for gap in coverage.gaps.iter().take(PRINTED) {
        let _ = writeln!(
            text,
            "  {}: {}",
            printable_up_to(&gap.what, 120),
            printable_up_to(&gap.reason, 200)
        );
    }
}

fn list(items: &BTreeSet<String>) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = items.iter().take(SHOWN).map(String::as_str).collect();
    match items.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
