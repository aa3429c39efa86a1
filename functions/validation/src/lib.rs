//! Stage 2: the newest recovery set that is proven clean.
#![warn(missing_docs)]

mod budget;
mod clean_up;
pub mod config;
pub mod deps;
pub mod error;
mod judge;
mod rules;
mod selection;
mod trial;
mod waiting;
mod walk;

use blackstart_core::run::RunId;
use blackstart_core::task::Task;
use blackstart_core::task::validation::{
    Candidates, CleanedUp, Judged, NextRound, Operation, Selected, Trial,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::deps::{Deps, EnterAccount, RunRecords, Waits};
use crate::error::ValidationError;

/// The answer to whichever operation was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Operation::Candidates`].
    Candidates(Candidates),
    /// To [`Operation::Next`].
    Next(NextRound),
    /// To [`Operation::Start`], [`Operation::Poll`] and [`Operation::Wait`].
    Trial(Trial),
    /// To [`Operation::Judge`].
    Judged(Judged),
    /// To [`Operation::CleanUp`].
    CleanedUp(CleanedUp),
    /// To [`Operation::Select`].
    Selected(Box<Selected>),
}

/// One task of stage 2.
///
/// # Errors
/// [`ValidationError`].
pub async fn handle<R: RunRecords + Waits, E: EnterAccount>(
    task: Task<Operation>,
    deps: &Deps<R, E>,
    now: Timestamp,
) -> Result<Answer, ValidationError> {
    let run: &RunId = task.run.as_ref().ok_or(ValidationError::NoRun)?;
    match task.input {
        Operation::Candidates { plan } => walk::candidates(deps, run, &plan, now)
            .await
            .map(Answer::Candidates),
        Operation::Next { plan, sets } => {
            walk::next(&deps.records, run, &plan, &sets, task.context.entered, now)
                .await
                .map(Answer::Next)
        }
        Operation::Start { plan, sets, set } => trial::start(deps, run, &plan, &sets, &set, now)
            .await
            .map(Answer::Trial),
        Operation::Poll { plan, set } => trial::poll(deps, run, &plan, &set, now).await.map(Answer::Trial),
        Operation::Wait {
            plan,
            set,
            woken,
            token,
        } => {
            let attempt = waiting::Attempt {
                context: &task.context,
                woken,
                token: &token,
            };
            waiting::wait(deps, run, &plan, &set, attempt, now)
                .await
                .map(Answer::Trial)
        }
        Operation::Judge {
            set,
            failure: Some(failure),
            ..
        } => judge::judge_failed(&deps.records, run, &set, &failure, now)
            .await
            .map(Answer::Judged),
        Operation::Judge {
            plan,
            sets,
            set,
            failure: None,
        } => judge::judge(deps, run, &plan, &sets, &set, now)
            .await
            .map(Answer::Judged),
        Operation::CleanUp { plan, set } => clean_up::clean_up(deps, run, &plan, &set)
            .await
            .map(Answer::CleanedUp),
        Operation::Select { plan, branches } => selection::select(deps, run, &plan, &branches, now)
            .await
            .map(|selected| Answer::Selected(Box::new(selected))),
    }
}
