//! Leases: at most one executor reads and writes a document at a time.

use blackstart_aws::records::Records;
use blackstart_core::ledger::Key;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CutoverError;

/// A function lives no longer than this (its timeout), so whoever held an older lease is gone.
const LEASE: SignedDuration = SignedDuration::from_secs(300);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    holder: String,
    until: Timestamp,
}

/// A lease that is held.
#[derive(Debug)]
pub(crate) struct Lease {
    key: Key,
    version: u64,
}

/// Takes the lease on a document.
///
/// `holder` is the execution: within one, the state machine runs one task per document at a time, and a task ends
/// before its state does. So an execution takes over its own lease at once, and another waits until it has run out.
pub(crate) async fn acquire<R: Records>(
    records: &R,
    document: &str,
    holder: &str,
    now: Timestamp,
) -> Result<Lease, CutoverError> {
    let key = Key::lease(document);
    let busy = |holder: String| CutoverError::Busy {
        what: document.to_owned(),
        holder,
    };
    let wanted = Held {
        holder: holder.to_owned(),
        until: now.checked_add(LEASE).unwrap_or(Timestamp::MAX),
    };
    let (taken, version) = match records.get::<Held>(&key).await? {
        None => (records.put_new(&key, &wanted).await?, 1),
        Some(held) if held.document.holder == holder || held.document.until <= now => (
            records.replace(&key, held.version, &wanted).await?,
            held.version.saturating_add(1),
        ),
        Some(held) => return Err(busy(held.document.holder)),
    };
    if taken {
        Ok(Lease { key, version })
    } else {
        Err(busy("another".to_owned()))
    }
}

/// Gives the lease back. One that cannot be given back runs out by itself.
pub(crate) async fn release<R: Records>(records: &R, lease: Lease) {
    if let Err(error) = records.remove(&lease.key, lease.version).await {
        tracing::warn!(%error, "a lease was not given back; it runs out by itself");
    }
}
