//! The evidence that a drill left, verified as an auditor would: with the key from where the bundle is not from.

use std::collections::BTreeSet;

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::signer::{KmsSigner, Signer as _};
use blackstart_core::evidence::Kind;
use blackstart_core::evidence::bundle::Attested;
use blackstart_core::evidence::dsse::PublicKey;
use blackstart_core::run::RunId;
use blackstart_local::accounts::RECOVERY;
use blackstart_local::outside::{Check, End};

use super::play::{DrillFailed, Ended, Stage, call};
use crate::evidence::verified;

/// The bundle's name within the run.
pub const BUNDLE: &str = "evidence.intoto.jsonl";

/// What every run that cut over must have left a link of.
const CUT_OVER: [Kind; 22] = [
    Kind::RunOpened,
    Kind::LogsCollected,
    Kind::BoundarySet,
    Kind::CandidatesListed,
    Kind::TrialStarted,
    Kind::SetJudged,
    Kind::SetSelected,
    Kind::TemplatesChecked,
    Kind::InfrastructureBuilt,
    Kind::ReferencesInventoried,
    Kind::PackagePrepared,
    Kind::GateOpened,
    Kind::VoteTaken,
    Kind::GateDecided,
    Kind::RestoreRequested,
    Kind::DataRestored,
    Kind::CredentialRotated,
    Kind::CutoverPlanned,
    Kind::JournalWritten,
    Kind::TrafficShifted,
    Kind::StateVerified,
    Kind::ReportWritten,
];
/// The same of every run.
const EVERY_RUN: [Kind; 4] = [
    Kind::RunOpened,
    Kind::LogsCollected,
    Kind::SetJudged,
    Kind::ReportWritten,
];
/// Stages whose end is sealed in a run that cut over.
const SEALED: [&str; 6] = ["prepare", "approval", "restore", "rotate", "cutover", "report"];

impl Stage {
    /// The bundle of a run and the public key, each from its own place.
    ///
    /// # Errors
    /// [`DrillFailed`].
    pub async fn evidence(&self, run: &RunId) -> Result<Option<(Vec<u8>, PublicKey)>, DrillFailed> {
        let config = self.local.root_of(RECOVERY);
        let store = ArtifactStore::new(&config, self.deployed.output("EvidenceBucket")?.to_owned());
        let Some((_, bundle)) = store.find(run, BUNDLE).await? else {
            return Ok(None);
        };
        let signer = KmsSigner::new(&config, self.deployed.output("EvidenceKey")?.to_owned());
        let key = signer
            .public_key()
            .await
            .map_err(call("asking for the evidence key"))?;
        Ok(Some((bundle, key)))
    }

    /// Whether the approval team was asked about exactly the digest that the approvers approved, and once.
    #[must_use]
    pub fn team_check(&self, ended: &Ended) -> Check {
        let asked = self.local.standin().control().requests_to_teams();
        let digest = ended
            .report
            .as_ref()
            .and_then(|report| report.gate.as_ref())
            .map(|gate| gate.digest.to_string());
        Check {
            what: "the approval team was asked once, about the digest that the approvers approved".to_owned(),
            holds: digest.is_some_and(|digest| matches!(asked.as_slice(), [one] if one.contains(&digest))),
            seen: asked.join("; "),
        }
    }

    /// Whether the evidence holds and tells the whole run.
    ///
    /// # Errors
    /// [`DrillFailed`].
    pub async fn evidence_checks(&self, run: &RunId, end: End) -> Result<Vec<Check>, DrillFailed> {
        let what = "the evidence verifies under the key of the recovery account".to_owned();
        let Some((bundle, key)) = self.evidence(run).await? else {
            return Ok(vec![Check {
                what,
                holds: false,
                seen: "there is no bundle".to_owned(),
            }]);
        };
        Ok(match verified(&bundle, Some(&key)) {
            Ok(attested) => vec![
                Check {
                    what,
                    holds: true,
                    seen: format!("{} links", attested.proven.links),
                },
                told(&attested, end),
                no_effect_without_approval(&attested, end),
            ],
            Err(faults) => vec![Check {
                what,
                holds: false,
                seen: faults
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            }],
        })
    }
}

fn told(attested: &Attested, end: End) -> Check {
    let kinds: BTreeSet<Kind> = attested.links.iter().map(|link| link.event.kind).collect();
    let stages: BTreeSet<&str> = attested
        .checkpoints
        .iter()
        .map(|(stage, _)| stage.as_str())
        .collect();
    let (wanted, sealed): (&[Kind], &[&str]) = match end {
        End::CutOver => (&CUT_OVER, &SEALED),
        End::Untouched => (&EVERY_RUN, &["prepare", "report"]),
    };
    let missing = wanted
        .iter()
        .filter(|kind| !kinds.contains(kind))
        .map(<&str>::from);
    let unsealed = sealed.iter().filter(|stage| !stages.contains(*stage)).copied();
    let missing: Vec<&str> = missing.chain(unsealed).collect();
    Check {
        what: "the evidence tells every stage, and every boundary between two is sealed".to_owned(),
        holds: missing.is_empty(),
        seen: format!(
            "{} links, {} checkpoints; missing: [{}]",
            attested.proven.links,
            attested.checkpoints.len(),
            missing.join(", ")
        ),
    }
}

fn no_effect_without_approval(attested: &Attested, end: End) -> Check {
    let effects = attested.approved_effects;
    Check {
        what: match end {
            End::CutOver => "every effect in the evidence stands after an approval of its package",
            End::Untouched => "the evidence holds no effect past the gate",
        }
        .to_owned(),
        holds: (effects > 0) == (end == End::CutOver),
        seen: format!("{effects} effects, {} approvals", attested.approvals.len()),
    }
}
