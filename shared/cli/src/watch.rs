//! `blackstart watch`: a run in the terminal, while it runs.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use aws_config::SdkConfig;
use blackstart_aws::histories::Histories;
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_aws::port::PortError;
use blackstart_core::chart::axis::duration;
use blackstart_core::critical_path::{BarKind, Observed, RecordedStep, Stage};
use blackstart_core::history::ExecutionHistory;
use blackstart_core::ledger::Key;
use blackstart_core::progress::{Progress, StageProgress, StageState, eta, progress};
use blackstart_core::report::Standing;
use blackstart_core::report::trend::{RunDurations, earlier};
use blackstart_core::run::{Conclusion, RunId, RunRecord};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

/// How often the run is looked at: often enough to follow, far below the request quotas.
const GLANCE: Duration = Duration::from_secs(2);
/// Length of a bar: thousandths of a stage.
const WHOLE: u64 = 1_000;

/// Follows a run: its stages, their states, and how long they may still take by what earlier runs took.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The run, for example orders-0a1b2c3d4e5f.
    #[arg(value_parser = crate::approve::run_id)]
    run: RunId,
    /// The ledger's table: the stack's output `LedgerTable`.
    #[arg(long, env = "BLACKSTART_LEDGER")]
    ledger: String,
    /// Look once and leave.
    #[arg(long)]
    once: bool,
}

/// A run cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchFailed {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Step Functions.
    #[error(transparent)]
    Executions(#[from] PortError),
    /// Nobody opened it.
    #[error("run `{0}` is not in this ledger: its id is in the output of `Open run`")]
    UnknownRun(RunId),
    /// The terminal.
    #[error("the terminal cannot be written to")]
    Terminal(#[from] std::io::Error),
}

/// What is known of a run at one moment.
struct Glance {
    record: RunRecord,
    progress: Progress,
    at: Timestamp,
}

impl Watch {
    /// Follows the run until it ends. `false`: it is broken off or stuck, and a person must look.
    ///
    /// # Errors
    /// [`WatchFailed`].
    pub(crate) async fn run(self, config: &SdkConfig, out: &mut dyn Write) -> Result<bool, WatchFailed> {
        let source = Source {
            ledger: Ledger::new(config, self.ledger.clone()),
            histories: Histories::new(config),
        };
        let first = source.look(&self.run).await?;
        if self.once {
            snapshot(&first, out)?;
            return Ok(!needs_a_person(&first));
        }
        if std::io::stdout().is_terminal() {
            self.draw(&source, first).await
        } else {
            self.tell(&source, first, out).await
        }
    }

    /// Bars that move.
    async fn draw(&self, source: &Source, mut glance: Glance) -> Result<bool, WatchFailed> {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let head = screen.add(ProgressBar::new(WHOLE).with_style(style("{msg}")));
        let bars: Vec<(Stage, ProgressBar)> = glance
            .progress
            .stages
            .iter()
            .map(|stage| {
                let bar = ProgressBar::new(WHOLE).with_style(style("{prefix} [{bar:24}] {msg}"));
                bar.set_prefix(format!("{:<22}", branch(stage.stage)));
                (stage.stage, screen.add(bar))
            })
            .collect();
        loop {
            head.set_message(headline(&glance));
            for (stage, (_, bar)) in glance.progress.stages.iter().zip(&bars) {
                bar.set_position(thousandths(stage.share().unwrap_or(0.0)));
                bar.set_message(stage_line(stage));
            }
            if is_over(&glance) {
                for bar in bars.iter().map(|(_, bar)| bar).chain([&head]) {
                    bar.abandon();
                }
                return Ok(!needs_a_person(&glance));
            }
            tokio::time::sleep(GLANCE).await;
            glance = source.look(&self.run).await?;
        }
    }

    /// One line per change, where nothing can move.
    async fn tell(
        &self,
        source: &Source,
        mut glance: Glance,
        out: &mut dyn Write,
    ) -> Result<bool, WatchFailed> {
        let mut told = BTreeSet::new();
        loop {
            for stage in &glance.progress.stages {
                let open: Vec<&str> = stage.open.iter().map(|(state, _)| state.as_str()).collect();
                let what = match stage.state {
                    StageState::Ahead => continue,
                    StageState::Running if open.is_empty() => "running".to_owned(),
                    StageState::Running => open.join(", "),
                    StageState::Done | StageState::Failed => stage.state.words().to_owned(),
                };
                if told.insert((stage.stage, what.clone())) {
                    writeln!(
                        out,
                        "{} {}: {what}, {}",
                        glance.at.strftime("%H:%M:%S"),
                        stage.stage.words(),
                        duration(stage.seconds)
                    )?;
                }
            }
            out.flush()?;
            if is_over(&glance) {
                writeln!(out, "{}", headline(&glance))?;
                return Ok(!needs_a_person(&glance));
            }
            tokio::time::sleep(GLANCE).await;
            glance = source.look(&self.run).await?;
        }
    }
}

/// Where what is known comes from.
struct Source {
    ledger: Ledger,
    histories: Histories,
}

impl Source {
    async fn look(&self, run: &RunId) -> Result<Glance, WatchFailed> {
        let record = self
            .ledger
            .get::<RunRecord>(&Key::run(run))
            .await?
            .ok_or_else(|| WatchFailed::UnknownRun(run.clone()))?
            .document;
        let steps: Vec<RecordedStep> = self.rows(&Key::run_partition(run), Key::STEP_PREFIX).await?;
        let partition = Key::workload_partition(&record.workload);
        let before: Vec<RunDurations> = self.rows(&partition, Key::DURATIONS_PREFIX).await?;
        let histories = self.histories(&record, &steps).await?;
        let at = Timestamp::now();
        let progress = progress(
            &Observed {
                started: record.started,
                steps: &steps,
                histories: &histories,
                decided: None,
                until: at,
            },
            &record.execution,
            &earlier(before, &record),
        );
        Ok(Glance { record, progress, at })
    }

    async fn rows<T: serde::de::DeserializeOwned>(
        &self,
        partition: &str,
        prefix: &str,
    ) -> Result<Vec<T>, LedgerError> {
        let rows = self.ledger.query::<T>(partition, prefix).await?;
        Ok(rows.into_iter().map(|(_, row)| row.document).collect())
    }

    async fn histories(
        &self,
        record: &RunRecord,
        steps: &[RecordedStep],
    ) -> Result<Vec<ExecutionHistory>, PortError> {
        let executions: BTreeSet<&str> = steps
            .iter()
            .map(|step| step.execution.as_str())
            .filter(|execution| blackstart_core::history::has_history(execution))
            .chain([record.execution.as_str()])
            .collect();
        let mut histories = Vec::new();
        for execution in executions {
            histories.push(self.histories.of(execution).await?);
        }
        Ok(histories)
    }
}

fn is_over(glance: &Glance) -> bool {
    glance.record.conclusion.is_some() || glance.progress.standing == Standing::BrokenOff
}

fn needs_a_person(glance: &Glance) -> bool {
    match glance.record.conclusion {
        Some(conclusion) => !matches!(conclusion, Conclusion::Recovered | Conclusion::Rehearsed),
        None => matches!(
            glance.progress.standing,
            Standing::BrokenOff | Standing::Stuck | Standing::AwaitsApproval
        ),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

fn thousandths(share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is between 0 and 1"
    )]
    let thousandths = (share.clamp(0.0, 1.0) * 1_000.0) as u64;
    thousandths
}

/// The stage with its place in the graph: the branches of Prepare side by side, the rest in a row.
fn branch(stage: Stage) -> String {
    let sign = match stage {
        Stage::Timeline => "┬─",
        Stage::Validation | Stage::Rebuild => "├─",
        Stage::References => "└─",
        Stage::ResidualValidation => "┄▸",
        Stage::Approval | Stage::Restore | Stage::Rotate | Stage::Cutover => "─▸",
    };
    format!("{sign} {}", stage.words())
}

fn headline(glance: &Glance) -> String {
    let standing: &str = match (glance.record.conclusion, glance.progress.standing) {
        (Some(conclusion), _) => conclusion.into(),
        (None, standing) => standing.into(),
    };
    let mut line = format!("{}: {}", glance.record.run, standing.replace('_', " "));
    if glance.record.conclusion.is_none() {
        line.push_str(&format!(", {} so far", duration(glance.progress.elapsed)));
        if let (Some(left), Some(eta)) = (glance.progress.left, eta(&glance.progress, glance.at)) {
            line.push_str(&format!(
                ", about {} left (until {} UTC, as earlier runs went)",
                duration(left),
                eta.strftime("%H:%M")
            ));
        }
    }
    line
}

fn stage_line(stage: &StageProgress) -> String {
    let mut line = stage.state.words().to_owned();
    if stage.state != StageState::Ahead {
        line.push_str(&format!(" {}", duration(stage.seconds)));
    }
    if let Some(expected) = stage.expected {
        line.push_str(&format!(" (before: {})", duration(expected)));
    }
    let open: Vec<String> = stage
        .open
        .iter()
        .map(|(state, kind)| {
            if *kind == BarKind::Work {
                state.clone()
            } else {
                format!("{state}, {}", kind.words())
            }
        })
        .collect();
    if !open.is_empty() {
        line.push_str(&format!(": {}", open.join("; ")));
    }
    line
}

fn snapshot(glance: &Glance, out: &mut dyn Write) -> std::io::Result<()> {
    const CELLS: usize = 24;
    writeln!(out, "{}", headline(glance))?;
    for stage in &glance.progress.stages {
        let cells = usize::try_from(thousandths(stage.share().unwrap_or(0.0))).unwrap_or(0) * CELLS / 1_000;
        writeln!(
            out,
            "  {:<22} [{}{}] {}",
            branch(stage.stage),
            "━".repeat(cells),
            " ".repeat(CELLS - cells),
            stage_line(stage)
        )?;
    }
    Ok(())
}
