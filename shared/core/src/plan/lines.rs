//! From the path of a problem to the line of the file.

use crate::yaml;

/// The line, from 1, on which the value at this path begins, or the nearest thing around it that exists.
///
/// `at` is a path as in [`super::Problem::at`], for example `rebuild.stacks[0].template`.
#[must_use]
pub fn line_of(text: &str, at: &str) -> usize {
    if text.trim_start().starts_with('{') {
        line_in_json(text, at)
    } else {
        line_in_yaml(text, at)
    }
}

fn line_in_yaml(text: &str, at: &str) -> usize {
    let document = match yaml::read(text) {
        Ok(document) => document,
        Err(malformed) => return malformed.line,
    };
    let mut at = at;
    loop {
        if let Some(line) = document.lines.get(at) {
            return *line;
        }
        match at.rfind(['.', '[']).and_then(|end| at.get(..end)) {
            Some(around) if !around.is_empty() => at = around,
            _ => return document.lines.get(".").copied().unwrap_or(1),
        }
    }
}

fn line_in_json(text: &str, at: &str) -> usize {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
    };
    let offset = scanner.locate(&segments(at));
    let before = scanner.bytes.get(..offset).unwrap_or(scanner.bytes);
    before.iter().filter(|b| **b == b'\n').count().saturating_add(1)
}

#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn segments(at: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in at.split('.').filter(|part| !part.is_empty()) {
        let mut pieces = part.split('[');
        if let Some(key) = pieces.next().filter(|key| !key.is_empty()) {
            steps.push(Step::Key(key));
        }
        for piece in pieces {
            if let Ok(index) = piece.trim_end_matches(']').parse() {
                steps.push(Step::Index(index));
            }
        }
    }
    steps
}

/// Reads JSON as far as it is well formed, and stops where it is not.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&mut self) -> Option<u8> {
        while let Some(b) = self.bytes.get(self.at) {
            if !b.is_ascii_whitespace() {
                return Some(*b);
            }
            self.at = self.at.saturating_add(1);
        }
        None
    }

    fn take(&mut self, wanted: u8) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.at = self.at.saturating_add(1);
        }
        there
    }

    /// Offset of the value at these steps, or of the last thing on the way that exists.
    fn locate(&mut self, steps: &[Step<'_>]) -> usize {
        self.peek();
        let here = self.at;
        let Some((step, rest)) = steps.split_first() else {
            return here;
        };
        match step {
            Step::Key(wanted) => {
                if !self.take(b'{') {
                    return here;
                }
                while self.peek() == Some(b'"') {
                    let begin = self.at;
                    self.skip_string();
                    let key = self.bytes.get(begin..self.at).unwrap_or_default();
                    if !self.take(b':') {
                        return here;
                    }
                    if serde_json::from_slice::<String>(key).is_ok_and(|key| key == *wanted) {
                        return if rest.is_empty() { begin } else { self.locate(rest) };
                    }
                    self.skip_value();
                    if !self.take(b',') {
                        break;
                    }
                }
                here
            }
            Step::Index(wanted) => {
                if !self.take(b'[') {
                    return here;
                }
                for _ in 0..*wanted {
                    self.skip_value();
                    if !self.take(b',') {
                        return here;
                    }
                }
                if self.peek() == Some(b']') {
                    here
                } else {
                    self.locate(rest)
                }
            }
        }
    }

    fn skip_string(&mut self) {
        let mut escaped = false;
        self.at = self.at.saturating_add(1);
        while let Some(b) = self.bytes.get(self.at) {
            self.at = self.at.saturating_add(1);
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return,
                _ => {}
            }
        }
    }

    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        while let Some(b) = self.peek() {
            match b {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.at = self.at.saturating_add(1);
                }
                b'}' | b']' if depth == 0 => return,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at = self.at.saturating_add(1);
                }
                b',' if depth == 0 => return,
                _ => self.at = self.at.saturating_add(1),
            }
        }
    }
}
