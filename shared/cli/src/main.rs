//! The `blackstart` command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod timeline;

/// Brings an AWS workload back after ransomware or another destructive event.
#[derive(Debug, Parser)]
#[command(name = "blackstart", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Timeline(timeline::Args),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Timeline(args) => {
            let answer = timeline::run(&args, jiff::Timestamp::now(), &mut std::io::stdout().lock());
            answered(answer)
        }
    }
}

/// 0 with an answer, 1 without one, 2 after an error, which is said.
fn answered<E: std::error::Error>(answer: Result<bool, E>) -> ExitCode {
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let text = blackstart_core::error_name::error_chain(&error);
            // Nothing can be said when standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {text}");
            ExitCode::from(2)
        }
    }
}
