use super::*;
use crate::validation::testing::random_bytes;

fn verdict(key: &str, bytes: &[u8]) -> Verdict {
    scan(key, bytes)
        .findings
        .iter()
        .map(|finding| finding.verdict)
        .max()
        .unwrap_or(Verdict::Clean)
}

fn scan(key: &str, bytes: &[u8]) -> ObjectFacts {
    let mut scanner = ObjectScanner::new(key);
    for chunk in bytes.chunks(1000) {
        scanner.update(chunk);
    }
    scanner.finish()
}

fn text(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|i: u32| format!("{i};Ada Lovelace;{}.50;shipped\n", i * 7 % 1000).into_bytes())
        .take(length)
        .collect()
}

/// Every other 16 KiB replaced, as intermittent encryption does.
fn striped(mut bytes: Vec<u8>) -> Vec<u8> {
    for (i, stripe) in bytes.chunks_mut(16 * 1024).enumerate() {
        if i % 2 == 0 {
            let noise = random_bytes(i as u64, stripe.len());
            stripe.copy_from_slice(&noise);
        }
    }
    bytes
}

#[test]
fn whole_and_striped_encryption_of_text_is_tainted() {
    assert_eq!(verdict("a/orders.csv", &text(200_000)), Verdict::Clean);
    assert_eq!(
        verdict("a/orders.csv", &random_bytes(1, 200_000)),
        Verdict::Tainted
    );
    assert_eq!(verdict("a/orders.csv", &striped(text(200_000))), Verdict::Tainted);
    let mut late = text(200_000);
    late.extend(random_bytes(3, 8191));
    assert_eq!(verdict("a/orders.csv", &late), Verdict::Tainted);
    // The smallest that can still be told from text in another alphabet.
    assert_eq!(verdict("small.json", &random_bytes(4, 160)), Verdict::Tainted);
    assert_eq!(
        verdict("small.csv", "ÆØÅ ædåø €".repeat(12).as_bytes()),
        Verdict::Clean
    );
}

#[test]
fn encryption_behind_a_name_that_promises_a_format_is_tainted() {
    for key in ["scan.pdf", "photo.jpg", "report.docx", "dump.tar", "x.parquet"] {
        assert_eq!(verdict(key, &random_bytes(5, 50_000)), Verdict::Tainted, "{key}");
    }
    for key in ["scan.pdf.k2x9", "orders.csv.lockbit", "x.akira"] {
        assert_eq!(verdict(key, &random_bytes(6, 50_000)), Verdict::Tainted, "{key}");
    }
}

#[test]
fn dense_formats_are_not_flagged() {
    let dense = |begin: &[u8], end: &[u8]| [begin, &random_bytes(7, 60_000), end].concat();
    for (key, bytes) in [
        ("a.gz", dense(b"\x1f\x8b\x08", &300_000_u32.to_le_bytes())),
        ("a.zip", dense(b"PK\x03\x04", b"PK\x05\x06\0\0")),
        ("a.docx", dense(b"PK\x03\x04", b"PK\x05\x06\0\0")),
        ("a.pdf", dense(b"%PDF-1.7\n", b"startxref\n12\n%%EOF\n")),
        ("a.png", dense(b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82")),
        ("a.jpg", dense(b"\xff\xd8\xff\xe0", b"\xff\xd9")),
        ("a.zst", dense(b"\x28\xb5\x2f\xfd", b"")),
        ("a.der", dense(b"\x30\x82\x04\xbe", b"")),
        ("a.mp4", dense(b"\0\0\0\x18ftypisom", b"")),
        (
            "wrong-name.txt",
            dense(b"\x1f\x8b\x08", &300_000_u32.to_le_bytes()),
        ),
    ] {
        assert_eq!(verdict(key, &bytes), Verdict::Clean, "{key}");
    }
}

#[test]
fn what_cannot_be_told_is_unknown() {
    assert_eq!(verdict("blob", &random_bytes(8, 50_000)), Verdict::Unknown);
    assert_eq!(
        verdict("dump.sql.gpg", &random_bytes(9, 50_000)),
        Verdict::Unknown
    );
    assert_eq!(verdict("app.js.br", &random_bytes(9, 50_000)), Verdict::Unknown);
    let cut_off = [b"%PDF-1.7\n".as_slice(), &random_bytes(10, 50_000)].concat();
    assert_eq!(verdict("a.pdf", &cut_off), Verdict::Unknown);
    let damaged = [text(3000), vec![0; 3000], text(3000)].concat();
    assert_eq!(verdict("a.csv", &damaged), Verdict::Unknown);
}

#[test]
fn wiped_test_and_empty_files() {
    assert_eq!(verdict("a.docx", &[0; 5000]), Verdict::Tainted);
    // Text may be empty, and so may what promises nothing; a document that was a file of its format may not.
    for key in ["a.txt", "__init__.py", "folder/", "marker"] {
        assert_eq!(verdict(key, b""), Verdict::Clean, "{key}");
    }
    for key in ["a.docx", "scan.PDF", "x/y.parquet"] {
        assert_eq!(verdict(key, b""), Verdict::Unknown, "{key}");
    }
    let eicar = format!(
        r"X5O!P%@AP[4\PZX54(P^)7CC)7}}$EICAR-{}",
        "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    );
    assert_eq!(eicar.len(), 68);
    assert_eq!(verdict("a.com", eicar.as_bytes()), Verdict::Tainted);
}

#[test]
fn an_archive_that_says_it_unpacks_to_far_more_than_a_backup_holds_is_a_doubt() {
    let gzip = |claimed: u32, stored: usize| {
        [
            b"\x1f\x8b\x08".as_slice(),
            &random_bytes(1, stored),
            &claimed.to_le_bytes(),
        ]
        .concat()
    };
    assert_eq!(verdict("a.gz", &gzip(3 << 30, 40_000)), Verdict::Unknown);
    assert_eq!(verdict("a.log.gz", &gzip(900 << 20, 40_000)), Verdict::Clean);

    let entry = |size: u32| {
        let mut entry = vec![0; 46];
        entry[..4].copy_from_slice(b"PK\x01\x02");
        entry[24..28].copy_from_slice(&size.to_le_bytes());
        entry
    };
    let zip = |entries: usize, size: u32| {
        let mut bytes = [b"PK\x03\x04".as_slice(), &random_bytes(2, 40_000)].concat();
        bytes.extend((0..entries).flat_map(|_| entry(size)));
        bytes.extend(b"PK\x05\x06");
        bytes.extend([0; 18]);
        bytes
    };
    assert_eq!(verdict("a.zip", &zip(16, 4_294_967_295)), Verdict::Unknown);
    assert_eq!(verdict("a.zip", &zip(16, 20_000)), Verdict::Clean);
}

#[test]
fn text_in_utf16_is_text() {
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(text(9000).into_iter().flat_map(|b| [b, 0]))
        .collect();
    assert_eq!(verdict("a.txt", &wide), Verdict::Clean);
}

#[test]
fn the_entry_is_the_digest_of_all_bytes() {
    let bytes = text(10_000);
    let facts = scan("a.csv", &bytes);
    assert_eq!(facts.entry.sha256, Digest::of(&bytes));
    assert_eq!(facts.entry.bytes, 10_000);
}

/// An ending counts only at the end, and is seen however long the object is and however it arrives.
#[test]
fn the_end_is_seen_at_every_length_around_the_head() {
    let whole = |length: usize| [b"%PDF-1.7\n".as_slice(), &vec![b' '; length], b"%%EOF\n"].concat();
    let lengths = [
        0, 100, 1010, 1100, 16_300, 16_384, 16_390, 17_400, 32_700, 32_800, 60_000,
    ];
    for length in lengths {
        for piece in [7, 999, 16_384, 16_385, 100_000] {
            let said = |bytes: &[u8]| {
                let mut scanner = ObjectScanner::new("a.pdf");
                bytes.chunks(piece).for_each(|chunk| scanner.update(chunk));
                scanner.finish().findings.len()
            };
            let bytes = whole(length);
            assert_eq!(said(&bytes), 0, "{length} in pieces of {piece}");
            assert_eq!(
                said(&bytes[..bytes.len() - 6]),
                1,
                "{length} in pieces of {piece}"
            );
            let early = [&bytes, vec![b' '; 2000].as_slice()].concat();
            assert_eq!(said(&early), 1, "{length} in pieces of {piece}");
        }
    }
}
