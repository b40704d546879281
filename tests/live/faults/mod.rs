//! What fails under the library: descriptors, memory, name services, clocks, runtimes, forks.
//!
//! Each scene runs in a process of its own, in the namespace of its test: it changes what the whole
//! process shares. One that hangs is ended by its alarm, and that fails the test.

mod clocks;
mod descriptors;
pub(crate) mod exhausted;
mod floods;
mod forks;
mod names;
pub(crate) mod runtimes;

use std::net::SocketAddr;

use socket2::Socket;

use super::puppet::Puppet;
use super::raw::borrowed;
use super::support::{accept, listen, loopbacks};
use super::{Scene, Test};

/// In the environment of a scene's process: which one it is.
const SCENE: &str = "PARTNER_INFO_TEST_SCENE";

/// Tests of scenes that are named after their functions.
macro_rules! scenes {
    ($($name:ident),* $(,)?) => {
        pub(crate) const SCENES: &[$crate::harness::Scene] = &[$((stringify!($name), $name)),*];
        pub(crate) const TESTS: &[$crate::harness::Test] = &[$((
            stringify!($name),
            $crate::harness::Needs::Nothing,
            || $crate::harness::faults::alone(stringify!($name)),
        )),*];
    };
}
pub(crate) use scenes;

pub(crate) fn tests() -> Vec<Test> {
    [
        clocks::TESTS,
        descriptors::TESTS,
        exhausted::TESTS,
        floods::TESTS,
        forks::TESTS,
        names::TESTS,
        runtimes::TESTS,
    ]
    .concat()
}

fn all() -> Vec<Scene> {
    [
        clocks::SCENES,
        descriptors::SCENES,
        exhausted::SCENES,
        floods::SCENES,
        forks::SCENES,
        names::SCENES,
        runtimes::SCENES,
        #[cfg(feature = "agent")]
        &super::agent::scenes(),
    ]
    .concat()
}

/// Runs a scene in a process of its own.
pub(crate) fn alone(scene: &str) {
    let output = Puppet::command("scene").env(SCENE, scene).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scene} ended by {}:\n{said}", output.status);
}

/// In that process: the scene.
pub(crate) fn act() {
    let name = std::env::var(SCENE).unwrap();
    let scene = all().into_iter().find(|(known, _)| *known == name);
    let (_, run) = scene.unwrap_or_else(|| panic!("no scene is called {name}"));
    run();
}

/// How many descriptors of this process are open.
fn descriptors() -> usize {
    open_numbers().len()
}

/// Their numbers, but for the one by which they were listed.
pub(crate) fn open_numbers() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let numbers = entries.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap());
    let numbers: Vec<i32> = numbers.collect();
    numbers
        .into_iter()
        .filter(|number| rustix::io::fcntl_getfd(borrowed(*number)).is_ok())
        .collect()
}

/// A connection of user 1001, and the server's end.
fn partner() -> (Puppet, Socket) {
    let [at, _] = loopbacks(8080);
    partner_at(at)
}

fn partner_at(at: SocketAddr) -> (Puppet, Socket) {
    let (listener, client) = (listen(at), Puppet::new(1001));
    client.connect(at);
    let server = accept(&listener);
    (client, server)
}
