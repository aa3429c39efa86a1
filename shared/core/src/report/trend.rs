//! Durations of earlier runs of the same workload, as small multiples.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator as _;

use super::Report;
use crate::chart::axis::duration;
use crate::critical_path::{CriticalPath, Stage};
use crate::run::{Conclusion, Mode, RunId, RunRecord};

/// The schema of [`RunDurations`].
pub const SCHEMA: &str = "blackstart.durations/1";
/// How many earlier runs a report shows.
pub const RUNS: usize = 20;

/// How long a run took, as the ledger keeps it under [`crate::ledger::Key::durations`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunDurations {
    /// Always `blackstart.durations/1`.
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// Incident or drill.
    pub mode: Mode,
    /// When it began.
    pub started: Timestamp,
    /// How it ended.
    pub conclusion: Conclusion,
    /// From beginning to end, in seconds.
    pub measured: f64,
    /// Stages, in seconds; one that did not run is absent.
    pub stages: BTreeMap<Stage, f64>,
}

impl RunDurations {
    /// The durations of a run that has ended.
    #[must_use]
    pub fn of(run: &RunRecord, conclusion: Conclusion, path: &CriticalPath) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run: run.run.clone(),
            mode: run.mode,
            started: run.started,
            conclusion,
            measured: path.measured,
            stages: path
                .stages
                .iter()
                .map(|(stage, time)| (*stage, time.seconds))
                .collect(),
        }
    }
}

/// The last runs before this one, oldest first.
#[must_use]
pub fn earlier(mut all: Vec<RunDurations>, this: &RunRecord) -> Vec<RunDurations> {
    all.retain(|run| run.run != this.run && run.started < this.started);
    all.sort_by(|a, b| (a.started, &a.run).cmp(&(b.started, &b.run)));
    all.split_off(all.len().saturating_sub(RUNS))
}

/// The middle of what a stage took in earlier runs; `None` if it never ran.
#[must_use]
pub fn expected(earlier: &[RunDurations], stage: Stage) -> Option<f64> {
    median(earlier.iter().filter_map(|run| run.stages.get(&stage).copied()))
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// One small chart per stage and one for the whole; empty without earlier runs.
pub(super) fn section(report: &Report) -> String {
    let Some(conclusion) = report.conclusion else {
        return String::new();
    };
    if report.earlier.is_empty() {
        return String::new();
    }
    let this = RunDurations::of(&report.run, conclusion, &report.critical_path);
    let runs: Vec<&RunDurations> = report.earlier.iter().chain([&this]).collect();
    let mut html = format!(
        "<h2>Trend over {} runs</h2><p>Oldest left, this run solid at the right; dotted runs did not reach their end. Each \
         chart has its own scale.</p><div class=\"multiples\">",
        runs.len()
    );
    let whole: Vec<Option<f64>> = runs.iter().map(|run| Some(run.measured)).collect();
    multiple(&mut html, "whole run", &runs, &whole);
    for stage in Stage::iter() {
        let seconds: Vec<Option<f64>> = runs.iter().map(|run| run.stages.get(&stage).copied()).collect();
        if seconds.iter().flatten().next().is_some() {
            multiple(&mut html, stage.words(), &runs, &seconds);
        }
    }
    html.push_str("</div>");
    table(&mut html, &runs);
    html
}

fn multiple(html: &mut String, name: &str, runs: &[&RunDurations], seconds: &[Option<f64>]) {
    let most = seconds.iter().flatten().copied().fold(f64::EPSILON, f64::max);
    let now = seconds.last().copied().flatten();
    let before = median(seconds.iter().rev().skip(1).filter_map(|seconds| *seconds));
    let words = match (now, before) {
        (Some(now), Some(before)) => format!("{}, before {}", duration(now), duration(before)),
        (Some(now), None) => duration(now),
        (None, _) => "did not run".to_owned(),
    };
    #[expect(clippy::cast_precision_loss, reason = "a handful of runs")]
    let width = 100.0 / seconds.len().max(8) as f64;
    let _ = write!(
        html,
        "<div><h3>{name}</h3><p>{words}</p><svg class=\"chart\" height=\"52\" role=\"img\" aria-label=\"{name}: {words}\">\
         <line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"51\" y2=\"51\"/>"
    );
    let mut x = 0.0;
    for (place, (run, seconds)) in runs.iter().zip(seconds).enumerate() {
        if let Some(seconds) = seconds {
            let height = (seconds / most * 48.0).max(1.0);
            let ended = matches!(run.conclusion, Conclusion::Recovered | Conclusion::Rehearsed);
            let look = match (place + 1 == runs.len(), ended) {
                (true, _) => "class=\"solid\"",
                (false, true) => "class=\"outline\"",
                (false, false) => "class=\"dotted\" fill=\"url(#p-dots)\"",
            };
            let _ = write!(
                html,
                "<rect {look} x=\"{x:.2}%\" y=\"{:.1}\" width=\"{:.2}%\" height=\"{height:.1}\"><title>{}: {}</title></rect>",
                51.0 - height,
                width * 0.75,
                run.started.strftime("%Y-%m-%d %H:%M"),
                duration(*seconds)
            );
        }
        x += width;
    }
    html.push_str("</svg></div>");
}

fn table(html: &mut String, runs: &[&RunDurations]) {
    html.push_str(
        "<details><summary>The same as a table (seconds)</summary><div class=\"scroll\"><table><tr><th \
         scope=\"col\">started</th><th scope=\"col\">ended</th><th scope=\"col\">whole</th>",
    );
    for stage in Stage::iter() {
        let _ = write!(html, "<th scope=\"col\">{}</th>", stage.words());
    }
    html.push_str("</tr>");
    for run in runs {
        let conclusion: &str = run.conclusion.into();
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{:.1}</td>",
            run.started.strftime("%Y-%m-%d %H:%M"),
            conclusion.replace('_', " "),
            run.measured
        );
        for stage in Stage::iter() {
            let _ = match run.stages.get(&stage) {
                Some(seconds) => write!(html, "<td>{seconds:.1}</td>"),
                None => write!(html, "<td>–</td>"),
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div></details>");
}
