//! What the gate reaches, in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::callbacks::{Callbacks, Delivery};
use blackstart_aws::notices::Notices;
use blackstart_aws::port::PortError;
use blackstart_aws::records::memory::MemoryRecords;
use blackstart_aws::tokens::memory::MemoryCipher;
use blackstart_core::approval::outer::{Access, OuterRecord};
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::approval::TaskToken;
use serde_json::Value;

use crate::team::VaultAccess;
use crate::{Artifacts, Ports};

/// Everything in memory.
pub(crate) enum Memory {}

impl Ports for Memory {
    type Records = MemoryRecords;
    type Artifacts = MemoryArtifacts;
    type Cipher = MemoryCipher;
    type Callbacks = MemoryCallbacks;
    type Notices = MemoryNotices;
    type Vaults = MemoryTeam;
}

#[derive(Debug, Default)]
pub(crate) struct MemoryArtifacts(Mutex<BTreeMap<String, Vec<u8>>>);

/// Step Functions as far as tokens go: each works once.
#[derive(Debug, Default)]
pub(crate) struct MemoryCallbacks {
    waiting: Mutex<Vec<String>>,
    pub(crate) taken: Mutex<Vec<Value>>,
    pub(crate) unreachable: Mutex<bool>,
}

/// The approval team, as AWS describes it.
#[derive(Debug, Default)]
pub(crate) struct MemoryTeam {
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) access: Mutex<Access>,
    pub(crate) unreachable: Mutex<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct MemoryNotices(pub(crate) Mutex<Vec<String>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl MemoryArtifacts {
    pub(crate) fn add(&self, key: &str, bytes: Vec<u8>) -> ArtifactRef {
        let artifact = ArtifactRef {
            bucket: "artifacts".into(),
            key: key.into(),
            version: None,
            sha256: Digest::of(&bytes),
            bytes: bytes.len() as u64,
        };
        lock(&self.0).insert(key.into(), bytes);
        artifact
    }
}

impl Artifacts for MemoryArtifacts {
    async fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        tokio::task::yield_now().await;
        Ok(lock(&self.0).get(&artifact.key).cloned().unwrap())
    }

    async fn put(&self, run: &RunId, path: &str, bytes: Vec<u8>) -> Result<ArtifactRef, ArtifactError> {
        Ok(self.add(&format!("runs/{run}/{path}"), bytes))
    }
}

impl MemoryCallbacks {
    pub(crate) fn wait(&self, token: &str) {
        lock(&self.waiting).push(token.into());
    }

    pub(crate) fn stop(&self) {
        lock(&self.waiting).clear();
    }

    pub(crate) fn taken(&self) -> Vec<Value> {
        lock(&self.taken).clone()
    }
}

impl Callbacks for MemoryCallbacks {
    async fn succeed(&self, token: &TaskToken, output: String) -> Result<Delivery, PortError> {
        tokio::task::yield_now().await;
        if *lock(&self.unreachable) {
            return Err(PortError::Transient {
                what: "answering".into(),
                why: "reset".into(),
            });
        }
        let mut waiting = lock(&self.waiting);
        let Some(place) = waiting.iter().position(|known| known == token.expose()) else {
            return Ok(Delivery::NotWaiting);
        };
        waiting.remove(place);
        lock(&self.taken).push(serde_json::from_str(&output).unwrap());
        Ok(Delivery::Taken)
    }
}

impl MemoryTeam {
    fn reached(&self) -> Result<(), PortError> {
        if *lock(&self.unreachable) {
            return Err(PortError::Transient {
                what: "asking".into(),
                why: "reset".into(),
            });
        }
        Ok(())
    }
}

impl VaultAccess for MemoryTeam {
    async fn ask(&self, _: &Plan, record: &OuterRecord, comment: &str) -> Result<(), PortError> {
        self.reached()?;
        lock(&self.asked).push(format!("{} {comment}", record.vault));
        Ok(())
    }

    async fn look(&self, _: &Plan, _: &OuterRecord) -> Result<Access, PortError> {
        self.reached()?;
        Ok(lock(&self.access).clone())
    }
}

impl Notices for MemoryNotices {
    async fn send(&self, subject: &str, text: &str) -> Result<(), PortError> {
        lock(&self.0).push(format!("{subject}\n{text}"));
        Ok(())
    }
}
