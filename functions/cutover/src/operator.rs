//! The operator: told what is open, asked what to do, answered for through the task token.

use blackstart_aws::notices::Notices;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::{Cipher, TokenStore, Wait};
use blackstart_core::cutover::{CutoverDocument, Status};
use blackstart_core::journal::Entry;
use blackstart_core::run::RunId;
use blackstart_core::task::Failure;
use blackstart_core::task::approval::TaskToken;
use blackstart_core::task::cutover::Question;

use crate::CutoverError;
use crate::context::Context;
use crate::log;
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
        let open = match self.opened().await {
            Ok(Some((_, open))) => log::entries(&self.deps.records, &self.run)
                .await
                .map(|entries| Some((open.document, entries))),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let open = open.unwrap_or_else(|error| {
            tracing::error!(%error, "the journal cannot be shown to the operator");
            None
        });
        let open = open
            .as_ref()
            .map(|(document, entries)| (document, entries.as_slice()));
        let text = page(&self.run, &Question::of_attempt(&attempt), failure, open);
        self.deps
            .notices
            .send(&format!("Blackstart: run {} needs an operator", self.run), &text)
            .await?;
        Ok(())
    }
}

/// What an operator has to know.
fn page(
    run: &RunId,
    question: &Question,
    failure: &Failure,
    open: Option<(&CutoverDocument, &[Entry])>,
) -> String {
    let mut text = format!(
        "Run {run} waits for you. Question {question}.\n\n{}: {}\n\n",
        failure.error, failure.cause
    );
    match open.map(|(document, entries)| Status::new(run, document, entries)) {
        Some(Ok(status)) => text.push_str(&status.page()),
        Some(Err(error)) => text.push_str(&format!("the journal cannot be replayed: {error}\n")),
        None => text.push_str("the journal is empty, or cannot be read\n"),
    }
    text.push_str(&format!(
        "\nblackstart cutover status {run}\n\
         blackstart cutover resume|revert|abandon {run} --question {question} --rationale \"WHY\"\n"
    ));
    text
}
