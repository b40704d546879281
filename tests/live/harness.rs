//! The list of the tests, and how each is run.
//!
//! The target is its own helper program: with [`puppet::ROLE`] in the environment it becomes a
//! process that does what the test writes to its standard input. See [`role`].

#[cfg(feature = "agent")]
mod agent;
mod closed;
#[path = "../../benches/support/counting.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the benchmarks")]
mod counting;
mod crowds;
mod devices;
#[cfg(all(feature = "mio", feature = "socket2"))]
#[path = "../runtimes/each.rs"]
mod each;
mod faults;
#[cfg(feature = "agent")]
mod hosts;
#[cfg(feature = "ident")]
mod ident;
mod interface;
mod listeners;
mod mptcp;
mod names;
mod namespaces;
mod nat;
mod owners;
#[cfg(feature = "agent")]
mod program;
mod puppet;
mod raw;
mod recycled;
mod remote;
mod role;
#[cfg(all(feature = "mio", feature = "socket2"))]
mod runtimes;
mod sandbox;
#[cfg(all(feature = "axum", feature = "tonic"))]
mod servers;
mod support;
mod tokio_calls;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// What a test needs beyond root and namespaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// The `nft` program.
    Nft,
    /// A C compiler.
    Cc,
    /// The `curl` program.
    #[cfg_attr(
        not(all(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "calls servers of these features")
    )]
    Curl,
    /// The package `postgresql`.
    #[cfg(feature = "ident")]
    Postgresql,
    /// The package `oidentd`.
    #[cfg(feature = "ident")]
    Oidentd,
}

/// One test: its name and what it runs, in a new namespace.
type Test = (&'static str, Needs, fn());

/// What a test runs in a process of its own, by name; see [`faults`].
type Scene = (&'static str, fn());

/// Names tests after their functions.
macro_rules! tests {
    ($($(#[$needs:ident])? $name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[$crate::harness::Test] = &[
            $((stringify!($name), $crate::harness::tests!(@ $($needs)?), $name)),*
        ];
    };
    (@) => { $crate::harness::Needs::Nothing };
    (@ nft) => { $crate::harness::Needs::Nft };
    (@ cc) => { $crate::harness::Needs::Cc };
    (@ curl) => { $crate::harness::Needs::Curl };
    (@ postgresql) => { $crate::harness::Needs::Postgresql };
    (@ oidentd) => { $crate::harness::Needs::Oidentd };
}
pub(crate) use tests;

pub(crate) fn main() -> ExitCode {
    if std::env::var_os(puppet::ROLE).is_some() {
        return role::main();
    }
    let arguments = Arguments::from_args();
    let themes = [
        closed::TESTS,
        crowds::TESTS,
        devices::TESTS,
        &faults::tests(),
        interface::TESTS,
        listeners::TESTS,
        mptcp::TESTS,
        names::TESTS,
        namespaces::TESTS,
        nat::TESTS,
        owners::TESTS,
        recycled::TESTS,
        remote::TESTS,
        #[cfg(all(feature = "mio", feature = "socket2"))]
        runtimes::TESTS,
        sandbox::TESTS,
        #[cfg(all(feature = "axum", feature = "tonic"))]
        servers::TESTS,
        tokio_calls::TESTS,
        #[cfg(feature = "agent")]
        &agent::tests(),
        #[cfg(feature = "agent")]
        &hosts::tests(),
        #[cfg(feature = "ident")]
        &ident::tests(),
        #[cfg(feature = "agent")]
        &program::tests(),
    ];
    let missing = Missing::look();
    let trials = themes.concat().into_iter().map(|test| missing.trial(test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What this machine does not have.
struct Missing {
    namespaces: bool,
    nft: bool,
    cc: bool,
    curl: bool,
    #[cfg(feature = "ident")]
    postgresql: bool,
    #[cfg(feature = "ident")]
    oidentd: bool,
}

impl Missing {
    fn look() -> Self {
        Self {
            namespaces: !support::can_make_namespaces(),
            nft: !support::is_installed("nft"),
            cc: !support::is_installed("cc"),
            curl: !support::is_installed("curl"),
            #[cfg(feature = "ident")]
            postgresql: ident::lacks_postgresql(),
            #[cfg(feature = "ident")]
            oidentd: !support::is_installed("oidentd"),
        }
    }

    fn trial(&self, (name, needs, run): Test) -> Trial {
        let trial = Trial::test(name, move || {
            support::in_new_namespace(run);
            Ok(())
        });
        let lacks = match needs {
            Needs::Nothing => None,
            Needs::Nft => self.nft.then_some("needs nft"),
            Needs::Cc => self.cc.then_some("needs cc"),
            Needs::Curl => self.curl.then_some("needs curl"),
            #[cfg(feature = "ident")]
            Needs::Postgresql => self.postgresql.then_some("needs postgresql"),
            #[cfg(feature = "ident")]
            Needs::Oidentd => (self.oidentd || self.nft).then_some("needs oidentd and nft"),
        };
        match lacks.filter(|_| !self.namespaces).or(self.namespaces.then_some("needs root")) {
            Some(lacks) => trial.with_kind(lacks).with_ignored_flag(true),
            None => trial,
        }
    }
}
