//! `blackstart drill`: a whole recovery on this machine, without an AWS account.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write};

use aws_sdk_sfn::types::ExecutionStatus;
use blackstart_core::approval::vote::Choice;
use blackstart_core::run::Conclusion;
use blackstart_local::organisation::Scenario;
use blackstart_local::outside::{self, Check, End};
use blackstart_local::project::Project;
use clap::{Args, ValueEnum};
use serde_json::json;

pub mod evidence;
mod kept;
pub mod late;
pub mod operator;
pub mod play;
mod terminal;

use kept::{KEY, earlier_drills, save_report};
use play::{Answer, DrillFailed, Ended, Execution, Proposal, Stage, Trigger};
pub(crate) use terminal::shown;
use terminal::{Terminal, ask, show_changes, show_critical_path, show_waits};

/// Plays a whole recovery on this machine: no AWS account, no Docker.
#[derive(Debug, Args)]
pub struct Drill {
    /// What happens.
    #[arg(long, value_enum, default_value = "incident")]
    scenario: Play,
    /// What starts the recovery.
    #[arg(long, value_enum, default_value = "finding")]
    start: Start,
    /// Approve without asking.
    #[arg(long)]
    approve: bool,
}

/// The scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Play {
    /// Ransomware: the newest recovery points are tainted, an older set is clean.
    Incident,
    /// The same, and an approver refuses.
    Refused,
    /// No recovery point is clean.
    NoCleanPoint,
    /// The cutover function is killed once between a write and its journal entry.
    Crash,
    /// The restore is refused after the approval: the run waits until an operator has removed the cause.
    Stuck,
    /// The finished cutover plan is put before the approvers, too.
    SecondGate,
    /// Nobody decides within the minute that the plan gives.
    Expired,
    /// An approval team of AWS Backup guards the vault, and opens it.
    ApprovalTeam,
    /// The approvers approve, and the approval team refuses.
    TeamRefused,
    /// Findings arrive while a package is before the approvers: the boundary moves earlier, twice, and the choice with it.
    LateEvidence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Start {
    /// A GuardDuty finding on the event bus.
    Finding,
    /// By hand, as from the Step Functions console.
    Manual,
}

impl Play {
    /// The scenario of the local AWS.
    #[must_use]
    pub fn scenario(self) -> Scenario {
        match self {
            Self::Incident => Scenario::Incident,
            Self::Refused => Scenario::Refused,
            Self::NoCleanPoint => Scenario::NoCleanPoint,
            Self::Crash => Scenario::Crash,
            Self::Stuck => Scenario::Stuck,
            Self::SecondGate => Scenario::SecondGate,
            Self::Expired => Scenario::Expired,
            Self::ApprovalTeam => Scenario::ApprovalTeam,
            Self::TeamRefused => Scenario::TeamRefused,
            Self::LateEvidence => Scenario::LateEvidence,
        }
    }

    /// How a run of this scenario must end, and how the world must look afterwards.
    #[must_use]
    pub fn expected(self) -> (Conclusion, End) {
        match self {
            Self::Incident
            | Self::Crash
            | Self::Stuck
            | Self::SecondGate
            | Self::ApprovalTeam
            | Self::LateEvidence => (Conclusion::Recovered, End::CutOver),
            Self::Refused | Self::TeamRefused => (Conclusion::Refused, End::Untouched),
            Self::Expired => (Conclusion::Expired, End::Untouched),
            Self::NoCleanPoint => (Conclusion::NoCleanPoint, End::Untouched),
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Self::Incident => {
                "the newest clean set was restored, and traffic and trust moved to the new account"
            }
            Self::Refused => {
                "an approver refused: nothing was restored, no reference changed, traffic stayed"
            }
            Self::NoCleanPoint => "no recovery set was proven clean: nothing was proposed, nothing changed",
            Self::Crash => {
                "the cutover function died between a write and its journal entry, and the run still ended as it should"
            }
            Self::Stuck => {
                "the restore was refused, the run waited for an operator, and went on when the cause was removed"
            }
            Self::SecondGate => "the finished cutover plan was approved, too, before its first effect",
            Self::Expired => {
                "nobody decided in time: nothing was restored, no reference changed, traffic stayed"
            }
            Self::ApprovalTeam => {
                "the approval team opened the vault for exactly the approved digest, and the recovery went on"
            }
            Self::TeamRefused => {
                "the approval team refused: nothing was restored, no reference changed, traffic stayed"
            }
            Self::LateEvidence => {
                "late evidence voided two packages: an earlier set was chosen by the verdict that it had, then an older one by a further walk"
            }
        }
    }
}

impl Drill {
    /// Plays the drill. `true`: the end state, looked at from outside, is the one that the scenario must have.
    ///
    /// # Errors
    /// [`DrillFailed`] when it could not be played to its end.
    pub async fn run(self, project: &Project, out: &mut dyn Write) -> Result<bool, DrillFailed> {
        let mut out = Terminal(out);
        let stage = Stage::set(project, self.scenario.scenario(), &mut |text| {
            out.line(&format!("· {text}"))
        })
        .await?;
        for durations in earlier_drills(project) {
            stage.remember(&durations).await?;
        }
        let ended = self.play(&stage, &mut out).await;
        let answer = match ended {
            Ok((execution, ended)) => self.judge(&stage, project, &execution, &ended, &mut out).await,
            Err(error) => Err(error),
        };
        if answer.is_err() {
            out.line(&format!(
                "the emulator's log: {}",
                stage.local.ministack().log().display()
            ));
        }
        stage.local.stop().await;
        answer
    }

    async fn play(&self, stage: &Stage, out: &mut Terminal<'_>) -> Result<(Execution, Ended), DrillFailed> {
        let trigger = match self.start {
            Start::Finding => {
                out.line("· a GuardDuty finding arrives on the event bus");
                Trigger::Finding(play::finding("8ec5c3a1f0b94b6f8b1de8f1f3a6c0d1"))
            }
            Start::Manual => {
                out.line("· started by hand with {\"workload\": \"orders\"}");
                Trigger::Input(json!({"workload": stage.ready.plan.workload}))
            }
        };
        let execution = stage.start(&trigger).await?;
        out.line(&format!("· run {}", execution.run));
        out.line(&format!(
            "  to watch it from another terminal: {}",
            watching(stage, &execution)?
        ));
        let seen = &mut BTreeSet::new();
        let out = std::cell::RefCell::new(out);
        let ended = stage
            .follow(
                &execution,
                &mut |proposal| {
                    if self.scenario == Play::Expired {
                        return None;
                    }
                    Some(self.decide(proposal, &mut out.borrow_mut()))
                },
                &mut |step| {
                    let outcome = if step.outcome == "ok" {
                        ""
                    } else {
                        step.outcome.as_str()
                    };
                    if seen.insert(step.state.clone()) || !outcome.is_empty() {
                        let seconds = step.ended.duration_since(step.entered).as_secs_f64();
                        out.borrow_mut()
                            .line(&format!("    {:<28} {seconds:>6.1} s  {outcome}", step.state));
                    }
                },
            )
            .await?;
        Ok((execution, ended))
    }

    fn decide(&self, proposal: &Proposal, out: &mut Terminal<'_>) -> Answer {
        let package = &proposal.package;
        out.line("\nThe gate. What is proposed:");
        out.line(&format!("  event boundary  {}", package.boundary));
        for set in &proposal.selection.considered {
            let verdict: &str = set.verdict.map_or("not judged", Into::into);
            let chosen = if set.set == package.set.id { "→" } else { " " };
            out.line(&format!(
                "  {chosen} set {} of {}  {verdict}",
                set.set, set.newest
            ));
            for reason in &set.reasons {
                out.line(&format!("      · {}", shown(reason)));
            }
        }
        let measure = proposal.inventory.measure;
        out.line(&format!(
            "  {} documents read in the siblings: {} of {} tokens handled, {} waived, {} unhandled, {} gaps",
            measure.documents,
            measure.handled,
            measure.tokens,
            measure.waived,
            measure.unhandled,
            proposal.inventory.failures.len()
        ));
        out.line(&format!(
            "  {} references change, {} names move",
            package.references.len(),
            package.names.len()
        ));
        out.line(&format!("  digest {}\n", proposal.gate.digest));
        let refused = self.scenario == Play::Refused;
        if refused || self.approve || !std::io::stdin().is_terminal() {
            let rationale = if refused {
                "The boundary leaves too much doubt; look at the console logins first."
            } else {
                "Unattended drill: the newest clean set before the boundary, as the plan asks."
            };
            let choice = if refused { Choice::Refuse } else { Choice::Approve };
            out.line(if refused {
                "  refused by the scenario"
            } else {
                "  approved without asking"
            });
            return Answer {
                choice,
                rationale: rationale.to_owned(),
            };
        }
        ask()
    }

    async fn judge(
        &self,
        stage: &Stage,
        project: &Project,
        execution: &Execution,
        ended: &Ended,
        out: &mut Terminal<'_>,
    ) -> Result<bool, DrillFailed> {
        let (conclusion, end) = self.scenario.expected();
        let Some(report) = &ended.report else {
            out.line(&format!(
                "\nThe execution ended {} without a report: {}",
                ended.status, ended.output
            ));
            return Ok(false);
        };
        show_critical_path(&report.critical_path, out);
        show_changes(report, out);
        show_waits(report, out);
        let folder = save_report(stage, project, execution).await?;
        let mut checks = outside::checks(&stage.local, &stage.organisation, end).await?;
        checks.extend(stage.evidence_checks(&execution.run, end).await?);
        checks.extend(ended.stuck.iter().flat_map(|stuck| stuck.checks(report)));
        if self.scenario == Play::LateEvidence {
            checks.extend(stage.late_checks(&ended.late, report));
        }
        checks.push(Check {
            what: format!("the run concluded {}", <&str>::from(conclusion)),
            holds: report.conclusion == Some(conclusion) && ended.status == ExecutionStatus::Succeeded,
            seen: format!(
                "{} {}",
                report.conclusion.map_or("no conclusion", <&str>::from),
                shown(&report.reason)
            ),
        });
        if self.scenario == Play::Stuck {
            checks.push(Check {
                what: "the run waited for an operator once".to_owned(),
                holds: ended.stuck.len() == 1,
                seen: format!("{} times", ended.stuck.len()),
            });
        }
        if stage.organisation.scenario.team().is_some() {
            checks.push(stage.team_check(ended));
        }
        if self.scenario == Play::Crash {
            checks.push(Check {
                what: "the cutover function was killed once".to_owned(),
                holds: stage.local.ministack().crash_has_happened(),
                seen: "no crash".to_owned(),
            });
        }
        out.line("\nChecked from outside");
        for check in &checks {
            out.line(&format!(
                "  {} {}",
                if check.holds { "✓" } else { "✗" },
                check.what
            ));
            if !check.holds {
                out.line(&format!("      seen: {}", shown(&check.seen)));
            }
        }
        let good = checks.iter().all(|check| check.holds);
        out.line(&format!("\nReport: {}", folder.join("report.html").display()));
        out.line(&format!(
            "Evidence: blackstart evidence verify {0}/{1} --key {0}/{KEY} --artifacts {0}",
            folder.display(),
            evidence::BUNDLE
        ));
        out.line(if good {
            self.scenario.explanation()
        } else {
            "The drill did not end as it must."
        });
        Ok(good)
    }
}

/// The command that watches a run of this local AWS.
fn watching(stage: &Stage, execution: &Execution) -> Result<String, DrillFailed> {
    let environment: Vec<String> = stage
        .local
        .environment()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("AWS_ENDPOINT_URL_"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Ok(format!(
        "{} cargo blackstart watch {} --ledger {}",
        environment.join(" "),
        execution.run,
        stage.deployed.output("LedgerTable")?
    ))
}
