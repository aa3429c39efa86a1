//! Stages and their states as bars: a table whose middle column is drawn, so that it reads without the drawing too.

use std::fmt::Write as _;

use jiff::Timestamp;
use strum::IntoEnumIterator as _;

use super::Report;
use crate::chart::axis::{Axis, duration};
use crate::critical_path::{Bar, BarKind, Stage, StageTime, StateTime};
use crate::markup::escape;

/// Bars narrower than this, in percent of the axis, are drawn as part of what is there already.
const NARROW: f64 = 0.25;

/// The chart, its legend, and the axis.
pub(super) fn chart(report: &Report) -> String {
    let path = &report.critical_path;
    let started = report.run.started;
    let Some(end) = path.stages.values().map(|time| time.to).max() else {
        return "<p>No stage has begun.</p>".to_owned();
    };
    let axis = Axis::new(started, end);
    let mut html = String::from("<ul class=\"legend\">");
    for kind in BarKind::iter() {
        let _ = write!(
            html,
            "<li><svg class=\"chart swatch\" width=\"28\" height=\"14\" aria-hidden=\"true\"><rect {} x=\"1\" y=\"1\" \
             width=\"26\" height=\"12\"/></svg>{}</li>",
            look(kind),
            kind.words()
        );
    }
    html.push_str(
        "<li><svg class=\"chart swatch\" width=\"28\" height=\"14\" aria-hidden=\"true\"><line class=\"slack\" x1=\"1\" x2=\"27\" \
         y1=\"7\" y2=\"7\"/></svg>slack</li></ul><table class=\"gantt\"><thead><tr><th scope=\"col\">stage</th><td \
         class=\"drawn\">",
    );
    axis_row(&mut html, &axis);
    html.push_str("</td><th scope=\"col\">took</th><th scope=\"col\">slack</th></tr></thead><tbody>");
    for (stage, time) in &path.stages {
        stage_rows(&mut html, report, &axis, *stage, time);
    }
    html.push_str("</tbody></table>");
    html
}

fn axis_row(html: &mut String, axis: &Axis) {
    html.push_str("<svg class=\"chart\" height=\"16\" aria-hidden=\"true\">");
    for (x, label) in axis.elapsed_ticks() {
        let anchor = match x {
            x if x < 5.0 => "start",
            x if x > 90.0 => "end",
            _ => "middle",
        };
        let _ = write!(
            html,
            "<text x=\"{x:.2}%\" y=\"11\" text-anchor=\"{anchor}\">{label}</text>"
        );
    }
    html.push_str("</svg>");
}

fn stage_rows(html: &mut String, report: &Report, axis: &Axis, stage: Stage, time: &StageTime) {
    let path = &report.critical_path;
    let slack = path.slack.get(&stage).copied();
    let binds = path.binding == Some(stage);
    let follows = stage == Stage::ResidualValidation && path.binding == Some(Stage::Timeline);
    let note = match (binds || follows, slack) {
        (true, _) => "<strong>binds</strong>".to_owned(),
        (false, Some(slack)) => duration(slack),
        (false, None) => "none".to_owned(),
    };
    let _ = write!(
        html,
        "<tr class=\"stage\"><th scope=\"row\">{}</th><td class=\"drawn\"><svg class=\"chart\" height=\"20\" role=\"img\" \
         aria-label=\"{}\">",
        stage.words(),
        escape(&words(stage.words(), &time.bars))
    );
    grid(html, axis, 20);
    bars(html, axis, &time.bars, 3.0, 14.0);
    if let Some(slack) = slack.filter(|slack| *slack > 0.0) {
        let from = axis.x(time.to);
        let to = (from + slack / axis.seconds() * 100.0).min(100.0);
        let _ = write!(
            html,
            "<line class=\"slack\" x1=\"{from:.2}%\" x2=\"{to:.2}%\" y1=\"10\" y2=\"10\"/><line class=\"line\" x1=\"{to:.2}%\" \
             x2=\"{to:.2}%\" y1=\"6\" y2=\"14\"/>"
        );
    }
    let _ = write!(
        html,
        "</svg></td><td>{}</td><td>{note}</td></tr>",
        duration(time.seconds)
    );
    // A stage that is one state has nothing more to show.
    if time.states.len() > 1 {
        for state in &time.states {
            state_row(html, axis, state);
        }
    }
}

fn state_row(html: &mut String, axis: &Axis, state: &StateTime) {
    let mut notes = Vec::new();
    if state.visits > 1 {
        notes.push(format!("{} visits", state.visits));
    }
    if state.failed_attempts > 0 {
        notes.push(format!("{} failed attempts", state.failed_attempts));
    }
    let _ = write!(
        html,
        "<tr class=\"state\"><th scope=\"row\">{}</th><td class=\"drawn\"><svg class=\"chart\" height=\"12\" role=\"img\" \
         aria-label=\"{}\">",
        escape(&state.state),
        escape(&words(&state.state, &state.bars))
    );
    grid(html, axis, 12);
    bars(html, axis, &state.bars, 2.0, 8.0);
    let _ = write!(
        html,
        "</svg></td><td>{}</td><td>{}</td></tr>",
        duration(state.seconds()),
        notes.join(", ")
    );
}

fn grid(html: &mut String, axis: &Axis, height: u8) {
    for (x, _) in axis.elapsed_ticks() {
        let _ = write!(
            html,
            "<line class=\"grid\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"0\" y2=\"{height}\"/>"
        );
    }
}

fn bars(html: &mut String, axis: &Axis, bars: &[Bar], y: f64, height: f64) {
    let mut drawn_to = f64::NEG_INFINITY;
    for bar in bars {
        let (from, to) = (axis.x(bar.from), axis.x(bar.to));
        if to - drawn_to < NARROW {
            continue;
        }
        let from = from.max(drawn_to);
        let width = (to - from).max(NARROW);
        drawn_to = from + width;
        let _ = write!(
            html,
            "<rect {} x=\"{from:.2}%\" y=\"{y}\" width=\"{width:.2}%\" height=\"{height}\"><title>{}: {}</title></rect>",
            look(bar.kind),
            bar.kind.words(),
            duration(bar.seconds())
        );
    }
}

/// The look of a bar. The pattern says what the colour says.
fn look(kind: BarKind) -> &'static str {
    match kind {
        BarKind::Work => "class=\"solid\"",
        BarKind::People => "class=\"framed\" fill=\"url(#p-dots)\"",
        BarKind::Throttled => "class=\"framed\" fill=\"url(#p-cross)\"",
        BarKind::Events => "class=\"framed\" fill=\"url(#p-stripes)\"",
        BarKind::Orchestration => "class=\"faint\"",
    }
}

/// The bars in words.
fn words(name: &str, bars: &[Bar]) -> String {
    let sums: Vec<String> = BarKind::iter()
        .filter_map(|kind| {
            let seconds: f64 = bars.iter().filter(|bar| bar.kind == kind).map(Bar::seconds).sum();
            (seconds > 0.0).then(|| format!("{} {}", kind.words(), duration(seconds)))
        })
        .collect();
    let when = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.strftime("%H:%M:%S").to_string());
    format!(
        "{name}, {} to {}: {}",
        when(bars.first().map(|bar| bar.from)),
        when(bars.last().map(|bar| bar.to)),
        sums.join(", ")
    )
}
