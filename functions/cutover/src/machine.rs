//! The way of the state machine through a cutover, for tests: what `cutover.asl.json` does with every answer.

use std::future::Future;

use blackstart_core::artifact::ArtifactRef;
use blackstart_core::error_name::{StageError as _, error_chain};
use blackstart_core::run::AccountId;
use blackstart_core::task::cutover::{Approved, Next, Operation, Phase, Planned, TrafficProgress};
use blackstart_core::task::{Failure, Progress};

use crate::{Answer, CutoverError};

/// How often it goes round before it counts as going round for ever.
const ROUNDS: usize = 2_000;
/// How often a state that asks again later is entered.
const LOOKS: usize = 600;

/// How the state machine ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// In `Cutover complete`.
    Recovered,
    /// In `Given back`.
    GivenBack,
    /// In `Abandoned`.
    Abandoned,
    /// In `Await operator`, with the reason.
    Operator(String),
    /// Not at all.
    GoesRound,
}

/// Where `Next` leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Back to `Precheck`.
    Resume,
    /// To an end.
    Ended(Ending),
}

/// Why a task gave no answer.
#[derive(Debug)]
pub enum Failed {
    /// The function died.
    Crash,
    /// The function said why.
    Error(Box<CutoverError>),
    /// The answer is not one that the state can have.
    Unexpected(Box<Answer>),
    /// A state was entered as often as a wait lasts.
    NeverReady(&'static str),
}

impl Failed {
    /// As a `Catch` sees it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (error, cause) = match self {
            Self::Crash => ("Runtime.ExitError", String::new()),
            Self::Error(error) => (error.name().as_str(), error_chain(&**error)),
            Self::Unexpected(answer) => ("Recovery.Defect", format!("{answer:?}")),
            Self::NeverReady(state) => (
                "Recovery.OutcomeUnknown",
                format!("`{state}` waited for too long"),
            ),
        };
        Failure {
            error: error.to_owned(),
            cause,
        }
    }
}

/// One execution: gives tasks to the function, with the retries of the definition.
pub trait Tasks {
    /// What was approved.
    fn approved(&self) -> Approved;
    /// One task of a state.
    fn task(&self, state: &'static str, input: Operation) -> impl Future<Output = Result<Answer, Failed>>;
    /// A `Wait` state.
    fn wait(&self) -> impl Future<Output = ()>;
}

/// From `Plan cutover` to an end, however often something fails on the way.
pub async fn drive(tasks: &impl Tasks) -> Ending {
    let mut outcome = forward(tasks).await;
    for _ in 0..ROUNDS {
        let Err(failed) = outcome else {
            return Ending::Recovered;
        };
        match follow(tasks, failed.failure()).await {
            Followed::Ended(ending) => return ending,
            Followed::Resume => outcome = forward(tasks).await,
        }
    }
    Ending::GoesRound
}

/// `Plan cutover` … `Cutover complete`, until the first failure.
///
/// # Errors
/// [`Failed`]: what the `Catch` of the failing state sees.
pub async fn forward(tasks: &impl Tasks) -> Result<(), Failed> {
    let planned = plan(tasks).await?;
    let (approved, cutover) = (tasks.approved(), planned.cutover.clone());
    let common = || (approved.clone(), cutover.clone());
    let (approved, cutover) = common();
    tasks
        .task("Precheck", Operation::Precheck { approved, cutover })
        .await?;
    let (approved, cutover) = common();
    tasks
        .task("Contain", Operation::Contain { approved, cutover })
        .await?;
    let (approved, cutover) = common();
    tasks
        .task("Prepare traffic", Operation::PrepareTraffic { approved, cutover })
        .await?;
    accounts(tasks, &planned, Phase::Expand).await?;
    verify(tasks, &planned, Phase::Expand).await?;
    loop {
        until_done(tasks, "Probe", || {
            let (approved, cutover) = common();
            Operation::Probe { approved, cutover }
        })
        .await?;
        let (approved, cutover) = common();
        tasks
            .task("Shift traffic", Operation::ShiftTraffic { approved, cutover })
            .await?;
        let synced = until_done(tasks, "Await sync", || {
            let (approved, cutover) = common();
            Operation::AwaitSync { approved, cutover }
        })
        .await?;
        if synced.remaining == 0 {
            break;
        }
    }
    accounts(tasks, &planned, Phase::Contract).await?;
    verify(tasks, &planned, Phase::Contract).await
}

/// `Plan cutover`.
///
/// # Errors
/// [`Failed`].
pub async fn plan(tasks: &impl Tasks) -> Result<Planned, Failed> {
    let approved = tasks.approved();
    let answer = tasks.task("Plan cutover", Operation::Plan { approved }).await?;
    let Answer::Planned(planned) = answer else {
        return Err(Failed::Unexpected(Box::new(answer)));
    };
    Ok(planned)
}

/// A state that is entered again after a wait until it is done.
async fn until_done(
    tasks: &impl Tasks,
    state: &'static str,
    operation: impl Fn() -> Operation,
) -> Result<TrafficProgress, Failed> {
    for _ in 0..LOOKS {
        let answer = tasks.task(state, operation()).await?;
        let Answer::Traffic(traffic) = answer else {
            return Err(Failed::Unexpected(Box::new(answer)));
        };
        if traffic.progress == Progress::Done {
            return Ok(traffic);
        }
        tasks.wait().await;
    }
    Err(Failed::NeverReady(state))
}

/// `Expand` or `Contract`: the accounts one after the other.
///
/// # Errors
/// [`Failed`] of the first account that fails.
pub async fn accounts(tasks: &impl Tasks, planned: &Planned, phase: Phase) -> Result<(), Failed> {
    let state = match phase {
        Phase::Expand => "Expand in account",
        Phase::Contract => "Contract in account",
    };
    for account in &planned.accounts {
        loop {
            let operation = apply(tasks.approved(), &planned.cutover, phase, account);
            let answer = tasks.task(state, operation).await?;
            if !matches!(answer, Answer::Applied(applied) if applied.progress == Progress::Running) {
                break;
            }
        }
    }
    Ok(())
}

/// The task of one account.
#[must_use]
pub fn apply(approved: Approved, cutover: &ArtifactRef, phase: Phase, account: &AccountId) -> Operation {
    Operation::Apply {
        approved,
        cutover: cutover.clone(),
        phase,
        account: account.clone(),
    }
}

/// `Verify expanded` or `Probe old is shut out`.
///
/// # Errors
/// [`Failed`].
pub async fn verify(tasks: &impl Tasks, planned: &Planned, phase: Phase) -> Result<(), Failed> {
    let (state, approved, cutover) = (
        match phase {
            Phase::Expand => "Verify expanded",
            Phase::Contract => "Probe old is shut out",
        },
        tasks.approved(),
        planned.cutover.clone(),
    );
    let operation = Operation::Verify {
        approved,
        cutover,
        phase,
    };
    tasks.task(state, operation).await.map(drop)
}

/// `Next`.
///
/// # Errors
/// [`Failed`].
pub async fn next(tasks: &impl Tasks, failure: Failure) -> Result<Next, Failed> {
    let operation = Operation::Next {
        approved: tasks.approved(),
        cutover: None,
        failure,
    };
    let answer = tasks.task("Next", operation).await?;
    let Answer::Next(next) = answer else {
        return Err(Failed::Unexpected(Box::new(answer)));
    };
    Ok(next)
}

/// `Next`, `Revert step`, `Next`, … until it ends or goes forward.
pub async fn follow(tasks: &impl Tasks, failure: Failure) -> Followed {
    let mut failure = failure;
    for _ in 0..ROUNDS {
        let step = match next(tasks, failure.clone()).await {
            Ok(Next::Resume {}) => return Followed::Resume,
            Ok(Next::GivenBack {}) => return Followed::Ended(Ending::GivenBack),
            Ok(Next::Abandoned {}) => return Followed::Ended(Ending::Abandoned),
            Ok(Next::CallOperator { reason }) => return Followed::Ended(Ending::Operator(reason)),
            Ok(Next::Revert { step }) => step,
            // `Next` is repeated when the function died, and asks a person when it failed.
            Err(Failed::Crash) => continue,
            Err(failed) => return Followed::Ended(Ending::Operator(failed.failure().cause)),
        };
        let reverted = match plan(tasks).await {
            Ok(planned) => {
                let operation = Operation::Revert {
                    approved: tasks.approved(),
                    cutover: planned.cutover,
                    step,
                };
                tasks.task("Revert step", operation).await.map(drop)
            }
            Err(failed) => Err(failed),
        };
        if let Err(failed) = reverted {
            failure = failed.failure();
        }
    }
    Followed::Ended(Ending::GoesRound)
}
