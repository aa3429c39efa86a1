//! The way of the state machine through a cutover.

use super::*;

impl Scenario {
    /// One task, as the state machine gives it; a crash takes the answer away.
    pub(super) async fn task(
        &self,
        execution: &str,
        state: &str,
        input: &Operation,
    ) -> Result<Answer, Failed> {
        self.approve().await;
        let (repeat, asked) = self.deps.world.with(|inner| {
            inner.asked += 1;
            (inner.repeat, inner.asked)
        });
        let entered = Timestamp::from_millisecond(1_772_366_400_000 + i64::try_from(asked).unwrap()).unwrap();
        let mut times = if repeat { 2 } else { 1 };
        let mut retries = 0;
        loop {
            let task = Task {
                context: StateContext {
                    execution: execution.to_owned(),
                    started: Timestamp::UNIX_EPOCH,
                    state: state.to_owned(),
                    entered,
                    retry_count: retries,
                    redrive_count: 0,
                },
                run: Some(self.run.clone()),
                input: input.clone(),
            };
            let now = self.deps.world.now();
            let answer = tokio::select! {
                biased;
                () = self.deps.world.until_crash() => return Err(Failed::Crash),
                answer = handle(task, &self.deps, now) => answer,
            };
            match answer {
                Ok(answer) if times <= 1 => return Ok(answer),
                Ok(_) => times -= 1,
                // The state machine retries what certainly had no effect.
                Err(error) if error.name().as_str() == "Recovery.Transient" && retries < 40 => {
                    retries += 1;
                    tokio::task::yield_now().await;
                }
                Err(error) => return Err(Failed::Error(error)),
            }
        }
    }

    /// The way of the state machine.
    pub(in crate::tests) async fn drive(&self, execution: &str) -> Ending {
        let mut failed = match self.plan_as(execution).await {
            Ok(planned) => match self.forward(execution, &planned).await {
                Ok(()) => return Ending::Recovered,
                Err(failed) => failed,
            },
            Err(failed) => failed,
        };
        for _ in 0..40 {
            match self.follow(execution, failed.failure()).await {
                Followed::Ended(ending) => return ending,
                Followed::Resume => {
                    let planned = self.plan_as(execution).await;
                    let outcome = match planned {
                        Ok(planned) => self.forward(execution, &planned).await,
                        Err(failed) => Err(failed),
                    };
                    match outcome {
                        Ok(()) => return Ending::Recovered,
                        Err(again) => failed = again,
                    }
                }
            }
        }
        panic!("the state machine never ends");
    }

    pub(super) async fn forward(&self, execution: &str, planned: &Planned) -> Result<(), Failed> {
        let approved = self.approved();
        let cutover = planned.cutover.clone();
        let precheck = Operation::Precheck {
            approved: approved.clone(),
            cutover: cutover.clone(),
        };
        self.task(execution, "Precheck", &precheck).await?;
        let prepare = Operation::PrepareTraffic {
            approved: approved.clone(),
            cutover: cutover.clone(),
        };
        self.task(execution, "Prepare traffic", &prepare).await?;
        self.accounts(execution, planned, Phase::Expand).await?;
        self.verify_as(execution, planned, Phase::Expand).await?;
        for (state, operation) in [
            (
                "Probe",
                Operation::Probe {
                    approved: approved.clone(),
                    cutover: cutover.clone(),
                },
            ),
            (
                "Shift traffic",
                Operation::ShiftTraffic {
                    approved: approved.clone(),
                    cutover: cutover.clone(),
                },
            ),
            ("Await sync", Operation::AwaitSync { approved, cutover }),
        ] {
            self.task(execution, state, &operation).await?;
        }
        self.accounts(execution, planned, Phase::Contract).await?;
        self.verify_as(execution, planned, Phase::Contract).await
    }

    pub(super) async fn accounts(
        &self,
        execution: &str,
        planned: &Planned,
        phase: Phase,
    ) -> Result<(), Failed> {
        for account in &planned.accounts {
            loop {
                let apply = self.apply(planned, phase, account);
                let answer = self.task(execution, "Apply", &apply).await?;
                if !matches!(answer, Answer::Applied(applied) if applied.progress == Progress::Running) {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) fn apply(&self, planned: &Planned, phase: Phase, account: &AccountId) -> Operation {
        Operation::Apply {
            approved: self.approved(),
            cutover: planned.cutover.clone(),
            phase,
            account: account.clone(),
        }
    }

    pub(super) async fn verify_as(
        &self,
        execution: &str,
        planned: &Planned,
        phase: Phase,
    ) -> Result<(), Failed> {
        let verify = Operation::Verify {
            approved: self.approved(),
            cutover: planned.cutover.clone(),
            phase,
        };
        self.task(execution, "Verify", &verify).await.map(drop)
    }

    pub(super) async fn next_as(&self, execution: &str, failure: Failure) -> Next {
        let next = Operation::Next {
            approved: self.approved(),
            cutover: None,
            failure,
        };
        match self.task(execution, "Next", &next).await {
            Ok(Answer::Next(next)) => next,
            other => panic!("{other:?}"),
        }
    }

    /// Next, Revert step, Next, … until it ends or goes forward.
    pub(super) async fn follow(&self, execution: &str, failure: Failure) -> Followed {
        let mut failure = failure;
        for _ in 0..200 {
            match self.next_as(execution, failure.clone()).await {
                Next::Resume {} => return Followed::Resume,
                Next::GivenBack {} => return Followed::Ended(Ending::GivenBack),
                Next::CallOperator { reason } => return Followed::Ended(Ending::Operator(reason)),
                Next::Revert { step } => {
                    let planned = self.plan_as(execution).await.ok().unwrap();
                    let revert = Operation::Revert {
                        approved: self.approved(),
                        cutover: planned.cutover,
                        step,
                    };
                    if let Err(failed) = self.task(execution, "Revert step", &revert).await {
                        failure = failed.failure();
                    }
                }
            }
        }
        panic!("the undo never ends");
    }

    pub(super) async fn plan_as(&self, execution: &str) -> Result<Planned, Failed> {
        let plan = Operation::Plan {
            approved: self.approved(),
        };
        let answer = self.task(execution, "Plan cutover", &plan).await?;
        let Answer::Planned(planned) = answer else {
            panic!("{answer:?}");
        };
        Ok(planned)
    }
}

pub(super) enum Followed {
    Resume,
    Ended(Ending),
}

/// Why a task gave no answer.
#[derive(Debug)]
pub(super) enum Failed {
    Crash,
    Error(CutoverError),
}

impl Failed {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Crash => Failure {
                error: "Runtime.ExitError".to_owned(),
                cause: String::new(),
            },
            Self::Error(error) => failure_of(error),
        }
    }

    pub(super) fn error(self) -> CutoverError {
        match self {
            Self::Crash => panic!("a crash"),
            Self::Error(error) => error,
        }
    }
}

pub(super) fn failure_of(error: &CutoverError) -> Failure {
    Failure {
        error: error.name().as_str().to_owned(),
        cause: error_chain(error),
    }
}
