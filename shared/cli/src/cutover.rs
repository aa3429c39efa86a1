//! `blackstart cutover`: how far a cutover is, and what it is to do when it waits for a person.

use std::io::Write;

use aws_config::SdkConfig;
use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_aws::tokens::open_question;
use blackstart_core::cutover::{CutoverDocument, Status};
use blackstart_core::journal::{Entry, Event, IllegalEvent};
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::approve::{Address, run_id, show};
use crate::gateway::{Gateway, GatewayError};

/// How far a cutover is, and what it is to do when it waits for a person.
#[derive(Debug, Subcommand)]
pub(crate) enum Cutover {
    /// Reads the journal: what is done, what is open, what comes next.
    Status(ReadJournal),
    /// The cause is removed: go on. Every step is compared with the live value again.
    Resume(Decide),
    /// Undo what was done, newest first, each only where the live value is ours.
    Revert(Decide),
    /// Leave everything as it is. The journal stays open, with your reason in it.
    Abandon(Decide),
}

/// Which journal.
#[derive(Debug, Args)]
pub(crate) struct ReadJournal {
    /// The run, for example orders-0a1b2c3d4e5f.
    #[arg(value_parser = run_id)]
    run: RunId,
    /// The ledger's table: the stack's output `LedgerTable`.
    #[arg(long, env = "BLACKSTART_LEDGER")]
    ledger: String,
    /// Print every entry of the journal, too, one JSON document per line.
    #[arg(long)]
    journal: bool,
}

/// A person's decision.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The run.
    #[arg(value_parser = run_id)]
    run: RunId,
    /// What you answer: the notice and `status` name the question. One that is asked no more is not answered.
    #[arg(long)]
    question: String,
    /// Why, in your words. It is kept in the journal and in the evidence.
    #[arg(long)]
    rationale: String,
    #[command(flatten)]
    address: Address,
}

/// The cutover cannot be shown or told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutoverFailed {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The cutover plan.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// There is nothing to show.
    #[error(
        "run `{0}` has no journal in this ledger: nothing past the gate was begun, or it is another ledger"
    )]
    NoJournal(RunId),
    /// The cutover plan is not one.
    #[error("`s3://{bucket}/{key}` is not the cutover plan of the journal")]
    NotThePlan {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The journal contradicts itself.
    #[error("the journal cannot be replayed")]
    Journal(#[from] IllegalEvent),
    /// The gate.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Standard output.
    #[error("the answer cannot be written")]
    Output(#[from] std::io::Error),
}

impl Cutover {
    /// Shows or decides. `false`: a person has to look.
    ///
    /// # Errors
    /// [`CutoverFailed`].
    pub(crate) async fn run(self, config: &SdkConfig, out: &mut dyn Write) -> Result<bool, CutoverFailed> {
        let (choice, decide) = match self {
            Self::Status(which) => return which.show(config, out).await,
            Self::Resume(decide) => ("resume", decide),
            Self::Revert(decide) => ("revert", decide),
            Self::Abandon(decide) => ("abandon", decide),
        };
        let gateway = decide.address.gateway(config)?;
        let answer = answer(&gateway, &decide.run, &decide.question, choice, &decide.rationale).await?;
        show(&answer, out)?;
        Ok(true)
    }
}

/// Answers the state that waits for an operator, through the gate: nobody else holds the task token.
pub(crate) async fn answer(
    gateway: &Gateway,
    run: &RunId,
    question: &str,
    choice: &str,
    rationale: &str,
) -> Result<Value, GatewayError> {
    let body = json!({"question": question, "choice": choice, "rationale": rationale});
    gateway
        .send("POST", &format!("/runs/{run}/operator"), Some(&body))
        .await
}

impl ReadJournal {
    async fn show(&self, config: &SdkConfig, out: &mut dyn Write) -> Result<bool, CutoverFailed> {
        let ledger = Ledger::new(config, self.ledger.clone());
        // Before the gate there is a question and no journal.
        if let Some((question, since)) = open_question(&ledger, &self.run).await? {
            writeln!(out, "question {question} waits for an operator since {since}\n")?;
        }
        let rows = ledger
            .query::<Entry>(&Key::run_partition(&self.run), Key::JOURNAL_PREFIX)
            .await?;
        let entries: Vec<Entry> = rows.into_iter().map(|(_, row)| row.document).collect();
        let opened = entries.iter().rev().find_map(|entry| {
            let Event::Opened { cutover, .. } = &entry.event else {
                return None;
            };
            Some(cutover)
        });
        let plan = opened.ok_or_else(|| CutoverFailed::NoJournal(self.run.clone()))?;
        let bytes = ArtifactStore::new(config, plan.bucket.clone()).get(plan).await?;
        let document: CutoverDocument =
            serde_json::from_slice(&bytes).map_err(|source| CutoverFailed::NotThePlan {
                bucket: plan.bucket.clone(),
                key: plan.key.clone(),
                source,
            })?;
        let status = Status::new(&self.run, &document, &entries)?;
        write!(out, "{}", status.page())?;
        if self.journal {
            for entry in &entries {
                // JSON escapes every control character.
                writeln!(out, "{}", json!(entry))?;
            }
        }
        Ok(!status.standing().needs_a_person())
    }
}

#[cfg(test)]
mod tests {
    use blackstart_core::cutover::STATE_HEADING;
    use blackstart_core::journal::StepState;

    #[test]
    fn the_runbook_has_every_heading_that_a_status_names() {
        let runbook = include_str!("../../../infra/docs/runbook.md");
        let headings = StepState::ALL.into_iter().filter_map(StepState::heading);
        for heading in headings.chain([STATE_HEADING]) {
            let present = runbook
                .lines()
                .any(|line| line.trim_start_matches('#').trim() == heading);
            assert!(present, "no heading `{heading}`");
        }
    }
}
