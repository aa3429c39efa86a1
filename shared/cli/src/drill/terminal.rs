//! What a drill shows, and what it asks, in a terminal.

use std::io::{IsTerminal as _, Write};

use blackstart_core::approval::vote::Choice;
use blackstart_core::critical_path::{CriticalPath, Stage as PathStage, StageTime};
use blackstart_core::report::Report;

use super::play::Answer;

/// Where the drill talks. A closed terminal ends the talking, not the drill: its end state still has to be checked.
pub(super) struct Terminal<'a>(pub(super) &'a mut dyn Write);

impl Terminal<'_> {
    pub(super) fn line(&mut self, text: &str) {
        let _closed = writeln!(self.0, "{text}").and_then(|()| self.0.flush());
    }
}

/// Text from logs, names and policies, made harmless for a terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

pub(super) fn ask() -> Answer {
    let approve = dialoguer::Confirm::new()
        .with_prompt("Approve exactly this")
        .default(false)
        .interact()
        .unwrap_or(false);
    let rationale = dialoguer::Input::<String>::new()
        .with_prompt("Why (at least 20 characters)")
        .validate_with(|text: &String| {
            if text.trim().chars().count() >= 20 {
                Ok(())
            } else {
                Err("say what convinced you")
            }
        })
        .interact_text()
        .unwrap_or_else(|_| "No rationale could be read from the terminal.".to_owned());
    Answer {
        choice: if approve { Choice::Approve } else { Choice::Refuse },
        rationale,
    }
}

pub(super) fn show_critical_path(path: &CriticalPath, out: &mut Terminal<'_>) {
    out.line("\nCritical path");
    let start = path.stages.values().map(|interval| interval.from).min();
    for (stage, interval) in &path.stages {
        let name: &str = stage.into();
        let slack = path.slack.get(stage).filter(|slack| **slack > 0.0);
        let note = match (slack, *stage == PathStage::Approval) {
            (Some(slack), _) => format!("slack {slack:.1} s"),
            (None, true) => "waiting for people".to_owned(),
            (None, false) => "on the path".to_owned(),
        };
        let bar = start
            .map(|start| bar(start, path.measured, interval))
            .unwrap_or_default();
        out.line(&format!(
            "  {:<20} {:>6.1} s  {bar}  {note}",
            name.replace('_', " "),
            interval.seconds
        ));
    }
    for (name, seconds) in [
        ("seed, one after the other", path.seed_sequential),
        ("seed, in parallel", path.seed_parallel),
        ("corrected formula", path.corrected),
        ("measured", path.measured),
        ("orchestration overhead", path.orchestration),
        ("saved by running in parallel", path.saved),
    ] {
        out.line(&format!("  {name:<30} {seconds:>6.1} s"));
    }
}

fn bar(start: jiff::Timestamp, total: f64, interval: &StageTime) -> String {
    const CELLS: u8 = 40;
    let cell = |at: jiff::Timestamp| {
        let share = at.duration_since(start).as_secs_f64() / total.max(f64::EPSILON);
        (0..CELLS)
            .filter(|cell| f64::from(*cell) < share * f64::from(CELLS))
            .count()
    };
    let (from, to) = (
        cell(interval.from),
        cell(interval.to).max(cell(interval.from) + 1),
    );
    let width = usize::from(CELLS).max(to);
    format!(
        "{}{}{}",
        " ".repeat(from),
        "━".repeat(to - from),
        " ".repeat(width - to)
    )
}

pub(super) fn show_changes(report: &Report, out: &mut Terminal<'_>) {
    if report.references.is_empty() {
        return;
    }
    out.line("\nWhat changed where");
    let colours = std::io::stdout().is_terminal();
    for change in &report.references {
        out.line(&format!("  {} ({})", shown(&change.arn), change.account));
        out.line(&format!(
            "    {}",
            changed(&change.before, &change.after, colours)
        ));
    }
    if let Some(traffic) = &report.traffic {
        for (sign, records) in [("−", &traffic.before), ("+", &traffic.after)] {
            for record in records {
                let role = record.failover.as_deref().unwrap_or("");
                out.line(&format!(
                    "  {sign} {} {} {} {role}",
                    record.name,
                    record.record_type,
                    record.values.join(" ")
                ));
            }
        }
    }
}

/// Where the time of the cutover went.
pub(super) fn show_waits(report: &Report, out: &mut Terminal<'_>) {
    if let Some(spent) = &report.cutover_spent {
        out.line(&format!("\nCutover {spent}"));
    }
}

/// The document after the change, with what went and what came: coloured, or `[-went-]{+came+}` where there is no
/// colour.
fn changed(before: &str, after: &str, colours: bool) -> String {
    let (before, after) = (words(before), words(after));
    let diff = similar::TextDiff::from_slices(&before, &after);
    let (went, came) = if colours {
        (("\u{1b}[31m", "\u{1b}[0m"), ("\u{1b}[32m", "\u{1b}[0m"))
    } else {
        (("[-", "-]"), ("{+", "+}"))
    };
    let mut text = String::new();
    for part in diff.iter_all_changes() {
        let (open, close) = match part.tag() {
            similar::ChangeTag::Delete => went,
            similar::ChangeTag::Insert => came,
            similar::ChangeTag::Equal => ("", ""),
        };
        text.push_str(open);
        text.push_str(&shown(part.value()));
        text.push_str(close);
    }
    text
}

/// Runs of letters and digits, and single characters between them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() {
            rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, tail) = rest.split_at(end);
        words.push(word);
        rest = tail;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_whole_identifiers_and_nothing_that_steers_a_terminal() {
        let text = changed(
            "iam::218007301253:root\u{1b}[2J",
            "iam::333333333333:root\u{1b}[2J",
            false,
        );
        assert_eq!(text, "iam::[-218007301253-]{+333333333333+}:root\u{fffd}[2J");
    }
}
