//! The `blackstart` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Brings an AWS workload back after ransomware or another destructive event.
#[derive(Debug, Parser)]
#[command(name = "blackstart", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {}

fn main() -> ExitCode {
    match Arguments::parse().command {}
}
