//! Text from outside in HTML and SVG.

use std::borrow::Cow;

/// Text as HTML or XML text or attribute value: nothing in it is markup.
///
/// Bidirectional controls reorder what people read and control characters show nothing; both become U+FFFD.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| replacement(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    for c in text.chars() {
        match replacement(c) {
            Some(instead) => out.push_str(instead),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn replacement(c: char) -> Option<&'static str> {
    Some(match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "\u{fffd}",
        c if c.is_control() && !matches!(c, '\n' | '\t') => "\u{fffd}",
        _ => return None,
    })
}

/// [`escape`], with places in long names at which a line may break: after `/`, `:`, `_` and `-`, and in runs of
/// more than 24 characters without one of these.
///
/// Object names and ARNs are longer than a column; without such places they break in the middle of a word.
#[must_use]
pub fn escape_breakable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    let mut run = 0_u8;
    let mut part = [0_u8; 4];
    for c in text.chars() {
        out.push_str(&escape(c.encode_utf8(&mut part)));
        run = if c.is_whitespace() {
            0
        } else {
            run.saturating_add(1)
        };
        if matches!(c, '/' | ':' | '_' | '-') || run > 24 {
            out.push_str("<wbr>");
            run = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_is_escaped_can_open_a_tag_or_end_an_attribute(text in "\\PC*|[<>&\"'\u{202e}\u{0}a-z/]{0,40}") {
            let escaped = escape(&text);
            let inert = !escaped.contains(['<', '>', '"', '\'', '\u{202e}', '\u{0}']);
            prop_assert!(inert);
            let breakable = escape_breakable(&text);
            prop_assert_eq!(breakable.replace("<wbr>", ""), escaped);
        }
    }
}
