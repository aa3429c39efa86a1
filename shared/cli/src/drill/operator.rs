//! A run that waits for an operator: what it says, whether the world is as it says, and the operator's part.

use blackstart_core::critical_path::{BarKind, RecordedStep, Stage as PathStage};
use blackstart_core::error_name::error_chain;
use blackstart_core::report::{Report, Standing};
use blackstart_core::run::RunId;
use blackstart_local::organisation::Scenario;
use blackstart_local::outside::{self, Check, End};
use serde_json::Value;

use super::play::{DrillFailed, Stage};
use crate::cutover::answer;

/// Where `Report stuck` leaves its report within the run.
const INTERIM: &str = "interim/report.json";
/// What the operator says. The final report must show it.
const RATIONALE: &str = "The vault is shared with the rebuild account now; the restore can begin.";

/// What was seen while a run waited for an operator.
#[derive(Debug)]
pub struct Stuck {
    /// The report of that moment.
    pub interim: Option<Report>,
    /// The world at that moment, looked at from outside.
    pub world: Vec<Check>,
    /// What failed before, as the ledger has it.
    pub cause: String,
    /// Who answered.
    pub person: String,
}

impl Stage {
    /// Looks at the run and the world as an operator would, removes the cause, and has the run resumed.
    ///
    /// # Errors
    /// [`DrillFailed::Stuck`] in a scenario in which nothing should have failed; others when the gateway refuses.
    pub(super) async fn be_operator(
        &self,
        run: &RunId,
        before: Option<&RecordedStep>,
    ) -> Result<Stuck, DrillFailed> {
        let cause = before.map_or_else(
            || "no step failed".to_owned(),
            |step| format!("`{}` ended with {}", step.state, step.outcome),
        );
        let person = self.ready.plan.approval.approvers.first();
        let identity = person.and_then(|person| person.identities.first());
        let (Scenario::Stuck, Some(person), Some(identity)) = (self.organisation.scenario, person, identity)
        else {
            return Err(DrillFailed::Stuck(cause));
        };
        let stuck = Stuck {
            interim: self.report_at(run, INTERIM).await?,
            world: outside::checks(&self.local, &self.organisation, End::Untouched).await?,
            cause,
            person: person.person.clone(),
        };
        self.organisation.share_vault(&self.local);
        let gateway = self.gateway_as(identity)?;
        let unanswered = |why: &dyn std::error::Error| {
            DrillFailed::Stuck(format!("{}, and {}", stuck.cause, error_chain(why)))
        };
        let asked = gateway
            .send("GET", &format!("/runs/{run}/operator"), None)
            .await
            .map_err(|error| unanswered(&error))?;
        let question = asked.get("question").and_then(Value::as_str).unwrap_or_default();
        answer(&gateway, run, question, "resume", RATIONALE)
            .await
            .map_err(|error| unanswered(&error))?;
        Ok(stuck)
    }
}

impl Stuck {
    /// What must have held then, and what the report at the end must say about it.
    pub(super) fn checks(&self, end: &Report) -> Vec<Check> {
        let check = |what: &str, holds, seen: String| Check {
            what: format!("while it waited for an operator: {what}"),
            holds,
            seen,
        };
        let mut checks: Vec<Check> = self
            .world
            .iter()
            .map(|world| check(&world.what, world.holds, world.seen.clone()))
            .collect();
        let said = self.interim.as_ref();
        checks.push(check(
            "the report begins with what an operator must do",
            said.is_some_and(|report| {
                report.standing == Standing::Stuck
                    && report
                        .next_steps
                        .first()
                        .is_some_and(|step| step.contains("Await operator"))
            }),
            format!("{:?}", said.map(|report| (report.standing, &report.next_steps))),
        ));
        checks.push(check(
            "the report says what failed, and what is not restored yet",
            said.is_some_and(|report| {
                report.reason.contains("starting the restore")
                    && report.open_items.iter().any(|item| item.contains("not restored"))
            }),
            format!("{:?}", said.map(|report| (&report.reason, &report.open_items))),
        ));
        let restore = end.critical_path.stages.get(&PathStage::Restore);
        let waited = restore.map_or(0.0, |time| time.seconds_of(BarKind::People));
        checks.push(check(
            "the report at the end shows the wait as one for people, within the stage that it interrupted, and the answer",
            waited > 0.0
                && end
                    .operators
                    .iter()
                    .any(|answer| answer.person == self.person && answer.rationale == RATIONALE),
            format!("{waited:.1} s, answers {:?}", end.operators),
        ));
        checks
    }
}
