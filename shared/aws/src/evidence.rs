//! The evidence chain in the ledger: one item per link, written only if its place is free.

use blackstart_core::artifact::NotCanonical;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::{Bundle, Event, Link, SCHEMA, append};
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;

use crate::ledger::LedgerError;
use crate::port::PortError;
use crate::records::Records;

/// How often a lost race for the next place is run again.
const ATTEMPTS: usize = 16;

/// An event could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The ledger did not answer as hoped.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The event has no canonical form.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
}

impl StageError for EvidenceError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Ledger(error) => error.name(),
            Self::NotCanonical(_) => ErrorName::Defect,
        }
    }
}

/// Appends an event to the chain of a run. Whoever loses the race for a place takes the next one.
///
/// # Errors
/// [`EvidenceError`]; `Recovery.Transient` too when too many others append at the same time.
pub async fn record<R: Records>(records: &R, run: &RunId, event: Event) -> Result<Link, EvidenceError> {
    record_unless(records, run, event, |_| false).await
}

/// Appends an event unless the chain holds one of the same kind, subjects and facts: for steps that are repeated
/// until they are complete.
///
/// # Errors
/// [`EvidenceError`].
pub async fn record_once<R: Records>(records: &R, run: &RunId, event: Event) -> Result<Link, EvidenceError> {
    let known = event.clone();
    let same = |link: &Link| {
        let Event {
            kind,
            subjects,
            facts,
            ..
        } = &link.event;
        (kind, subjects, facts) == (&known.kind, &known.subjects, &known.facts)
    };
    record_unless(records, run, event, same).await
}

async fn record_unless<R: Records>(
    records: &R,
    run: &RunId,
    event: Event,
    known: impl Fn(&Link) -> bool + Send,
) -> Result<Link, EvidenceError> {
    for _ in 0..ATTEMPTS {
        let links = links(records, run).await?;
        if let Some(link) = links.iter().find(|link| known(link)) {
            return Ok(link.clone());
        }
        let link = append(run, links.last(), event.clone())?;
        if records.put_new(&Key::evidence(run, link.seq), &link).await? {
            return Ok(link);
        }
    }
    let what = "appending to the evidence chain".to_owned();
    let why = format!("its place was taken {ATTEMPTS} times");
    Err(LedgerError::from(PortError::Transient { what, why }).into())
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
}
