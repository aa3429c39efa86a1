//! What the gate, the evidence and the tokens need of the ledger: a seam, so that races and failures can be tested.

use std::future::Future;

use blackstart_core::ledger::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ledger::{Ledger, LedgerError, Versioned};

/// Conditional writes and strongly consistent reads of documents.
pub trait Records: Send + Sync {
    /// Writes a document if its key is free. `false`: another was there first, and is untouched.
    fn put_new<T: Serialize + Sync>(
        &self,
        key: &Key,
        document: &T,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Writes two documents if both keys are free. `false`: one was taken, or both are contended; nothing was written.
    fn put_new_both<A: Serialize + Sync, B: Serialize + Sync>(
        &self,
        first: (&Key, &A),
        second: (&Key, &B),
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Replaces a document if its version is still `expected`. `false`: it changed meanwhile, and is untouched.
    fn replace<T: Serialize + Sync>(
        &self,
        key: &Key,
        expected: u64,
        document: &T,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Removes a document if its version is still `expected`. `false`: it changed meanwhile or is gone.
    fn remove(&self, key: &Key, expected: u64) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Reads a document.
    fn get<T: DeserializeOwned + Send>(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<Option<Versioned<T>>, LedgerError>> + Send;

    /// Reads all documents of a partition whose sort key begins with `prefix`, in order of sort key.
    fn query<T: DeserializeOwned + Send>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<(Key, Versioned<T>)>, LedgerError>> + Send;

    /// Reads the document of a partition with the greatest sort key that begins with `prefix`.
    fn last<T: DeserializeOwned + Send>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> impl Future<Output = Result<Option<Versioned<T>>, LedgerError>> + Send;
}

impl Records for Ledger {
    async fn put_new<T: Serialize + Sync>(&self, key: &Key, document: &T) -> Result<bool, LedgerError> {
        Self::put_new(self, key, document).await
    }

    async fn put_new_both<A: Serialize + Sync, B: Serialize + Sync>(
        &self,
        first: (&Key, &A),
        second: (&Key, &B),
    ) -> Result<bool, LedgerError> {
        Self::put_new_both(self, first, second).await
    }

    async fn replace<T: Serialize + Sync>(
        &self,
        key: &Key,
        expected: u64,
        document: &T,
    ) -> Result<bool, LedgerError> {
        Self::replace(self, key, expected, document).await
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, LedgerError> {
        Self::remove(self, key, expected).await
    }

    async fn get<T: DeserializeOwned + Send>(&self, key: &Key) -> Result<Option<Versioned<T>>, LedgerError> {
        Self::get(self, key).await
    }

    async fn query<T: DeserializeOwned + Send>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> Result<Vec<(Key, Versioned<T>)>, LedgerError> {
        Self::query(self, pk, prefix).await
    }

    async fn last<T: DeserializeOwned + Send>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> Result<Option<Versioned<T>>, LedgerError> {
        Self::last(self, pk, prefix).await
    }
}

/// The ledger of tests.
#[cfg(any(test, feature = "memory"))]
pub mod memory {
    use std::collections::{BTreeMap, VecDeque};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use serde_json::Value;

    use super::{DeserializeOwned, Key, LedgerError, Records, Serialize, Versioned};
    use crate::port::PortError;

    /// A ledger in memory, with the conditions of the real one. Each call gives way to other tasks once before it
    /// acts, so that tasks which run together interleave at every call.
    #[derive(Debug, Default)]
    pub struct MemoryRecords {
        items: Mutex<BTreeMap<Key, (Value, u64)>>,
        faults: Mutex<VecDeque<Fault>>,
    }

    /// What happens to a call.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Fault {
        /// Nothing.
        None,
        /// It fails before it acts.
        Fails,
        /// It acts, and its answer is lost.
        AnswerLost,
        /// It acts, its answer is lost, and the SDK makes it once more: a condition that held no longer does.
        MadeTwice,
    }

    impl MemoryRecords {
        /// Fails the calls for which the script says `true`, before they act; calls beyond the script succeed.
        pub fn fail(&self, script: impl IntoIterator<Item = bool>) {
            self.suffer(
                script
                    .into_iter()
                    .map(|fails| if fails { Fault::Fails } else { Fault::None }),
            );
        }

        /// Lets these faults happen to the next calls, one to each; calls beyond the script succeed.
        pub fn suffer(&self, script: impl IntoIterator<Item = Fault>) {
            *lock(&self.faults) = script.into_iter().collect();
        }

        /// Everything, as text.
        #[must_use]
        pub fn dump(&self) -> String {
            format!("{:?}", lock(&self.items))
        }

        /// Number of items whose sort key begins with `prefix`.
        #[must_use]
        pub fn count(&self, prefix: &str) -> usize {
            lock(&self.items)
                .keys()
                .filter(|key| key.sk.starts_with(prefix))
                .count()
        }

        async fn begin(&self) -> Result<Fault, LedgerError> {
            tokio::task::yield_now().await;
            match lock(&self.faults).pop_front().unwrap_or(Fault::None) {
                Fault::Fails => Err(cut()),
                fault @ (Fault::None | Fault::AnswerLost | Fault::MadeTwice) => Ok(fault),
            }
        }
    }

    fn cut() -> LedgerError {
        let (what, why) = ("a call".to_owned(), "the script says so".to_owned());
        PortError::Transient { what, why }.into()
    }

    fn written(done: bool, fault: Fault) -> Result<bool, LedgerError> {
        match fault {
            Fault::AnswerLost => Err(cut()),
            Fault::MadeTwice => Ok(false),
            Fault::None | Fault::Fails => Ok(done),
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T: DeserializeOwned>(key: &Key, item: &(Value, u64)) -> Result<Versioned<T>, LedgerError> {
        let document = serde_json::from_value(item.0.clone()).map_err(|source| LedgerError::Malformed {
            pk: key.pk.clone(),
            sk: key.sk.clone(),
            source,
        })?;
        Ok(Versioned {
            document,
            version: item.1,
        })
    }

    impl Records for MemoryRecords {
        async fn put_new<T: Serialize + Sync>(&self, key: &Key, document: &T) -> Result<bool, LedgerError> {
            let fault = self.begin().await?;
            let document = serde_json::to_value(document).map_err(LedgerError::NotJson)?;
            let mut items = lock(&self.items);
            let free = !items.contains_key(key);
            if free {
                items.insert(key.clone(), (document, 1));
            }
            written(free, fault)
        }

        async fn put_new_both<A: Serialize + Sync, B: Serialize + Sync>(
            &self,
            first: (&Key, &A),
            second: (&Key, &B),
        ) -> Result<bool, LedgerError> {
            let fault = self.begin().await?;
            let documents = [
                (
                    first.0,
                    serde_json::to_value(first.1).map_err(LedgerError::NotJson)?,
                ),
                (
                    second.0,
                    serde_json::to_value(second.1).map_err(LedgerError::NotJson)?,
                ),
            ];
            let mut items = lock(&self.items);
            let free = documents.iter().all(|(key, _)| !items.contains_key(*key));
            if free {
                items.extend(documents.map(|(key, document)| (key.clone(), (document, 1))));
            }
            written(free, fault)
        }

        async fn replace<T: Serialize + Sync>(
            &self,
            key: &Key,
            expected: u64,
            document: &T,
        ) -> Result<bool, LedgerError> {
            let fault = self.begin().await?;
            let document = serde_json::to_value(document).map_err(LedgerError::NotJson)?;
            let mut items = lock(&self.items);
            let unchanged = items.get(key).is_some_and(|item| item.1 == expected);
            if unchanged {
                items.insert(key.clone(), (document, expected + 1));
            }
            written(unchanged, fault)
        }

        async fn remove(&self, key: &Key, expected: u64) -> Result<bool, LedgerError> {
            let fault = self.begin().await?;
            let mut items = lock(&self.items);
            let unchanged = items.get(key).is_some_and(|item| item.1 == expected);
            if unchanged {
                items.remove(key);
            }
            written(unchanged, fault)
        }

        async fn get<T: DeserializeOwned + Send>(
            &self,
            key: &Key,
        ) -> Result<Option<Versioned<T>>, LedgerError> {
            if self.begin().await? == Fault::AnswerLost {
                return Err(cut());
            }
            lock(&self.items).get(key).map(|item| read(key, item)).transpose()
        }

        async fn query<T: DeserializeOwned + Send>(
            &self,
            pk: &str,
            prefix: &str,
        ) -> Result<Vec<(Key, Versioned<T>)>, LedgerError> {
            if self.begin().await? == Fault::AnswerLost {
                return Err(cut());
            }
            lock(&self.items)
                .iter()
                .filter(|(key, _)| key.pk == pk && key.sk.starts_with(prefix))
                .map(|(key, item)| Ok((key.clone(), read(key, item)?)))
                .collect()
        }

        async fn last<T: DeserializeOwned + Send>(
            &self,
            pk: &str,
            prefix: &str,
        ) -> Result<Option<Versioned<T>>, LedgerError> {
            if self.begin().await? == Fault::AnswerLost {
                return Err(cut());
            }
            lock(&self.items)
                .iter()
                .rfind(|(key, _)| key.pk == pk && key.sk.starts_with(prefix))
                .map(|(key, item)| read(key, item))
                .transpose()
        }
    }
}
