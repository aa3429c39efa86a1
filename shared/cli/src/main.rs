//! The `blackstart` command.

fn main() -> std::process::ExitCode {
    blackstart_cli::main()
}
