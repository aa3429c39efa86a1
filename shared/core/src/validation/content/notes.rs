//! Ransom notes, by name and by text.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use aho_corasick::packed::Searcher;

use super::formats::file_name;
use super::{Finding, shown};
use crate::validation::Verdict;

/// How much of an object's beginning is read as text. Notes are short.
pub(super) const HEAD: usize = 16 * 1024;

/// Fragments of names that notes carry and other files rarely do, with `_`, `-` and spaces left out.
const NAMES: &[&str] = &[
    "howtodecrypt",
    "howtorecover",
    "howtorestore",
    "howtobackfiles",
    "decryptinstruction",
    "decryptmyfiles",
    "decryptfiles",
    "recoverfiles",
    "recoveryourfiles",
    "restoremyfiles",
    "restorefiles",
    "recoveryinstruction",
    "readmefordecrypt",
    "readmetodecrypt",
    "readmetorestore",
    "yourfilesareencrypted",
    "filesencrypted",
    "ransomnote",
    "helpdecrypt",
    "unlockfiles",
];

/// What a note talks about: each line is one subject, in lower case.
const SUBJECTS: &[&[&str]] = &[
    &[
        "files are encrypted",
        "files have been encrypted",
        "files were encrypted",
        "data has been encrypted",
        "data is encrypted",
        "data are stolen and encrypted",
        "network has been encrypted",
        "files are locked",
        "been stolen and encrypted",
        "your data has been deleted",
        "data is backed up by us",
        "database has been deleted",
    ],
    &[
        "decrypt",
        "recover your",
        "restore your",
        "get your files back",
        "recover the data",
        "return your data",
    ],
    &[
        "bitcoin",
        " btc",
        "monero",
        " xmr",
        "cryptocurrency",
        "ransom",
        "you must pay",
        "you need to pay",
        "payment",
    ],
    &[
        ".onion",
        "tor browser",
        "torproject",
        "protonmail",
        "tutanota",
        "onionmail",
        "qtox",
        "tox id",
        "session messenger",
    ],
    &[
        "do not rename",
        "don't rename",
        "do not try to decrypt",
        "do not modify",
        "permanently lost",
        "will be published",
        "will be leaked",
        "personal id",
        "private key",
    ],
];

/// Looks for a note. The name alone is a doubt, the text alone must speak of three subjects: that something is
/// locked, money or a way to write, and one more.
pub(super) fn judge(key: &str, head: &[u8]) -> Option<Finding> {
    let text = readable(head);
    let by_name = is_note_name(key);
    if !by_name && !may_say_locked(&text) {
        return None;
    }
    let subjects = subjects(&text);
    let says = subjects.iter().filter(|said| **said).count();
    let [locked, _, money, contact, _] = subjects;
    if (locked && (money || contact) && says >= 3) || (by_name && says >= 2) {
        Some(Finding::new(
            Verdict::Tainted,
            "it reads like a ransom note".to_owned(),
        ))
    } else if by_name {
        Some(Finding::new(
            Verdict::Unknown,
            format!("it is named like a ransom note: `{}`", shown(file_name(key))),
        ))
    } else {
        None
    }
}

fn is_note_name(key: &str) -> bool {
    let name: Vec<u8> = file_name(key)
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    NOTE_NAMES.is_match(&name)
}

/// An automaton of some of the fixed strings above.
#[expect(
    clippy::expect_used,
    reason = "fixed strings, far below what an automaton can hold; every test of a note builds them"
)]
fn automaton<'a>(strings: impl Iterator<Item = &'a str>) -> AhoCorasick {
    AhoCorasick::new(strings).expect("an automaton of fixed strings")
}

static NOTE_NAMES: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(NAMES.iter().copied()));

/// All phrases in one pass, and the subject of each.
static PHRASES: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
    let phrases = || {
        let numbered = SUBJECTS.iter().enumerate();
        numbered.flat_map(|(subject, phrases)| phrases.iter().map(move |phrase| (subject, *phrase)))
    };
    (
        automaton(phrases().map(|(_, phrase)| phrase)),
        phrases().map(|(subject, _)| subject).collect(),
    )
});

/// The phrases of the first subject, many bytes at a time, on processors that can do so.
static LOCKED: LazyLock<Option<Searcher>> =
    LazyLock::new(|| SUBJECTS.first().and_then(|phrases| Searcher::new(*phrases)));

/// Whether it may say that something is locked. Hardly any text does, and only such a text needs a closer look.
fn may_say_locked(text: &[u8]) -> bool {
    LOCKED.as_ref().is_none_or(|locked| locked.find(text).is_some())
}

/// The text at the beginning of an object, in lower case and without zero bytes: UTF-16 becomes ASCII.
fn readable(head: &[u8]) -> Vec<u8> {
    let head = head.get(..HEAD).unwrap_or(head);
    let mut text = Vec::with_capacity(head.len());
    match memchr::memchr(0, head) {
        None => text.extend(head.iter().map(u8::to_ascii_lowercase)),
        Some(_) => {
            let (words, rest) = head.as_chunks::<8>();
            for word in words {
                // Eight at once: the bytes of pictures and programs come this way, too.
                if word.iter().fold(false, |zero, byte| zero | (*byte == 0)) {
                    let mut kept = [0; 8];
                    let mut count = 0;
                    for byte in word {
                        if let Some(slot) = kept.get_mut(count) {
                            *slot = *byte;
                        }
                        count += usize::from(*byte != 0);
                    }
                    text.extend_from_slice(kept.get(..count).unwrap_or_default());
                } else {
                    text.extend_from_slice(word);
                }
            }
            text.extend(rest.iter().filter(|byte| **byte != 0));
            text.make_ascii_lowercase();
        }
    }
    text
}

/// Which subjects a text in lower case speaks of.
fn subjects(text: &[u8]) -> [bool; 5] {
    let (automaton, subjects) = &*PHRASES;
    let mut said = [false; 5];
    // One phrase can lie within another of a different subject.
    for found in automaton.find_overlapping_iter(text) {
        let subject = subjects.get(found.pattern().as_usize());
        if let Some(said) = subject.and_then(|subject| said.get_mut(*subject)) {
            *said = true;
        }
        if said == [true; 5] {
            break;
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "All your files have been encrypted! To decrypt them you must pay 2 BTC. \
        Download Tor Browser. Do not rename encrypted files.";

    #[test]
    fn a_note_is_known_by_its_text_whatever_its_name() {
        let verdict = |key: &str, text: &[u8]| judge(key, text).map(|finding| finding.verdict);
        assert_eq!(verdict("x.txt", NOTE.as_bytes()), Some(Verdict::Tainted));
        let wide: Vec<u8> = NOTE.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(verdict("x.txt", &wide), Some(Verdict::Tainted));
        assert_eq!(
            verdict("a/HOW_TO-DECRYPT.txt", b"write to us"),
            Some(Verdict::Unknown)
        );
        assert_eq!(
            verdict("a/HOW_TO-DECRYPT.txt", b"to decrypt, mail recover@onionmail.org"),
            Some(Verdict::Tainted)
        );
    }

    #[test]
    fn a_phrase_within_a_phrase_counts_for_both_subjects() {
        let said = |text: &[u8]| subjects(&readable(text));
        assert_eq!(said(b"Do NOT try to decrypt"), [false, true, false, false, true]);
        let late = [" ".repeat(HEAD).as_bytes(), b"bitcoin"].concat();
        assert_eq!(said(&late), [false; 5]);
    }

    /// What `judge` says without the first, quick look.
    fn judged_closely(key: &str, head: &[u8]) -> bool {
        let text: Vec<u8> = head
            .iter()
            .copied()
            .take(HEAD)
            .filter(|byte| *byte != 0)
            .collect();
        let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
        let said = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        let subjects: Vec<bool> = SUBJECTS.iter().map(|phrases| said(phrases)).collect();
        let says = subjects.iter().filter(|said| **said).count();
        (subjects[0] && (subjects[2] || subjects[3]) && says >= 3) || (is_note_name(key) && says >= 2)
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

        /// Whatever stands around the phrases, at whatever offset and in whatever width, none is missed.
        #[test]
        fn the_quick_look_misses_nothing(
            phrases in proptest::collection::vec((0_usize..5, 0_usize..12, 0_usize..300), 0..6),
            wide in proptest::prelude::any::<bool>(),
            upper in proptest::prelude::any::<bool>(),
            before in 0_usize..HEAD,
            named in proptest::prelude::any::<bool>(),
        ) {
            let mut text = " ".repeat(before / if wide { 2 } else { 1 });
            for (subject, phrase, gap) in phrases {
                let known = SUBJECTS[subject];
                text.push_str(known[phrase % known.len()]);
                text.push_str(&".".repeat(gap));
            }
            if upper {
                text.make_ascii_uppercase();
            }
            let bytes: Vec<u8> = match wide {
                true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                false => text.into_bytes(),
            };
            let key = if named { "a/How to decrypt.txt" } else { "a/b.bin" };
            let tainted = judge(key, &bytes).is_some_and(|finding| finding.verdict == Verdict::Tainted);
            proptest::prop_assert_eq!(tainted, judged_closely(key, &bytes));
        }
    }

    #[test]
    fn ordinary_texts_are_no_notes() {
        for (key, text) in [
            (
                "README.md",
                "How to decrypt backups: use your private key. Payment by invoice.",
            ),
            ("orders.csv", "id,payment,total\n1,bitcoin,12.50\n2,card,13.00\n"),
            (
                "howto.rs",
                "The session data is encrypted. Only who holds the private key can decrypt it.",
            ),
            (
                "policy.txt",
                "All files are encrypted at rest. See the runbook to recover your account.",
            ),
        ] {
            assert_eq!(judge(key, text.as_bytes()), None, "{key}");
        }
    }
}
