//! The agent of this host, who it is, and the agents of others.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Check, ask};
use crate::agent::config::{Config, DEFAULT_FILE, IdentityConfig};
use crate::agent::identity::{Identity, IdentityError, Source as IdentitySource};
use crate::agent::{Utc, reach};
use crate::cli::arguments::Doctor;
use crate::client::{Agent, Standing};
use crate::error::ErrorKind;
use crate::info::PartnerRequest;
use crate::kernel::sys;
use crate::policy::SecurityDomain;
use crate::stack::authority::{Authority, Names, Source};
use crate::stack::{Resolver, Stack};

/// The part of a certificate's time in which its end is near: the last fifth.
const LAST_PART: u32 = 5;

pub(super) fn look(doctor: &Doctor, programs: &Stack) -> Vec<Check> {
    let mut checks = vec![agent()];
    let path = doctor.config.as_deref();
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            checks.push(Check::fail("config", error, ""));
            return checks;
        }
    };
    let named = path.unwrap_or(Path::new(DEFAULT_FILE)).to_string_lossy();
    checks.push(Check::ok(
        "config",
        match path.is_some() || Path::new(DEFAULT_FILE).exists() {
            true => format!("{} is valid", named.escape_debug()),
            false => format!("{named} is not there: the agent's defaults are in force"),
        },
    ));
    let policy = Authority::new(Source::of_file(config.policy.as_deref()), Names::of_system());
    if let Some(fault) = policy.status().fault() {
        checks.push(Check::fail("agent-policy", fault, ""));
    }
    let domain = policy.security_domain();
    let (check, identity) = identity(&config.identity, domain.as_ref());
    checks.push(check);
    checks.push(security_domain(programs.security_domain(), domain.clone(), &config.identity));
    for address in &doctor.host {
        checks.push(host(*address, config.peers.port, identity.as_ref(), domain.as_ref()));
    }
    checks
}

/// Whether there is one, whether it is to be believed, and whether it answers this user.
fn agent() -> Check {
    const NAME: &str = "agent";
    let agent = Agent::new(Agent::path_of_environment());
    let path = agent.path().to_string_lossy().escape_debug().to_string();
    match agent.standing() {
        Standing::Trusted => {}
        Standing::Untrusted { uid } => {
            return Check::fail(
                NAME,
                format!(
                    "user {uid} listens at {path}, who is not believed: it is neither root, nor \
                         this user, nor the owner of a folder that nobody else can write to"
                ),
                "stop that program, and start partnerd",
            );
        }
        Standing::Busy => {
            return Check::fail(
                NAME,
                format!("{path} takes no further connection"),
                "see limits.connections",
            );
        }
        Standing::Absent if agent.path().exists() => {
            return Check::fail(
                NAME,
                format!("{path} is there, and nobody answers this user there"),
                "start partnerd; or let this user in by socket.mode in its configuration",
            );
        }
        Standing::Absent => {
            return Check::warn(
                NAME,
                format!(
                    "none at {path}: partners in other namespaces, on other hosts, and the \
                         processes of other users are not known"
                ),
                "start partnerd, if they should be",
            );
        }
    }
    match ask(Stack::builder().resolvers([Resolver::Agent]), PartnerRequest::all()) {
        Ok(_) => Check::ok(NAME, format!("answers at {path}")),
        Err(error) if error.kind() == ErrorKind::NotAuthorized => Check::warn(
            NAME,
            format!("answers at {path}; {error}"),
            "`partner policy test` tells who is permitted",
        ),
        Err(error) => Check::fail(NAME, format!("at {path}: {error}"), "see the log of partnerd"),
    }
}

/// Who the agent is to those of other hosts, and until when.
fn identity(config: &IdentityConfig, domain: Option<&SecurityDomain>) -> (Check, Option<Identity>) {
    const NAME: &str = "identity";
    match config {
        IdentityConfig::Absent => {
            let what = "none: the agent asks no other host, and answers none";
            return (Check::ok(NAME, what), None);
        }
        IdentityConfig::WorkloadApi { socket } => {
            let what = format!("by the Workload API at {}: not looked at", socket.display());
            return (Check::warn(NAME, what, "the log of partnerd says who it is"), None);
        }
        IdentityConfig::Files { .. } => {}
    }
    let identity = match IdentitySource::open(config, domain) {
        Ok(Some((_, identity))) => identity,
        Ok(None) => return (Check::fail(NAME, "none", ""), None),
        Err(IdentityError::Unreadable { error, .. })
            if error.kind() == std::io::ErrorKind::PermissionDenied
                && sys::effective_uid() != 0 =>
        {
            let what = "not looked at: this user may not read its key";
            return (Check::warn(NAME, what, "run partner doctor as root"), None);
        }
        Err(error) => return (Check::fail(NAME, error, ""), None),
    };
    let Some(svid) = identity.current() else {
        let what = "the certificate has expired, or is not valid yet";
        let remedy = "renew it (partner ca issue --force), and see that the clock is right";
        return (Check::fail(NAME, what, remedy), None);
    };
    let what = format!("{}, until {}", svid.name(), Utc(svid.expires()));
    let left = svid.expires().duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
    let whole = svid.expires().duration_since(svid.begins()).unwrap_or(Duration::ZERO);
    let check = if left < whole / LAST_PART {
        Check::warn(NAME, what, "it ends soon: renew it (partner ca issue --force)")
    } else {
        Check::ok(NAME, what)
    };
    (check, Some(identity))
}

/// What programs and the agent say of it: both are compared, and it is needed for other stacks.
fn security_domain(
    programs: Option<SecurityDomain>,
    agent: Option<SecurityDomain>,
    identity: &IdentityConfig,
) -> Check {
    const NAME: &str = "domain";
    match (programs, agent) {
        (Some(programs), Some(agent)) if programs == agent => Check::ok(NAME, agent),
        (None, None) if matches!(identity, IdentityConfig::Absent) => Check::ok(
            NAME,
            "none: nobody but root asks about other stacks, and no other host is asked",
        ),
        (None, None) => Check::fail(
            NAME,
            "none is defined, and the agent has an identity that needs one",
            "define it in the policy: the profile EZBDOMAIN, appldata = \"NAME\"",
        ),
        (programs, agent) => {
            let shown =
                |domain: Option<SecurityDomain>| domain.map_or("none".into(), |it| it.to_string());
            Check::fail(
                NAME,
                format!(
                    "{} by the policy of programs, {} by that of the agent",
                    shown(programs),
                    shown(agent)
                ),
                "let both read one file, or define the same domain in both",
            )
        }
    }
}

/// Whether the agent of another host can be reached, is trusted, and is of the same domain.
fn host(
    address: IpAddr,
    port: u16,
    identity: Option<&Identity>,
    domain: Option<&SecurityDomain>,
) -> Check {
    const NAME: &str = "host";
    let Some(identity) = identity else {
        let what = format!("{address}: not looked at: there is no identity to be it with");
        return Check::fail(NAME, what, "see `identity` above");
    };
    match reach::greet(identity, domain.map(SecurityDomain::as_str), (address, port)) {
        Ok(peer) => {
            let until = peer.expires.map_or(String::new(), |at| format!(", until {}", Utc(at)));
            Check::ok(NAME, format!("{address}: {} of {}{until}", peer.host, peer.domain))
        }
        Err(error) => Check::fail(
            NAME,
            format!("{address} port {port}: {error}"),
            "see that partnerd runs there, with a certificate and a policy of the same domain",
        ),
    }
}
