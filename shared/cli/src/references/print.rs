//! What people read: positions, differences, proofs, refusals. Texts from documents are escaped: they may be hostile.

use std::fmt::Write as _;
use std::io;

use blackstart_core::references::{Disposition, Edit};

use super::{Answer, Summary};

/// Most bytes of unchanged text that are shown on each side of a change.
const CONTEXT: usize = 40;

pub(super) fn describe(
    out: &mut dyn io::Write,
    answers: &[Answer],
    summary: &Summary,
    colour: bool,
) -> io::Result<()> {
    for answer in answers.iter().filter(|answer| answer.says_something()) {
        writeln!(out, "{}", answer.file.escape_debug())?;
        positions(out, answer)?;
        for other in &answer.others {
            let owner = other
                .owner
                .map_or_else(String::new, |owner| format!(", which is {owner}"));
            writeln!(out, "  also names {}{owner}", other.account)?;
        }
        if let Some(done) = &answer.rewritten {
            for line in difference(&answer.before, &done.edits, colour) {
                writeln!(out, "  {line}")?;
            }
            writeln!(out, "  proven: {}", done.proof)?;
            for notice in &done.notices {
                writeln!(out, "  note: {notice}")?;
            }
        }
        if let Some(reason) = &answer.refused {
            writeln!(out, "  REFUSED: {}", reason.escape_debug())?;
        }
    }
    writeln!(
        out,
        "{} documents, {} name the old environment; {} tokens, {} handled, {} unhandled; {} rewritten, {} refused",
        summary.documents,
        summary.naming,
        summary.tokens,
        summary.handled,
        summary.unhandled,
        summary.rewritten,
        summary.refused
    )
}

/// One row for every token: where, what it means, which value, what happens to it.
fn positions(out: &mut dyn io::Write, answer: &Answer) -> io::Result<()> {
    let rows: Vec<[String; 5]> = answer
        .tokens
        .iter()
        .zip(&answer.places)
        .map(|(token, (line, column))| {
            let fate = match token.disposition {
                Disposition::Rewrite => "handled".to_owned(),
                Disposition::Keep(why) => format!("kept: {why}"),
                Disposition::Unhandled(why) => format!("UNHANDLED: {why}"),
            };
            let mut path = token.path.escape_debug().to_string();
            for encoding in &token.encoding {
                path.push_str(&format!(" ({encoding})"));
            }
            [
                format!("{line}:{column}"),
                token.position.to_string(),
                token.old.escape_debug().to_string(),
                path,
                fate,
            ]
        })
        .collect();
    let widths: Vec<usize> = (0..4)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    for row in &rows {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            line.push_str("  ");
            line.push_str(cell);
            let width = widths.get(index).copied().unwrap_or_default();
            line.extend(std::iter::repeat_n(
                ' ',
                width.saturating_sub(cell.chars().count()),
            ));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The changed lines with their changes in them, and of long lines only what is near a change.
///
/// On a terminal in red and green; elsewhere as `[-old-]` and `{+new+}`, as `git diff --word-diff` writes it.
pub(super) fn difference(before: &str, edits: &[Edit], colour: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut shown_to = 0;
    let mut number = 1;
    let mut counted_to = 0;
    for edit in edits {
        let between = before.get(shown_to..edit.span.start).unwrap_or_default();
        let start_of_line = before
            .get(..edit.span.start)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |end| end + 1);
        if line.is_empty() || between.contains('\n') {
            if !line.is_empty() {
                line.push_str(&head(between));
                lines.push(std::mem::take(&mut line));
            }
            let passed = before.get(counted_to..start_of_line).unwrap_or_default();
            number += passed.matches('\n').count();
            counted_to = start_of_line;
            // Writing to a string cannot fail.
            let _ = write!(line, "{number}: ");
            line.push_str(&tail(
                before.get(start_of_line..edit.span.start).unwrap_or_default(),
            ));
        } else if between.len() > 2 * CONTEXT {
            line.push_str(&head(between));
            line.push_str(&tail(between));
        } else {
            line.push_str(&escaped(between));
        }
        let old = escaped(before.get(edit.span.clone()).unwrap_or_default());
        let new = escaped(&edit.text);
        let marks = if colour {
            [("\u{1b}[31m", "\u{1b}[0m"), ("\u{1b}[32m", "\u{1b}[0m")]
        } else {
            [("[-", "-]"), ("{+", "+}")]
        };
        for ((open, close), text) in marks.into_iter().zip([old, new]) {
            if !text.is_empty() {
                line.push_str(open);
                line.push_str(&text);
                line.push_str(close);
            }
        }
        shown_to = edit.span.end;
    }
    if !line.is_empty() {
        line.push_str(&head(before.get(shown_to..).unwrap_or_default()));
        lines.push(line);
    }
    lines
}

/// The beginning of a text, to the end of the line.
fn head(text: &str) -> String {
    let line = text.split('\n').next().unwrap_or_default();
    match line.char_indices().nth(CONTEXT) {
        Some((end, _)) => format!("{}…", escaped(line.get(..end).unwrap_or_default())),
        None => escaped(line),
    }
}

/// The end of a text within a line.
fn tail(line: &str) -> String {
    match line.char_indices().rev().nth(CONTEXT) {
        Some((begin, character)) => {
            let begin = begin + character.len_utf8();
            format!("…{}", escaped(line.get(begin..).unwrap_or_default()))
        }
        None => escaped(line),
    }
}

fn escaped(text: &str) -> String {
    text.escape_debug()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(before: &str, old: &str, new: &str) -> Edit {
        let start = before.find(old).unwrap();
        Edit {
            span: start..start + old.len(),
            text: new.to_owned(),
        }
    }

    #[test]
    fn only_changed_lines_and_what_is_near_a_change_are_shown() {
        let before = format!(
            "one\ntwo OLD {} MORE end\nthree\nfour OTHER\u{1b}\n",
            "x".repeat(200)
        );
        let edits = [
            edit(&before, "OLD", "NEW"),
            edit(&before, "MORE", ""),
            edit(&before, "OTHER", "AGAIN"),
        ];
        let near = "x".repeat(39);
        assert_eq!(
            difference(&before, &edits, false),
            [
                format!("2: two [-OLD-]{{+NEW+}} {near}……{near} [-MORE-] end"),
                "4: four [-OTHER-]{+AGAIN+}\\u{1b}".to_owned(),
            ]
        );
        assert!(difference(&before, &edits, true)[0].contains("\u{1b}[31mOLD\u{1b}[0m\u{1b}[32mNEW"));
    }
}
