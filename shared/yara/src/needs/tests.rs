use super::*;

const STRINGS: &str = r#"
    $rare = "Zyxwv Quark" nocase
    $long = "your files are encrypted"
    $wide = "LockBit Black" wide
    $both = "Akira" wide ascii nocase
    $short = "MZ"
    $xor = "hidden text" xor
    $base64 = "hidden text" base64
    $hex = { 57 41 4E 41 [2-4] 43 ?? 52 59 50 54 21 }
    $branches = { ( 41 42 43 44 | 45 46 47 48 ) 49 }
    $masked = { 4? 41 ?? 42 }
    $word = /vssadmin(\.exe)? +delete/ nocase
    $either = /(bitcoin|monero)s?/
    $onion = /[a-z2-7]{56}\.onion/
    $maybe = /(optional)?x/
    $letters = /[a-z]+/
"#;

fn needed(condition: &str) -> Option<Vec<String>> {
    // All strings are named, so that every one of them may stand in a rule that does not use it.
    let rule =
        format!("rule r {{ strings: {STRINGS} condition: ({condition}) or (for all of them : (# > 99)) }}");
    let file = boreal_parser::parse(&rule).unwrap();
    let YaraFileComponent::Rule(rule) = &file.components[0] else {
        panic!("no rule");
    };
    let ExpressionKind::Or(parts) = &rule.condition.expr else {
        panic!("no condition");
    };
    let clause = Scope::of(rule).need(&parts[0])?;
    Some(
        clause
            .iter()
            .map(|literal| String::from_utf8_lossy(literal).into_owned())
            .collect(),
    )
}

fn all(literals: &[&str]) -> Option<Vec<String>> {
    Some(literals.iter().map(|literal| (*literal).to_owned()).collect())
}

#[test]
fn a_string_needs_a_part_of_itself_in_lower_case() {
    assert_eq!(needed("$rare"), all(&["zyxwv quark"]));
    assert_eq!(needed("$rare at 0"), all(&["zyxwv quark"]));
    assert_eq!(needed("$rare in (0..filesize)"), all(&["zyxwv quark"]));
    let [part] = needed("$long").unwrap().try_into().unwrap();
    assert!("your files are encrypted".contains(&part), "{part}");
    assert_eq!(part.len(), FRAGMENT);
    assert_eq!(needed("$wide").unwrap()[0].replace('\0', "").len(), FRAGMENT);
    assert_eq!(needed("$both"), all(&["a\0k\0i\0r\0a", "akira"]));
    assert_eq!(needed("$hex"), all(&["rypt!"]));
    assert_eq!(needed("$branches"), all(&["abcd", "efgh"]));
    assert_eq!(needed("$word"), all(&["vssadmin"]));
    assert_eq!(needed("$either"), all(&["bitcoin", "monero"]));
    assert_eq!(needed("$onion"), all(&[".onion"]));
}

#[test]
fn a_condition_needs_what_every_way_to_be_true_needs() {
    let rare = all(&["zyxwv quark"]);
    assert_eq!(needed("$rare and $onion"), rare);
    assert_eq!(needed("$rare and $short and not $onion and filesize > 3"), rare);
    assert_eq!(needed("$rare or $onion"), all(&[".onion", "zyxwv quark"]));
    assert_eq!(needed("any of ($rare, $o*)"), all(&[".onion", "zyxwv quark"]));
    assert_eq!(needed("all of ($rare, $o*, $short)"), rare);
    assert_eq!(
        needed("2 of ($rare, $onion, $word)"),
        all(&["vssadmin", "zyxwv quark"])
    );
    assert_eq!(needed("3 of ($rare, $onion, $word)"), rare);
    assert_eq!(
        needed("2 of ($rare, $onion, $short)"),
        all(&[".onion", "zyxwv quark"])
    );
    assert_eq!(
        needed("any of ($rare, $onion) at 3"),
        all(&[".onion", "zyxwv quark"])
    );
    assert_eq!(
        needed("any of ($rare, $onion) in (3..9)"),
        all(&[".onion", "zyxwv quark"])
    );
    assert_eq!(needed("#rare > 0"), rare);
    assert_eq!(needed("#rare >= 1"), rare);
}

#[test]
fn where_nothing_is_known_to_be_needed_rules_are_always_applied() {
    for condition in [
        "$short",
        "$xor",
        "$base64",
        "$masked",
        "$maybe",
        "$letters",
        "not $rare",
        "true",
        "filesize > 3",
        "uint16(0) == 0x5a4d",
        "$rare or $short",
        "$rare or filesize > 3",
        "any of ($rare, $short)",
        "1 of them",
        "none of ($rare, $onion)",
        "0 of ($rare, $onion)",
        "50% of ($rare, $onion)",
        "4 of ($rare, $onion)",
        "2 of ($rare, $short, $xor)",
        "any of ($rare) and true or true",
        "for any of ($rare) : ( # == 0 )",
        "for any i in (0..3) : ( uint8(i) == 3 )",
        "#rare == 0",
        "#rare >= 0",
        "#rare > -1",
        "#rare < 3",
        "0 <= #rare",
        "@rare > 3",
        "defined @rare",
    ] {
        assert_eq!(needed(condition), None, "{condition}");
    }
}

#[test]
fn one_rule_of_which_nothing_is_known_is_enough_for_a_file() {
    let known = r#"rule a { strings: $a = "quark" condition: $a }"#;
    assert_eq!(of(known), Some(Clause::from([b"quark".to_vec()])));
    for other in [
        "rule b { condition: a }",
        "rule b { condition: any of (a*) }",
        "rule b { condition: filesize == 0 }",
        "private rule b { condition: true } rule c { strings: $c = \"strange\" condition: $c }",
    ] {
        assert_eq!(of(&format!("{known} {other}")), None, "{other}");
    }
    assert_eq!(of("no rules"), None);
}

#[test]
fn the_starter_set_needs_literals_and_few_of_them() {
    let clause = of(crate::STARTER).unwrap();
    assert!((20..100).contains(&clause.len()), "{clause:?}");
    assert!(clause.iter().all(|literal| literal.len() >= LEAST));
}
