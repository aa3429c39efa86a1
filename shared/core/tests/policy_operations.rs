//! The table of operations in the documentation says what is handled, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use blackstart_core::references::DocumentKind;

/// Operations of the table that a reader and a writer exist for. SQS is missing: its policy is a queue attribute.
fn handled(kind: DocumentKind) -> Option<(&'static str, &'static str)> {
    match kind {
        DocumentKind::RoleTrust => Some(("iam", "UpdateAssumeRolePolicy")),
        DocumentKind::BucketPolicy => Some(("s3", "PutBucketPolicy")),
        DocumentKind::KeyPolicy => Some(("kms", "PutKeyPolicy")),
        DocumentKind::QueuePolicy => None,
    }
}

#[test]
fn the_documentation_lists_every_operation_and_what_is_done_with_it() {
    use strum::IntoEnumIterator as _;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kinds: BTreeMap<_, _> = DocumentKind::iter()
        .filter_map(|kind| Some((handled(kind)?, kind)))
        .collect();
    let operations = fs::read_to_string(root.join("tests/data/aws-policy-apis/operations.csv")).unwrap();
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
        let fate = kinds
            .get(&(*service, *operation))
            .map_or_else(|| "unhandled".to_owned(), |kind| format!("handled: {kind}"));
        rows.push(format!(
            "| {service} | {operation} | {} | {} | {fate} |",
            or_dash(longest),
            or_dash(concurrency)
        ));
    }
    assert_eq!(
        rows.iter().filter(|row| row.contains("| handled: ")).count(),
        kinds.len()
    );
    let documentation = fs::read_to_string(root.join("infra/docs/references.md")).unwrap();
    let (_, table) = documentation.split_once("|---|---|---|---|---|\n").unwrap();
    assert_eq!(
        table.trim_end(),
        rows.join("\n"),
        "put this into infra/docs/references.md"
    );
}
