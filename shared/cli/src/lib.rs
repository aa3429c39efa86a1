//! The `blackstart` command, and the drill that the tests of the workflow play too.
// The future of a whole drill nests deeper than the default limit.
#![recursion_limit = "256"]

use std::io::Write as _;
use std::process::ExitCode;

use blackstart_aws::env;
use blackstart_local::project::Project;
use clap::{Parser, Subcommand};

mod approve;
mod content;
mod cutover;
pub mod drill;
pub mod evidence;
mod gateway;
mod indicators;
mod plan;
mod references;
pub mod timeline;
mod up;
mod watch;

/// Brings an AWS workload back after ransomware or another destructive event.
#[derive(Debug, Parser)]
#[command(name = "blackstart", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Drill(drill::Drill),
    Up(up::Up),
    Timeline(timeline::Args),
    Content(content::Content),
    Approve(approve::Approve),
    Watch(watch::Watch),
    /// How far a cutover is, and what it is to do when it waits for a person.
    #[command(subcommand)]
    Cutover(cutover::Cutover),
    /// Verifies the evidence of a run, offline, or fetches it.
    Evidence(evidence::Evidence),
    /// Checks a recovery plan.
    Plan(plan::PlanCommand),
    #[command(subcommand)]
    References(references::References),
}

/// Reads the arguments, does what they say, and says how it went: 0 yes, 1 no, 2 an error.
#[must_use]
pub fn main() -> ExitCode {
    let out = &mut std::io::stdout().lock();
    let project = || Project::of_this_process(env::process);
    match Arguments::parse().command {
        Command::Drill(args) => match project() {
            Ok(project) => answered(awaited(args.run(&project, out))),
            Err(error) => answered(Err(error)),
        },
        Command::Up(args) => match project() {
            Ok(project) => answered(awaited(args.run(&project, out)).map(|()| true)),
            Err(error) => answered(Err(error)),
        },
        Command::Timeline(args) => answered(timeline::run(&args, jiff::Timestamp::now(), out)),
        Command::Content(args) => answered(args.run(out)),
        Command::Approve(args) => answered(awaited(async {
            args.run(&own().await, out).await.map(|()| true)
        })),
        Command::Watch(args) => answered(awaited(async { args.run(&own().await, out).await })),
        Command::Cutover(command) => answered(awaited(async { command.run(&own().await, out).await })),
        Command::Evidence(args) => answered(awaited(args.run(out))),
        Command::Plan(args) => answered(args.run(out)),
        Command::References(command) => match references::run(&command, out) {
            Ok(false) => ExitCode::from(2),
            done => answered(done),
        },
    }
}

/// Runs what talks to AWS.
#[tokio::main(flavor = "current_thread")]
async fn awaited<T>(work: impl Future<Output = T>) -> T {
    work.await
}

/// The caller's own configuration.
async fn own() -> aws_config::SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .load()
        .await
}

/// 0 with an answer, 1 without one, 2 after an error, which is said.
fn answered<E: std::error::Error>(answer: Result<bool, E>) -> ExitCode {
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let text = blackstart_core::error_name::error_chain(&error);
            // Names of files, and words that they hold, are in it.
            let text = text.lines().map(drill::shown).collect::<Vec<_>>().join("\n");
            // Nothing can be said when standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {text}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn every_command_and_its_arguments_fit_together() {
        Arguments::command().debug_assert();
    }
}
