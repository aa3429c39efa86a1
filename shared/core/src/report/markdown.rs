//! `report.md`: a few lines for a chat.

use std::fmt::Write as _;

use super::Report;

/// The summary. Text that came from outside is fenced as code, so that no chat renders it.
#[must_use]
pub fn summary(report: &Report) -> String {
    let conclusion: &str = report.conclusion.into();
    let path = &report.critical_path;
    let mut text = format!(
        "**{}** · run `{}` · **{conclusion}** in {:.1} min\n\n",
        report.run.workload,
        report.run.run,
        path.measured / 60.0
    );
    if !report.reason.is_empty() {
        let _ = writeln!(text, "Why: {}\n", code(&report.reason));
    }
    if let Some(selection) = &report.selection {
        let _ = writeln!(
            text,
            "* event boundary {}, restored set `{}` of {}",
            selection.boundary.boundary, selection.set.id, selection.set.newest
        );
    }
    if !report.references.is_empty() {
        let _ = writeln!(text, "* {} references rewritten", report.references.len());
    }
    let _ = writeln!(
        text,
        "* critical path: measured {:.1} s, formula {:.1} s, overhead {:.1} s, parallel stages saved {:.1} s",
        path.measured, path.corrected, path.orchestration, path.saved
    );
    for step in &report.next_steps {
        let _ = writeln!(text, "* next: {step}");
    }
    text
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace(['\n', '\r'], " "))
}
