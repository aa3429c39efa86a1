//! Tasks as the state machine gives them, in a world in which executors die.

use super::*;

/// How often a task is retried that certainly had no effect, where a scenario does not say.
const PATIENCE: u32 = 40;

/// One execution of the state machine.
pub(super) struct Execution<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) name: &'a str,
}

impl Tasks for Execution<'_> {
    fn approved(&self) -> Approved {
        self.scenario.approved()
    }

    /// The state machine retries what certainly had no effect; a crash takes the answer away.
    async fn task(&self, state: &'static str, input: Operation) -> Result<Answer, Failed> {
        let deps = &self.scenario.deps;
        self.scenario.approve().await;
        let (repeat, asked, patience) = deps.world.with(|inner| {
            inner.asked += 1;
            (inner.repeat, inner.asked, inner.patience.unwrap_or(PATIENCE))
        });
        let entered = Timestamp::from_millisecond(1_772_366_400_000 + i64::try_from(asked).unwrap()).unwrap();
        let mut times = if repeat { 2 } else { 1 };
        let mut retries = 0;
        loop {
            let task = Task {
                context: StateContext {
                    execution: self.name.to_owned(),
                    started: Timestamp::UNIX_EPOCH,
                    state: state.to_owned(),
                    entered,
                    retry_count: retries,
                    redrive_count: 0,
                },
                run: Some(self.scenario.run.clone()),
                input: input.clone(),
            };
            let now = deps.world.now();
            let answer = tokio::select! {
                biased;
                () = self.scenario.until_crash() => return Err(Failed::Crash),
                answer = handle(task, deps, now) => answer,
            };
            match answer {
                Ok(answer) if times <= 1 => return Ok(answer),
                Ok(_) => times -= 1,
                Err(error) if error.name().as_str() == "Recovery.Transient" && retries < patience => {
                    retries += 1;
                    tokio::task::yield_now().await;
                }
                Err(error) => return Err(Failed::Error(Box::new(error))),
            }
        }
    }

    async fn wait(&self) {
        self.scenario.let_seconds_pass(10);
        tokio::task::yield_now().await;
    }
}

impl Scenario {
    pub(super) fn execution<'a>(&'a self, name: &'a str) -> Execution<'a> {
        Execution { scenario: self, name }
    }

    async fn until_crash(&self) {
        while !self.deps.world.take_crash() && !self.deps.records.take_crash() {
            tokio::task::yield_now().await;
        }
    }

    /// The way of the state machine.
    pub(in crate::tests) async fn drive(&self, name: &str) -> Ending {
        machine::drive(&self.execution(name)).await
    }

    /// Goes forward and is never heard of again after a crash. `true`: it came to the end.
    pub(in crate::tests) async fn drive_until_it_dies(&self, name: &str) -> bool {
        match machine::forward(&self.execution(name)).await {
            Ok(()) => true,
            Err(Failed::Crash) => false,
            Err(failed) => panic!("{failed:?}"),
        }
    }

    /// Reverts every step once more that is reverted already.
    pub(in crate::tests) async fn revert_every_step_again(&self) {
        let planned = self.plan().await.unwrap();
        let journal = self.journal().await;
        for (step, state) in journal.states() {
            if state != StepState::Reverted {
                continue;
            }
            let revert = Operation::Revert {
                approved: self.approved(),
                cutover: planned.cutover.clone(),
                step: step.to_owned(),
            };
            let again = self.execution("exec-1").task("Revert step", revert).await;
            again.unwrap_or_else(|failed| panic!("{step}: {failed:?}"));
        }
    }
}

pub(super) fn error_of(failed: Failed) -> CutoverError {
    let Failed::Error(error) = failed else {
        panic!("{failed:?}");
    };
    *error
}
