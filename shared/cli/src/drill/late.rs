//! Late evidence: findings that arrive while a package is before the approvers, and what they change.

use std::collections::BTreeSet;

use blackstart_core::artifact::Digest;
use blackstart_core::report::Report;
use blackstart_core::validation::{SelectionDocument, Verdict};
use blackstart_local::accounts::VALIDATION;
use blackstart_local::outside::Check;
use blackstart_local::standin::StartedJob;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::play::{DrillFailed, GLANCE, Proposal, Stage, finding};

/// When the activity began that each late finding reports. Less the plan's margin of an hour, the first makes the
/// newest clean set ineligible but not the one before it; the second makes that one ineligible, too.
const BEGAN: [&str; 2] = ["2023-07-10T11:20:00Z", "2023-07-10T10:50:00Z"];

/// What each of the three packages must propose: the instant of the chosen set.
const CHOSEN: [&str; 3] = [
    "2023-07-10T10:37:00Z",
    "2023-07-10T10:07:00Z",
    "2023-07-10T08:37:00Z",
];

/// How many looks before a boundary counts as one that does not move: a minute.
const LOOKS: u32 = 240;

/// A package that was before the approvers.
#[derive(Debug)]
pub struct Late {
    /// Its digest.
    pub digest: Digest,
    /// The boundary under which it was made.
    pub boundary: Timestamp,
    /// Which set, and why.
    pub selection: SelectionDocument,
    /// The jobs that validation had started by then.
    pub jobs: Vec<StartedJob>,
    /// When it was first seen.
    pub at: Timestamp,
}

impl Stage {
    /// Takes note of a package that was not seen before, and lets the next finding arrive, until its boundary holds.
    ///
    /// # Errors
    /// [`DrillFailed::Unmoved`] if the boundary does not move.
    pub(super) async fn be_late(&self, proposal: &Proposal, seen: &mut Vec<Late>) -> Result<(), DrillFailed> {
        let package = &proposal.package;
        if seen.iter().any(|late| late.digest == proposal.gate.digest) {
            return Ok(());
        }
        let number = seen.len();
        seen.push(Late {
            digest: proposal.gate.digest.clone(),
            boundary: package.boundary,
            selection: proposal.selection.clone(),
            jobs: self.local.standin().control().started_jobs(VALIDATION),
            at: Timestamp::now(),
        });
        let Some(began) = BEGAN.get(number) else {
            return Ok(());
        };
        self.put_on_the_bus(&of(number, began)).await?;
        for _ in 0..LOOKS {
            let now = self.boundary(&proposal.gate.run).await?;
            if now.is_some_and(|now| now.boundary < package.boundary) {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(DrillFailed::Unmoved(format!("late-{number}")))
    }

    /// What must hold of the packages, looked at from outside, and what the report must show.
    #[must_use]
    pub fn late_checks(&self, seen: &[Late], report: &Report) -> Vec<Check> {
        let jobs = self.local.standin().control().started_jobs(VALIDATION);
        let mut checks = vec![Check {
            what: "each finding voided the package before the approvers, and another set was proposed"
                .to_owned(),
            holds: seen
                .iter()
                .map(|late| late.selection.set.newest.to_string())
                .eq(CHOSEN)
                && seen.is_sorted_by(|a, b| a.boundary > b.boundary),
            seen: seen
                .iter()
                .map(|late| format!("{} under {}", late.selection.set.newest, late.boundary))
                .collect::<Vec<_>>()
                .join(", "),
        }];
        if let [first, second, third] = seen {
            checks.push(reused(first, second));
            checks.push(Check {
                what: "the third set came from a further walk".to_owned(),
                holds: third.jobs.len() > second.jobs.len() && third.selection.verdict.at > second.at,
                seen: format!("judged at {}", third.selection.verdict.at),
            });
        }
        checks.push(once(&jobs));
        checks.push(shown(seen, report));
        checks
    }
}

/// The second package stands on a verdict that was there before the first finding.
fn reused(first: &Late, second: &Late) -> Check {
    let known = first
        .selection
        .considered
        .iter()
        .find(|set| set.set == second.selection.set.id)
        .and_then(|set| set.verdict);
    Check {
        what: "the second set was taken by the verdict that it had: nothing was restored or scanned for it"
            .to_owned(),
        holds: known == Some(Verdict::Clean)
            && first.jobs == second.jobs
            && second.selection.verdict.at < first.at,
        seen: format!(
            "{known:?} in the first package, judged at {}; {} jobs before, {} after",
            second.selection.verdict.at,
            first.jobs.len(),
            second.jobs.len()
        ),
    }
}

fn once(jobs: &[StartedJob]) -> Check {
    let different: BTreeSet<(&str, &str)> = jobs.iter().map(|job| (job.kind, job.point.as_str())).collect();
    Check {
        what: "no recovery point was restored or scanned twice for validation".to_owned(),
        holds: !jobs.is_empty() && different.len() == jobs.len(),
        seen: format!("{} jobs for {} different looks", jobs.len(), different.len()),
    }
}

/// The sets of the void packages stand in the report as clean, with what speaks against them now.
fn shown(seen: &[Late], report: &Report) -> Check {
    let considered = report.selection.as_ref().map(|selection| &selection.considered);
    let voided = seen.iter().rev().skip(1);
    let told: Vec<bool> = voided
        .map(|late| {
            considered.into_iter().flatten().any(|set| {
                set.set == late.selection.set.id
                    && set.verdict == Some(Verdict::Clean)
                    && !set.eligible
                    && set
                        .reasons
                        .iter()
                        .any(|reason| reason.contains("does not precede the boundary"))
            })
        })
        .collect();
    Check {
        what: "the report shows the sets of the void packages as clean, and why they are not taken"
            .to_owned(),
        holds: told.len() == BEGAN.len() && told.iter().all(|told| *told),
        seen: format!("{considered:?}"),
    }
}

/// A finding like the first, about something that began earlier.
fn of(number: usize, began: &str) -> Value {
    let mut finding = finding(&format!("late-{number}"));
    if let Some(service) = finding.get_mut("service").and_then(Value::as_object_mut) {
        service.insert("eventFirstSeen".to_owned(), json!(began));
    }
    finding
}
