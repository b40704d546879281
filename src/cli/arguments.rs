//! What stands on the command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::agent::ca;

const PROGRAM: &str = "\
Exit status:
  0  answered, or done
  1  unknown, refused, or failed: the output or the standard error says why
  2  the command line is not understood
  3  the policy or the configuration is not valid, or cannot be read

Examples:
  partner who 5432                             who is connected with port 5432 here
  partner who 127.0.0.1:5432 127.0.0.1:40000   both ends of one connection
  partner list                                 every connection of this network namespace
  partner watch                                the same, as they come and go
  partner doctor                               what answers here, and what is in its way
  partner policy test --user alice             may she ask who her partners are?
  partner ca init --domain prod.example        certificates for the agents of several hosts

To see the programs of other users takes root. `partner COMMAND --help` says more.";

/// Says who is at the other end of TCP connections, and looks after what answers that.
#[derive(Debug, Parser)]
#[command(name = "partner", version, after_help = PROGRAM)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Who holds the ends of a connection of this network namespace
    Who(Who),
    /// Every TCP connection of this network namespace, with the user and the program at each end
    List(List),
    /// Connections as they come and go: a screen, or lines where there is no terminal
    Watch(Watch),
    /// What answers here, and what is in its way
    Doctor(Doctor),
    /// What a policy decides
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Completions for a shell, on the standard output
    Completions(Completions),
    /// The manual pages, into a folder: for who packages the programs
    Man(Man),
    /// A certificate authority for the agents of one security domain
    #[command(subcommand, after_help = CA)]
    Ca(ca::Command),
}

const WHO: &str = "\
Both ends are looked up in the kernel's table by their exact addresses, again after the processes were
read, and named only where each is proven to be the other's partner. What is said is true of the
connection that has these addresses now.

Exit status:
  0  every end that was asked for is named
  1  there is no such connection, or an end is not proven: the output says why
  2  the command line is not understood

Examples:
  partner who 5432                             all connections of which an end has port 5432
  partner who 127.0.0.1:5432 127.0.0.1:40000   one connection, either end first
  partner who '[::1]:80' '[::1]:40000' --json  for programs";

#[derive(Debug, Args)]
#[command(after_help = WHO, override_usage = "partner who [OPTIONS] PORT\n       partner who [OPTIONS] LOCAL REMOTE")]
pub(crate) struct Who {
    /// A port, or the address and port of one end, such as 127.0.0.1:5432 or [::1]:5432
    #[arg(value_name = "PORT|LOCAL", value_parser = what)]
    pub(crate) what: What,
    /// The address and port of the other end
    #[arg(value_name = "REMOTE", value_parser = endpoint)]
    pub(crate) remote: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// The first argument of `who`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Port(u16),
    End(SocketAddr),
}

const LIST: &str = "\
Each line was looked up by its exact addresses, twice; an end that is not proven says why. Without
root the programs of other users are not seen, and say so.

Exit status:
  0  listed
  1  the kernel's table cannot be read, or the policy does not permit it
  2  the command line is not understood

Examples:
  partner list                   a table
  partner list --json            for programs; the form is that of `who`
  partner list | grep -v alice   no colours, no headings where it is not a terminal's";

#[derive(Debug, Args)]
#[command(after_help = LIST)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) format: Format,
}

const WATCH: &str = "\
On a terminal it is `partner list`, again and again; q or Ctrl-C ends it. Elsewhere each line is a change:
`+` a connection that has come, `-` one that has gone, `=` one of which something else is known now.

Exit status:
  0  ended by q, by a signal, or because nobody reads any more
  1  the kernel's table cannot be read, or the policy does not permit it
  2  the command line is not understood

Examples:
  partner watch
  partner watch --interval 1 | grep postgres
  partner watch --json >> connections.jsonl";

#[derive(Debug, Args)]
#[command(after_help = WATCH)]
pub(crate) struct Watch {
    /// How often to look
    #[arg(long, value_name = "SECONDS", default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) interval: u32,
    /// Writes each change as a line of JSON, whose form is promised; on a terminal, too
    #[arg(long)]
    pub(crate) json: bool,
}

const COMPLETIONS: &str = "\
Examples:
  partner completions bash > /usr/share/bash-completion/completions/partner
  partner completions zsh > /usr/share/zsh/site-functions/_partner
  partner completions fish > /usr/share/fish/vendor_completions.d/partner.fish";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

const MAN: &str = "\
Examples:
  partner man --out target/assets/man     partner.1, one for each command, and partnerd.8";

#[derive(Debug, Args)]
#[command(after_help = MAN)]
pub(crate) struct Man {
    /// The folder, made if it is not there; what is in it is replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Format {
    /// Writes JSON, whose form is promised
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Decides as the library and the agent would
    Test(PolicyTest),
}

const DOCTOR: &str = "\
Looks at the kernel, the policy, the agent of this host, its certificate and the security domain, as this
user finds them; as root it sees more. --host asks the agent of another host, as partnerd here would.

Exit status:
  0  all is well, or warned of
  1  something fails: the line says what to do
  2  the command line is not understood

Examples:
  partner doctor
  partner doctor --host 192.0.2.2 --host 2001:db8::2";

#[derive(Debug, Args)]
#[command(after_help = DOCTOR)]
pub(crate) struct Doctor {
    /// The address of another host, whose agent is asked who it is; once for each
    #[arg(long, value_name = "ADDR")]
    pub(crate) host: Vec<IpAddr>,
    /// The agent's configuration file, which must be there [default:
    /// /etc/partner-info/partnerd.toml, which may be absent]
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: Format,
}

const POLICY_TEST: &str = "\
Without --group the user's groups are those that the account database of this host has. What is not
known of a user counts as unknown: it can refuse, and never authorizes.

Exit status:
  0  authorized
  1  not authorized: the output names the rule
  2  the command line is not understood
  3  the policy is not valid, or cannot be read

Examples:
  partner policy test --user alice
  partner policy test --user 1000 --group operators --policy ./new.toml
  partner policy test --user alice --host db1 --partner other";

#[derive(Debug, Args)]
#[command(after_help = POLICY_TEST)]
pub(crate) struct PolicyTest {
    /// Who asks: an account's name or number
    #[arg(long, value_name = "NAME|UID")]
    pub(crate) user: String,
    /// A group of the user, by name or number, once for each; then it has no others
    #[arg(long, value_name = "NAME|GID")]
    pub(crate) group: Vec<String>,
    /// The user runs the program with CAP_NET_ADMIN, or as root
    #[arg(long)]
    pub(crate) privileged: bool,
    /// The host that the resource is named after [default: this one]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Where the partner is
    #[arg(long, value_enum, default_value_t = Partner::Own)]
    pub(crate) partner: Partner,
    /// The policy file, which must be there [default: as programs find it]
    #[arg(long, value_name = "PATH")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Partner {
    /// In the same network namespace
    Own,
    /// In another one, or on another host
    Other,
}

const CA: &str = "\
Exit status:
  0  done
  1  failed: the standard error says why, and nothing half-made is left in force
  2  the command line is not understood";

fn what(text: &str) -> Result<What, String> {
    match text.parse::<u16>() {
        Ok(0) => Err("expected a port from 1 to 65535, or an address with a port".into()),
        Ok(port) => Ok(What::Port(port)),
        Err(_) => endpoint(text).map(What::End),
    }
}

fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an address and a port; write for example 127.0.0.1:5432 or [::1]:5432".into()
    })
}
