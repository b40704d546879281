//! The program `partner`: the command line for administrators.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::ca;

const STATUSES: &str = "\
Exit status:
  0  done
  1  failed: the standard error says why, and nothing half-made is left in force
  2  the command line is not understood";

/// Looks after the hosts whose agents (partnerd) answer each other.
#[derive(Debug, Parser)]
#[command(name = "partner", version, after_help = STATUSES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A certificate authority for the agents of one security domain
    #[command(subcommand, after_help = STATUSES)]
    Ca(ca::Command),
}

/// Runs the program, and says how it ended.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // Help and version come this way too, and are no errors.
            let status = if message.use_stderr() { 2 } else { 0 };
            let _ = message.print();
            return status.into();
        }
    };
    let done = match &arguments.command {
        Command::Ca(command) => ca::run(command),
    };
    match done {
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            let _ = writeln!(io::stderr(), "partner: {error}");
            ExitCode::FAILURE
        }
    }
}
