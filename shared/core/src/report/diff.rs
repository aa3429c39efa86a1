//! What changed in a document: the changed words with a little of what is around them.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use crate::markup::{escape, escape_breakable};

/// Unchanged characters that are kept on either side of a change.
const AROUND: usize = 48;
/// Documents longer than this, in words, are not compared word by word.
const LONGEST: usize = 20_000;

/// The changes from `before` to `after` as HTML: `<del>` and `<ins>`, with `…` for what is left out.
pub(super) fn html(before: &str, after: &str) -> String {
    let (old, new) = (words(before), words(after));
    if old.len() > LONGEST || new.len() > LONGEST {
        return format!(
            "{} characters became {}; the texts are in report.json",
            before.len(),
            after.len()
        );
    }
    let diff = TextDiff::from_slices(&old, &new);
    let mut parts: Vec<(ChangeTag, String)> = Vec::new();
    for change in diff.iter_all_changes() {
        match parts.last_mut() {
            Some((tag, text)) if *tag == change.tag() => text.push_str(change.value()),
            _ => parts.push((change.tag(), change.value().to_owned())),
        }
    }
    let last = parts.len().saturating_sub(1);
    let mut html = String::new();
    for (place, (tag, text)) in parts.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match tag {
            ChangeTag::Delete => write!(html, "<del>{}</del>", escape_breakable(text)),
            ChangeTag::Insert => write!(html, "<ins>{}</ins>", escape_breakable(text)),
            ChangeTag::Equal => write!(html, "{}", escape(&shortened(text, place > 0, place < last))),
        };
    }
    html
}

/// The end that touches a change before, and the beginning that touches a change behind.
fn shortened(text: &str, before: bool, behind: bool) -> String {
    let characters = text.chars().count();
    let kept = AROUND * (usize::from(before) + usize::from(behind));
    if characters <= kept + 1 {
        return text.to_owned();
    }
    let mut short = String::new();
    if before {
        short.extend(text.chars().take(AROUND));
    }
    short.push('…');
    if behind {
        short.extend(text.chars().skip(characters - AROUND));
    }
    short
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
    fn a_diff_shows_whole_identifiers_and_leaves_out_what_is_far_away() {
        let padding = "x ".repeat(200);
        let before = format!("{padding}arn:aws:iam::218007301253:root<b>{padding}");
        let after = before.replace("218007301253", "333333333333");
        let html = html(&before, &after);
        assert!(
            html.contains("<del>218007301253</del><ins>333333333333</ins>"),
            "{html}"
        );
        assert!(html.contains("&lt;b&gt;") && html.starts_with('…') && html.ends_with('…'));
        assert!(html.len() < 400, "{}", html.len());
    }
}
