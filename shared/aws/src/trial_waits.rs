//! States that wait for the jobs of a trial: their tokens, and the events that end such a wait before its time.
//!
//! Ending a wait does nothing but bring a look at the jobs forward. So an event may be lost, come twice, early or late, or
//! be made up: what the trial comes to is the same.

use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::task::approval::TaskToken;
use blackstart_core::validation::wait::TrialOfJob;
use jiff::Timestamp;

use crate::callbacks::{Callbacks, Delivery};
use crate::ledger::LedgerError;
use crate::port::PortError;
use crate::records::Records;
use crate::tokens::{Cipher, TokenError, TokenStore, Wait};

/// What a state that waits is answered. It is not read: the state after it looks at the jobs.
const LOOK_NOW: &str = "{}";

/// A wait can be neither entered nor ended.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The ledger did not answer as hoped.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The token cannot be stored or handed out.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Step Functions did not answer as hoped.
    #[error(transparent)]
    Callback(#[from] PortError),
}

impl StageError for WaitError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Ledger(error) => error.name(),
            Self::Token(error) => error.name(),
            Self::Callback(error) => error.name(),
        }
    }
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The trial of the job is looked at now.
    Woken,
    /// Nothing waits for the job: it was looked at already, or will be when the next wait begins.
    NobodyWaits,
    /// The job belongs to no trial.
    UnknownJob,
}

/// The waits of all trials.
#[derive(Debug, Clone)]
pub struct TrialWaits<R, C, B> {
    /// Where tokens and jobs are kept.
    pub records: R,
    /// The key of these tokens. It is not the gate's.
    pub cipher: C,
    /// Who answers the states.
    pub callbacks: B,
}

impl<R: Records, C: Cipher, B: Callbacks> TrialWaits<R, C, B> {
    /// Keeps the token of one attempt to wait, and by which jobs it is found.
    ///
    /// A job may have ended before: whoever calls this looks once more afterwards.
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn listen(
        &self,
        trial: &TrialOfJob,
        attempt: &str,
        token: &TaskToken,
        jobs: &[&str],
        now: Timestamp,
    ) -> Result<(), WaitError> {
        for job in jobs {
            // A job belongs to one trial for good: who wrote it first wrote the same.
            self.records.put_new(&Key::backup_job(job), trial).await?;
        }
        TokenStore::new(&self.records, &self.cipher)
            .seal(&trial.run, Wait::Trial(&trial.set), attempt, token, now)
            .await?;
        Ok(())
    }

    /// Ends a wait by its token.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn wake(&self, token: &TaskToken) -> Result<Delivery, PortError> {
        self.callbacks.succeed(token, LOOK_NOW.to_owned()).await
    }

    /// Ends the wait for a job, if there is one.
    ///
    /// # Errors
    /// [`WaitError`]; the wait then ends in its own time.
    pub async fn heard(&self, job: &str, now: Timestamp) -> Result<Heard, WaitError> {
        let Some(trial) = self.records.get::<TrialOfJob>(&Key::backup_job(job)).await? else {
            return Ok(Heard::UnknownJob);
        };
        let TrialOfJob { run, set } = trial.document;
        let tokens = TokenStore::new(&self.records, &self.cipher);
        let Some(taken) = tokens.take(&run, Wait::Trial(&set), now).await? else {
            return Ok(Heard::NobodyWaits);
        };
        match self.wake(&taken.token).await {
            Ok(delivery) => {
                tokens.spend(taken).await?;
                Ok(match delivery {
                    Delivery::Taken => Heard::Woken,
                    Delivery::NotWaiting => Heard::NobodyWaits,
                })
            }
            Err(error) => {
                tokens.give_back(taken).await?;
                Err(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use blackstart_core::run::{RunId, WorkloadName};

    use super::*;
    use crate::records::memory::MemoryRecords;
    use crate::tokens::memory::MemoryCipher;

    /// Step Functions: tokens that are waited for, and how often one was answered in vain.
    #[derive(Debug, Default)]
    struct States {
        waiting: Mutex<BTreeSet<String>>,
        throttled: Mutex<u32>,
    }

    impl States {
        fn waits(&self, token: &str) -> bool {
            self.waiting.lock().unwrap().contains(token)
        }
    }

    impl Callbacks for States {
        async fn succeed(&self, token: &TaskToken, output: String) -> Result<Delivery, PortError> {
            assert_eq!(output, "{}", "no outcome is told");
            let mut throttled = self.throttled.lock().unwrap();
            if *throttled > 0 {
                *throttled -= 1;
                let (what, why) = ("answering".to_owned(), "throttled".to_owned());
                return Err(PortError::Transient { what, why });
            }
            Ok(if self.waiting.lock().unwrap().remove(token.expose()) {
                Delivery::Taken
            } else {
                Delivery::NotWaiting
            })
        }
    }

    type Waits = TrialWaits<MemoryRecords, MemoryCipher, States>;

    fn waits() -> Waits {
        TrialWaits {
            records: MemoryRecords::default(),
            cipher: MemoryCipher,
            callbacks: States::default(),
        }
    }

    fn trial(set: &str) -> TrialOfJob {
        TrialOfJob {
            run: RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x"),
            set: set.to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    async fn listen(waits: &Waits, set: &str, token: &str, jobs: &[&str], second: i64) {
        waits.callbacks.waiting.lock().unwrap().insert(token.to_owned());
        let token = TaskToken::new(token.to_owned());
        let attempt = format!("at {second}");
        waits
            .listen(&trial(set), &attempt, &token, jobs, at(second))
            .await
            .unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_event_ends_the_wait_for_its_job_and_no_other() {
        let waits = waits();
        listen(&waits, "a", "token-a", &["restore-a", "scan-a"], 0).await;
        listen(&waits, "b", "token-b", &["restore-b"], 0).await;
        assert_eq!(waits.heard("scan-a", at(1)).await.unwrap(), Heard::Woken);
        assert!(!waits.callbacks.waits("token-a") && waits.callbacks.waits("token-b"));
        assert!(
            !waits.records.dump().contains("token-b"),
            "a token is kept sealed"
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_early_a_second_a_late_and_a_strange_event_do_nothing() {
        let waits = waits();
        assert_eq!(waits.heard("restore-a", at(0)).await.unwrap(), Heard::UnknownJob);
        listen(&waits, "a", "first", &["restore-a"], 1).await;
        assert_eq!(waits.heard("restore-a", at(2)).await.unwrap(), Heard::Woken);
        assert_eq!(waits.heard("restore-a", at(2)).await.unwrap(), Heard::NobodyWaits);
        // The wait after that runs its time; then the event comes, and the wait after that must not hear it.
        listen(&waits, "a", "second", &["restore-a"], 3).await;
        waits.callbacks.waiting.lock().unwrap().clear();
        assert_eq!(
            waits.heard("restore-a", at(40)).await.unwrap(),
            Heard::NobodyWaits
        );
        listen(&waits, "a", "third", &["restore-a"], 41).await;
        assert!(waits.callbacks.waits("third"));
        assert_eq!(waits.heard("restore-a", at(42)).await.unwrap(), Heard::Woken);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn two_events_at_once_end_one_wait() {
        let waits = waits();
        listen(&waits, "a", "token", &["restore-a", "scan-a"], 0).await;
        let (one, other) = tokio::join!(waits.heard("restore-a", at(1)), waits.heard("scan-a", at(1)));
        let mut heard = [one.unwrap(), other.unwrap()];
        heard.sort_by_key(|heard| *heard != Heard::Woken);
        assert_eq!(heard, [Heard::Woken, Heard::NobodyWaits]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_could_not_be_answered_can_be_answered_at_once() {
        let waits = waits();
        listen(&waits, "a", "token", &["restore-a"], 0).await;
        *waits.callbacks.throttled.lock().unwrap() = 1;
        let error = waits.heard("restore-a", at(1)).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::Transient);
        assert_eq!(waits.heard("restore-a", at(1)).await.unwrap(), Heard::Woken);
    }
}
