//! The program `partner`: the command line for administrators and for whoever looks for a fault.
//!
//! ```text
//! who, list   ── the connections of this stack, and who holds their ends
//!   survey      looks at them, by the rules of the library        table, output   for eyes
//! doctor      ── what answers here, and what is in its way
//! policy      ── what a policy decides, before it is in force
//! watch       ── connections as they come and go     terminal  a screen for them
//! form        ── what --json writes: a promise       assets    completions and manual pages
//! ```

mod arguments;
mod assets;
mod doctor;
mod form;
mod list;
mod output;
mod policy;
mod survey;
mod table;
mod terminal;
mod watch;
mod who;

use std::process::ExitCode;

use clap::Parser;

use self::arguments::{Arguments, Command, PolicyCommand};
use self::output::Output;
use crate::agent;

/// How a command ends. The numbers are promised: see `docs/partner.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Answered, or done.
    Done,
    /// Unknown, refused, or failed.
    No,
    /// The command line is not understood.
    Usage,
    /// The policy or the configuration is not valid, or cannot be read.
    Invalid,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::No => 1,
            Status::Usage => 2,
            Status::Invalid => 3,
        })
    }
}

/// What ends a command before it has an answer.
#[derive(Debug)]
struct Failed {
    status: Status,
    what: String,
}

impl Failed {
    fn new(what: impl std::fmt::Display) -> Self {
        Self { status: Status::No, what: what.to_string() }
    }

    fn invalid(what: impl std::fmt::Display) -> Self {
        Self { status: Status::Invalid, what: what.to_string() }
    }

    fn usage(what: impl std::fmt::Display) -> Self {
        Self { status: Status::Usage, what: what.to_string() }
    }
}

/// Runs the program, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // Help and version come this way too, and are no errors.
            let status = if message.use_stderr() { Status::Usage } else { Status::Done };
            let _ = message.print();
            return status.into();
        }
    };
    let output = Output::of_process();
    run(&arguments.command, &output)
        .unwrap_or_else(|Failed { status, what }| {
            output.complain(&what);
            status
        })
        .into()
}

fn run(command: &Command, output: &Output) -> Result<Status, Failed> {
    match command {
        Command::Who(who) => who::run(who, output),
        Command::List(list) => list::run(list, output),
        Command::Doctor(doctor) => doctor::run(doctor, output),
        Command::Policy(PolicyCommand::Test(test)) => policy::test(test, output),
        Command::Watch(watch) => watch::run(watch, output),
        Command::Completions(completions) => assets::completions(completions, output),
        Command::Man(man) => assets::man(man, output),
        Command::Ca(command) => {
            let text = agent::ca::run(command).map_err(Failed::new)?;
            output.text(&text).map(|()| Status::Done)
        }
    }
}
