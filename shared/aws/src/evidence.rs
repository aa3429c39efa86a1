//! The evidence chain in the ledger: one item per link, written only if its place is free.

use std::time::Duration;

use blackstart_core::artifact::NotCanonical;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::{Bundle, Event, Link, SCHEMA, append};
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;

use crate::ledger::LedgerError;
use crate::port::PortError;
use crate::records::Records;

/// How often a lost race for the next place is run again.
const ATTEMPTS: u32 = 16;

/// An event could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The ledger did not answer as hoped.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The event has no canonical form.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// The ledger knows the place of an event, and there is no link in it.
    #[error("link {0} of the evidence chain is gone: somebody removed it")]
    Lost(u64),
}

impl StageError for EvidenceError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Ledger(error) => error.name(),
            Self::NotCanonical(_) | Self::Lost(_) => ErrorName::Defect,
        }
    }
}

/// Appends an event to the chain of a run. Whoever loses the race for a place takes the next one.
///
/// # Errors
/// [`EvidenceError`]; `Recovery.Transient` too when too many others append at the same time.
pub async fn record<R: Records>(records: &R, run: &RunId, event: Event) -> Result<Link, EvidenceError> {
    for attempt in 0..ATTEMPTS {
        give_way(attempt, &event).await;
        let link = next(records, run, &event).await?;
        if records.put_new(&Key::evidence(run, link.seq), &link).await? {
            return Ok(link);
        }
    }
    Err(crowded())
}

/// Appends an event unless the chain holds one of the same kind, subjects and facts: what is repeated, by a retry, a
/// redrive or a second executor, is in the chain once.
///
/// # Errors
/// [`EvidenceError`].
pub async fn record_once<R: Records>(records: &R, run: &RunId, event: Event) -> Result<Link, EvidenceError> {
    let mark = Key::evidence_event(run, &event.id()?);
    for attempt in 0..ATTEMPTS {
        give_way(attempt, &event).await;
        if let Some(place) = records.get::<u64>(&mark).await? {
            if let Some(link) = records.get::<Link>(&Key::evidence(run, place.document)).await? {
                return Ok(link.document);
            }
            return Err(EvidenceError::Lost(place.document));
        }
        let link = next(records, run, &event).await?;
        let place = Key::evidence(run, link.seq);
        if records.put_new_both((&place, &link), (&mark, &link.seq)).await? {
            return Ok(link);
        }
    }
    Err(crowded())
}

/// The link that follows the last one.
async fn next<R: Records>(records: &R, run: &RunId, event: &Event) -> Result<Link, EvidenceError> {
    let last = records
        .last::<Link>(&Key::run_partition(run), Key::EVIDENCE_PREFIX)
        .await?;
    Ok(append(
        run,
        last.as_ref().map(|last| &last.document),
        event.clone(),
    )?)
}

/// Lets others finish first, longer after every lost race. Events wait differently long, so that those who met once
/// do not meet again.
async fn give_way(attempt: u32, event: &Event) {
    if attempt == 0 {
        return;
    }
    let spread = event
        .id()
        .ok()
        .and_then(|id| u64::from_str_radix(id.as_str().get(..2)?, 16).ok())
        .unwrap_or(0);
    let longest = 5_u64 << attempt.min(6);
    tokio::time::sleep(Duration::from_millis(longest * (128 + spread) / 384)).await;
}

fn crowded() -> EvidenceError {
    let what = "appending to the evidence chain".to_owned();
    let why = format!("its place was taken {ATTEMPTS} times");
    LedgerError::from(PortError::Transient { what, why }).into()
}

/// The whole chain of a run, as it is exported and verified.
///
/// # Errors
/// [`EvidenceError`].
pub async fn bundle<R: Records>(records: &R, run: &RunId) -> Result<Bundle, EvidenceError> {
    Ok(Bundle {
        schema: SCHEMA.to_owned(),
        run: run.clone(),
        links: links(records, run).await?,
        checkpoints: Vec::new(),
    })
}

async fn links<R: Records>(records: &R, run: &RunId) -> Result<Vec<Link>, LedgerError> {
    let found = records
        .query::<Link>(&Key::run_partition(run), Key::EVIDENCE_PREFIX)
        .await?;
    Ok(found.into_iter().map(|(_, link)| link.document).collect())
}

#[cfg(test)]
mod tests {
    use blackstart_core::evidence::{Kind, verify};
    use blackstart_core::run::WorkloadName;

    use super::*;
    use crate::records::memory::MemoryRecords;

    #[tokio::test(flavor = "current_thread")]
    async fn appenders_that_race_build_one_chain() {
        let records = MemoryRecords::default();
        let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
        let event = |who: &str| Event::new(Kind::VoteTaken, jiff::Timestamp::UNIX_EPOCH).fact("person", who);
        let (a, b, c, d) = tokio::join!(
            record(&records, &run, event("ada")),
            record(&records, &run, event("bob")),
            record(&records, &run, event("cy")),
            record(&records, &run, event("dee")),
        );
        for link in [a, b, c, d] {
            link.unwrap();
        }
        let proven = verify(&bundle(&records, &run).await.unwrap()).unwrap();
        assert_eq!(proven.links, 4);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_same_effect_is_one_link_whoever_records_it_and_whenever() {
        let records = MemoryRecords::default();
        let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
        let event = |second: i64, set: &str| {
            let at = jiff::Timestamp::from_second(second).unwrap();
            Event::new(Kind::SetJudged, at).fact("set", set)
        };
        let (a, b, c) = tokio::join!(
            record_once(&records, &run, event(1, "a")),
            record_once(&records, &run, event(2, "a")),
            record_once(&records, &run, event(3, "b")),
        );
        assert_eq!(a.unwrap(), b.unwrap());
        assert_eq!(
            record_once(&records, &run, event(4, "b")).await.unwrap(),
            c.unwrap()
        );
        assert_eq!(verify(&bundle(&records, &run).await.unwrap()).unwrap().links, 2);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_crash_at_any_call_leaves_a_chain_that_can_be_continued() {
        let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
        let event = Event::new(Kind::DataRestored, jiff::Timestamp::UNIX_EPOCH);
        for failing in 0..3 {
            let records = MemoryRecords::default();
            records.fail((0..=failing).map(|call| call == failing));
            assert!(record_once(&records, &run, event.clone()).await.is_err());
            record_once(&records, &run, event.clone()).await.unwrap();
            assert_eq!(
                verify(&bundle(&records, &run).await.unwrap()).unwrap().links,
                1,
                "{failing}"
            );
        }
    }

    /// A link that vanished from the ledger is not silently recorded again at another place.
    #[tokio::test(flavor = "current_thread")]
    async fn a_link_that_was_removed_is_missed() {
        let records = MemoryRecords::default();
        let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
        let event = Event::new(Kind::DataRestored, jiff::Timestamp::UNIX_EPOCH);
        record_once(&records, &run, event.clone()).await.unwrap();
        assert!(records.remove(&Key::evidence(&run, 0), 1).await.unwrap());
        let error = record_once(&records, &run, event).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::Defect, "{error}");
    }
}
