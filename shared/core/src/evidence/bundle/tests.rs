use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::artifact::Digest;
use crate::evidence::dsse::{Envelope, Forged, PublicKey};
use crate::evidence::{Event, Fault, Kind, Link, PACKAGE, TEAM, append};
use crate::run::{RunId, WorkloadName};

/// Stands for a signature here, where only who signed what matters; the command's tests use the real algorithm.
fn sign(key: &PublicKey, message: &[u8]) -> Vec<u8> {
    Digest::of(&[key.der(), message].concat())
        .as_str()
        .as_bytes()
        .to_vec()
}

fn signed(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    sign(key, message) == signature
}

fn key() -> PublicKey {
    PublicKey::of_der(b"the recovery account's key".to_vec())
}

fn run() -> RunId {
    RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn envelope(key: &PublicKey, payload: &[u8]) -> Envelope {
    let message = super::super::dsse::pae(super::super::dsse::PAYLOAD_TYPE, payload);
    Envelope::signed(payload, key, &sign(key, &message))
}

/// A run as the ledger and the locked bucket hold it.
#[derive(Clone)]
struct Ledger {
    links: Vec<Link>,
    checkpoints: Vec<Envelope>,
    artifacts: BTreeMap<String, Digest>,
}

impl Ledger {
    fn new() -> Self {
        Self {
            links: Vec::new(),
            checkpoints: Vec::new(),
            artifacts: BTreeMap::from([("restore.json".to_owned(), Digest::of(b"restored"))]),
        }
    }

    fn record(&mut self, event: Event) {
        self.links.push(append(&run(), self.links.last(), event).unwrap());
    }

    fn seal(&mut self, stage: &str) {
        let payload = checkpoint(&run(), stage, &self.links, at(50)).unwrap().unwrap();
        self.checkpoints.push(envelope(&key(), &payload));
    }

    fn export(&self) -> Vec<Envelope> {
        let facts = Facts {
            run: &run(),
            links: self.links.clone(),
            checkpoints: &self.checkpoints,
            artifacts: self.artifacts.clone(),
            key: &key(),
            at: at(99),
        };
        let mut envelopes = self.checkpoints.clone();
        envelopes.push(envelope(&key(), &statement(facts).unwrap()));
        envelopes
    }

    fn faults(&self) -> Vec<BundleFault> {
        verify(&lines(&self.export()).unwrap(), None, &signed).unwrap_err()
    }
}

fn package() -> Digest {
    Digest::of(b"package")
}

fn event(kind: Kind, second: i64) -> Event {
    Event::new(kind, at(second)).subject(PACKAGE, &package())
}

fn vote(person: &str) -> Event {
    event(Kind::VoteTaken, 3)
        .fact("person", person)
        .fact("decision", "approve")
}

/// A recovery in which two of two approved.
fn recovery() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.record(Event::new(Kind::RunOpened, at(0)).fact("workload", "orders"));
    ledger.record(event(Kind::PackagePrepared, 1));
    ledger.seal("prepare");
    ledger.record(event(Kind::GateOpened, 2).fact("quorum", "2"));
    ledger.record(vote("ada"));
    ledger.record(vote("bob"));
    ledger.record(event(Kind::GateDecided, 4).fact("state", "approved"));
    ledger.seal("approval");
    ledger.record(event(Kind::DataRestored, 5).subject("restore.json", &Digest::of(b"restored")));
    ledger.record(event(Kind::TrafficShifted, 6));
    ledger.seal("cutover");
    ledger
}

fn good() -> Vec<u8> {
    lines(&recovery().export()).unwrap()
}

#[test]
fn a_recovery_is_attested() {
    let attested = verify(&good(), Some(&key()), &signed).unwrap();
    assert_eq!(attested.proven.links, 8);
    assert_eq!(attested.proven.vouched, Some(7));
    assert_eq!(attested.checkpoints.len(), 3);
    assert_eq!(attested.approved_effects, 2);
    assert_eq!(
        attested.approvals,
        [Approval {
            package: package(),
            quorum: 2,
            people: ["ada", "bob"].map(str::to_owned).into(),
        }]
    );
    assert!(attested.pinned && !verify(&good(), None, &signed).unwrap().pinned);
}

#[test]
fn what_an_approval_team_guards_has_no_effect_before_the_team_opens_it() {
    let with = |decided: &[&str]| {
        let mut ledger = Ledger::new();
        ledger.record(event(Kind::PackagePrepared, 1).fact(TEAM, "arn:team"));
        ledger.record(event(Kind::GateOpened, 2).fact("quorum", "1"));
        ledger.record(vote("ada"));
        ledger.record(event(Kind::GateDecided, 4).fact("state", "approved"));
        for (second, state) in (5..).zip(decided) {
            ledger.record(event(Kind::TeamDecided, second).fact("state", *state));
        }
        ledger.record(event(Kind::RestoreRequested, 9));
        verify(&lines(&ledger.export()).unwrap(), None, &signed).map(|attested| attested.approved_effects)
    };
    assert_eq!(with(&["open"]), Ok(1));
    for shut in [&[][..], &["refused"], &["expired"]] {
        let faults = with(shut).unwrap_err();
        assert!(
            faults
                .iter()
                .any(|fault| matches!(fault, BundleFault::ShutVault { .. })),
            "{faults:?}"
        );
    }
}

#[test]
fn a_refused_and_an_empty_run_are_attested_too() {
    let mut refused = Ledger::new();
    refused.record(Event::new(Kind::RunOpened, at(0)));
    refused.record(event(Kind::GateDecided, 1).fact("state", "refused"));
    let bytes = lines(&refused.export()).unwrap();
    let attested = verify(&bytes, None, &signed).unwrap();
    assert_eq!((attested.approved_effects, attested.approvals.len()), (0, 0));

    let nothing = Ledger::new().faults();
    assert!(nothing.contains(&BundleFault::Chain(Fault::Empty)), "{nothing:?}");
}

#[test]
fn another_key_is_not_the_pinned_one_and_cannot_sign_a_line() {
    let other = PublicKey::of_der(b"an intruder's key".to_vec());
    let faults = verify(&good(), Some(&other), &signed).unwrap_err();
    assert_eq!(
        faults,
        [BundleFault::NotPinned {
            found: key().id(),
            wanted: other.id()
        }]
    );

    // A whole bundle by the intruder is consistent in itself: only the pinned key tells.
    let mut envelopes = recovery().export();
    let payload = envelopes[0].payload().unwrap();
    envelopes[0] = envelope(&other, &payload);
    let faults = verify(&lines(&envelopes).unwrap(), None, &signed).unwrap_err();
    assert!(
        faults.contains(&BundleFault::Forged {
            line: 1,
            why: Forged::OtherKey(other.id().to_string())
        }),
        "{faults:?}"
    );
}

/// The file, edited by somebody who does not have the key.
#[test]
fn lines_that_were_cut_added_moved_or_exchanged_are_found() {
    let envelopes = recovery().export();
    let faults =
        |envelopes: &[Envelope]| verify(&lines(envelopes).unwrap(), Some(&key()), &signed).unwrap_err();
    let counted = |found| BundleFault::OtherCheckpoints { listed: 3, found };

    assert_eq!(faults(&envelopes[..3]), [BundleFault::Truncated]);
    assert_eq!(faults(&envelopes[1..]), [counted(2)]);
    let mut swapped = envelopes.clone();
    swapped.swap(0, 1);
    assert_eq!(faults(&swapped), [counted(3)]);
    let mut doubled = envelopes.clone();
    doubled.insert(0, envelopes[0].clone());
    assert_eq!(faults(&doubled), [counted(4)]);
    let mut moved = envelopes.clone();
    moved.insert(0, envelopes[3].clone());
    assert!(faults(&moved).contains(&BundleFault::Misplaced { line: 1 }));

    let mut foreign = recovery();
    foreign.links.pop();
    let mut exchanged = envelopes;
    exchanged[3] = Envelope {
        signatures: exchanged[3].signatures.clone(),
        ..foreign.export()[3].clone()
    };
    assert!(faults(&exchanged).contains(&BundleFault::Forged {
        line: 4,
        why: Forged::Signature
    }));
}

/// The ledger, edited before the export by somebody who can write to it: the signing key signs what it finds, and
/// the checkpoints that were locked away before contradict it.
#[test]
fn an_edited_ledger_is_found_although_the_export_is_signed() {
    let chain = |fault| BundleFault::Chain(fault);

    let mut edited = recovery();
    edited.links[3].event.facts.insert("person".into(), "eve".into());
    assert!(edited.faults().contains(&chain(Fault::Edited { seq: 3 })));

    let mut rewritten = recovery();
    let tail: Vec<Event> = rewritten.links.drain(3..).map(|link| link.event).collect();
    for (place, event) in tail.into_iter().enumerate() {
        rewritten.record(if place == 0 { vote("eve") } else { event });
    }
    assert!(
        rewritten
            .faults()
            .contains(&chain(Fault::Rewritten { seq: 5, at: at(50) }))
    );

    let mut reordered = recovery();
    reordered.links.swap(3, 4);
    assert!(reordered.faults().contains(&chain(Fault::Reordered { seq: 3 })));

    let mut gap = recovery();
    gap.links.drain(3..5);
    assert!(gap.faults().contains(&chain(Fault::Gap { from: 3, to: 4 })));

    let mut cut = recovery();
    cut.links.truncate(7);
    assert!(
        cut.faults()
            .contains(&chain(Fault::Truncated { seq: 7, at: at(50) }))
    );

    let mut fork = recovery();
    let twin = append(&run(), Some(&fork.links[3]), vote("eve")).unwrap();
    fork.links.insert(5, twin);
    assert!(fork.faults().contains(&chain(Fault::Fork { seq: 4 })));
    // The export itself says so too, in the signed part.
    assert!(
        fork.faults()
            .iter()
            .any(|fault| matches!(fault, BundleFault::BrokenAtExport(_)))
    );
}

#[test]
fn an_artifact_that_changed_after_the_chain_named_it_is_found() {
    let mut ledger = recovery();
    ledger
        .artifacts
        .insert("restore.json".to_owned(), Digest::of(b"something else"));
    assert_eq!(
        ledger.faults(),
        [BundleFault::OtherArtifact {
            name: "restore.json".to_owned(),
            seq: 6
        }]
    );
}

#[test]
fn an_artifact_that_is_gone_is_missed() {
    let mut ledger = recovery();
    ledger.artifacts.clear();
    assert_eq!(
        ledger.faults(),
        [BundleFault::MissingArtifact {
            name: "restore.json".to_owned(),
            seq: 6
        }]
    );
}

#[test]
fn an_effect_needs_an_approval_of_its_own_package_before_it() {
    let mut early = Ledger::new();
    early.record(event(Kind::DataRestored, 0));
    assert_eq!(early.faults(), [BundleFault::NotApproved { seq: 0 }]);

    let mut other = recovery();
    other.record(Event::new(Kind::TrafficShifted, at(9)).subject(PACKAGE, &Digest::of(b"other")));
    assert_eq!(other.faults(), [BundleFault::NotApproved { seq: 8 }]);

    let mut unnamed = recovery();
    unnamed.record(Event::new(Kind::TrafficShifted, at(9)));
    assert_eq!(unnamed.faults(), [BundleFault::NotApproved { seq: 8 }]);
}

#[test]
fn an_approval_that_expired_after_all_stands_behind_nothing() {
    let mut ledger = recovery();
    ledger.record(event(Kind::GateDecided, 8).fact("state", "expired"));
    assert!(verify(&lines(&ledger.export()).unwrap(), None, &signed).is_ok());
    ledger.record(event(Kind::TrafficShifted, 9));
    assert_eq!(ledger.faults(), [BundleFault::NotApproved { seq: 9 }]);
}

#[test]
fn one_person_twice_is_no_quorum_of_two() {
    let mut ledger = Ledger::new();
    ledger.record(event(Kind::GateOpened, 0).fact("quorum", "2"));
    ledger.record(vote("ada"));
    ledger.record(vote("ada").fact("identity", "another role"));
    ledger.record(event(Kind::GateDecided, 4).fact("state", "approved"));
    assert_eq!(
        ledger.faults(),
        [BundleFault::NoQuorum {
            seq: 3,
            approvals: 1,
            quorum: 2
        }]
    );
}

#[test]
fn what_is_no_bundle_is_said_to_be_none() {
    for bad in [
        &b""[..],
        b"\n",
        b"{}",
        b"[]\n",
        b"\xff\xfe\n",
        br#"{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}"#,
    ] {
        assert!(verify(bad, None, &signed).is_err(), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every single byte of the file matters: there is no change that goes unnoticed, not even of a space.
    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), mask in 1..=255u8) {
        let mut bytes = good();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        prop_assert!(verify(&bytes, Some(&key()), &signed).is_err());
    }

    #[test]
    fn any_cut_is_found(at in any::<prop::sample::Index>()) {
        let bytes = good();
        let at = at.index(bytes.len());
        prop_assert!(verify(&bytes[..at], Some(&key()), &signed).is_err());
        prop_assert!(verify(&bytes[at + 1..], Some(&key()), &signed).is_err());
    }

    /// Whatever is fed to the verifier, it answers.
    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&bytes, None, &signed).is_err());
    }
}
