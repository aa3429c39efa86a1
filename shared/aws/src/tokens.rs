//! Task tokens at rest: encrypted by KMS, bound to their run and wait, handed out to one sender at a time.

use std::future::Future;

use aws_sdk_kms::primitives::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blackstart_core::artifact::Digest;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use blackstart_core::task::approval::TaskToken;
use blackstart_core::task::cutover::Question;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::LedgerError;
use crate::port::{Effect, PortError, classify};
use crate::records::Records;

/// After this long a sender that took a token and did not return it is dead: functions that send live shorter.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);

/// What waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait<'a> {
    /// The gate of a decision package.
    Gate(&'a Digest),
    /// A cutover that needs an operator.
    Operator,
    /// The trial of a recovery set, by the set's id.
    Trial(&'a str),
}

impl Wait<'_> {
    fn key(self, run: &RunId) -> Key {
        match self {
            Self::Gate(package) => Key::gate_token(run, package),
            Self::Operator => Key {
                pk: Key::run_partition(run),
                sk: "TOKEN#operator".to_owned(),
            },
            Self::Trial(set) => Key::trial_token(run, set),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Gate(package) => format!("gate:{package}"),
            Self::Operator => "operator".to_owned(),
            Self::Trial(set) => format!("trial:{set}"),
        }
    }
}

/// To what a ciphertext is bound: decryption with anything else fails. CloudTrail shows it in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The run.
    pub run: String,
    /// What waits.
    pub wait: String,
    /// Which attempt to wait.
    pub attempt: String,
}

/// Encrypts and decrypts small secrets.
pub trait Cipher: Send + Sync {
    /// Encrypts.
    fn encrypt(
        &self,
        secret: &[u8],
        binding: &Binding,
    ) -> impl Future<Output = Result<Vec<u8>, PortError>> + Send;
    /// Decrypts what was encrypted under the same binding.
    fn decrypt(
        &self,
        sealed: &[u8],
        binding: &Binding,
    ) -> impl Future<Output = Result<Vec<u8>, PortError>> + Send;
}

/// A KMS key.
#[derive(Debug, Clone)]
pub struct KmsKey {
    kms: aws_sdk_kms::Client,
    key: String,
}

impl KmsKey {
    /// The key with this id or ARN.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, key: String) -> Self {
        Self {
            kms: aws_sdk_kms::Client::new(config),
            key,
        }
    }
}

impl Cipher for KmsKey {
    async fn encrypt(&self, secret: &[u8], binding: &Binding) -> Result<Vec<u8>, PortError> {
        let answer = self
            .kms
            .encrypt()
            .key_id(&self.key)
            .encryption_context("run", &binding.run)
            .encryption_context("wait", &binding.wait)
            .encryption_context("attempt", &binding.attempt)
            .plaintext(Blob::new(secret))
            .send()
            .await
            .map_err(|error| classify("encrypting a task token", Effect::Read, &error))?;
        answer
            .ciphertext_blob
            .map(Blob::into_inner)
            .ok_or_else(|| empty("encrypting a task token"))
    }

    async fn decrypt(&self, sealed: &[u8], binding: &Binding) -> Result<Vec<u8>, PortError> {
        let answer = self
            .kms
            .decrypt()
            .key_id(&self.key)
            .encryption_context("run", &binding.run)
            .encryption_context("wait", &binding.wait)
            .encryption_context("attempt", &binding.attempt)
            .ciphertext_blob(Blob::new(sealed))
            .send()
            .await
            .map_err(|error| classify("decrypting a task token", Effect::Read, &error))?;
        answer
            .plaintext
            .map(Blob::into_inner)
            .ok_or_else(|| empty("decrypting a task token"))
    }
}

fn empty(what: &str) -> PortError {
    PortError::Transient {
        what: what.to_owned(),
        why: "the answer is empty".to_owned(),
    }
}

/// A token cannot be stored or handed out.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The ledger did not answer as hoped.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// KMS did not answer as hoped.
    #[error(transparent)]
    Kms(#[from] PortError),
    /// What was stored is no token.
    #[error("the stored task token of run `{0}` cannot be read")]
    Malformed(RunId),
}

impl StageError for TokenError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Ledger(error) => error.name(),
            Self::Kms(error) => error.name(),
            Self::Malformed(_) => ErrorName::Defect,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedToken {
    attempt: String,
    ciphertext: String,
    sealed: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<Timestamp>,
}

/// A token in the hands of the one who answers.
#[derive(Debug)]
pub struct Taken {
    /// The token.
    pub token: TaskToken,
    key: Key,
    version: u64,
    stored: SealedToken,
}

impl Taken {
    /// Which attempt to wait the token belongs to.
    #[must_use]
    pub fn attempt(&self) -> &str {
        &self.stored.attempt
    }
}

/// The question that waits for an operator, and since when. `None`: nothing waits.
///
/// # Errors
/// [`LedgerError`].
pub async fn open_question<R: Records>(
    records: &R,
    run: &RunId,
) -> Result<Option<(Question, Timestamp)>, LedgerError> {
    let held = records.get::<SealedToken>(&Wait::Operator.key(run)).await?;
    Ok(held.map(|held| {
        let token = held.document;
        (Question::of_attempt(&token.attempt), token.sealed)
    }))
}

/// The store of task tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenStore<'a, R, C> {
    records: &'a R,
    cipher: &'a C,
}

impl<'a, R: Records, C: Cipher> TokenStore<'a, R, C> {
    /// Tokens in these records, encrypted by this cipher.
    pub fn new(records: &'a R, cipher: &'a C) -> Self {
        Self { records, cipher }
    }

    /// Stores the token of one attempt to wait. It replaces that of an earlier attempt: Step Functions issues a new
    /// token at every retry and redrive, and the old one is void. A repeat of the same attempt changes nothing.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn seal(
        &self,
        run: &RunId,
        wait: Wait<'_>,
        attempt: &str,
        token: &TaskToken,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let key = wait.key(run);
        let binding = binding(run, wait, attempt);
        let sealed = self.cipher.encrypt(token.expose().as_bytes(), &binding).await?;
        let document = SealedToken {
            attempt: attempt.to_owned(),
            ciphertext: STANDARD.encode(sealed),
            sealed: now,
            taken: None,
        };
        loop {
            let held = self.records.get::<SealedToken>(&key).await?;
            let done = match held {
                None => self.records.put_new(&key, &document).await?,
                Some(held) if held.document.attempt == attempt => true,
                Some(held) => self.records.replace(&key, held.version, &document).await?,
            };
            if done {
                return Ok(());
            }
        }
    }

    /// Hands the token to one sender. `None`: nothing waits, or another sender has it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn take(
        &self,
        run: &RunId,
        wait: Wait<'_>,
        now: Timestamp,
    ) -> Result<Option<Taken>, TokenError> {
        let key = wait.key(run);
        let Some(held) = self.records.get::<SealedToken>(&key).await? else {
            return Ok(None);
        };
        if held
            .document
            .taken
            .is_some_and(|taken| now.duration_since(taken) < CLAIM)
        {
            return Ok(None);
        }
        let stored = SealedToken {
            taken: Some(now),
            ..held.document
        };
        if !self.records.replace(&key, held.version, &stored).await? {
            return Ok(None);
        }
        let version = held.version.saturating_add(1);
        match self.opened(run, wait, &stored).await {
            Ok(token) => Ok(Some(Taken {
                token,
                key,
                version,
                stored,
            })),
            Err(error) => {
                let free = SealedToken {
                    taken: None,
                    ..stored
                };
                self.records.replace(&key, version, &free).await?;
                Err(error)
            }
        }
    }

    async fn opened(
        &self,
        run: &RunId,
        wait: Wait<'_>,
        stored: &SealedToken,
    ) -> Result<TaskToken, TokenError> {
        let malformed = || TokenError::Malformed(run.clone());
        let ciphertext = STANDARD.decode(&stored.ciphertext).map_err(|_| malformed())?;
        let secret = self
            .cipher
            .decrypt(&ciphertext, &binding(run, wait, &stored.attempt))
            .await?;
        Ok(TaskToken::new(
            String::from_utf8(secret).map_err(|_| malformed())?,
        ))
    }

    /// Forgets a token that Step Functions has taken or no longer knows.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn spend(&self, taken: Taken) -> Result<(), TokenError> {
        // Nothing to do if it is gone or replaced: then it belongs to a later attempt.
        self.records.remove(&taken.key, taken.version).await?;
        Ok(())
    }

    /// Forgets whatever token is stored, without reading it: the state no longer waits.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn forget(&self, run: &RunId, wait: Wait<'_>) -> Result<(), TokenError> {
        let key = wait.key(run);
        if let Some(held) = self.records.get::<SealedToken>(&key).await? {
            self.records.remove(&key, held.version).await?;
        }
        Ok(())
    }

    /// Returns a token that could not be sent, so that the next one may try at once.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn give_back(&self, taken: Taken) -> Result<(), TokenError> {
        let stored = SealedToken {
            taken: None,
            ..taken.stored
        };
        self.records.replace(&taken.key, taken.version, &stored).await?;
        Ok(())
    }
}

fn binding(run: &RunId, wait: Wait<'_>, attempt: &str) -> Binding {
    Binding {
        run: run.to_string(),
        wait: wait.name(),
        attempt: attempt.to_owned(),
    }
}

/// The cipher of tests.
#[cfg(any(test, feature = "memory"))]
pub mod memory {
    use super::{Binding, Cipher, PortError};

    /// Hides a secret well enough that a search for it finds nothing, and refuses another binding.
    #[derive(Debug, Clone, Copy)]
    pub struct MemoryCipher;

    const MASK: u8 = 0x5a;

    impl Cipher for MemoryCipher {
        async fn encrypt(&self, secret: &[u8], binding: &Binding) -> Result<Vec<u8>, PortError> {
            let mut sealed = format!("{binding:?}\0").into_bytes();
            sealed.extend(secret.iter().map(|byte| byte ^ MASK));
            Ok(sealed)
        }

        async fn decrypt(&self, sealed: &[u8], binding: &Binding) -> Result<Vec<u8>, PortError> {
            let bound = format!("{binding:?}\0").into_bytes();
            match sealed.strip_prefix(bound.as_slice()) {
                Some(secret) => Ok(secret.iter().map(|byte| byte ^ MASK).collect()),
                None => Err(PortError::Refused {
                    what: "decrypting".to_owned(),
                    why: "InvalidCiphertextException".to_owned(),
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use blackstart_core::run::WorkloadName;

    use super::memory::MemoryCipher;
    use super::*;
    use crate::records::memory::MemoryRecords;

    fn run() -> RunId {
        RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_sender_at_a_time_and_once() {
        let records = MemoryRecords::default();
        let store = TokenStore::new(&records, &MemoryCipher);
        let (run, digest) = (run(), Digest::of(b"p"));
        let wait = Wait::Gate(&digest);
        store
            .seal(&run, wait, "1", &TaskToken::new("secret-token".into()), at(0))
            .await
            .unwrap();
        assert!(!records.dump().contains("secret-token"));

        let (one, other) = tokio::join!(store.take(&run, wait, at(1)), store.take(&run, wait, at(1)));
        let mut taken: Vec<Taken> = [one.unwrap(), other.unwrap()].into_iter().flatten().collect();
        assert_eq!(taken.len(), 1);
        let taken = taken.remove(0);
        assert_eq!(taken.token.expose(), "secret-token");
        assert!(!format!("{taken:?}").contains("secret-token"));
        store.spend(taken).await.unwrap();
        assert!(store.take(&run, wait, at(1_000)).await.unwrap().is_none());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_sender_that_died_or_gave_up_is_followed_by_another() {
        let records = MemoryRecords::default();
        let store = TokenStore::new(&records, &MemoryCipher);
        let run = run();
        store
            .seal(&run, Wait::Operator, "1", &TaskToken::new("t".into()), at(0))
            .await
            .unwrap();
        let died = store.take(&run, Wait::Operator, at(1)).await.unwrap();
        assert!(died.is_some());
        assert!(store.take(&run, Wait::Operator, at(60)).await.unwrap().is_none());
        let gave_up = store.take(&run, Wait::Operator, at(61)).await.unwrap().unwrap();
        store.give_back(gave_up).await.unwrap();
        assert!(store.take(&run, Wait::Operator, at(62)).await.unwrap().is_some());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_new_attempt_replaces_the_token_and_a_repeat_does_not() {
        let records = MemoryRecords::default();
        let store = TokenStore::new(&records, &MemoryCipher);
        let run = run();
        for (attempt, token) in [("1", "old"), ("2", "new"), ("2", "repeat")] {
            store
                .seal(
                    &run,
                    Wait::Operator,
                    attempt,
                    &TaskToken::new(token.into()),
                    at(0),
                )
                .await
                .unwrap();
        }
        let taken = store.take(&run, Wait::Operator, at(1)).await.unwrap().unwrap();
        assert_eq!(taken.token.expose(), "new");
    }
}
