//! This kernel, this process, and the policy that programs go by.

use super::{Check, ask};
use crate::error::{ErrorKind, Reason};
use crate::info::PartnerRequest;
use crate::kernel::prober::Prober;
use crate::kernel::sys::{self, Errno};
use crate::policy::Policy;
use crate::stack::{PolicyInForce, Resolver, Stack};

pub(super) fn look(programs: &Stack) -> Vec<Check> {
    let mut checks = vec![kernel(), processes(), sequence_numbers()];
    checks.extend(policy(programs));
    checks
}

/// A partner in the same stack, as every program is answered.
fn kernel() -> Check {
    const NAME: &str = "kernel";
    let stack = Stack::builder().resolvers([Resolver::Kernel]).policy(Policy::embedded());
    match ask(stack, PartnerRequest::USER_ID) {
        Ok(info) => match info.user() {
            Some(user) if user.uid() == sys::effective_uid() => {
                Check::ok(NAME, format!("sock_diag names partners: this program's is {user}"))
            }
            Some(_) | None => {
                Check::fail(NAME, "sock_diag names another user than this one", "report this")
            }
        },
        Err(error) if error.reason() == Some(Reason::TranslationHidden) => Check::warn(
            NAME,
            "connection tracking handles loopback connections, and this user may not see how",
            "exempt them: nft add rule inet raw output oif lo notrack; or start the agent",
        ),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            Check::fail(NAME, error, "allow AF_NETLINK (systemd: RestrictAddressFamilies=)")
        }
        Err(error) => Check::fail(NAME, error, ""),
    }
}

fn processes() -> Check {
    const NAME: &str = "processes";
    if sys::may_read_others() {
        Check::ok(NAME, "this user may see the processes behind every socket")
    } else {
        Check::warn(
            NAME,
            "this user sees its own processes alone: tokens of others say `default`",
            "ask by way of the agent, or run as root",
        )
    }
}

/// What proves a partner in another network namespace.
fn sequence_numbers() -> Check {
    const NAME: &str = "bpf";
    match Prober::new() {
        Ok(_) => Check::ok(
            NAME,
            "the kernel shows sequence numbers: partners in other namespaces are proven",
        ),
        Err(Errno(libc::EPERM | libc::EACCES)) if sys::effective_uid() != 0 => {
            Check::warn(NAME, "not looked at: it takes root", "run partner doctor as root")
        }
        Err(Errno(errno)) => Check::fail(
            NAME,
            format!(
                "the kernel runs no BPF program ({}): partners in other namespaces stay unidentified",
                std::io::Error::from_raw_os_error(errno)
            ),
            "it takes Linux 5.14 with CONFIG_BPF_SYSCALL, and CAP_BPF or CAP_SYS_ADMIN",
        ),
    }
}

/// The policy that programs of this user go by.
fn policy(programs: &Stack) -> Vec<Check> {
    const NAME: &str = "policy";
    let status = programs.policy_status();
    let file = match status.file() {
        Some(file) => file.to_string_lossy().escape_debug().to_string(),
        None => "what the program was given".to_owned(),
    };
    let mut checks = Vec::new();
    checks.push(match (status.fault(), status.in_force()) {
        (Some(fault), _) => Check::fail(
            NAME,
            fault,
            "correct it: until then no program that starts is authorized for anything",
        ),
        (None, PolicyInForce::Embedded) => Check::ok(
            NAME,
            format!("{file} is not there: every program may ask about its own stack, and no other"),
        ),
        (None, PolicyInForce::File | PolicyInForce::Given) => {
            Check::ok(NAME, format!("{file} is in force"))
        }
        (None, PolicyInForce::Nothing) => Check::fail(NAME, "no policy is in force", ""),
    });
    match programs.resource() {
        Ok(resource) => checks.push(Check::ok("resource", resource)),
        Err(error) => checks.push(Check::fail("resource", error, "give the host such a name")),
    }
    checks
}
