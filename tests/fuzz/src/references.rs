//! References: no text makes anything panic, and nothing that is proven allows more than it may.

use blackstart_core::references::{
    Disposition, Edit, Encoding, Form, IdentifierMap, Mode, Token, canonical_digest_of, other_accounts,
    prove, rewrite, same_document, scan, shutout, text_of,
};
use blackstart_core::run::AccountId;

mod evaluator;

const OLD: &str = "111111111111";
const NEW: &str = "222222222222";

fn account(id: &str) -> AccountId {
    AccountId::try_from(id.to_owned()).expect("twelve digits")
}

fn map() -> IdentifierMap {
    IdentifierMap::of_accounts(&account(OLD), &account(NEW)).expect("a map of two accounts")
}

/// Tokens are in order and apart, and stand where they are said to stand.
pub fn references_scan(bytes: &[u8]) {
    let Ok(text) = text_of(bytes) else { return };
    let map = map();
    for form in [Form::Policy(None), Form::Config] {
        let Ok(tokens) = scan(text, form, &map) else {
            continue;
        };
        assert!(
            tokens.is_sorted_by(|one, other| one.span.end <= other.span.start),
            "tokens overlap"
        );
        for token in &tokens {
            check(token, text);
        }
    }
    let _ = other_accounts(text, &map);
    let _ = shutout(text, &account(OLD));
    assert_eq!(canonical_digest_of(text), canonical_digest_of(text));
    assert!(same_document(text, text));
}

fn check(token: &Token, text: &str) {
    let written = text.get(token.span.clone()).expect("a span of the document");
    if token.disposition == Disposition::Rewrite {
        assert_eq!(written, token.old, "a token that is rewritten is written plainly");
        let longer = |side: Option<char>| side.is_some_and(|side| side.is_ascii_digit());
        let before = text
            .get(..token.span.start)
            .and_then(|before| before.chars().next_back());
        let after = text.get(token.span.end..).and_then(|after| after.chars().next());
        // `%31` before it is a digit that is written as three characters, the last of which is one as well.
        let plain = !token.encoding.contains(&Encoding::Url) && !text.contains(['%', '\\']);
        assert!(
            !(longer(after) || (plain && longer(before))),
            "part of a longer number"
        );
    }
}

/// What is rewritten is what the edits make, holds no token of the old account, and allows what it should.
pub fn references_rewrite(bytes: &[u8]) {
    let Ok(text) = text_of(bytes) else { return };
    let map = map();
    for form in [Form::Policy(None), Form::Config] {
        for mode in [Mode::Swap, Mode::Expand] {
            let Ok(done) = rewrite(text, form, &map, mode) else {
                continue;
            };
            assert_eq!(
                applied(text, &done.edits),
                done.after,
                "the edits make the result"
            );
            if mode == Mode::Swap {
                let left = scan(&done.after, form, &map).expect("the result can be read");
                assert!(
                    left.iter()
                        .all(|token| matches!(token.disposition, Disposition::Keep(_))),
                    "a token is left: {left:?}"
                );
            }
            if let Form::Policy(_) = form {
                evaluator::compare(text, &done.after, mode);
            }
        }
    }
}

/// Two documents with a zero byte between them: whatever the second is, if it is proven it allows no more.
pub fn references_prove(bytes: &[u8]) {
    let Ok(text) = text_of(bytes) else { return };
    let Some((before, after)) = text.split_once('\0') else {
        return;
    };
    let map = map();
    for (mode, edits) in [
        (Mode::Expand, insertions(before, after)),
        (Mode::Swap, replacements(before, after)),
    ] {
        if prove(before, after, Form::Policy(None), &map, mode, &edits).is_ok() {
            evaluator::compare(before, after, mode);
        }
    }
}

fn applied(text: &str, edits: &[Edit]) -> String {
    let mut after = String::new();
    let mut from = 0;
    for edit in edits {
        after.push_str(text.get(from..edit.span.start).expect("edits in order"));
        after.push_str(&edit.text);
        from = edit.span.end;
    }
    after.push_str(text.get(from..).expect("edits within the text"));
    after
}

/// What has to be put into one text to get the other, if nothing has to be taken out.
fn insertions(before: &str, after: &str) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut rest = before.char_indices().peekable();
    for character in after.chars() {
        let at = match rest.peek() {
            Some((_, next)) if *next == character => {
                rest.next();
                continue;
            }
            Some((at, _)) => *at,
            None => before.len(),
        };
        match edits.last_mut().filter(|edit| edit.span.start == at) {
            Some(edit) => edit.text.push(character),
            None => edits.push(Edit {
                span: at..at,
                text: character.to_string(),
            }),
        }
    }
    edits
}

/// The places where one text has the old account and the other the new one.
fn replacements(before: &str, after: &str) -> Vec<Edit> {
    before
        .match_indices(OLD)
        .filter(|(start, _)| after.get(*start..start + OLD.len()) == Some(NEW))
        .map(|(start, _)| Edit {
            span: start..start + OLD.len(),
            text: NEW.to_owned(),
        })
        .collect()
}
