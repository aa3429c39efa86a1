//! Every rule that does not compile, with its line.

use std::fmt;

use boreal::compiler::AddRuleError;

/// How many problems of one file are told.
const MOST: usize = 50;

/// A rule that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleProblem {
    /// The file, as the plan names it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The compiler's message.
    pub what: String,
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// All problems of a file, beginning with the one that the compiler stopped at.
///
/// The compiler stops at the first. So the rule that holds it is blanked out, line by line, and what is left is compiled
/// again, until it compiles or the compiler stops where nothing can be blanked out.
pub(crate) fn of(file: &str, text: &str, first: &AddRuleError) -> Vec<RuleProblem> {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut problem = read(file, text, first);
    let mut problems = Vec::new();
    loop {
        let line = problem.line;
        problems.push(problem);
        if problems.len() == MOST || !blank(&mut lines, line) {
            break;
        }
        let rest = lines.join("\n");
        match super::compiler().add_rules_str_in_namespace(&rest, file) {
            Ok(_) => break,
            Err(next) => problem = read(file, &rest, &next),
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

fn read(file: &str, text: &str, error: &AddRuleError) -> RuleProblem {
    let diagnostic = error.to_diagnostic();
    let at = diagnostic.labels.first().map_or(0, |label| label.range.start);
    let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let mut what = diagnostic.message.clone();
    let details = diagnostic
        .labels
        .iter()
        .map(|label| &label.message)
        .chain(&diagnostic.notes)
        .filter(|detail| !detail.is_empty());
    for detail in details {
        what.push_str(": ");
        what.push_str(detail);
    }
    RuleProblem {
        file: file.to_owned(),
        line,
        what,
    }
}

/// Blanks out the rule that line `line` (from 1) belongs to. `false`: there is none, or it is blank already.
fn blank(lines: &mut [&str], line: usize) -> bool {
    let begins: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, text)| begins_a_rule(text))
        .map(|(index, _)| index)
        .collect();
    let Some(begin) = begins.iter().rev().find(|begin| **begin < line).copied() else {
        return false;
    };
    let end = begins
        .iter()
        .find(|next| **next > begin)
        .copied()
        .unwrap_or(lines.len());
    for text in lines.get_mut(begin..end).unwrap_or_default() {
        *text = "";
    }
    true
}

fn begins_a_rule(line: &str) -> bool {
    line.split_whitespace()
        .find(|word| !matches!(*word, "private" | "global"))
        == Some("rule")
}
