//! `report.md`: a few lines for a chat.

use std::fmt::Write as _;

use super::{Report, Standing};
use crate::chart::axis::duration;

/// The summary. Text that came from outside is fenced as code, so that no chat renders it.
#[must_use]
pub fn summary(report: &Report) -> String {
    let ended: &str = match (&report.conclusion, report.standing) {
        (Some(conclusion), Standing::Concluded) => conclusion.into(),
        (_, standing) => standing.into(),
    };
    let path = &report.critical_path;
    let mut text = format!(
        "**{}** · run `{}` · **{}** in {}\n\n",
        report.run.workload,
        report.run.run,
        ended.replace('_', " "),
        duration(path.measured)
    );
    if !report.reason.is_empty() {
        let _ = writeln!(text, "Why: {}\n", code(&report.reason));
    }
    for step in &report.next_steps {
        let _ = writeln!(text, "* next: {step}");
    }
    if let Some(selection) = &report.selection {
        let _ = writeln!(
            text,
            "* event boundary {}, proposed set `{}` of {}",
            selection.boundary.boundary, selection.set.id, selection.set.newest
        );
    }
    for answer in &report.operators {
        let _ = writeln!(
            text,
            "* operator {} chose {}: {}",
            code(&answer.person),
            code(&answer.choice),
            code(&answer.rationale)
        );
    }
    if !report.references.is_empty() {
        let _ = writeln!(text, "* {} references rewritten", report.references.len());
    }
    if let Some(spent) = &report.cutover_spent {
        let _ = writeln!(text, "* cutover: {spent}");
    }
    let _ = writeln!(
        text,
        "* critical path: measured {}, formula {}, orchestration {}, parallel stages saved {}",
        duration(path.measured),
        duration(path.corrected),
        duration(path.orchestration),
        duration(path.saved)
    );
    if let Some(binding) = path.binding {
        let _ = writeln!(text, "* the gate waited for {}", binding.words());
    }
    if !report.open_items.is_empty() {
        let _ = writeln!(text, "* {} open items", report.open_items.len());
    }
    text
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace(['\n', '\r'], " "))
}
