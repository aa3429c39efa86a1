//! `tests/events`: one payload per function and operation, for `sam local invoke` and `cargo lambda invoke`.

use std::collections::BTreeSet;

use crate::{operations, repository};

#[test]
fn every_operation_has_an_event_and_its_function_reads_it() {
    let mut missing = BTreeSet::new();
    for (function, operation) in operations::all().into_keys() {
        let name = format!("{function}-{}.json", operation.replace('_', "-"));
        if !repository::path("tests/events").join(&name).exists() {
            missing.insert(name);
            continue;
        }
        let event = repository::json(&format!("tests/events/{name}"));
        assert_eq!(event["input"]["operation"], operation, "{name}");
        operations::read(&function, event).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(missing.is_empty(), "no event for {missing:?}");
}

#[test]
fn every_event_belongs_to_an_operation() {
    let wanted: BTreeSet<String> = operations::all()
        .into_keys()
        .map(|(function, operation)| format!("{function}-{}.json", operation.replace('_', "-")))
        .collect();
    // The gate is asked through its URL, so its events are no tasks.
    let found: BTreeSet<String> = repository::names("tests/events")
        .into_iter()
        .filter(|name| !name.starts_with("gate-"))
        .collect();
    assert_eq!(found, wanted);
}
