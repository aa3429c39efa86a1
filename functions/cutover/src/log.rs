//! The journal in the ledger: one item per entry, written only if its place is free.

use blackstart_aws::ledger::Versioned;
use blackstart_aws::records::Records;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::cutover::rate::Spent;
use blackstart_core::journal::{Entry, Event, Journal, Step};
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use jiff::Timestamp;

use crate::CutoverError;

/// How often an entry is tried at the next place when other executors take it first.
const ATTEMPTS: usize = 64;

/// The journal of a run as this executor last saw it.
#[derive(Debug)]
pub(crate) struct Log {
    run: RunId,
    by: String,
    pub(crate) journal: Journal,
}

impl Log {
    /// Replays entries.
    pub(crate) fn replay(
        run: &RunId,
        by: String,
        steps: &[Step],
        entries: &[Entry],
    ) -> Result<Self, CutoverError> {
        Ok(Self {
            run: run.clone(),
            by,
            journal: Journal::replay(steps, entries)?,
        })
    }

    /// Whether nothing was recorded yet.
    pub(crate) async fn is_empty<R: Records>(records: &R, run: &RunId) -> Result<bool, CutoverError> {
        Ok(records.get::<Entry>(&Key::journal(run, 1)).await?.is_none())
    }

    /// Takes in what other executors recorded meanwhile.
    pub(crate) async fn refresh<R: Records>(&mut self, records: &R) -> Result<(), CutoverError> {
        loop {
            let key = Key::journal(&self.run, self.journal.next_sequence());
            match records.get::<Entry>(&key).await? {
                Some(entry) => self.journal.record(&entry.document.event)?,
                None => return Ok(()),
            }
        }
    }

    /// Records an event at the next free place, if it can follow what others recorded meanwhile, and where the time
    /// went since the one before.
    pub(crate) async fn append<R: Records>(
        &mut self,
        records: &R,
        event: Event,
        at: Timestamp,
        spent: Spent,
    ) -> Result<(), CutoverError> {
        for _ in 0..ATTEMPTS {
            let mut next = self.journal.clone();
            next.record(&event)?;
            let entry = Entry {
                sequence: self.journal.next_sequence(),
                at,
                by: self.by.clone(),
                spent,
                event: event.clone(),
            };
            let key = Key::journal(&self.run, entry.sequence);
            if records.put_new(&key, &entry).await? {
                self.journal = next;
                return Ok(());
            }
            // Either another executor was first, or this is our own entry and only the answer to it was lost.
            let there: Option<Versioned<Entry>> = records.get(&key).await?;
            let ours = there.is_some_and(|there| there.document == entry);
            self.refresh(records).await?;
            if ours {
                return Ok(());
            }
        }
        Err(CutoverError::Crowded)
    }
}

/// Every entry of a run's journal, in order.
pub(crate) async fn entries<R: Records>(records: &R, run: &RunId) -> Result<Vec<Entry>, CutoverError> {
    let found = records
        .query::<Entry>(&Key::run_partition(run), Key::JOURNAL_PREFIX)
        .await?;
    Ok(found
        .into_iter()
        .map(|(_, versioned)| versioned.document)
        .collect())
}

/// The cutover plan that the journal was last opened for, and its package.
pub(crate) fn last_opened(entries: &[Entry]) -> Option<(&Digest, &ArtifactRef)> {
    entries.iter().rev().find_map(|entry| {
        let Event::Opened { package, cutover } = &entry.event else {
            return None;
        };
        Some((package, cutover))
    })
}
