//! Network namespaces with cables between them.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, setns, unshare};

use super::run;

/// A network namespace that lives as long as this value, or a process in it.
pub struct Namespace(File);

impl Namespace {
    /// Moves this process into a new one.
    pub fn enter_new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        run("ip link set lo up");
        Self(File::open("/proc/thread-self/ns/net").expect("the namespace"))
    }

    /// Another one, at the far end of a cable: 10.N.0.1 here, 10.N.0.2 there.
    pub fn neighbour(network: u8) -> Self {
        let there = std::thread::spawn(Self::enter_new).join().expect("a namespace");
        let (near, far) = (format!("near{network}"), format!("far{network}"));
        let path = there.path();
        run(&format!("ip link add {near} type veth peer name {far} netns {path}"));
        let number = |link: &str, host: u8| {
            run(&format!("ip addr add 10.{network}.0.{host}/24 dev {link}"));
            run(&format!("ip link set {link} up"));
        };
        number(&near, 1);
        there.run(|| number(&far, 2));
        there
    }

    /// A file that stands for it as long as this value lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs something on a thread that is there; processes it starts are there, too.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
                what()
            });
            inside.join().expect("it ran")
        })
    }
}
