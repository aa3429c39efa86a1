//! How fast this invocation writes, and where its time goes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::cutover::rate::{Pace, RetryBudget, Spent, full_jitter};
use blackstart_core::references::Slot;
use jiff::Timestamp;

use crate::context::Context;
use crate::world::World;

/// Most repetitions of one write that was throttled; then the state machine repeats the task.
const RETRIES: u32 = 4;

/// What an invocation keeps about its own pace.
#[derive(Debug, Default)]
pub(crate) struct Keeper(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    budget: RetryBudget,
    spent: Spent,
    /// How much of it the journal knows.
    recorded: Spent,
}

impl Keeper {
    /// A panic elsewhere leaves it usable: every change is one of numbers.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}

impl<W: World, R: Records, C, N> Context<'_, W, R, C, N> {
    /// Writes a document when its account and API allow it, and again after throttling while the budget lasts.
    pub(crate) async fn write_in_time(&self, slot: &Slot, text: &str) -> Result<(), PortError> {
        let mut retry = 0;
        loop {
            let now = milliseconds(self.deps.world.now());
            let wait = {
                let mut state = self.pace.state();
                state.budget.earn();
                state.pace.wait(&slot.account, slot.kind, now)
            };
            self.wait_for_rate_limits(wait).await;
            let outcome = self
                .deps
                .world
                .write_document(&self.run, &self.plan, slot, text)
                .await;
            let throttled = matches!(outcome, Err(PortError::Transient { .. }));
            if !throttled || retry >= RETRIES || !self.pace.state().budget.spend() {
                return outcome;
            }
            // Different for every document and moment, and the same again for the same.
            let seed = Digest::of(format!("{} {now} {retry}", slot.arn).as_bytes());
            let random = u64::from_str_radix(seed.short(), 16).unwrap_or_default();
            self.wait_for_rate_limits(full_jitter(retry, random)).await;
            retry += 1;
        }
    }

    async fn wait_for_rate_limits(&self, wait: u64) {
        if wait > 0 {
            self.pace.state().spent.rate_limits += wait;
            self.deps.world.pause(Duration::from_millis(wait)).await;
        }
    }

    /// Waits until something that was written may be visible.
    pub(crate) async fn wait_for_propagation(&self, pause: Duration) {
        let wait = u64::try_from(pause.as_millis()).unwrap_or_default();
        self.pace.state().spent.propagation += wait;
        self.deps.world.pause(pause).await;
    }

    /// Where the time of this invocation went so far.
    pub(crate) fn spent(&self) -> Spent {
        let waited = self.pace.state().spent;
        let all = milliseconds(self.deps.world.now()).saturating_sub(milliseconds(self.began));
        Spent {
            itself: all.saturating_sub(waited.rate_limits + waited.propagation),
            ..waited
        }
    }

    /// Where it went since the journal was last written to.
    pub(crate) fn unrecorded(&self) -> Spent {
        let spent = self.spent();
        spent.since(self.pace.state().recorded)
    }

    /// The journal knows this much more.
    pub(crate) fn was_recorded(&self, spent: Spent) {
        let mut state = self.pace.state();
        state.recorded = state.recorded.plus(spent);
    }
}
