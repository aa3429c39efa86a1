//! Whatever goes into a package is bound by its digest: nothing that was read for it can be exchanged afterwards.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::approval::fixtures::{NOW, inputs, workload};
use crate::approval::package::{Facts, Referenced, Sealed, build};
use crate::artifact::ArtifactRef;
use crate::plan::Plan;
use crate::rebuild::RebuildDocument;
use crate::references::InventoryDocument;
use crate::run::{Mode, RunId};
use crate::timeline::BoundaryDocument;
use crate::validation::SelectionDocument;

/// The documents from which a package is made, as they are stored.
#[derive(Debug, Clone)]
struct Stored {
    plan: Vec<u8>,
    selection: Vec<u8>,
    boundary: Vec<u8>,
    rebuild: Vec<u8>,
    inventory: Vec<u8>,
}

/// No package could be made, for this reason.
#[derive(Debug)]
struct NoPackage(#[expect(dead_code, reason = "shown where a test fails")] String);

fn stored(bytes: &[u8], name: &str) -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: format!("runs/x/{name}.json"),
        version: None,
        sha256: Digest::of(bytes),
        bytes: bytes.len() as u64,
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NoPackage> {
    serde_json::from_slice(bytes).map_err(|error| NoPackage(error.to_string()))
}

impl Stored {
    fn new() -> Self {
        let mut inputs = inputs();
        let boundary = json(&inputs.boundary);
        inputs.selection.boundary.document = stored(&boundary, "boundary");
        Self {
            plan: json(&inputs.plan),
            selection: json(&inputs.selection),
            boundary,
            rebuild: json(&inputs.rebuild),
            inventory: json(&inputs.inventory),
        }
    }

    fn each(&mut self) -> [&mut Vec<u8>; 5] {
        [
            &mut self.plan,
            &mut self.selection,
            &mut self.boundary,
            &mut self.rebuild,
            &mut self.inventory,
        ]
    }

    /// As the stage does it: read the documents by their artifacts, and build.
    fn build(&self, requester: Option<&str>, mode: Mode) -> Result<Sealed, NoPackage> {
        let workload = workload();
        let plan: Plan = read(&self.plan)?;
        let selection: SelectionDocument = read(&self.selection)?;
        let boundary: BoundaryDocument = read(&self.boundary)?;
        let rebuild: RebuildDocument = read(&self.rebuild)?;
        let inventory: InventoryDocument = read(&self.inventory)?;
        build(&Facts {
            run: &RunId::of_execution(&workload, "x"),
            workload: &workload,
            mode,
            plan: Referenced {
                document: &plan,
                artifact: &stored(&self.plan, "plan"),
            },
            selection: Referenced {
                document: &selection,
                artifact: &stored(&self.selection, "selection"),
            },
            boundary: Referenced {
                document: &boundary,
                artifact: &stored(&self.boundary, "boundary"),
            },
            rebuild: Referenced {
                document: &rebuild,
                artifact: &stored(&self.rebuild, "rebuild"),
            },
            inventory: Referenced {
                document: &inventory,
                artifact: &stored(&self.inventory, "inventory"),
            },
            requester,
            now: NOW.parse().unwrap(),
        })
        .map_err(|refused| NoPackage(refused.to_string()))
    }
}

fn gate_of(sealed: &Sealed) -> GateRecord {
    let package = stored(&sealed.bytes, "package");
    let opened = NOW.parse().unwrap();
    let mut gate = GateRecord::open(&sealed.package, package, sealed.digest.clone(), None, opened);
    gate.state = GateState::Approved {
        at: sealed.package.decide_by,
        by: vec!["ada".into(), "bob".into()],
    };
    gate
}

#[test]
fn the_documents_as_stored_make_a_package() {
    let sealed = Stored::new().build(None, Mode::Drill).unwrap();
    assert!(check_approved(&sealed.bytes, &sealed.digest, &gate_of(&sealed)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_changed_byte_of_any_input_is_refused(which in 0..5usize, at in any::<prop::sample::Index>(), mask in 1..=255u8) {
        let approved = Stored::new().build(None, Mode::Drill).unwrap();
        let mut changed = Stored::new();
        let document = &mut changed.each()[which];
        let at = at.index(document.len());
        document[at] ^= mask;
        // Either no package can be made of it, or it is another one, which the gate did not approve.
        if let Ok(other) = changed.build(None, Mode::Drill) {
            let gate = gate_of(&approved);
            for digest in [&approved.digest, &other.digest] {
                let refused = check_approved(&other.bytes, digest, &gate).unwrap_err();
                prop_assert_eq!(refused.name(), ErrorName::PolicyRefused);
            }
        }
    }
}

#[test]
fn a_rehearsal_does_not_approve_the_real_thing() {
    let drill = Stored::new().build(None, Mode::Drill).unwrap();
    let incident = Stored::new().build(None, Mode::Incident).unwrap();
    assert!(check_approved(&incident.bytes, &incident.digest, &gate_of(&drill)).is_err());
}
