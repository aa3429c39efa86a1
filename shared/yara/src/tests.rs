use blackstart_core::artifact::Digest;
use blackstart_core::validation::reuse::LAYERS_VERSION;
use proptest::prelude::*;

use super::*;

mod filter;

fn starter() -> Rules {
    Rules::compile([]).unwrap()
}

fn names(found: &[Finding]) -> String {
    found
        .iter()
        .map(|finding| finding.what.as_str())
        .collect::<Vec<_>>()
        .join(" | ")
}

/// As an object that arrives in pieces of `piece` bytes.
fn streamed(rules: &Rules, bytes: &[u8], piece: usize) -> Vec<Finding> {
    let mut scan = rules.begin();
    for chunk in bytes.chunks(piece) {
        scan.update(chunk);
    }
    scan.finish()
}

/// In two parts, so that no scanner takes this file for the test file.
fn eicar() -> Vec<u8> {
    [
        br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-".as_slice(),
        b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
    ]
    .concat()
}

#[test]
fn the_starter_set_knows_the_test_file_notes_and_families() {
    let rules = starter();
    for (text, rule) in [
        (eicar(), "eicar_test_file"),
        (
            b"Your files are encrypted! Send 2 BTC and you get the decryption key.".to_vec(),
            "note_payment_for_keys",
        ),
        (
            format!("Stolen data is at {}.onion, use Tor Browser", "a2".repeat(28)).into_bytes(),
            "note_hidden_service_contact",
        ),
        (
            b"All your data is backed up by us, pay 0.05 BTC".to_vec(),
            "note_deleted_database",
        ),
        (b"WANACRY!\0\x01\0\0".to_vec(), "family_wannacry"),
        (
            "LockBit 3.0 the world's fastest and most stable"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            "family_lockbit",
        ),
        (
            b"vssadmin.exe delete shadows /all /quiet\nwmic shadowcopy delete".to_vec(),
            "tool_shadow_copies_deleted",
        ),
    ] {
        let found = rules.scan(&text);
        assert!(
            names(&found).contains(&format!("`{rule}` (starter set) matches: ")),
            "{rule}: {found:?}"
        );
        assert!(found.iter().all(|finding| finding.verdict == Verdict::Tainted));
    }
}

#[test]
fn ordinary_texts_match_nothing() {
    let rules = starter();
    for text in [
        "All files are encrypted at rest. Keep your private key in the vault; payment is by invoice.",
        "bitcoin: send and receive payments. The wallet file is encrypted with the private key.",
        "vssadmin list shadows",
        "x WANACRY! in the middle of a report about 2017",
        "",
    ] {
        assert_eq!(rules.scan(text.as_bytes()), [], "{text}");
    }
}

#[test]
fn a_large_object_is_seen_to_its_end_and_across_every_seam() {
    let rules = starter();
    let length = WHOLE + 3 * (1 << 20) + 4321;
    for place in [
        0,
        WHOLE - 30,
        WHOLE + (1 << 20) - 1,
        WHOLE + (2 << 20) - 67,
        length - 68,
    ] {
        let mut bytes = vec![b'.'; length];
        bytes[place..place + 68].copy_from_slice(&eicar());
        let found = streamed(&rules, &bytes, 70_001);
        assert_eq!(found.len(), 1, "at {place}");
        assert!(found[0].what.contains("eicar"), "at {place}");
    }
    assert_eq!(streamed(&rules, &vec![b'.'; length], 1 << 20), []);
}

#[test]
fn strings_far_apart_in_a_large_object_belong_to_one_rule() {
    let rule = r#"rule apart { strings: $a = "first half" $b = "second half" condition: $a at 3 and $b and uint16(0) == 0x5a4d }"#;
    let rules = Rules::compile([("own.yar", rule)]).unwrap();
    let mut bytes = vec![b'.'; WHOLE * 2];
    bytes[..13].copy_from_slice(b"MZ.first half");
    bytes[WHOLE * 2 - 11..].copy_from_slice(b"second half");
    let found = streamed(&rules, &bytes, 100_000);
    assert!(names(&found).contains("`apart` (own.yar)"), "{found:?}");
}

#[test]
fn a_rule_can_say_that_its_match_is_a_doubt() {
    let rule = r#"rule macro { meta: verdict = "unknown" strings: $a = "AutoOpen" condition: $a }"#;
    let rules = Rules::compile([("own.yar", rule)]).unwrap();
    assert_eq!(rules.scan(b"Sub AutoOpen()")[0].verdict, Verdict::Unknown);
}

#[test]
fn every_rule_that_does_not_compile_is_told_with_its_line() {
    let text = "rule fine { condition: true }\n\nrule one {\n  strings:\n    $a = \"x\"\n  condition:\n    $b\n}\nrule two {\n  condition:\n    nothing == 1\n}\nrule three {\n  strings: $a = /(/\n  condition: $a\n}\n";
    let problems = Rules::compile([("a.yar", text), ("b.yar", "include \"other.yar\"")]).unwrap_err();
    let told: Vec<(&str, usize)> = problems.iter().map(|p| (p.file.as_str(), p.line)).collect();
    assert_eq!(
        told,
        [("a.yar", 7), ("a.yar", 11), ("a.yar", 14), ("b.yar", 1)],
        "{problems:#?}"
    );
    assert!(problems.iter().all(|problem| !problem.what.is_empty()));
    assert!(
        problems[0].to_string().starts_with("a.yar:7: "),
        "{}",
        problems[0]
    );
}

#[test]
fn a_file_that_is_no_rules_at_all_is_a_problem() {
    for text in ["rule", "}{", "rule x { condition: ", "\u{0}\u{202e}"] {
        assert!(
            !Rules::compile([("bad.yar", text)]).unwrap_err().is_empty(),
            "{text:?}"
        );
    }
}

#[test]
fn rules_that_break_off_are_a_doubt_beside_what_they_found() {
    let rules = starter();
    let scanner = &rules.compiled.all;
    let Ok(found) = scanner.scan_mem(&eicar()) else {
        panic!("the scan ends");
    };
    let said = Answer(scanner).findings(&Err((ScanError::Timeout, found)));
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[1].verdict, Verdict::Unknown);
    assert!(
        said[1]
            .what
            .starts_with("the YARA rules did not come to an end: ")
    );
}

/// Fails when the rules change: then `LAYERS_VERSION` needs to grow, or verdicts without the new rules are reused.
#[test]
fn verdicts_are_not_reused_across_versions_of_the_starter_set() {
    let known = (LAYERS_VERSION, Digest::of(STARTER.as_bytes()).short().to_owned());
    assert_eq!(known, (6, "62514389141b".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the pieces, the same answer as on the whole.
    #[test]
    fn how_the_bytes_arrive_changes_nothing(
        place in 0_usize..9_000,
        piece in 1_usize..5_000,
    ) {
        let rules = starter();
        let mut bytes = vec![b' '; 10_000];
        bytes[place..place + 68].copy_from_slice(&eicar());
        prop_assert_eq!(streamed(&rules, &bytes, piece), rules.scan(&bytes));
    }
}
