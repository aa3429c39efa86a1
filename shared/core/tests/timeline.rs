//! The event boundary on real logs whose truth is known.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::path::{Path, PathBuf};

use blackstart_core::timeline::boundary::{Established, establish};
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use jiff::Timestamp;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data")
        .join(name)
}

fn reader() -> Reader {
    Reader {
        table: Table::default(),
        now: "2030-01-01T00:00:00Z".parse().unwrap(),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.to_string_lossy().contains(".json") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read_folder(folder: &Path) -> Vec<ObjectFacts> {
    let reader = reader();
    files(folder)
        .iter()
        .filter(|path| !path.ends_with("ground_truth.json"))
        .map(|path| {
            reader.read(
                &path.file_name().unwrap().to_string_lossy(),
                &std::fs::read(path).unwrap(),
                Kind::CloudTrail,
            )
        })
        .collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn invictus() -> Vec<ObjectFacts> {
    read_folder(&data("invictus-ir/CloudTrail"))
}

#[test]
fn the_boundary_of_a_real_intrusion_is_right_to_the_second() {
    let Established { document, .. } = establish(&invictus(), &[], &[]);
    let boundary = document.boundary.unwrap();
    assert_eq!(boundary.best, at("2023-07-10T11:54:33Z"));
    assert!(boundary.not_later_than > boundary.best);
    assert!(boundary.floor <= boundary.best);
    assert!(!boundary.unbounded);
    for actor in &document.actors {
        assert!(
            !actor.principals.iter().any(|p| p.ends_with(":user/benjamin")),
            "{:?}",
            actor.principals
        );
        assert!(!actor.addresses.contains("10.8.8.10"), "{:?}", actor.addresses);
    }
    assert_eq!(document.coverage.records, 2900);
}

#[test]
fn neither_order_nor_repetition_nor_packing_changes_the_answer() {
    let facts = invictus();
    let expected = establish(&facts, &[], &[]).document;

    let mut turned: Vec<_> = facts.iter().rev().cloned().collect();
    turned.extend(facts.iter().take(20).cloned());
    assert_eq!(establish(&turned, &[], &[]).document, expected);

    // All records in one object, each of them twice.
    let mut records = Vec::new();
    for path in files(&data("invictus-ir/CloudTrail")) {
        let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        records.extend(whole["Records"].as_array().unwrap().clone());
    }
    records.extend(records.clone());
    let packed = serde_json::json!({ "Records": records }).to_string();
    let packed = vec![reader().read("packed.json", packed.as_bytes(), Kind::CloudTrail)];
    let (got, expected) = (establish(&packed, &[], &[]).document, expected);
    let (got_boundary, expected_boundary) = (got.boundary.unwrap(), expected.boundary.unwrap());
    assert_eq!(got_boundary.best, expected_boundary.best);
    assert_eq!(got_boundary.not_later_than, expected_boundary.not_later_than);
    assert_eq!(got_boundary.floor, expected_boundary.floor);
    assert_eq!(got.actors, expected.actors);
}
