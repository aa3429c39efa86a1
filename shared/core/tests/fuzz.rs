//! Replays the seeds and the regressions of every fuzz target.

use std::collections::BTreeSet;
use std::path::Path;

#[path = "../../../tests/fuzz/src/lib.rs"]
#[expect(
    clippy::expect_used,
    unreachable_pub,
    reason = "a library of its own when it is fuzzed; a property that is broken panics"
)]
mod fuzz;

#[test]
fn seeds_and_regressions_keep_their_properties() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
    for (name, target) in fuzz::TARGETS {
        let mut seen = 0;
        for folder in ["corpus", "regressions"] {
            let Ok(entries) = std::fs::read_dir(root.join(folder).join(name)) else {
                continue;
            };
            for entry in entries {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                seen += 1;
            }
        }
        assert!(seen > 0, "target `{name}` has no seed under `tests/fuzz/corpus`");
    }
}

#[test]
fn every_target_is_run_and_replayed() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/targets");
    let run: BTreeSet<String> = std::fs::read_dir(targets)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let replayed: BTreeSet<String> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(run, replayed);
}
