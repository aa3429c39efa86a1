//! Stand-in for tests of the stages: a world in memory, and calls to it of which any can be lost.
//!
//! A stage that ends every loss of [`every_loss`] as if it had not happened survives being killed as well: who dies
//! between two calls leaves behind what the first one did and nothing of the second, as a lost answer to the first or a
//! lost request for the second does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use blackstart_core::run::RunId;
use blackstart_core::task::{StateContext, Task};
use jiff::Timestamp;

use crate::port::PortError;

/// What is lost of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The request: nothing happens.
    Request,
    /// The answer: it happens, and the caller does not know.
    Answer,
}

/// Every way to lose one of the next `calls` calls.
pub fn every_loss(calls: usize) -> impl Iterator<Item = (usize, Lost)> {
    (1..=calls).flat_map(|n| [(n, Lost::Request), (n, Lost::Answer)])
}

/// A world, and the wire to it.
#[derive(Debug)]
pub struct Unreliable<W> {
    world: Mutex<W>,
    wire: Mutex<Wire>,
}

#[derive(Debug, Default)]
struct Wire {
    calls: usize,
    /// Number of the call that is lost.
    loses: Option<(usize, Lost)>,
}

impl<W> Unreliable<W> {
    /// A world whose every call gets through, until [`Unreliable::lose`].
    pub fn new(world: W) -> Self {
        Self {
            world: Mutex::new(world),
            wire: Mutex::default(),
        }
    }

    /// The world, for the test itself: nothing of this is a call.
    pub fn world(&self) -> MutexGuard<'_, W> {
        lock(&self.world)
    }

    /// Number of calls so far.
    pub fn calls(&self) -> usize {
        lock(&self.wire).calls
    }

    /// Loses the `n`th call from now on, and no other; 1 is the next.
    pub fn lose(&self, n: usize, lost: Lost) {
        let mut wire = lock(&self.wire);
        wire.loses = Some((wire.calls.saturating_add(n), lost));
    }

    /// One call.
    ///
    /// # Errors
    /// [`PortError::Transient`] when it is the one that is lost.
    pub fn call<T>(&self, act: impl FnOnce(&mut W) -> T) -> Result<T, PortError> {
        let lost = {
            let mut wire = lock(&self.wire);
            wire.calls = wire.calls.saturating_add(1);
            let now = wire.calls;
            wire.loses.filter(|(n, _)| *n == now).map(|(_, lost)| lost)
        };
        let cut = || PortError::Transient {
            what: "a call".to_owned(),
            why: "it was lost".to_owned(),
        };
        if lost == Some(Lost::Request) {
            return Err(cut());
        }
        let answer = act(&mut self.world());
        match lost {
            Some(_) => Err(cut()),
            None => Ok(answer),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A task as the state machine gives it, at no particular time.
pub fn task<Operation>(run: &RunId, input: Operation) -> Task<Operation> {
    Task {
        context: StateContext {
            execution: "arn:e".to_owned(),
            started: Timestamp::UNIX_EPOCH,
            state: "A state".to_owned(),
            entered: Timestamp::UNIX_EPOCH,
            retry_count: 0,
            redrive_count: 0,
        },
        run: Some(run.clone()),
        input,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_request_does_nothing_and_a_lost_answer_did_it() {
        for (n, lost) in every_loss(3) {
            let world = Unreliable::new(Vec::new());
            world.call(|seen| seen.push(0)).unwrap();
            world.lose(n, lost);
            let answers: Vec<bool> = (1..=3).map(|i| world.call(|seen| seen.push(i)).is_ok()).collect();
            let expected: Vec<bool> = (1..=3).map(|i| i != n).collect();
            assert_eq!(answers, expected);
            assert_eq!(world.world().contains(&n), lost == Lost::Answer);
            assert_eq!(world.calls(), 4);
        }
    }
}
