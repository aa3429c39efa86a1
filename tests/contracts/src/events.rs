//! `tests/events`: one payload per function and operation, for `sam local invoke` and `cargo lambda invoke`.

use std::collections::BTreeSet;

use blackstart_core::approval::vote::Ballot;

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

#[test]
fn the_gate_s_events_are_signed_requests_and_its_ballot_can_be_read() {
    for (name, method, path) in [
        ("look", "GET", ""),
        ("vote", "POST", "/votes"),
        ("operator", "POST", "/operator"),
    ] {
        let event = repository::json(&format!("tests/events/gate-{name}.json"));
        assert_eq!(event["version"], "2.0", "{name}");
        assert_eq!(event["requestContext"]["http"]["method"], method, "{name}");
        assert!(
            event["requestContext"]["authorizer"]["iam"]["userArn"].is_string(),
            "{name}"
        );
        assert!(event["rawPath"].as_str().unwrap().ends_with(path), "{name}");
    }
    let vote = repository::json("tests/events/gate-vote.json");
    serde_json::from_str::<Ballot>(vote["body"].as_str().unwrap()).unwrap();
}
