//! The measured critical path of a recorded run. Where the recording comes from is said in `histories/README.md`.
#![expect(clippy::panic, reason = "a test that cannot read its data has failed")]

use blackstart_core::critical_path::{Bar, BarKind, CriticalPath, Recording, Stage, measure};

fn recording(name: &str) -> Recording {
    let file = format!("{}/tests/histories/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn measured(name: &str) -> CriticalPath {
    let mut recording = recording(name);
    let path = measure(&recording.observed());
    for (stage, time) in &path.stages {
        let bars: f64 = time.bars.iter().map(Bar::seconds).sum();
        assert!(
            (bars - time.seconds).abs() < 1e-6,
            "{name}: the bars of {stage:?} are not as long as it"
        );
    }
    // Neither the order of histories nor that of steps and events matters.
    recording.histories.reverse();
    recording.steps.reverse();
    for history in &mut recording.histories {
        history.events.reverse();
    }
    assert_eq!(measure(&recording.observed()), path, "{name}");
    path
}

#[test]
fn a_recovery_that_failed_before_its_gate() {
    let path = measured("failed");
    assert_eq!(path.binding, Some(Stage::Validation));
    assert!(path.stages[&Stage::Rebuild].seconds_of(BarKind::Events) > 0.0);
    assert!(!path.stages.contains_key(&Stage::Restore));
    insta::assert_json_snapshot!("failed", path);
}
