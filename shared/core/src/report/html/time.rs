//! How long it took.

use std::fmt::Write as _;

use strum::IntoEnumIterator as _;

use super::{duration, gantt, minutes};
use crate::critical_path::{Bar, BarKind, CriticalPath, Stage, StateTime, WhatIf};
use crate::markup::escape;
use crate::report::Report;
use crate::report::trend::expected;

/// By what factor a stage must have been longer than before to be called slower.
const SLOWER: f64 = 1.25;

pub(super) fn section(html: &mut String, report: &Report) {
    let path = &report.critical_path;
    html.push_str("<h2>Critical path</h2>");
    targets(html, report);
    html.push_str(&gantt::chart(report));
    if !path.histories_read {
        html.push_str(
            "<p>The execution histories could not be read: the bars are those of the functions, and waiting between two \
             looks does not show.</p>",
        );
    }
    formulas(html, path);
    what_ifs(html, report);
}

fn targets(html: &mut String, report: &Report) {
    let met = &report.targets;
    let verdict = |reached: f64, target: Option<u32>| match target {
        Some(target) if reached <= f64::from(target) => {
            format!(", within the target of {}", minutes(f64::from(target)))
        }
        Some(target) => format!(
            ", <strong>missed</strong> the target of {}",
            minutes(f64::from(target))
        ),
        None => ", no target in the plan".to_owned(),
    };
    let _ = write!(
        html,
        "<dl><dt>Recovery time</dt><dd>{}{}</dd>",
        minutes(met.recovery_time_minutes),
        verdict(met.recovery_time_minutes, met.targets.recovery_time_minutes)
    );
    if let Some(lost) = met.recovery_point_minutes {
        let _ = write!(
            html,
            "<dt>Data lost before the boundary</dt><dd>{}{}</dd>",
            minutes(lost),
            verdict(lost, met.targets.recovery_point_minutes)
        );
    }
    let path = &report.critical_path;
    for kind in [BarKind::People, BarKind::Events, BarKind::Throttled] {
        let seconds: f64 = path.stages.values().map(|time| time.seconds_of(kind)).sum();
        if seconds > 0.0 {
            let _ = write!(
                html,
                "<dt>{}</dt><dd>{}</dd>",
                capital(kind.words()),
                duration(seconds)
            );
        }
    }
    if let Some(spent) = &report.cutover_spent {
        let _ = write!(
            html,
            "<dt>Cutover</dt><dd>{}; accounts that are written side by side count each</dd>",
            escape(&spent.to_string())
        );
    }
    html.push_str("</dl>");
}

fn capital(words: &str) -> String {
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// The formulas with the measured numbers in them.
fn formulas(html: &mut String, path: &CriticalPath) {
    let t = |stage: Stage| path.stages.get(&stage).map_or(0.0, |time| time.seconds);
    let s = |stage: Stage| format!("{:.1}", t(stage));
    let after = format!(
        "{} + {} + {} + {}",
        s(Stage::Approval),
        s(Stage::Restore),
        s(Stage::Rotate),
        s(Stage::Cutover)
    );
    let rows = [
        (
            "seed, one after the other",
            "timeline + validation + approval + rebuild + restore + cutover",
            format!(
                "{} + {} + {} + {} + {} + {}",
                s(Stage::Timeline),
                s(Stage::Validation),
                s(Stage::Approval),
                s(Stage::Rebuild),
                s(Stage::Restore),
                s(Stage::Cutover)
            ),
            path.seed_sequential,
        ),
        (
            "seed, in parallel",
            "max(timeline, validation, rebuild) + approval + restore + cutover",
            format!(
                "max({}, {}, {}) + {} + {} + {}",
                s(Stage::Timeline),
                s(Stage::Validation),
                s(Stage::Rebuild),
                s(Stage::Approval),
                s(Stage::Restore),
                s(Stage::Cutover)
            ),
            path.seed_parallel,
        ),
        (
            "corrected",
            "max(timeline + residual validation, validation, rebuild, references) + approval + restore + rotate + cutover",
            format!(
                "max({} + {}, {}, {}, {}) + {after}",
                s(Stage::Timeline),
                s(Stage::ResidualValidation),
                s(Stage::Validation),
                s(Stage::Rebuild),
                s(Stage::References)
            ),
            path.corrected,
        ),
        (
            "measured",
            "from the start of the execution",
            String::new(),
            path.measured,
        ),
        (
            "orchestration",
            "measured − corrected",
            format!("{:.1} − {:.1}", path.measured, path.corrected),
            path.orchestration,
        ),
        (
            "without parallel stages",
            "all nine one after the other",
            String::new(),
            path.sequential,
        ),
        (
            "saved by running in parallel",
            "without parallel stages − measured",
            format!("{:.1} − {:.1}", path.sequential, path.measured),
            path.saved,
        ),
    ];
    html.push_str(
        "<h3>Formulas, in seconds</h3><table class=\"cards\"><tr><th scope=\"col\">what</th><th scope=\"col\">formula</th><th \
         scope=\"col\">numbers</th><th scope=\"col\">result</th></tr>",
    );
    for (name, formula, numbers, seconds) in rows {
        let _ = write!(
            html,
            "<tr><td class=\"name\" data-name=\"what\">{name}</td><td data-name=\"formula\">{formula}</td><td data-name=\"numbers\">{numbers}</td><td \
             class=\"number\" data-name=\"result\">{seconds:.1}</td></tr>"
        );
    }
    html.push_str("</table>");
}

fn what_ifs(html: &mut String, report: &Report) {
    let path = &report.critical_path;
    let Some(binding) = path.binding else { return };
    let residual = path.stages.contains_key(&Stage::ResidualValidation) && binding == Stage::Timeline;
    let _ = write!(
        html,
        "<h3>What would have made it faster</h3><p>The gate waited for <strong>{}</strong>{}.</p><ul>",
        binding.words(),
        if residual {
            " and what was left of validation under its boundary"
        } else {
            ""
        }
    );
    // What saves most comes first; of equals, what happens first.
    let mut by_saving: Vec<&WhatIf> = path.what_ifs.iter().collect();
    by_saving.sort_by(|a, b| b.saves.total_cmp(&a.saves));
    for what_if in by_saving {
        let how = if what_if.stage == Stage::Approval {
            format!("approve {} sooner", duration(what_if.shorter))
        } else {
            format!("{} twice as fast", what_if.stage.words())
        };
        // A saving that rounds to nothing is nothing.
        let saves = if what_if.saves < 0.005 {
            "saves nothing".to_owned()
        } else {
            format!("−{}", duration(what_if.saves))
        };
        let _ = write!(html, "<li>{how}: {saves}{}</li>", mostly(path, what_if));
    }
    html.push_str("</ul>");
    slower(html, report);
}

/// Where the time of a stage that could save something went: its longest state, and what went on there.
fn mostly(path: &CriticalPath, what_if: &WhatIf) -> String {
    let time = path.stages.get(&what_if.stage).filter(|_| what_if.saves >= 0.005);
    let longest = time.and_then(|time| {
        let first = |a: &&StateTime, b: &&StateTime| a.seconds().total_cmp(&b.seconds());
        time.states.iter().rev().max_by(first)
    });
    let Some(state) = longest else {
        return String::new();
    };
    let kind = BarKind::iter()
        .map(|kind| (kind, bars_of(state, kind)))
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    kind.map_or_else(String::new, |(kind, seconds)| {
        format!(
            " <small>(mostly {}: {} of {})</small>",
            escape(&state.state),
            duration(seconds),
            kind.words()
        )
    })
}

fn bars_of(state: &StateTime, kind: BarKind) -> f64 {
    let bars = state.bars.iter().filter(|bar| bar.kind == kind);
    bars.map(Bar::seconds).sum()
}

/// Stages that took noticeably longer than the middle of earlier runs.
fn slower(html: &mut String, report: &Report) {
    let slower: Vec<String> = report
        .critical_path
        .stages
        .iter()
        .filter_map(|(stage, time)| {
            let before = expected(&report.earlier, *stage)?;
            (time.seconds > before * SLOWER && time.seconds - before >= 1.0).then(|| {
                format!(
                    "{} {} (before: {})",
                    stage.words(),
                    duration(time.seconds),
                    duration(before)
                )
            })
        })
        .collect();
    if !slower.is_empty() {
        let _ = write!(html, "<p>Slower than in earlier runs: {}.</p>", slower.join(", "));
    }
}
