//! The agent of a host, `partnerd`: it answers for partners that a program cannot find by itself.
//!
//! A program passes the connected socket itself over a Unix socket; the agent reads the addresses
//! from the descriptor, decides by the policy, and asks its own kernel.
//!
//! ```text
//! run       ── the program: arguments, configuration, signals, the service manager
//! server    ── the door: connections, limits, questions in and answers out
//!   door      the system calls on the Unix socket      callers  who asks, and how much
//! question  ── one question: policy, lookup, token, answer
//!   lookup    where the partner is                     stacks   the namespaces of this host
//!   scout     looks for namespaces, on a thread        closer   closes what was passed
//! audit, metrics, config, privileges
//! ```

mod audit;
mod callers;
mod closer;
mod config;
mod door;
mod lookup;
mod metrics;
mod privileges;
mod question;
mod run;
mod scout;
mod server;
mod stacks;
mod stop;
mod subject;

pub use run::main;
