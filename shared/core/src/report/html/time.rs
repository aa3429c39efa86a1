//! How long it took.

use std::fmt::Write as _;

use super::{duration, gantt, minutes};
use crate::critical_path::{BarKind, CriticalPath, Stage};
use crate::report::Report;

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
    what_ifs(html, path);
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
            "<tr><td data-name=\"what\">{name}</td><td data-name=\"formula\">{formula}</td><td data-name=\"numbers\">{numbers}</td><td \
             class=\"number\" data-name=\"result\">{seconds:.1}</td></tr>"
        );
    }
    html.push_str("</table>");
}

fn what_ifs(html: &mut String, path: &CriticalPath) {
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
    for what_if in &path.what_ifs {
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
        let _ = write!(html, "<li>{how}: {saves}</li>");
    }
    html.push_str("</ul>");
}
