use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use super::super::config::Namespaces;
use super::super::lookup::{Lookup, Place, Progress};
use super::super::stacks::Stacks;
use super::Look;
use crate::kernel::prober::Prober;
use crate::kernel::verify::Verdict;

/// A process in a network namespace of its own.
struct Neighbour(Child);

impl Neighbour {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", "echo there; exec sleep 60"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        Self(child)
    }

    fn namespace(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `test` at home in a network namespace of its own.
fn at_home(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let test = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            test();
        });
        test.join().unwrap();
    });
}

fn run(command: &str) {
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

/// Lets go of all that is kept, as a moment does.
fn release(stacks: &Stacks) {
    assert_eq!(stacks.release(Instant::now() + Duration::from_secs(1)), 0);
}

#[test]
#[ignore = "needs root, to make network namespaces"]
fn h18_a_look_is_shared_for_as_long_as_all_that_it_saw_is_held() {
    at_home(|| {
        let _neighbour = Neighbour::new();
        let stacks = Stacks::new(Namespaces::All, 4_096).unwrap();
        let (look, found) = Look::around(&stacks);
        assert!(found.iter().any(|stack| stack.cookie() != stacks.home().cookie()), "staging");
        assert_eq!(look.stacks().unwrap().len(), found.len());
        release(&stacks);
        assert!(look.stacks().is_some(), "still held by who looked");
        drop(found);
        assert!(look.stacks().is_none());
    });
}

/// A search waits in line; what it looks at must not be let go of meanwhile, or a partner that is
/// there is not found.
#[test]
#[ignore = "needs root, to load programs and to make network namespaces"]
fn h18_stacks_that_are_not_kept_any_more_are_looked_at_by_who_found_them() {
    at_home(|| {
        let neighbour = Neighbour::new();
        let pid = neighbour.0.id();
        run(&format!("ip link add near type veth peer name far netns {pid}"));
        run("ip addr add 10.9.0.1/24 dev near && ip link set near up && ip link set lo up");
        run(&format!(
            "nsenter -t {pid} -n sh -c 'ip addr add 10.9.0.2/24 dev far && ip link set far up'"
        ));
        let listener = TcpListener::bind("10.9.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let there = neighbour.namespace();
        let connect = std::thread::spawn(move || {
            setns(&there, CloneFlags::CLONE_NEWNET).unwrap();
            TcpStream::connect(at).unwrap()
        });
        let (server, _) = listener.accept().unwrap();
        let _client = connect.join().unwrap();

        let stacks = Stacks::new(Namespaces::All, 4_096).unwrap();
        let lookup = Lookup::new(stacks, Some(Prober::new().unwrap()));
        let asked = lookup.examine(server.as_fd()).unwrap();
        let Progress::NotYet(missing) = lookup.look(server.as_fd(), &asked).unwrap() else {
            panic!("nobody has looked for namespaces yet");
        };
        let found = lookup.stacks().discover();
        release(lookup.stacks());
        let found = lookup.look_everywhere(found, &asked, missing).unwrap();
        assert_eq!(found.place, Place::OtherStack);
        assert!(matches!(found.verdict, Verdict::Partner(owner) if owner.uid == 0), "{found:?}");
    });
}
