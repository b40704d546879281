//! What stands on the command line.

use std::path::PathBuf;

use clap::Parser;

/// How the program ends. The numbers are promised: see `docs/agent.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Stopped,
    Failed,
    Usage,
    Invalid,
    Socket,
    Forbidden,
}

impl Status {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Socket => 4,
            Self::Forbidden => 5,
        }
    }
}

const STATUSES: &str = "\
Exit status:
  0  stopped on request; with --check: everything is valid
  1  failed while running
  2  the command line is not understood
  3  the configuration or the policy is not valid, or the audit cannot be opened
  4  the socket, or that of the metrics, cannot be had: in use, or not permitted
  5  the kernel, or a sandbox, does not allow what is needed

Signals:
  SIGTERM, SIGINT  answer what is in flight, for 5 seconds at most, and stop
  SIGHUP           read the configuration and the policy again, open the audit's file anew";

/// The agent of a host: says who is at the other end of a TCP connection that a program passes.
#[derive(Debug, Parser)]
#[command(name = "partnerd", version, after_help = STATUSES)]
pub(super) struct Arguments {
    /// The configuration file, which must be there [default:
    /// /etc/partner-info/partnerd.toml, which may be absent]
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,

    /// Reads configuration and policy, prints what would be in force, and ends
    #[arg(long)]
    pub(super) check: bool,
}
