//! Rules behind the search for their literals, beside the same rules applied to everything.

use std::path::{Path, PathBuf};

use super::*;

/// Strings of every kind, each with something that it finds.
const STRINGS: [(&str, &[u8]); 14] = [
    ("\"decryption key\" nocase", b"Decryption Key"),
    ("\"Royal House\"", b"Royal House"),
    ("\"LockBit Black\" nocase wide ascii", b"lockbit black"),
    ("\"recovery\" fullword", b"recovery"),
    (
        "\"monero wallet\" wide",
        b"m\0o\0n\0e\0r\0o\0 \0w\0a\0l\0l\0e\0t\0",
    ),
    (
        "\"hidden text\" xor",
        b"\x69\x68\x65\x65\x64\x6f\x21\x75\x64\x79\x75",
    ),
    ("\"hidden text\" base64", b"aGlkZGVuIHRleHQ"),
    ("{ 57 41 4E 41 [2-4] 43 ?? 59 }", b"WANA...CrY"),
    ("{ ( 41 42 43 44 | 45 46 47 48 ) 49 }", b"EFGHI"),
    ("{ 00 01 02 03 FF FE }", b"\0\x01\x02\x03\xff\xfe"),
    (
        r"/vssadmin(\.exe)? +delete +shadows/ nocase wide ascii",
        b"VSSadmin  delete shadows",
    ),
    (r"/(bitcoin|btc)s? [0-9]{1,3}/", b"bitcoins 12"),
    (r"/[a-z2-7]{16}\.onion/ nocase", b"abcdefghijklmnop.ONION"),
    ("\"MZ\"", b"MZ"),
];

const CONDITIONS: [&str; 16] = [
    "$a",
    "$a and $b",
    "$a or ($b and $c)",
    "any of them",
    "2 of them",
    "all of them",
    "not $a",
    "none of them",
    "$a at 0",
    "$b in (0..100)",
    "#a > 1",
    "any of ($a, $b) and not $c",
    "for any of them : ( # > 1 )",
    "filesize < 50 and $c",
    "1 of ($a, $a) or 2 of ($b, $c)",
    "50% of them",
];

/// Bytes with what strings look for, in several guises, at arbitrary places.
fn bytes(places: &[(usize, usize, usize)], filler: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (string, guise, gap) in places {
        bytes.extend(std::iter::repeat_n(filler, *gap));
        let (_, found) = STRINGS[*string];
        let wide = || found.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>();
        match guise {
            0 => bytes.extend(found),
            1 => bytes.extend(found.to_ascii_uppercase()),
            2 => bytes.extend(wide()),
            3 => bytes.extend(wide().to_ascii_uppercase()),
            _ => bytes.extend(&found[1..]),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the rules and the bytes, leaving rules out changes no answer.
    #[test]
    fn leaving_rules_out_changes_nothing(
        strings in prop::collection::vec((0..STRINGS.len(), 0..STRINGS.len(), 0..STRINGS.len(), 0..CONDITIONS.len()), 1..4),
        places in prop::collection::vec((0..STRINGS.len(), 0_usize..5, 0_usize..60), 0..5),
        filler in prop::sample::select(vec![b' ', b'a', 0, 0xff]),
    ) {
        let rules: Vec<String> = strings
            .iter()
            .enumerate()
            .map(|(i, (a, b, c, condition))| {
                let (a, b, c) = (STRINGS[*a].0, STRINGS[*b].0, STRINGS[*c].0);
                // Every string is used, as the compiler asks.
                let condition = CONDITIONS[*condition];
                format!("rule r{i} {{ strings: $a = {a} $b = {b} $c = {c} condition: ({condition}) and #a + #b + #c >= 0 }}")
            })
            .collect();
        let files: Vec<(&str, &str)> = rules.iter().map(|rule| ("own.yar", rule.as_str())).collect();
        let apart: Vec<String> = (0..files.len()).map(|i| format!("{i}.yar")).collect();
        let apart: Vec<(&str, &str)> = apart.iter().zip(&files).map(|(name, (_, text))| (name.as_str(), *text)).collect();
        let bytes = bytes(&places, filler);
        for files in [&files, &apart] {
            let rules = Rules::of(files).unwrap();
            prop_assert_eq!(rules.scan(&bytes), rules.scan_unfiltered(&bytes));
        }
    }

    /// The same of the starter set, with the words of its own rules in any order.
    #[test]
    fn the_starter_set_says_the_same_of_any_words(
        words in prop::collection::vec((0_usize..400, any::<bool>(), 0_usize..40), 0..12),
    ) {
        let quoted: Vec<&str> = STARTER.split('"').skip(1).step_by(2).collect();
        let mut bytes = Vec::new();
        for (word, wide, gap) in words {
            let word = quoted[word % quoted.len()];
            bytes.extend(std::iter::repeat_n(b'.', gap));
            if wide {
                bytes.extend(word.encode_utf16().flat_map(u16::to_le_bytes));
            } else {
                bytes.extend(word.as_bytes());
            }
        }
        bytes.extend(b" 0.5 BTC send bitcoin");
        let rules = starter();
        prop_assert_eq!(rules.scan(&bytes), rules.scan_unfiltered(&bytes));
    }
}

#[test]
fn a_hit_is_seen_at_every_offset() {
    let rules = starter();
    let wide: Vec<u8> = "currently encrypted by CONTI"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let hits = [eicar(), b"CURRENTLY encrypted by conti".to_vec(), wide];
    // Around the seams of the search, at the first byte and at the last, and in what is no longer than the hit.
    for hit in &hits {
        for length in [
            hit.len(),
            hit.len() + 1,
            100 + hit.len(),
            (16 << 10) + 300,
            (32 << 10) + 300,
        ] {
            let last = length - hit.len();
            let near = |seam: usize| seam.saturating_sub(hit.len() + 30)..seam + 40;
            let places = (0..40)
                .chain(near(16 << 10))
                .chain(near(32 << 10))
                .chain(last.saturating_sub(40)..=last)
                .filter(|place| *place <= last);
            for place in places {
                let mut bytes = vec![b'.'; length];
                bytes[place..place + hit.len()].copy_from_slice(hit);
                assert_eq!(rules.scan(&bytes).len(), 1, "{length} bytes, hit at {place}");
            }
        }
    }
}

/// Texts, programs, pictures and logs of this repository.
#[test]
fn real_files_give_the_same_answer() {
    let rules = starter();
    let mut files = Vec::new();
    for folder in ["infra", "shared/yara", "shared/core/src/validation", "tests/data"] {
        below(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder),
            &mut files,
        );
    }
    let mut seen = 0;
    let mut found = 0;
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        if bytes.len() > 100_000 || seen > 4_000_000 {
            continue;
        }
        seen += bytes.len();
        let answer = rules.scan_unfiltered(&bytes);
        assert_eq!(rules.scan(&bytes), answer, "{}", path.display());
        found += answer.len();
    }
    assert!(seen > 1_000_000, "{seen} bytes");
    assert!(found > 0, "the rules themselves match");
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        if entry.file_type().unwrap().is_dir() {
            below(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}
