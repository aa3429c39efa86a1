//! What happened on one axis: indicators, suspects, the boundary, and the recovery sets with their verdicts.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{View, shown};
use crate::timeline::Reason;
use crate::validation::{Considered, Verdict};

const WIDTH: f64 = 400.0;
const LEFT: f64 = 10.0;
const LANE: f64 = 46.0;
const TOP: f64 = 18.0;
/// Marks per lane: more would be one blot.
const MARKS: usize = 120;

struct Axis {
    from: Timestamp,
    seconds: f64,
}

impl Axis {
    fn x(&self, at: Timestamp) -> f64 {
        LEFT + (WIDTH - 2.0 * LEFT)
            * (at.duration_since(self.from).as_secs_f64() / self.seconds).clamp(0.0, 1.0)
    }
}

/// The picture, with the same in words for those who cannot see it. Readable without colour: filled dots are
/// indicators, rings suspects, a tick is clean, a cross tainted, an empty square undecided.
pub(super) fn figure(view: &View<'_>) -> Markup {
    let evidence = &view.package.boundary_evidence;
    let reasons: &[Reason] = evidence
        .boundary
        .as_ref()
        .map_or(&[], |boundary| &boundary.reasons);
    let instants = || {
        reasons
            .iter()
            .chain(&evidence.suspects)
            .map(|reason| reason.at)
            .chain(view.considered.iter().map(|set| set.newest))
            .chain([view.package.boundary])
    };
    let (Some(from), Some(to)) = (instants().min(), instants().max()) else {
        return html! {};
    };
    let axis = Axis {
        from,
        seconds: to.duration_since(from).as_secs_f64().max(1.0),
    };
    let edge = axis.x(view.package.boundary);
    let height = TOP + 3.0 * LANE + 20.0;
    let lane = |n: f64| TOP + LANE * n + 30.0;
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-labelledby="chart-words" {
                title id="chart-words" { (words(view, reasons)) }
                line.edge x1=(n(edge)) y1="14" x2=(n(edge)) y2=(n(height - 18.0)) {}
                text x=(n(edge.clamp(44.0, WIDTH - 44.0))) y="10" text-anchor="middle" { "event boundary" }
                @for (row, name) in [
                    (0.0, format!("{} indicators", reasons.len())),
                    (1.0, format!("{} suspects", evidence.suspects.len())),
                    (2.0, format!("{} recovery sets", view.considered.len())),
                ] {
                    text x="0" y=(n(lane(row) - 14.0)) { (name) }
                    line.axis x1=(LEFT) y1=(n(lane(row))) x2=(WIDTH - LEFT) y2=(n(lane(row))) {}
                }
                @for reason in reasons.iter().take(MARKS) {
                    circle.dot cx=(n(axis.x(reason.at))) cy=(n(lane(0.0))) r="4" {}
                }
                @for reason in evidence.suspects.iter().take(MARKS) {
                    circle.ring cx=(n(axis.x(reason.at))) cy=(n(lane(1.0))) r="4" {}
                }
                @for set in view.considered.iter().take(MARKS) {
                    (mark(set, axis.x(set.newest), lane(2.0), set.set == view.package.set.id))
                }
                text x="0" y=(n(height - 4.0)) { (from.strftime("%Y-%m-%d %H:%MZ")) }
                text x=(WIDTH) y=(n(height - 4.0)) text-anchor="end" { (to.strftime("%Y-%m-%d %H:%MZ")) }
            }
            figcaption.hint {
                "● indicator · ○ suspect · ✓ clean, ✕ tainted, □ unknown or not judged; the set in the box is proposed"
            }
        }
    }
}

fn mark(set: &Considered, x: f64, y: f64, chosen: bool) -> Markup {
    html! {
        @match set.verdict {
            Some(Verdict::Clean) => { path.tick d={ "M" (n(x - 5.0)) " " (n(y)) "l4 5l7 -10" } {} }
            Some(Verdict::Tainted) => { path.cross d={ "M" (n(x - 4.0)) " " (n(y - 4.0)) "l8 8m0 -8l-8 8" } {} }
            Some(Verdict::Unknown) | None => { rect.open x=(n(x - 4.0)) y=(n(y - 4.0)) width="8" height="8" {} }
        }
        @if chosen {
            rect.chosen x=(n(x - 9.0)) y=(n(y - 10.0)) width="20" height="20" rx="3" {}
        }
    }
}

/// One decimal is finer than any screen.
fn n(value: f64) -> String {
    format!("{value:.1}")
}

fn words(view: &View<'_>, reasons: &[Reason]) -> String {
    let mut text = format!("Event boundary {}.", view.package.boundary);
    if let (Some(first), Some(last)) = (reasons.first(), reasons.last()) {
        text.push_str(&format!(
            " {} indicators from {} to {}.",
            reasons.len(),
            first.at,
            last.at
        ));
    }
    for set in view.considered.iter().take(MARKS) {
        let verdict: &str = set.verdict.map_or("not judged", Into::into);
        let chosen = if set.set == view.package.set.id {
            ", proposed"
        } else {
            ""
        };
        text.push_str(&format!(" Recovery set of {}: {verdict}{chosen}.", set.newest));
    }
    shown(&text)
}
