//! A ledger at whose calls the executor dies.

use std::collections::BTreeMap;
use std::sync::Mutex;

use blackstart_aws::ledger::{LedgerError, Versioned};
use blackstart_aws::records::Records;
use blackstart_aws::records::memory::MemoryRecords;
use blackstart_core::ledger::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Debug, Default)]
struct Deaths {
    calls: usize,
    /// At which call, and whether it still acts.
    at: BTreeMap<usize, bool>,
    crashed: bool,
}

/// The ledger in memory, and the calls at which its caller dies.
#[derive(Debug, Default)]
pub(in crate::tests) struct Dying {
    memory: MemoryRecords,
    deaths: Mutex<Deaths>,
}

impl Dying {
    pub(super) fn memory(&self) -> &MemoryRecords {
        &self.memory
    }

    /// The executor dies at this call, before or after it acts. Calls are counted from 0.
    pub(super) fn die_at(&self, call: usize, after: bool) {
        self.deaths.lock().unwrap().at.insert(call, after);
    }

    pub(super) fn calls(&self) -> usize {
        self.deaths.lock().unwrap().calls
    }

    /// Whether the executor died; asked once per death.
    pub(super) fn take_crash(&self) -> bool {
        std::mem::take(&mut self.deaths.lock().unwrap().crashed)
    }

    /// One call. Whoever dies waits for ever: the state machine hears nothing more of it.
    async fn call<T>(&self, act: impl Future<Output = T>) -> T {
        let death = {
            let mut deaths = self.deaths.lock().unwrap();
            let call = deaths.calls;
            deaths.calls += 1;
            deaths.at.remove(&call)
        };
        if death == Some(false) {
            return self.die().await;
        }
        let answer = act.await;
        if death == Some(true) {
            return self.die().await;
        }
        answer
    }

    async fn die<T>(&self) -> T {
        self.deaths.lock().unwrap().crashed = true;
        std::future::pending().await
    }
}

impl Records for Dying {
    async fn put_new<T: Serialize + Sync>(&self, key: &Key, document: &T) -> Result<bool, LedgerError> {
        self.call(self.memory.put_new(key, document)).await
    }

    async fn put_new_both<A: Serialize + Sync, B: Serialize + Sync>(
        &self,
        first: (&Key, &A),
        second: (&Key, &B),
    ) -> Result<bool, LedgerError> {
        self.call(self.memory.put_new_both(first, second)).await
    }

    async fn replace<T: Serialize + Sync>(
        &self,
        key: &Key,
        expected: u64,
        document: &T,
    ) -> Result<bool, LedgerError> {
        self.call(self.memory.replace(key, expected, document)).await
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, LedgerError> {
        self.call(self.memory.remove(key, expected)).await
    }

    async fn get<T: DeserializeOwned + Send>(&self, key: &Key) -> Result<Option<Versioned<T>>, LedgerError> {
        self.call(self.memory.get(key)).await
    }

    async fn query<T: DeserializeOwned + Send>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> Result<Vec<(Key, Versioned<T>)>, LedgerError> {
        self.call(self.memory.query(pk, prefix)).await
    }

    async fn last<T: DeserializeOwned + Send>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> Result<Option<Versioned<T>>, LedgerError> {
        self.call(self.memory.last(pk, prefix)).await
    }
}
