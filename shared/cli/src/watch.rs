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
use blackstart_core::run::{Conclusion, RunId, RunRecord, WorkloadName};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde::Deserialize;

/// Seconds between two looks: often enough to follow, far below the request quotas.
const GLANCE: u64 = 2;
/// Length of a bar: thousandths of a stage.
const WHOLE: u64 = 1_000;

/// Looks that may fail one after the other: a service that throttles for a while does not end the watch.
const PATIENCE: u32 = 5;

/// Follows a run: its stages, their states, and how long they may still take by what earlier runs took.
///
/// Ends with the run. Exit code 0: it recovered, or it goes on (`--once`); 1: a person has to look; 2: it cannot be seen.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The run, for example orders-0a1b2c3d4e5f, or a workload, for example orders: then its active run.
    #[arg(value_name = "RUN", value_parser = subject)]
    subject: Subject,
    /// The ledger's table: the stack's output `LedgerTable`.
    #[arg(long, env = "BLACKSTART_LEDGER")]
    ledger: String,
    /// Look once and leave.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = GLANCE)]
    every: u64,
}

/// What is to be watched.
#[derive(Debug, Clone)]
enum Subject {
    Run(RunId),
    Workload(WorkloadName),
}

fn subject(text: &str) -> Result<Subject, String> {
    let run = RunId::try_from(text.to_owned()).map(Subject::Run);
    run.or_else(|_| WorkloadName::try_from(text.to_owned()).map(Subject::Workload))
        .map_err(|_| format!("`{text}` is neither a run, such as orders-0a1b2c3d4e5f, nor a workload"))
}

/// What [`Key::active_run`] leads to, as far as it matters here.
#[derive(Deserialize)]
struct Active {
    run: RunId,
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
    /// Nothing to watch.
    #[error("workload `{0}` has no active run in this ledger")]
    NoActiveRun(WorkloadName),
    /// The terminal.
    #[error("the terminal cannot be written to")]
    Terminal(#[from] std::io::Error),
}

impl WatchFailed {
    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Ledger(LedgerError::Port(PortError::Transient { .. }))
                | Self::Executions(PortError::Transient { .. })
        )
    }
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
        let ledger = Ledger::new(config, self.ledger);
        let run = match self.subject {
            Subject::Run(run) => run,
            Subject::Workload(workload) => {
                let active = ledger.get::<Active>(&Key::active_run(&workload)).await?;
                active.ok_or(WatchFailed::NoActiveRun(workload))?.document.run
            }
        };
        let mut source = Source {
            run,
            ledger,
            histories: Histories::new(config),
            every: Duration::from_secs(self.every),
            failed: 0,
        };
        let first = source.look().await?;
        if self.once {
            snapshot(&first, out)?;
            return Ok(!needs_a_person(&first));
        }
        if std::io::stdout().is_terminal() {
            draw(&mut source, first).await
        } else {
            tell(&mut source, first, out).await
        }
    }
}

/// Bars that move.
async fn draw(source: &mut Source, mut glance: Glance) -> Result<bool, WatchFailed> {
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
        glance = source.again(glance).await?;
    }
}

/// One line per change, where nothing can move.
async fn tell(source: &mut Source, mut glance: Glance, out: &mut dyn Write) -> Result<bool, WatchFailed> {
    let mut told = BTreeSet::new();
    let mut standing = None;
    loop {
        if standing.replace(glance.progress.standing) != Some(glance.progress.standing) {
            writeln!(out, "{} {}", glance.at.strftime("%H:%M:%S"), headline(&glance))?;
        }
        for stage in &glance.progress.stages {
            let open = open_states(stage);
            let what = match stage.state {
                StageState::Ahead => continue,
                StageState::Running if !open.is_empty() => open,
                state @ (StageState::Running | StageState::Done | StageState::Failed) => {
                    state.words().to_owned()
                }
            };
            if told.insert((stage.stage, what.clone())) {
                writeln!(
                    out,
                    "{}   {}: {what}, {}",
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
        glance = source.again(glance).await?;
    }
}

/// Where what is known comes from.
struct Source {
    run: RunId,
    ledger: Ledger,
    histories: Histories,
    every: Duration,
    /// Looks that failed since the last one that did not.
    failed: u32,
}

impl Source {
    /// Waits, and looks again. The look before stands where this one is not answered.
    async fn again(&mut self, before: Glance) -> Result<Glance, WatchFailed> {
        tokio::time::sleep(self.every).await;
        match self.look().await {
            Ok(glance) => {
                self.failed = 0;
                Ok(glance)
            }
            Err(error) if error.may_pass() && self.failed < PATIENCE => {
                self.failed += 1;
                Ok(before)
            }
            Err(error) => Err(error),
        }
    }

    async fn look(&self) -> Result<Glance, WatchFailed> {
        let run = &self.run;
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
    if let Some(hint) = hint(glance) {
        line.push_str(&format!("; {hint}"));
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
    let open = open_states(stage);
    if !open.is_empty() {
        line.push_str(&format!(": {open}"));
    }
    line
}

/// The states in which a stage is, each once, with what they wait for.
fn open_states(stage: &StageProgress) -> String {
    let mut open: Vec<String> = Vec::new();
    for (state, kind) in &stage.open {
        let words = if *kind == BarKind::Work {
            state.clone()
        } else {
            format!("{state}, {}", kind.words())
        };
        if !open.contains(&words) {
            open.push(words);
        }
    }
    open.join("; ")
}

/// What to do about a run that needs somebody, or where its report is.
fn hint(glance: &Glance) -> Option<String> {
    let run = &glance.record.run;
    if glance.record.conclusion.is_some() {
        let bucket = &glance.record.plan.bucket;
        return Some(format!("report: s3://{bucket}/runs/{run}/report.html"));
    }
    Some(match glance.progress.standing {
        Standing::AwaitsApproval => format!("look at the package: blackstart approve {run} --show"),
        Standing::Stuck => {
            format!("answer: blackstart cutover resume|revert|abandon {run} --question … --rationale …")
        }
        Standing::BrokenOff => "see the runbook: When an execution ended by itself".to_owned(),
        Standing::Running | Standing::Concluded => return None,
    })
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
