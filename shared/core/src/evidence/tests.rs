use proptest::prelude::*;

use super::*;
use crate::run::WorkloadName;

fn run() -> RunId {
    RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn extend(links: &mut Vec<Link>, kind: Kind, who: &str) {
    let second = i64::try_from(links.len()).unwrap();
    let event = Event::new(kind, at(second))
        .subject("package", &Digest::of(b"p"))
        .fact("person", who);
    let link = append(&run(), links.last(), event).unwrap();
    links.push(link);
}

fn bundle(length: usize) -> Bundle {
    let mut links = Vec::new();
    for _ in 0..length {
        extend(&mut links, Kind::VoteTaken, "ada");
    }
    let checkpoints = links
        .iter()
        .filter(|link| link.seq % 3 == 2)
        .map(|link| Checkpoint {
            seq: link.seq,
            head: link.hash.clone(),
            at: at(99),
        })
        .collect();
    Bundle {
        schema: SCHEMA.to_owned(),
        run: run(),
        links,
        checkpoints,
    }
}

#[test]
fn the_chain_verifies_at_every_prefix() {
    let whole = bundle(10);
    for length in 1..=10 {
        let links = whole.links[..length].to_vec();
        let end = length as u64;
        let checkpoints = whole
            .checkpoints
            .iter()
            .filter(|c| c.seq < end)
            .cloned()
            .collect();
        let proven = verify(&Bundle {
            links,
            checkpoints,
            ..whole.clone()
        })
        .unwrap();
        assert_eq!(proven.links, end);
    }
    assert_eq!(verify(&whole).unwrap().vouched, Some(8));
    assert_eq!(verify(&bundle(0)).unwrap_err(), [Fault::Empty]);
}

#[test]
fn an_edit_is_found_with_its_hash_left_or_made_to_fit() {
    let mut edited = bundle(9);
    edited.links[4].event.facts.insert("person".into(), "eve".into());
    assert_eq!(verify(&edited).unwrap_err(), [Fault::Edited { seq: 4 }]);
    edited.links[4].hash = edited.links[4].recomputed().unwrap();
    assert_eq!(verify(&edited).unwrap_err(), [Fault::Broken { seq: 5 }]);
}

#[test]
fn a_chain_rewritten_from_the_edit_on_contradicts_its_checkpoint() {
    let original = bundle(9);
    let mut links = original.links[..4].to_vec();
    for _ in 4..9 {
        extend(&mut links, Kind::VoteTaken, "eve");
    }
    let rewritten = Bundle { links, ..original };
    assert_eq!(
        verify(&rewritten).unwrap_err(),
        [
            Fault::Rewritten { seq: 5, at: at(99) },
            Fault::Rewritten { seq: 8, at: at(99) }
        ]
    );
}

#[test]
fn a_reordering_is_found() {
    let mut reordered = bundle(9);
    reordered.links.swap(3, 4);
    assert_eq!(verify(&reordered).unwrap_err(), [Fault::Reordered { seq: 3 }]);
}

#[test]
fn a_gap_is_found() {
    let mut gap = bundle(9);
    gap.links.drain(3..5);
    assert_eq!(verify(&gap).unwrap_err(), [Fault::Gap { from: 3, to: 4 }]);
    let mut beginning = bundle(9);
    beginning.links.remove(0);
    assert_eq!(verify(&beginning).unwrap_err(), [Fault::Gap { from: 0, to: 0 }]);
}

#[test]
fn a_truncation_is_found_by_the_checkpoint() {
    let mut cut = bundle(9);
    cut.links.truncate(8);
    assert_eq!(
        verify(&cut).unwrap_err(),
        [Fault::Truncated { seq: 8, at: at(99) }]
    );
}

#[test]
fn a_fork_is_found() {
    let mut fork = bundle(9);
    let mut other = fork.links[..4].to_vec();
    extend(&mut other, Kind::GateDecided, "eve");
    fork.links.insert(5, other.remove(4));
    assert!(verify(&fork).unwrap_err().contains(&Fault::Fork { seq: 4 }));
}

#[test]
fn the_chain_of_another_run_is_not_this_one_s() {
    let other = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "y");
    assert_eq!(
        verify(&Bundle {
            run: other,
            ..bundle(9)
        })
        .unwrap_err(),
        [Fault::Broken { seq: 0 }]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_changed_byte_of_a_bundle_is_found_or_changes_nothing(at in any::<prop::sample::Index>(), mask in 1..=255u8) {
        let original = bundle(6);
        let mut bytes = serde_json::to_vec(&original).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(read) = serde_json::from_slice::<Bundle>(&bytes) {
            // The time of a checkpoint is not part of the chain; its signature covers it.
            prop_assert!(verify(&read).is_err() || read.links == original.links);
        }
    }
}
