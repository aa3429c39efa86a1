//! The operator: told what is open, asked what to do, answered for through the task token.

use std::fmt::Write as _;

use blackstart_aws::notices::Notices;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::{Cipher, TokenStore, Wait};
use blackstart_core::journal::{Command, StepState};
use blackstart_core::task::Failure;
use blackstart_core::task::approval::TaskToken;

use crate::CutoverError;
use crate::context::{Context, Open};
use crate::world::World;

impl<W: World, R: Records, C: Cipher, N: Notices> Context<'_, W, R, C, N> {
    /// Stores the token and tells the operators. The notice holds neither the token nor anything that acts when it
    /// is opened.
    pub(crate) async fn ask_operator(
        &self,
        failure: &Failure,
        token: &TaskToken,
    ) -> Result<(), CutoverError> {
        let attempt = format!("{} {}", self.state.entered, self.state.retry_count);
        TokenStore::new(&self.deps.records, &self.deps.cipher)
            .seal(&self.run, Wait::Operator, &attempt, token, self.deps.world.now())
            .await?;
        // A journal that cannot be read is one more reason to ask.
        let open = self.opened().await.unwrap_or_else(|error| {
            tracing::error!(%error, "the journal cannot be shown to the operator");
            None
        });
        let text = page(
            &self.run.to_string(),
            failure,
            open.as_ref().map(|(_, open)| open),
        );
        self.deps
            .notices
            .send(&format!("Blackstart: run {} needs an operator", self.run), &text)
            .await?;
        Ok(())
    }
}

/// What an operator has to know.
fn page(run: &str, failure: &Failure, open: Option<&Open>) -> String {
    let mut text = format!(
        "The cutover of run {run} waits for you.\n\n{}: {}\n",
        failure.error, failure.cause
    );
    if let Some(open) = open {
        let journal = &open.log.journal;
        if let Command::CallOperator { reason } = journal.next() {
            let _infallible = writeln!(text, "{reason}");
        }
        let direction = journal.direction();
        let _infallible = writeln!(text, "\ndirection: {direction:?}\nsteps:");
        for (id, state) in journal.states() {
            if state == StepState::Planned {
                continue;
            }
            let arn = open.document.step(id).map_or("", |step| step.slot.arn.as_str());
            let _infallible = writeln!(text, "  {state:?} {id} {arn}");
        }
    }
    let _infallible = writeln!(
        text,
        "\nblackstart operator {run} resume|revert|abandon --rationale \"WHY\""
    );
    text
}
