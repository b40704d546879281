//! The agent of a host, `partnerd`: it answers for partners that a program cannot find by itself.
//!
//! A program passes the connected socket itself over a Unix socket; the agent reads the addresses
//! from the descriptor, decides by the policy, and asks its own kernel.
//!
//! ```text
//! run       ── the program: arguments, configuration, signals, the service manager
//! server    ── the door: connections, limits, questions in and answers out
//!   door      the system calls on the Unix socket      callers  who asks, and how much
//!   packet    what a packet asks
//! question  ── one question: policy, lookup, token, answer
//!   rules     what a reload changes                    outcome  what it comes to, in words
//!   lookup    where the partner is                     stacks   the namespaces of this host
//!   scout     looks for namespaces, on a thread        closer   closes what was passed
//! identity  ── who this agent is to those of other hosts, and they to it
//! hosts     ── partners on other hosts: what is asked of their agents, and answered them
//!   peers     the transport between agents                afar     what proves an end on another host
//!   observer  what peers do that is no answer, for audit and metrics
//! ident     ── who asks at port 113, and what they are told
//!   names     of accounts, for those who cannot look them up
//! everywhere ── listening in every namespace: what hosts and ident have in common
//!   reach     whether the agent of another host can be reached, for the program `partner`
//! audit, metrics, config, privileges
//! ca        ── a certificate authority, for the program `partner`
//! ```

mod afar;
mod audit;
pub(crate) mod ca;
mod callers;
mod closer;
pub(crate) mod config;
mod door;
mod everywhere;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hosts;
#[cfg(feature = "ident")]
mod ident;
pub(crate) mod identity;
mod lookup;
mod metrics;
mod names;
mod observer;
mod outcome;
mod packet;
mod peers;
mod privileges;
mod question;
pub(crate) mod reach;
mod rules;
pub(crate) mod run;
mod scout;
mod server;
mod stacks;
mod stop;
mod subject;

pub(crate) use audit::Utc;
#[doc(hidden)]
pub use peers::measured;
pub use run::main;
