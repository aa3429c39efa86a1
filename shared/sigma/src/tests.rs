use std::path::{Path, PathBuf};

use blackstart_core::timeline::boundary::establish;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::rows::Selection;

use super::*;

fn rule(title: &str, level: &str, tag: &str, detection: &str) -> String {
    format!(
        "title: {title}\nid: {}\nstatus: test\nlogsource:\n  product: aws\n  service: cloudtrail\ntags: [{tag}]\nlevel: {level}\ndetection:\n{detection}\n",
        title.to_lowercase().replace(' ', "-")
    )
}

const TRAIL: &str = "  selection:\n    eventSource: cloudtrail.amazonaws.com\n    eventName: [StopLogging, DeleteTrail]\n  success:\n    errorCode: null\n  condition: selection and success";

fn loaded(texts: &[String]) -> Loaded {
    let names: Vec<String> = (0..texts.len()).map(|i| format!("{i}.yml")).collect();
    let files = names
        .iter()
        .map(String::as_str)
        .zip(texts.iter().map(String::as_str));
    load(files, Severity::default()).unwrap()
}

fn record(name: &str, more: &str) -> Value {
    serde_json::from_str(&format!(
        r#"{{"eventID":"e","eventTime":"2026-01-01T00:00:00Z","eventSource":"cloudtrail.amazonaws.com","eventName":"{name}",
            "sourceIPAddress":"198.51.100.7","userIdentity":{{"arn":"arn:aws:iam::111111111111:user/u","accessKeyId":"AKIA1"}}{more}}}"#
    ))
    .unwrap()
}

fn invictus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/invictus-ir/CloudTrail");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files
}

fn reader(rules: Option<Rules>) -> Reader {
    let table = Table::default();
    Reader::new(
        match rules {
            Some(rules) => table.with_rules(Box::new(rules)),
            None => table,
        },
        "2030-01-01T00:00:00Z".parse().unwrap(),
    )
}

fn read(reader: &Reader) -> Vec<ObjectFacts> {
    invictus()
        .iter()
        .map(|path| {
            reader.read(
                &path.to_string_lossy(),
                &std::fs::read(path).unwrap(),
                Kind::CloudTrail,
            )
        })
        .collect()
}

#[test]
fn a_rule_s_level_decides_whether_it_is_strong() {
    let loaded = loaded(&[
        rule("Trail stopped", "high", "attack.defense_evasion", TRAIL),
        rule("Trail looked at", "medium", "attack.discovery", TRAIL),
        rule("Trail again", "critical", "attack.impact", TRAIL),
    ]);
    let found = loaded.rules.matching(&record("StopLogging", ""));
    let said: Vec<_> = found
        .iter()
        .map(|m| (m.id.as_str(), m.mark.class, m.mark.aim))
        .collect();
    assert_eq!(
        said,
        [
            ("sigma:trail-again", Class::Strong, Aim::Impact),
            ("sigma:trail-looked-at", Class::Weak, Aim::Reconnaissance),
            ("sigma:trail-stopped", Class::Strong, Aim::BlindDefender),
        ]
    );
    assert_eq!(found[2].title, "Trail stopped");
    assert_eq!(
        loaded
            .rules
            .matching(&record("StopLogging", r#","errorCode":"AccessDenied""#)),
        []
    );
    assert_eq!(loaded.rules.matching(&record("DescribeTrails", "")), []);
}

#[test]
fn hits_stand_in_the_facts_and_in_the_timeline_with_id_and_title() {
    let rule = || rule("Trail stopped", "high", "attack.defense_evasion", TRAIL);
    let reader = reader(Some(loaded(&[rule()]).rules));
    let facts = read(&reader);
    let hits: Vec<_> = facts
        .iter()
        .flat_map(|f| &f.hits)
        .filter(|h| h.indicator.starts_with(PREFIX))
        .collect();
    assert!(!hits.is_empty());
    assert!(hits.iter().all(|h| h.indicator == "sigma:trail-stopped" && h.what.starts_with("Trail stopped: cloudtrail:")));
    let established = establish(&facts, &[], &[]);
    let selection = Selection::of(&reader, &established.actors);
    let rows: Vec<_> = invictus()
        .iter()
        .flat_map(|path| {
            selection.rows(
                &path.to_string_lossy(),
                &std::fs::read(path).unwrap(),
                Kind::CloudTrail,
            )
        })
        .filter(|row| row.indicators.iter().any(|i| i == "sigma:trail-stopped"))
        .collect();
    assert!(!rows.is_empty());
    assert!(
        rows.iter()
            .all(|row| ["cloudtrail:StopLogging", "cloudtrail:DeleteTrail"].contains(&row.event.as_str()))
    );
}

#[test]
fn rules_are_seeds_where_nothing_else_is_and_never_move_the_boundary_later() {
    let reading = "  selection:\n    eventName: GetPasswordData\n  condition: selection";
    let with = read(&reader(Some(
        loaded(&[rule("Password read", "high", "attack.credential_access", reading)]).rules,
    )));
    let without = read(&reader(None));
    let best = |facts: &[ObjectFacts]| establish(facts, &[], &[]).document.boundary.map(|b| b.best);
    assert!(best(&with) <= best(&without));

    let stratus = "../../tests/data/stratus-red-team/aws.credential-access.ec2-get-password-data.json";
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(stratus)).unwrap();
    let strict = loaded(&[rule("Password read", "high", "attack.credential_access", reading)]).rules;
    let facts = reader(Some(strict)).read("s", &bytes, Kind::CloudTrail);
    assert!(facts.hits.iter().any(|h| h.indicator == "sigma:password-read"));
}

#[test]
fn records_that_no_rule_can_match_are_passed_over_and_no_others() {
    let rules = [
        rule("A", "high", "attack.impact", TRAIL),
        rule(
            "B",
            "low",
            "attack.impact",
            "  sel_a:\n    eventName: ListBuckets\n  sel_b:\n    eventName: [GetPasswordData, ListUsers]\n  f:\n    userIdentity.type: Root\n  condition: 1 of sel_* and not f",
        ),
        rule(
            "C",
            "low",
            "attack.impact",
            "  sel_a:\n    eventName: DescribeInstances\n  sel_b:\n    eventSource: ec2.amazonaws.com\n  condition: all of sel_*",
        ),
        rule(
            "D",
            "low",
            "attack.impact",
            "  s:\n    - eventName: runinstances\n    - eventName: ConsoleLogin\n  condition: s",
        ),
    ];
    let loaded = loaded(&rules);
    let actions = loaded.rules.actions.as_ref().unwrap();
    let mut matched = 0;
    for path in invictus() {
        let whole: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for record in whole["Records"].as_array().unwrap() {
            let found = loaded.rules.matching(record);
            matched += found.len();
            let name = record["eventName"].as_str().unwrap();
            assert!(
                found.is_empty() || loaded.rules.watches(name),
                "{name} {actions:?}"
            );
        }
    }
    assert!(matched > 20, "{matched}");
    assert!(!loaded.rules.watches("PutObject"));
    let open = self::loaded(&[rule(
        "E",
        "low",
        "attack.impact",
        "  s:\n    eventName|startswith: Delete\n  condition: s",
    )]);
    assert!(
        open.rules.watches("PutObject"),
        "a rule that does not name its actions sees every record"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_file() {
    let files = [
        ("good.yml", rule("Good", "high", "attack.impact", TRAIL)),
        ("twice.yml", rule("Good", "high", "attack.impact", TRAIL)),
        ("yaml.yml", "title: [".to_owned()),
        ("none.yml", String::new()),
        (
            "condition.yml",
            rule(
                "Bad condition",
                "high",
                "attack.impact",
                "  selection:\n    eventName: x\n  condition: selection and (",
            ),
        ),
        (
            "unknown.yml",
            rule(
                "Unknown",
                "high",
                "attack.impact",
                "  selection:\n    eventName: x\n  condition: other",
            ),
        ),
        (
            "regex.yml",
            rule(
                "Regex",
                "high",
                "attack.impact",
                "  selection:\n    eventName|re: '('\n  condition: selection",
            ),
        ),
    ];
    let problems = load(
        files.iter().map(|(name, text)| (*name, text.as_str())),
        Severity::High,
    )
    .unwrap_err();
    let told: BTreeSet<&str> = problems.iter().map(|p| p.file.as_str()).collect();
    let expected = [
        "condition.yml",
        "none.yml",
        "regex.yml",
        "twice.yml",
        "unknown.yml",
        "yaml.yml",
    ];
    assert_eq!(told, BTreeSet::from(expected), "{problems:#?}");
    assert!(problems.iter().all(|p| !p.what.is_empty()));
}

#[test]
fn rules_that_are_not_applied_are_named() {
    let windows = "title: W\nlogsource:\n  product: windows\n  category: process_creation\ndetection:\n  s:\n    a: b\n  condition: s\nlevel: high\n";
    let correlation = "title: Many\ncorrelation:\n  type: event_count\n  rules: [x]\n  group-by: [a]\n  timespan: 1h\n  condition:\n    gte: 3\n";
    let loaded = loaded(&[windows.to_owned(), correlation.to_owned()]);
    assert_eq!(loaded.rules.count(), 0);
    let told: Vec<String> = loaded.passed_over.iter().map(ToString::to_string).collect();
    assert!(
        told[0].contains("only product `aws`, service `cloudtrail`"),
        "{told:?}"
    );
    assert!(told[1].contains("correlates"), "{told:?}");
}
