//! Fetching many objects ahead, in bounded memory.

use blackstart_aws::port::PortError;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ports::Logs;

/// Objects that are fetched at once: small objects are bound by latency, not by bytes.
const AT_ONCE: usize = 64;

/// Units of the bytes that may be fetched and not yet read.
const UNITS: usize = 1024;

/// Bytes of a unit: 64 MiB together.
const UNIT: u64 = 64 << 10;

/// The bytes that may be fetched and not yet read.
#[derive(Debug)]
pub(crate) struct Budget(Semaphore);

/// An object's bytes, which count until they are dropped.
#[derive(Debug)]
pub(crate) struct Fetched<'b> {
    pub(crate) stored: Result<Vec<u8>, PortError>,
    _held: Option<SemaphorePermit<'b>>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(UNITS))
    }

    /// Fetches objects ahead, and gives them as they come. `wanted` says bucket, key and size, as far as it is known;
    /// an object above the whole budget is fetched alone.
    pub(crate) fn fetch<'b, L: Logs, T: 'b>(
        &'b self,
        logs: &'b L,
        objects: impl Iterator<Item = T> + 'b,
        wanted: impl Fn(&T) -> Option<(String, String, u64)> + 'b,
    ) -> impl Stream<Item = (T, Option<Fetched<'b>>)> + 'b {
        stream::iter(objects)
            .map(move |object| {
                let wanted = wanted(&object);
                async move {
                    let Some((bucket, key, bytes)) = wanted else {
                        return (object, None);
                    };
                    let units = bytes.div_ceil(UNIT).clamp(1, UNITS as u64);
                    let units = u32::try_from(units).unwrap_or(1);
                    // Nobody closes the semaphore.
                    let held = self.0.acquire_many(units).await.ok();
                    let stored = logs.get(&bucket, &key).await;
                    (object, Some(Fetched { stored, _held: held }))
                }
            })
            .buffer_unordered(AT_ONCE)
    }
}
