//! What the attack and the recovery points look like on one axis of time.

mod seen;

pub use seen::{Seen, seen_in, source_of};

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::seen::total;
use super::axis::Axis;
use crate::markup::{escape, escape_breakable};
use crate::timeline::{Boundary, BoundaryDocument, Reason};
use crate::validation::{Considered, SelectionDocument, Verdict};

/// Lane of what the actor did without being an indicator by itself.
pub const ACTS: &str = "other acts of the actor";
/// Columns into which instants of one lane are counted: about two pixels each on a phone.
const COLUMNS: u16 = 160;
/// Height of a lane of indicators, its label included.
const LANE: f64 = 44.0;
/// Most rows of the table below the chart.
const TABLE_ROWS: usize = 200;

/// What the chart shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackTimeline {
    /// Indicators by source, and [`ACTS`].
    pub indicators: Seen,
    /// The boundary, if one was found.
    pub boundary: Option<BoundaryMarks>,
    /// Recovery sets.
    pub candidates: Vec<CandidateMark>,
}

/// The three instants of a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundaryMarks {
    /// The beginning of the actor's credential.
    pub floor: Timestamp,
    /// The boundary.
    pub best: Timestamp,
    /// The earliest strong indicator.
    pub not_later_than: Timestamp,
    /// Whether the actor was already there when the logs begin.
    pub unbounded: bool,
}

/// One recovery set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateMark {
    /// Id of the set.
    pub set: String,
    /// Its newest point.
    pub at: Timestamp,
    /// What validation said; `None` if it was not judged.
    pub verdict: Option<Verdict>,
    /// Whether it precedes the boundary by the plan's margin.
    pub eligible: bool,
    /// Whether it is the one that goes before the approvers, or was restored.
    pub chosen: bool,
}

impl From<&Boundary> for BoundaryMarks {
    fn from(boundary: &Boundary) -> Self {
        Self {
            floor: boundary.floor,
            best: boundary.best,
            not_later_than: boundary.not_later_than,
            unbounded: boundary.unbounded,
        }
    }
}

impl AttackTimeline {
    /// The chart of the documents of stages 1 and 2: the reasons and suspects of the boundary, and the sets.
    ///
    /// A boundary document lists no more than some reasons; [`Self::indicators`] can be replaced by those of the whole
    /// timeline.
    #[must_use]
    pub fn of(boundary: Option<&BoundaryDocument>, selection: Option<&SelectionDocument>) -> Self {
        let found = boundary.and_then(|document| document.boundary.as_ref());
        let mut indicators = Seen::new();
        let reasons = found.map_or(&[] as &[Reason], |found| &found.reasons);
        let suspects = boundary.map_or(&[] as &[Reason], |document| &document.suspects);
        for reason in reasons.iter().chain(suspects) {
            let source = indicators.entry(source_of(&reason.indicator).to_owned());
            let count = source.or_default().entry(reason.at).or_default();
            *count = count.saturating_add(1);
        }
        Self {
            indicators,
            boundary: found.map(BoundaryMarks::from),
            candidates: selection.map_or_else(Vec::new, |selection| {
                candidates(&selection.considered, Some(&selection.set.id))
            }),
        }
    }

    /// The chart with a table of the same facts, as an HTML figure. Empty if there is nothing to show.
    #[must_use]
    pub fn figure(&self) -> String {
        let Some(axis) = self.axis() else {
            return String::new();
        };
        format!(
            "<figure>{}<figcaption>Times are UTC. Indicators are counted per column, on a logarithmic scale. Sets: ✓ clean, × \
             tainted, ? unknown, ○ not judged, ◎ chosen; those that do not precede the boundary stand on hatched \
             ground.</figcaption>{}</figure>",
            self.svg(&axis),
            self.table()
        )
    }

    /// From the older of floor, first indicator and chosen set to the newest of all. Older sets are counted at the edge.
    fn axis(&self) -> Option<Axis> {
        let attack = self.indicators.values().flat_map(BTreeMap::keys).copied();
        let boundary = self
            .boundary
            .iter()
            .flat_map(|marks| [marks.floor, marks.best, marks.not_later_than]);
        let oldest = self
            .candidates
            .iter()
            .filter(|candidate| candidate.chosen || self.boundary.is_none() && self.indicators.is_empty())
            .map(|candidate| candidate.at);
        let start = attack.clone().chain(boundary.clone()).chain(oldest.clone()).min();
        let shown = self
            .candidates
            .iter()
            .map(|candidate| candidate.at)
            .filter(|at| start.is_none_or(|start| *at >= start));
        // One set before the attack, so that there is something to compare with when none was chosen.
        let before = self
            .candidates
            .iter()
            .map(|candidate| candidate.at)
            .filter(|at| oldest.clone().next().is_none() && start.is_some_and(|start| *at < start))
            .max();
        Axis::around(attack.chain(boundary).chain(oldest).chain(shown).chain(before))
    }

    fn svg(&self, axis: &Axis) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a handful of lanes")]
        let lanes_end = 34.0 + LANE * self.indicators.len() as f64;
        let height = lanes_end + 74.0;
        let mut svg = format!(
            "<svg class=\"chart\" height=\"{height}\" role=\"img\" aria-labelledby=\"attack-title attack-desc\">\
             <title id=\"attack-title\">The attack and the recovery sets</title><desc id=\"attack-desc\">{}</desc>",
            escape(&self.words())
        );
        // Writing to a String cannot fail.
        for tick in axis.ticks() {
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{0:.2}%\" x2=\"{0:.2}%\" y1=\"30\" y2=\"{1}\"/>",
                tick.x,
                height - 34.0
            );
            for (y, label) in [(20.0, &tick.time), (6.0, &tick.day)] {
                let _ = write!(
                    svg,
                    "<text x=\"{:.2}%\" y=\"{:.0}\" text-anchor=\"{}\">{label}</text>",
                    tick.x,
                    height - y,
                    anchor(tick.x)
                );
            }
        }
        self.boundary_marks(&mut svg, axis, height - 34.0);
        let mut y = 34.0;
        for (source, instants) in &self.indicators {
            lane(&mut svg, axis, y, source, instants);
            y += LANE;
        }
        self.candidate_marks(&mut svg, axis, y);
        svg.push_str("</svg>");
        svg
    }

    fn boundary_marks(&self, svg: &mut String, axis: &Axis, bottom: f64) {
        let Some(marks) = &self.boundary else { return };
        let (floor, best, late) = (
            axis.x(marks.floor),
            axis.x(marks.best),
            axis.x(marks.not_later_than),
        );
        let _ = write!(
            svg,
            "<rect fill=\"url(#p-dots)\" opacity=\".35\" x=\"{floor:.2}%\" y=\"30\" width=\"{:.2}%\" height=\"{:.0}\"/>\
             <line class=\"line\" x1=\"{best:.2}%\" x2=\"{best:.2}%\" y1=\"18\" y2=\"{bottom}\"/>\
             <line class=\"line\" stroke-dasharray=\"3 4\" x1=\"{late:.2}%\" x2=\"{late:.2}%\" y1=\"30\" y2=\"{bottom}\"/>\
             <text x=\"{best:.2}%\" y=\"12\" text-anchor=\"{}\" font-weight=\"600\">event boundary {}</text>",
            (late - floor).max(0.0),
            bottom - 30.0,
            // Longer than a tick's label: it turns towards the middle sooner.
            match best {
                x if x < 35.0 => "start",
                x if x > 65.0 => "end",
                _ => "middle",
            },
            minute(marks.best),
        );
    }

    fn candidate_marks(&self, svg: &mut String, axis: &Axis, y: f64) {
        if self.candidates.is_empty() {
            return;
        }
        let older = self
            .candidates
            .iter()
            .filter(|candidate| candidate.at < axis.from())
            .count();
        let _ = write!(svg, "<text x=\"0\" y=\"{:.0}\">recovery sets", y + 11.0);
        if older > 0 {
            let _ = write!(svg, " (◂ {older} older)");
        }
        svg.push_str("</text>");
        // Marks in the same column with the same verdict are one.
        let mut columns = BTreeMap::<(u16, Option<Verdict>, bool, bool), &CandidateMark>::new();
        for candidate in self
            .candidates
            .iter()
            .filter(|candidate| candidate.at >= axis.from())
        {
            let key = (
                column(axis.x(candidate.at)) / 2,
                candidate.verdict,
                candidate.eligible,
                candidate.chosen,
            );
            columns.entry(key).or_insert(candidate);
        }
        for candidate in columns.values() {
            candidate.draw(svg, axis.x(candidate.at), y + 26.0);
        }
    }

    /// The chart in words, for those who do not see it.
    fn words(&self) -> String {
        let mut words = String::new();
        for (source, instants) in &self.indicators {
            if let (Some((first, _)), Some((last, _))) =
                (instants.first_key_value(), instants.last_key_value())
            {
                let _ = write!(
                    words,
                    "{source}: {} from {} to {}. ",
                    total(instants),
                    minute(*first),
                    minute(*last)
                );
            }
        }
        if let Some(marks) = &self.boundary {
            let _ = write!(words, "Event boundary {}. ", minute(marks.best));
        }
        let judged = |verdict| {
            self.candidates
                .iter()
                .filter(|candidate| candidate.verdict == verdict)
                .count()
        };
        let _ = write!(
            words,
            "Recovery sets: {} clean, {} tainted, {} unknown, {} not judged.",
            judged(Some(Verdict::Clean)),
            judged(Some(Verdict::Tainted)),
            judged(Some(Verdict::Unknown)),
            judged(None)
        );
        if let Some(chosen) = self.candidates.iter().find(|candidate| candidate.chosen) {
            let _ = write!(words, " Chosen: {} of {}.", chosen.set, minute(chosen.at));
        }
        words
    }

    fn table(&self) -> String {
        let mut table = String::from(
            "<details><summary>The same as a table</summary><div class=\"scroll\"><table>\
             <tr><th scope=\"col\">when</th><th scope=\"col\">what</th></tr>",
        );
        let mut rows: Vec<(Timestamp, String)> = Vec::new();
        for (source, instants) in &self.indicators {
            let source = escape_breakable(source);
            let count = total(instants);
            let (first, last) = (instants.keys().next(), instants.keys().next_back());
            rows.extend(first.map(|first| (*first, format!("{source}: first of {count}"))));
            if count > 1 {
                rows.extend(last.map(|last| (*last, format!("{source}: last of {count}"))));
            }
        }
        if let Some(marks) = &self.boundary {
            let unbounded = if marks.unbounded {
                ", and the logs begin no earlier"
            } else {
                ""
            };
            rows.push((
                marks.floor,
                format!("floor: the actor's credential begins{unbounded}"),
            ));
            rows.push((marks.best, "<strong>event boundary</strong>".to_owned()));
            rows.push((marks.not_later_than, "earliest strong indicator".to_owned()));
        }
        rows.extend(self.candidates.iter().take(TABLE_ROWS).map(|candidate| {
            let verdict: &str = candidate.verdict.map_or("not judged", Into::into);
            let place = if candidate.eligible {
                ""
            } else {
                ", does not precede the boundary"
            };
            let chosen = if candidate.chosen {
                ", <strong>chosen</strong>"
            } else {
                ""
            };
            (
                candidate.at,
                format!(
                    "set {}: {verdict}{place}{chosen}",
                    escape_breakable(&candidate.set)
                ),
            )
        }));
        rows.sort();
        for (at, what) in rows {
            let _ = write!(table, "<tr><td>{}</td><td>{what}</td></tr>", minute(at));
        }
        table.push_str("</table></div></details>");
        table
    }
}

/// The sets of a walk as marks.
#[must_use]
pub fn candidates(considered: &[Considered], chosen: Option<&str>) -> Vec<CandidateMark> {
    considered
        .iter()
        .map(|set| CandidateMark {
            set: set.set.clone(),
            at: set.newest,
            verdict: set.verdict,
            eligible: set.eligible,
            chosen: chosen == Some(set.set.as_str()),
        })
        .collect()
}

impl CandidateMark {
    /// One shape per verdict: it says the same without colour.
    fn draw(&self, svg: &mut String, x: f64, y: f64) {
        let verdict: &str = self.verdict.map_or("not judged", Into::into);
        let _ = write!(
            svg,
            "<svg x=\"{x:.2}%\" y=\"{y:.0}\" overflow=\"visible\"><title>{} of {}: {verdict}</title>",
            escape(&self.set),
            minute(self.at)
        );
        if !self.eligible {
            svg.push_str(
                "<rect x=\"-9\" y=\"-9\" width=\"18\" height=\"18\" fill=\"url(#p-stripes)\" opacity=\".5\"/>",
            );
        }
        if self.chosen {
            svg.push_str("<circle class=\"ring\" r=\"10\"/>");
        }
        svg.push_str(match self.verdict {
            Some(Verdict::Clean) => "<circle class=\"outline\" r=\"7\"/><path class=\"stroke\" d=\"M-3.5 0L-1 3L4 -3\"/>",
            Some(Verdict::Tainted) => {
                "<circle class=\"outline\" r=\"7\"/><path class=\"bad\" d=\"M-3.5 -3.5L3.5 3.5M3.5 -3.5L-3.5 3.5\"/>"
            }
            Some(Verdict::Unknown) => {
                "<circle class=\"outline\" r=\"7\"/><text text-anchor=\"middle\" y=\"4\" font-weight=\"700\">?</text>"
            }
            None => "<circle class=\"outline\" r=\"4\"/>",
        });
        svg.push_str("</svg>");
    }
}

/// One lane: counts per column, as bars whose height is the logarithm of the count.
fn lane(svg: &mut String, axis: &Axis, y: f64, source: &str, instants: &BTreeMap<Timestamp, u64>) {
    let _ = write!(
        svg,
        "<text x=\"0\" y=\"{:.0}\">{} ({})</text><line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{3:.1}\" y2=\"{3:.1}\"/>",
        y + 11.0,
        escape(source),
        total(instants),
        y + LANE - 6.0
    );
    let mut counts = BTreeMap::<u16, u64>::new();
    for (at, count) in instants {
        let sum = counts.entry(column(axis.x(*at))).or_default();
        *sum = sum.saturating_add(*count);
    }
    let most = counts.values().copied().max().unwrap_or(1);
    #[expect(clippy::cast_precision_loss, reason = "the height of a bar")]
    let scale = |count: u64| (count as f64).ln_1p() / (most as f64).ln_1p();
    let width = 100.0 / f64::from(COLUMNS);
    for (column, count) in counts {
        let height = (20.0 * scale(count)).max(3.0);
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{:.2}%\" y=\"{:.1}\" width=\"{width:.2}%\" height=\"{height:.1}\"/>",
            if source == ACTS { "outline" } else { "hot" },
            f64::from(column) * width,
            y + LANE - 6.0 - height,
        );
    }
}

/// The column of a place in percent.
fn column(x: f64) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of columns"
    )]
    let column = (x / 100.0 * f64::from(COLUMNS)) as u16;
    column.min(COLUMNS - 1)
}

fn anchor(x: f64) -> &'static str {
    match x {
        x if x < 15.0 => "start",
        x if x > 85.0 => "end",
        _ => "middle",
    }
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests;
