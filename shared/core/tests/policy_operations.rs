//! The tables in the documentation say what is read and what is handled, and nothing else.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the documentation fails"
)]

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use blackstart_core::references::services::{Fate, Reader, SERVICES, Scope, Service};

fn documentation() -> String {
    fs::read_to_string(root().join("infra/docs/references.md")).unwrap()
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the table that follows this line.
fn table(documentation: &str, marker: &str) -> String {
    let (_, after) = documentation.split_once(marker).unwrap();
    let rows = after.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Both tables are in one file, which either test may write.
static FILE: Mutex<()> = Mutex::new(());

fn compare(marker: &str, wanted: &[String]) {
    let _alone = FILE.lock();
    let documentation = documentation();
    let (now, wanted) = (table(&documentation, marker), wanted.join("\n"));
    if now == wanted {
        return;
    }
    if std::env::var_os("UPDATE").is_some() && !now.is_empty() {
        let path = root().join("infra/docs/references.md");
        fs::write(path, documentation.replacen(&now, &wanted, 1)).unwrap();
        return;
    }
    assert_eq!(
        now, wanted,
        "run this test with UPDATE=1 to write infra/docs/references.md"
    );
}

#[test]
fn the_documentation_lists_every_operation_and_what_is_done_with_it() {
    let operations = fs::read_to_string(root().join("tests/data/aws-policy-apis/operations.csv")).unwrap();
    let mut rows = Vec::new();
    for line in operations.lines().skip(1) {
        let fields: Vec<&str> = line
            .strip_prefix('"')
            .and_then(|line| line.strip_suffix('"'))
            .unwrap()
            .split("\",\"")
            .collect();
        let [service, operation, _, _, _, longest, concurrency, _] = fields.as_slice() else {
            panic!("eight columns are expected: {line}");
        };
        let or_dash = |text: &str| {
            if matches!(text, "" | "None") {
                "-".to_owned()
            } else {
                text.replace(',', ", ")
            }
        };
        let fate = match Service::fate(service, operation) {
            Some(Fate::Handled(kind)) => format!("handled: {kind}"),
            Some(Fate::ReadOnly) => "read-only".to_owned(),
            None => "unhandled".to_owned(),
        };
        rows.push(format!(
            "| {service} | {operation} | {} | {} | {fate} |",
            or_dash(longest),
            or_dash(concurrency)
        ));
    }
    // Every operation of the registry exists.
    let known = rows.iter().filter(|row| !row.ends_with("| unhandled |")).count();
    assert_eq!(
        known,
        SERVICES
            .iter()
            .map(|service| service.operations.len())
            .sum::<usize>()
    );
    compare("<!-- operations:", &rows);
}

#[test]
fn the_documentation_lists_every_reader() {
    let rows: Vec<String> = SERVICES
        .iter()
        .map(|service| {
            let scope = match service.scope {
                Scope::Global => "account",
                Scope::Regional => "region",
            };
            let by = match service.reader {
                Reader::Native(_) => "the service".to_owned(),
                Reader::CloudControl(rule) => format!("Cloud Control, `{}`", rule.kind),
            };
            let covers: Vec<String> = service
                .covers
                .iter()
                .map(|(kind, fields)| format!("`{kind}`: {}", fields.join(", ")))
                .collect();
            let covers = if covers.is_empty() {
                "-".to_owned()
            } else {
                covers.join("; ")
            };
            format!("| {} | {scope} | {by} | {covers} |", service.name)
        })
        .collect();
    compare("<!-- readers:", &rows);
}
