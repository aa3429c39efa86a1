//! Ransom notes, by name and by text.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

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
    let subjects = subjects(head);
    let by_name = is_note_name(key);
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
    let name: String = file_name(key)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    NAMES.iter().any(|fragment| name.contains(fragment))
}

/// All phrases in one pass, and the subject of each.
static PHRASES: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
    let phrases: Vec<(usize, &str)> = SUBJECTS
        .iter()
        .enumerate()
        .flat_map(|(subject, phrases)| phrases.iter().map(move |phrase| (subject, *phrase)))
        .collect();
    #[expect(
        clippy::expect_used,
        reason = "fixed phrases, far below what an automaton can hold; every test of a note builds it"
    )]
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(phrases.iter().map(|(_, phrase)| phrase))
        .expect("an automaton of fixed phrases");
    (
        automaton,
        phrases.into_iter().map(|(subject, _)| subject).collect(),
    )
});

fn subjects(head: &[u8]) -> [bool; 5] {
    let head = head.get(..HEAD).unwrap_or(head);
    // UTF-16 notes become ASCII when their zero bytes are left out.
    let text: Cow<'_, [u8]> = match memchr::memchr(0, head) {
        None => head.into(),
        Some(_) => head.iter().copied().filter(|byte| *byte != 0).collect(),
    };
    let (automaton, subjects) = &*PHRASES;
    let mut said = [false; 5];
    // One phrase can lie within another of a different subject.
    for found in automaton.find_overlapping_iter(&*text) {
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
        assert_eq!(
            subjects(b"Do NOT try to decrypt"),
            [false, true, false, false, true]
        );
        let late = [" ".repeat(HEAD).as_bytes(), b"bitcoin"].concat();
        assert_eq!(subjects(&late), [false; 5]);
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
