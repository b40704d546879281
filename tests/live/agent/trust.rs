//! Whom a program asks, and whose answers it believes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::super::puppet::{Puppet, connected};
use super::super::support::{assert_nobody, eventually};
use super::daemon::{OPEN, Partnerd, puppet_of};
use super::places::{addresses, neighbour};

crate::harness::tests![
    without_an_agent_the_partner_is_not_in_this_stack,
    an_agent_of_another_user_is_told_nothing,
    an_agent_of_one_s_own_that_lies_names_nobody,
    h25_a_forked_child_asks_by_a_connection_of_its_own,
];

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, owner: u32, mode: u32) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        chown(&path, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a server of user 1000 says of a partner in another namespace, with this socket as its agent's.
fn asked(socket: &Path) -> Vec<String> {
    let there = neighbour(1);
    let server = puppet_of(socket, 1000);
    let client = there.run(|| Puppet::new(1001));
    let [at, _] = addresses(1, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    let said =
        ["anew user 300", "anew token 300", "ask user 300"].map(|line| far.must(line)).into();
    client.kill();
    drop(there);
    // The next one has the same addresses.
    let links = || fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    eventually("the cable is gone", || !links().contains("near1"));
    said
}

fn without_an_agent_the_partner_is_not_in_this_stack() {
    let folder = Folder::new("nobody", 0, 0o755);
    assert_eq!(asked(&folder.0.join("sock")), ["NotInThisStack"; 3]);
    // A file, and a folder, in its place.
    fs::write(folder.0.join("file"), "").unwrap();
    assert_eq!(asked(&folder.0.join("file")), ["NotInThisStack"; 3]);
}

fn an_agent_of_another_user_is_told_nothing() {
    for (owner, mode, trusted) in [
        // As /tmp is: anybody may have been first.
        (0, 0o777, false),
        (1002, 0o775, false),
        (1002, 0o757, false),
        (1003, 0o755, false),
        // Who decides what is in this folder decides who the agent is.
        (1002, 0o755, true),
    ] {
        let folder = Folder::new("impostor", owner, 0o777);
        let socket = folder.0.join("sock");
        let impostor = Puppet::new(1002);
        impostor.must(&format!("impostor silent {}", socket.display()));
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let said = asked(&socket);
        let heard: u32 = impostor.must("impostor-heard").parse().unwrap();
        if trusted {
            assert_eq!(said, ["TimedOut"; 3]);
            assert!(heard >= 3, "{heard}");
        } else {
            assert_eq!(said, ["NotInThisStack"; 3], "{owner} {mode:o}");
            assert_eq!(heard, 0, "{owner} {mode:o}");
        }
    }
}

fn an_agent_of_one_s_own_that_lies_names_nobody() {
    for lie in ["garbage", "another-socket", "another-number", "no-cookie"] {
        let folder = Folder::new("liar", 1000, 0o755);
        let socket = folder.0.join("sock");
        let liar = Puppet::new(1000);
        liar.must(&format!("impostor {lie} {}", socket.display()));
        for said in asked(&socket) {
            assert_nobody(&said);
            assert!(["Agent", "TimedOut"].contains(&&*said), "{lie}: {said}");
        }
        assert_ne!(liar.must("impostor-heard"), "0", "{lie}");
    }
}

/// The child has its parent's descriptors, and must read none of its answers.
fn h25_a_forked_child_asks_by_a_connection_of_its_own() {
    let (there, elsewhere) = (neighbour(1), neighbour(2));
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let first = there.run(|| agent.puppet(1001));
    let second = elsewhere.run(|| agent.puppet(1002));
    let connected = |client: &Puppet, n| {
        let [at, _] = addresses(n, 1, 8080);
        let listener = server.listen(at);
        // Its end stays open in the puppet.
        let _near = client.connect(at);
        listener.accept()
    };
    let (of_first, of_second) = (connected(&first, 1), connected(&second, 2));
    let said = of_first.must(&format!("fork-and-ask-the-agent {}", of_second.id()));
    assert_eq!(said, "parent right, child right");
}
