//! The critical path as a picture: SVG, readable without colour, with a text alternative.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::html::escape;
use crate::critical_path::{CriticalPath, Stage};

const WIDTH: f64 = 760.0;
const LABEL: f64 = 150.0;
const ROW: f64 = 26.0;

/// One bar per stage; the stages that bound the recovery are solid, those with slack are hatched, and waiting for
/// people is outlined.
pub(super) fn svg(path: &CriticalPath, started: Timestamp) -> String {
    let rows = path.stages.len();
    #[expect(clippy::cast_precision_loss, reason = "there are nine stages")]
    let height = ROW * (rows as f64 + 1.0) + 8.0;
    let total = path.measured.max(f64::EPSILON);
    let x = |at: Timestamp| {
        LABEL + (WIDTH - LABEL - 70.0) * (at.duration_since(started).as_secs_f64() / total).clamp(0.0, 1.0)
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"gantt\"><title id=\"gantt\">{}</title>\
         <defs><pattern id=\"slack\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect width=\"2\" height=\"6\" class=\"hatch\"/></pattern></defs>",
        escape(&text_alternative(path))
    );
    let mut y = 4.0;
    for (stage, interval) in &path.stages {
        let (from, to) = (x(interval.from), x(interval.to));
        let name: &str = stage.into();
        let has_slack = path.slack.get(stage).is_some_and(|slack| *slack > 0.0);
        let class = if *stage == Stage::Approval {
            "people"
        } else if has_slack {
            "slack"
        } else {
            "bound"
        };
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{:.1}\">{}</text><rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" \
             height=\"16\" rx=\"2\"/><text x=\"{:.1}\" y=\"{:.1}\" class=\"figure\">{:.1} s</text>",
            y + 13.0,
            name.replace('_', " "),
            (to - from).max(1.5),
            to + 6.0,
            y + 13.0,
            interval.seconds(),
        );
        y += ROW;
    }
    let _ = write!(
        svg,
        "<text x=\"{LABEL}\" y=\"{:.1}\" class=\"figure\">solid: on the critical path · hatched: has slack · outlined: waiting for people</text></svg>",
        y + 13.0
    );
    svg
}

/// The same in words, for screen readers.
fn text_alternative(path: &CriticalPath) -> String {
    let mut text = format!("Stages of {:.1} seconds: ", path.measured);
    let parts: Vec<String> = path
        .stages
        .iter()
        .map(|(stage, interval)| {
            let name: &str = stage.into();
            format!("{} {:.1} s", name.replace('_', " "), interval.seconds())
        })
        .collect();
    text.push_str(&parts.join(", "));
    text
}
