//! The check of every executor past the gate: exactly this package was approved, and it may still be executed.

use jiff::Timestamp;

use super::gate::{GateRecord, GateState};
use super::outer::{OuterRecord, OuterState};
use super::{DecisionPackage, package};
use crate::artifact::{Digest, canonical_json};
use crate::error_name::{ErrorName, StageError};
use crate::timeline::CurrentBoundary;

/// Why an executor must not go on.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The package's bytes are not the ones that were approved.
    #[error("the decision package has digest {found}, {wanted} is to be executed")]
    OtherPackage {
        /// Digest of the bytes.
        found: Digest,
        /// Digest that the state machine names.
        wanted: Digest,
    },
    /// The bytes are no decision package.
    #[error("the decision package cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The bytes are not what this code would write for the same package, so it reads less than was approved.
    #[error(
        "the decision package is not in its canonical form of schema `{}`",
        package::SCHEMA
    )]
    NotCanonical,
    /// The gate belongs to another package or run.
    #[error("the gate is that of package {gate} of run `{run}`")]
    OtherGate {
        /// The gate's package.
        gate: Digest,
        /// The gate's run.
        run: String,
    },
    /// The gate is not approved.
    #[error("the gate is {state}, not approved")]
    NotApproved {
        /// What it is.
        state: &'static str,
    },
    /// The gate was approved after its time.
    #[error("the gate was approved at {at}, votes counted until {decide_by}")]
    ApprovedLate {
        /// When the quorum was complete.
        at: Timestamp,
        /// Until when votes counted.
        decide_by: Timestamp,
    },
    /// The approval is too old to begin.
    #[error("the approval was good until {execute_by}, and it is {now}: a new decision is needed")]
    Lapsed {
        /// Until when effects may begin.
        execute_by: Timestamp,
        /// When it was checked.
        now: Timestamp,
    },
    /// The approval team has not opened the vault.
    #[error("the approval team `{team}` was {state}; only its own opening of the vault lets a restore begin")]
    ShutVault {
        /// The team.
        team: String,
        /// What became of the request.
        state: &'static str,
    },
    /// Late evidence moved the event boundary.
    #[error(
        "the event boundary is {current}, the package was made under {package}: a new decision is needed"
    )]
    BoundaryMoved {
        /// The boundary now.
        current: Timestamp,
        /// The package's boundary.
        package: Timestamp,
    },
}

impl StageError for Refused {
    fn name(&self) -> ErrorName {
        match self {
            Self::BoundaryMoved { .. } => ErrorName::PreconditionChanged,
            Self::OtherPackage { .. }
            | Self::Unreadable(_)
            | Self::NotCanonical
            | Self::OtherGate { .. }
            | Self::NotApproved { .. }
            | Self::ApprovedLate { .. }
            | Self::ShutVault { .. }
            | Self::Lapsed { .. } => ErrorName::PolicyRefused,
        }
    }
}

/// The package, if exactly this one was approved and its effects may begin at `now`.
///
/// # Errors
/// [`Refused`], which stops the executor.
pub fn check_executable(
    bytes: &[u8],
    digest: &Digest,
    gate: &GateRecord,
    now: Timestamp,
) -> Result<DecisionPackage, Refused> {
    let package = check_approved(bytes, digest, gate)?;
    if now > package.execute_by {
        return Err(Refused::Lapsed {
            execute_by: package.execute_by,
            now,
        });
    }
    Ok(package)
}

/// The package, if exactly this one was approved, whatever the time.
///
/// For what continues or undoes effects that began in time: an approval that lapses half-way must not leave things
/// half done.
///
/// # Errors
/// [`Refused`], which stops the executor.
pub fn check_approved(bytes: &[u8], digest: &Digest, gate: &GateRecord) -> Result<DecisionPackage, Refused> {
    let found = Digest::of(bytes);
    if found != *digest {
        return Err(Refused::OtherPackage {
            found,
            wanted: digest.clone(),
        });
    }
    let package: DecisionPackage = serde_json::from_slice(bytes).map_err(Refused::Unreadable)?;
    let canonical = canonical_json(&package).is_ok_and(|written| written == bytes);
    if !canonical || package.schema != package::SCHEMA {
        return Err(Refused::NotCanonical);
    }
    if gate.digest != *digest || gate.run != package.run || gate.decide_by != package.decide_by {
        return Err(Refused::OtherGate {
            gate: gate.digest.clone(),
            run: gate.run.to_string(),
        });
    }
    match &gate.state {
        GateState::Approved { at, .. } if *at > package.decide_by => Err(Refused::ApprovedLate {
            at: *at,
            decide_by: package.decide_by,
        }),
        GateState::Approved { .. } => Ok(package),
        state @ (GateState::Open {}
        | GateState::Refused { .. }
        | GateState::Expired { .. }
        | GateState::Void { .. }) => Err(Refused::NotApproved { state: state.into() }),
    }
}

/// Whether the approval team opened the vault for exactly this package, where the package names a team.
///
/// # Errors
/// [`Refused::ShutVault`], which stops the executor.
pub fn check_outer(
    package: &DecisionPackage,
    digest: &Digest,
    record: Option<&OuterRecord>,
) -> Result<(), Refused> {
    let Some(gate) = &package.outer_gate else {
        return Ok(());
    };
    let state = match record {
        None => "never asked",
        Some(record) if record.run != package.run || record.package != *digest || record.gate != *gate => {
            "asked about something else"
        }
        Some(record) => match record.state {
            OuterState::Open { .. } => return Ok(()),
            OuterState::Asked {}
            | OuterState::Refused { .. }
            | OuterState::Expired { .. }
            | OuterState::Void { .. }
            | OuterState::Failed { .. } => (&record.state).into(),
        },
    };
    Err(Refused::ShutVault {
        team: gate.team.clone(),
        state,
    })
}

/// Whether the event boundary is still the one under which the package was made. Asked before the first effect;
/// later, only people can decide what a moved boundary means.
///
/// # Errors
/// [`Refused::BoundaryMoved`].
pub fn check_boundary(package: &DecisionPackage, current: &CurrentBoundary) -> Result<(), Refused> {
    if current.boundary == package.boundary {
        Ok(())
    } else {
        Err(Refused::BoundaryMoved {
            current: current.boundary,
            package: package.boundary,
        })
    }
}

#[cfg(test)]
mod inputs;
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::approval::fixtures::{artifact, inputs};
    use crate::approval::outer::OuterGate;
    use crate::approval::package::Sealed;

    fn approved() -> (Sealed, GateRecord) {
        let sealed = inputs().build().unwrap();
        let mut gate = GateRecord::open(
            &sealed.package,
            artifact("package"),
            sealed.digest.clone(),
            None,
            "2026-03-01T12:00:00Z".parse().unwrap(),
        );
        gate.state = GateState::Approved {
            at: sealed.package.decide_by,
            by: vec!["ada".into(), "bob".into()],
        };
        (sealed, gate)
    }

    #[test]
    fn exactly_the_approved_package_may_be_executed_in_its_time() {
        let (sealed, gate) = approved();
        let last = sealed.package.execute_by;
        let package = check_executable(&sealed.bytes, &sealed.digest, &gate, last).unwrap();
        assert_eq!(package, sealed.package);
        let late = last + jiff::SignedDuration::from_nanos(1);
        assert!(matches!(
            check_executable(&sealed.bytes, &sealed.digest, &gate, late),
            Err(Refused::Lapsed { .. })
        ));
        assert!(check_approved(&sealed.bytes, &sealed.digest, &gate).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_changed_byte_is_refused(at in any::<prop::sample::Index>(), mask in 1..=255u8, adjust in any::<bool>()) {
            let (sealed, gate) = approved();
            let mut bytes = sealed.bytes.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            // Whether or not the attacker can also change what the state machine names.
            let digest = if adjust { Digest::of(&bytes) } else { sealed.digest };
            prop_assert!(check_approved(&bytes, &digest, &gate).is_err());
        }
    }

    #[test]
    fn a_gate_that_did_not_approve_this_package_opens_nothing() {
        let (sealed, approved) = approved();
        let at = sealed.package.decide_by;
        let states = [
            GateState::Open {},
            GateState::Refused { at, by: "ada".into() },
            GateState::Expired { at },
            GateState::Void { at },
            GateState::Approved {
                at: at + jiff::SignedDuration::from_secs(1),
                by: vec![],
            },
        ];
        for state in states {
            let gate = GateRecord {
                state,
                ..approved.clone()
            };
            let refused = check_approved(&sealed.bytes, &sealed.digest, &gate).unwrap_err();
            assert_eq!(refused.name(), ErrorName::PolicyRefused, "{refused}");
        }
        let other = GateRecord {
            digest: Digest::of(b"other"),
            ..approved.clone()
        };
        assert!(matches!(
            check_approved(&sealed.bytes, &sealed.digest, &other),
            Err(Refused::OtherGate { .. })
        ));
        let extended = GateRecord {
            decide_by: at + jiff::SignedDuration::from_secs(9),
            ..approved
        };
        assert!(check_approved(&sealed.bytes, &sealed.digest, &extended).is_err());
    }

    #[test]
    fn the_same_content_in_other_bytes_is_refused() {
        let (sealed, gate) = approved();
        let bytes = serde_json::to_vec_pretty(&sealed.package).unwrap();
        let digest = Digest::of(&bytes);
        let gate = GateRecord {
            digest: digest.clone(),
            ..gate
        };
        assert!(matches!(
            check_approved(&bytes, &digest, &gate),
            Err(Refused::NotCanonical)
        ));
    }

    #[test]
    fn only_the_team_of_the_package_opens_the_vault_and_only_for_it() {
        let (sealed, _) = approved();
        assert!(
            check_outer(&sealed.package, &sealed.digest, None).is_ok(),
            "there is no team"
        );
        let gate = OuterGate {
            team: "team".to_owned(),
            vault: "vault".to_owned(),
        };
        let mut package = sealed.package;
        package.outer_gate = Some(gate.clone());
        let digest = sealed.digest;
        let at = package.decide_by;
        let open = OuterRecord {
            state: OuterState::Open { at },
            ..OuterRecord::ask(&package.run, &digest, gate, at, at)
        };
        assert!(check_outer(&package, &digest, Some(&open)).is_ok());
        let shut = |record: Option<&OuterRecord>| {
            let refused = check_outer(&package, &digest, record).unwrap_err();
            assert_eq!(refused.name(), ErrorName::PolicyRefused, "{refused}");
        };
        shut(None);
        let reason = "x".to_owned();
        for state in [
            OuterState::Asked {},
            OuterState::Refused { at },
            OuterState::Expired { at },
            OuterState::Void { at },
            OuterState::Failed { at, reason },
        ] {
            shut(Some(&OuterRecord {
                state,
                ..open.clone()
            }));
        }
        let mut other = open.clone();
        other.package = Digest::of(b"other");
        shut(Some(&other));
        let mut other = open.clone();
        other.gate.vault = "another".to_owned();
        shut(Some(&other));
        let mut other = open;
        other.gate.team = "another".to_owned();
        shut(Some(&other));
    }

    #[test]
    fn a_moved_boundary_needs_a_new_decision() {
        let (sealed, _) = approved();
        let mut current = CurrentBoundary {
            boundary: sealed.package.boundary,
            document: sealed.package.boundary_document.clone(),
        };
        assert!(check_boundary(&sealed.package, &current).is_ok());
        current.boundary -= jiff::SignedDuration::from_secs(1);
        assert_eq!(
            check_boundary(&sealed.package, &current).unwrap_err().name(),
            ErrorName::PreconditionChanged
        );
    }
}
