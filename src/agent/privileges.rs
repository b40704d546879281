//! The rights of the agent: those it needs, and no others.

use std::fmt;
use std::io;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::config::{Config, IdentityConfig, Namespaces};

/// A capability that the agent needs, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) name: &'static str,
    capability: CapabilitySet,
    needed: Needed,
    /// What it is needed for.
    pub(crate) purpose: &'static str,
    /// What does not work without it.
    pub(crate) without: &'static str,
}

/// When a capability is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    Always,
    /// Not with `namespaces = "own"`.
    ForOtherNamespaces,
    /// Not with `namespaces = "own"`, unless there is an identity, or `[ident]`.
    ForOtherNamespacesAndHosts,
    /// Where ports below 1024 are listened at in other namespaces, which are made later.
    ForIdent,
}

/// What the agent is to do, as far as rights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) other_namespaces: bool,
    pub(crate) other_hosts: bool,
    /// Answers at port 113.
    pub(crate) ident: bool,
}

impl Work {
    pub(crate) fn of(config: &Config) -> Self {
        let other_namespaces = match config.namespaces {
            Namespaces::All | Namespaces::Listed(_) => true,
            Namespaces::Own => false,
        };
        Self {
            other_namespaces,
            other_hosts: config.identity != IdentityConfig::Absent,
            ident: config.ident.is_on(),
        }
    }
}

/// All that is ever kept. `packaging/systemd/partnerd.service` and `docs/agent.md` list the same.
pub(crate) const NEEDS: [Need; 6] = [
    Need {
        name: "CAP_NET_ADMIN",
        capability: CapabilitySet::NET_ADMIN,
        needed: Needed::Always,
        purpose: "sees whether connection tracking translated addresses, and finds the network \
                  namespace of a socket that was passed",
        without: "partners whose connection is tracked are unidentified",
    },
    Need {
        name: "CAP_SYS_PTRACE",
        capability: CapabilitySet::SYS_PTRACE,
        needed: Needed::Always,
        purpose: "reads which sockets the processes of other users hold",
        without: "tokens lack the processes of other users",
    },
    Need {
        name: "CAP_DAC_READ_SEARCH",
        capability: CapabilitySet::DAC_READ_SEARCH,
        needed: Needed::Always,
        purpose: "opens the folders of other users' processes in /proc",
        without: "tokens lack the processes of other users",
    },
    Need {
        name: "CAP_SYS_ADMIN",
        capability: CapabilitySet::SYS_ADMIN,
        needed: Needed::ForOtherNamespaces,
        purpose: "enters other network namespaces to look for partners in them",
        without: "partners in other network namespaces are unidentified",
    },
    Need {
        name: "CAP_BPF",
        capability: CapabilitySet::BPF,
        needed: Needed::ForOtherNamespacesAndHosts,
        purpose: "loads and runs the program that reads the sequence numbers of both ends of a \
                  connection",
        without: "partners in other network namespaces cannot be proven by sequence numbers",
    },
    Need {
        name: "CAP_NET_BIND_SERVICE",
        capability: CapabilitySet::NET_BIND_SERVICE,
        needed: Needed::ForIdent,
        purpose: "listens at port 113 in network namespaces as they come",
        without: "nobody is answered at port 113 in other network namespaces",
    },
];

/// What is needed for that.
pub(crate) fn needs(work: Work) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(move |need| match need.needed {
        Needed::Always => true,
        Needed::ForOtherNamespaces => work.other_namespaces,
        Needed::ForOtherNamespacesAndHosts => {
            work.other_namespaces || work.other_hosts || work.ident
        }
        Needed::ForIdent => work.ident && work.other_namespaces,
    })
}

/// What the agent may do from now on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) kept: Vec<&'static Need>,
    /// Needed, and never had.
    pub(crate) missing: Vec<&'static Need>,
    /// Whether the bounding set was reduced too. It takes `CAP_SETPCAP`; without it the agent still
    /// gains nothing, since it runs no other program and may gain no privilege from one.
    pub(crate) bounded: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |needs: &[&Need]| match needs {
            [] => String::from("none"),
            needs => needs.iter().map(|need| need.name).collect::<Vec<_>>().join(" "),
        };
        write!(f, "kept: {}; missing: {}", names(&self.kept), names(&self.missing))
    }
}

/// Why the rights could not be given up.
#[derive(Debug)]
pub(crate) struct PrivilegesError {
    doing: &'static str,
    error: Errno,
}

impl fmt::Display for PrivilegesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "giving up rights that are not needed: {}: {}", self.doing, self.error)?;
        f.write_str("; allow capget(2), capset(2) and prctl(2) where a sandbox forbids them")
    }
}

impl std::error::Error for PrivilegesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<PrivilegesError> for io::Error {
    fn from(error: PrivilegesError) -> Self {
        io::Error::new(io::Error::from(error.error).kind(), error)
    }
}

/// What [`keep`] would come to; changes nothing.
pub(crate) fn outlook(work: Work) -> Result<Report, PrivilegesError> {
    let had = capabilities()?.permitted;
    let (kept, missing) = sort(work, had);
    let bounded = had.contains(CapabilitySet::SETPCAP);
    Ok(Report { kept, missing, bounded })
}

/// Gives up every capability that is not needed, for good.
///
/// For the calling thread and those that it starts later: call it before there are others.
///
/// Source: capabilities(7), prctl(2), capset(2).
pub(crate) fn keep(work: Work) -> Result<Report, PrivilegesError> {
    let doing = |doing| move |error| PrivilegesError { doing, error };
    rustix::thread::set_no_new_privs(true).map_err(doing("setting no_new_privs"))?;
    let had = capabilities()?.permitted;
    let (kept, missing) = sort(work, had);
    let keep = kept.iter().fold(CapabilitySet::empty(), |set, need| set | need.capability);
    match rustix::thread::clear_ambient_capability_set() {
        // A kernel before 4.3 has no such set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(doing("clearing the ambient set")(error)),
    }
    // Before the permitted set: it takes a right that is given up there.
    let bounded = bound(keep).map_err(doing("reducing the bounding set"))?;
    let sets =
        CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(doing("setting the capabilities"))?;
    Ok(Report { kept, missing, bounded })
}

fn capabilities() -> Result<CapabilitySets, PrivilegesError> {
    let doing = "reading the capabilities";
    rustix::thread::capabilities(None).map_err(|error| PrivilegesError { doing, error })
}

fn sort(work: Work, had: CapabilitySet) -> (Vec<&'static Need>, Vec<&'static Need>) {
    let (kept, missing): (Vec<_>, Vec<_>) =
        needs(work).partition(|need| had.contains(need.capability));
    // A kernel that does not know a capability yet asks for none.
    let known =
        |need: &&Need| rustix::thread::capability_is_in_bounding_set(need.capability).is_ok();
    (kept, missing.into_iter().filter(known).collect())
}

/// Whether the bounding set has no more than `keep`.
fn bound(keep: CapabilitySet) -> Result<bool, Errno> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) if !keep.contains(capability) => {}
            Ok(_) => continue,
            // The numbers from here on are none that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Work = Work { other_namespaces: false, other_hosts: false, ident: false };
    const ALL: Work = Work { other_namespaces: true, ..OWN };
    const HOSTS: Work = Work { other_hosts: true, ..OWN };
    const IDENT: Work = Work { ident: true, ..OWN };
    const EVERYTHING: Work = Work { ident: true, ..ALL };

    /// The lines of /proc/thread-self/status with these names, as numbers.
    fn status(name: &str) -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
    }

    /// Rights are a thread's own, so a thread that ends takes what was done to them with it.
    fn on_a_thread(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    fn bits(needs: &[&Need]) -> u64 {
        needs.iter().fold(CapabilitySet::empty(), |set, need| set | need.capability).bits()
    }

    #[test]
    #[ignore = "needs root: has capabilities to give up"]
    fn only_what_is_needed_is_kept() {
        for work in [ALL, OWN, HOSTS, IDENT, EVERYTHING] {
            on_a_thread(move || {
                let outlook = outlook(work).unwrap();
                let report = keep(work).unwrap();
                assert_eq!(report, outlook);
                assert!(report.bounded && !report.kept.is_empty());
                let kept = bits(&report.kept);
                assert_eq!(status("CapEff"), kept);
                assert_eq!(status("CapPrm"), kept);
                assert_eq!(status("CapBnd") & !kept, 0);
                assert_eq!(status("CapInh"), 0);
                assert_eq!(status("CapAmb"), 0);
                assert_eq!(status("NoNewPrivs"), 1);
                // And it cannot be had back, nor fails a second time.
                assert_eq!(keep(OWN).unwrap().missing, Vec::<&Need>::new());
            });
        }
    }

    #[test]
    #[ignore = "needs root: gives up a needed capability first"]
    fn what_is_missing_is_named() {
        on_a_thread(|| {
            let mut sets = capabilities().unwrap();
            for set in [&mut sets.permitted, &mut sets.effective, &mut sets.inheritable] {
                set.remove(CapabilitySet::SYS_PTRACE | CapabilitySet::SETPCAP);
            }
            rustix::thread::set_capabilities(None, sets).unwrap();
            let report = keep(ALL).unwrap();
            assert!(report.missing.iter().any(|need| need.name == "CAP_SYS_PTRACE"));
            assert!(report.kept.iter().any(|need| need.name == "CAP_SYS_ADMIN"));
            assert!(!report.bounded);
            assert!(report.to_string().contains("missing: CAP_SYS_PTRACE"), "{report}");
        });
    }

    #[test]
    fn without_any_right_all_is_missing_and_nothing_fails() {
        on_a_thread(|| {
            let nothing = CapabilitySet::empty();
            let sets =
                CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing };
            rustix::thread::set_capabilities(None, sets).unwrap();
            let report = keep(OWN).unwrap();
            assert_eq!(report.kept, Vec::<&Need>::new());
            let missing: Vec<_> = report.missing.iter().map(|need| need.name).collect();
            assert_eq!(missing, ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        });
    }
}
