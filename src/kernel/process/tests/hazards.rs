//! The hazards of naming the wrong process, each let in on purpose.

use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A directory that other users can enter, removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("partner-info-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn copy(&self, program: &std::path::Path, mode: u32) -> PathBuf {
        let copy = self.0.join(program.file_name().unwrap());
        std::fs::copy(program, &copy).unwrap();
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(mode)).unwrap();
        copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A socket that the kernel records as `user`'s.
fn socket_of(user: u32) -> OwnedFd {
    // Of this thread alone, and socket owners follow it.
    nix::unistd::setfsuid(user.into());
    let socket = socket();
    nix::unistd::setfsuid(0.into());
    assert_eq!(owner(&socket).uid, uid(user));
    socket
}

#[test]
#[ignore = "needs root: runs a child as another user"]
fn h12_root_makes_the_socket_and_drops_to_a_user() {
    let _alone = alone();
    let socket = socket_of(0);
    let owner = owner(&socket);
    let mut command = Command::new("sleep");
    let child = hold_with(command.arg("1000").uid(SOMEBODY).gid(SOMEBODY), socket);
    let token = all(&owner);
    assert_eq!(pids(&token), [child.pid()]);
    assert_eq!(token.user(), uid(0));
    assert_eq!(token.holders()[0].process_user(), Some(uid(SOMEBODY)));
    assert_eq!(token.holders()[0].privileged(), Some(false));
}

#[test]
#[ignore = "needs root: makes a set-uid program"]
fn h13_a_user_makes_the_socket_and_runs_a_set_uid_program() {
    let _alone = alone();
    let scratch = Scratch::new("h13");
    let program = scratch.copy(&std::fs::canonicalize("/bin/sleep").unwrap(), 0o4755);
    let socket = socket_of(SOMEBODY);
    let owner = owner(&socket);
    let mut command = Command::new(program);
    let child = hold_with(command.arg("1000").uid(SOMEBODY).gid(SOMEBODY), socket);
    for search in [HolderSearch::All, HolderSearch::First] {
        let token = Finder::new(VIEW).token(&owner, search);
        assert_eq!(pids(&token), [child.pid()]);
        assert_eq!(token.user(), uid(SOMEBODY));
        assert_eq!(token.holders()[0].process_user(), Some(uid(0)));
        assert_eq!(token.holders()[0].real_user(), Some(uid(SOMEBODY)));
        assert_eq!(token.flags().privileged(), Some(true));
        if !token.holders_complete() {
            assert_eq!(token.process_user(), None, "the owner is another");
        }
    }
}

#[test]
fn h15_a_holder_that_exits_while_it_is_read() {
    let _alone = alone();
    for moment in 0..6 {
        let socket = socket();
        let owner = owner(&socket);
        let victim = Cell::new(Some(hold(socket.try_clone().unwrap())));
        let survivor = hold(socket);
        let killed = victim.take().unwrap();
        let killed_pid = killed.pid();
        victim.set(Some(killed));
        let calls = Cell::new(0);
        let token = Finder::new(VIEW).token_with(&owner, HolderSearch::All, &|| {
            if calls.replace(calls.get() + 1) == moment {
                drop(victim.take());
            }
        });
        // The victim may have been read before the survivor, and then was there at its moment.
        assert!(pids(&token).contains(&survivor.pid()), "{moment}");
        if survivor.pid() > killed_pid && moment < 3 {
            assert_eq!(pids(&token), [survivor.pid()], "{moment}");
        }
    }
}

#[test]
fn h15_a_holder_that_runs_another_program_while_it_is_read() {
    let _alone = alone();
    for moment in 0..3 {
        let socket = socket();
        let owner = owner(&socket);
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exec sleep 1000"]);
        let mut child = Running(command.stdin(Stdio::piped()).stdout(socket).spawn().unwrap());
        let name = format!("/proc/{}/comm", child.pid());
        let input = Cell::new(child.0.stdin.take());
        let calls = Cell::new(0);
        // The command has a copy of the socket.
        drop(command);
        let token = Finder::new(VIEW).token_with(&owner, HolderSearch::All, &|| {
            if calls.replace(calls.get() + 1) == moment {
                writeln!(input.take().unwrap()).unwrap();
                eventually("exec", || std::fs::read_to_string(&name).unwrap() == "sleep\n");
            }
        });
        let holder = token.holder().unwrap();
        let program = holder.executable().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(holder.command(), Some("sleep".as_ref()), "{moment}");
        assert!(!program.contains("sh"), "{moment}: {program}");
    }
}

#[test]
fn h15_a_holder_that_closes_the_socket_while_it_is_read() {
    let _alone = alone();
    for moment in 0..3 {
        let socket = socket();
        let owner = owner(&socket);
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exec >/dev/null; read line"]);
        let mut child = Running(command.stdin(Stdio::piped()).stdout(socket).spawn().unwrap());
        drop(command);
        let link = format!("/proc/{}/fd/1", child.pid());
        let mut input = child.0.stdin.take().unwrap();
        let input = std::cell::RefCell::new(&mut input);
        let calls = Cell::new(0);
        let token = Finder::new(VIEW).token_with(&owner, HolderSearch::All, &|| {
            if calls.replace(calls.get() + 1) == moment {
                writeln!(input.borrow_mut()).unwrap();
                eventually("close", || {
                    std::fs::read_link(&link).unwrap().to_str() == Some("/dev/null")
                });
            }
        });
        assert_eq!(pids(&token), [0; 0], "{moment}");
        assert!(token.flags().default());
    }
}

#[test]
#[ignore = "needs root: makes a pid namespace"]
fn h15_the_pid_is_given_to_another_process() {
    let _alone = alone();
    let mut command = Command::new("unshare");
    let role = role_command(&std::env::current_exe().unwrap(), "namespace");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.arg(role.get_program()).args(role.get_args()).env("ROLE", "namespace");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("ANSWER reused"), "{text}\n{errors}");
}

/// Runs in a pid namespace of its own, where pids can be chosen.
pub(super) fn in_a_small_namespace() {
    let give_next = |pid: u32| {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    };
    let program = std::fs::canonicalize("/bin/sleep").unwrap();
    for moment in 0..6 {
        for inherits in [false, true] {
            let socket = socket();
            let owner = owner(&socket);
            give_next(300);
            let first = hold(socket.try_clone().unwrap());
            assert_eq!(first.pid(), 300);
            let earlier = all(&owner).holders().to_vec();
            let first = Cell::new(Some(first));
            let second = Cell::new(None);
            let spare = Cell::new(Some(if inherits { socket } else { super::socket() }));
            let calls = Cell::new(0);
            let finder = Finder::new(VIEW);
            let token = finder.token_with(&owner, HolderSearch::All, &|| {
                if calls.replace(calls.get() + 1) == moment {
                    drop(first.take());
                    give_next(300);
                    let mut command = Command::new(&program);
                    command.arg0("other").arg("1000").uid(SOMEBODY).gid(SOMEBODY);
                    second.set(Some(hold_with(&mut command, spare.take().unwrap())));
                }
            });
            let second = second.take().unwrap();
            assert_eq!(second.pid(), 300);
            let held: Vec<_> = token.holders().iter().filter(|h| h.pid() == pid(300)).collect();
            if inherits {
                // Another process, the same pid and the same socket: all of it is the new one's.
                assert_eq!(held.len(), 1, "{moment}");
                assert_eq!(held[0].process_user(), Some(uid(SOMEBODY)), "{moment}");
                assert_eq!(held[0].process_group(), Gid::new(SOMEBODY), "{moment}");
                assert_eq!(held[0].effective_capabilities().map(Capabilities::bits), Some(0));
                assert!(held[0].pidfd().is_ok());
            } else {
                assert_eq!(held.len(), 0, "{moment}");
            }
            let old = earlier.iter().find(|holder| holder.pid() == pid(300)).unwrap();
            assert!(old.pidfd().is_err(), "the pid is somebody else's now");
            assert!(!token.holders_complete(), "other namespaces are not seen");
        }
    }
    answer("reused");
}

#[test]
fn h16_an_exited_process_is_nobody() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let mut child = hold(socket);
    let finder = Finder::new(VIEW);
    assert_eq!(pids(&finder.token(&owner, HolderSearch::All)), [child.pid()]);
    // Killed and not waited for: its entry in /proc stays, and is root's.
    child.0.kill().unwrap();
    let state = format!("/proc/{}/stat", child.pid());
    eventually("exit", || std::fs::read_to_string(&state).unwrap().contains(") Z "));
    for search in [HolderSearch::All, HolderSearch::First] {
        let token = finder.token(&owner, search);
        assert_eq!(pids(&token), [0; 0]);
        assert_eq!(token.process_user(), None);
        assert_eq!(token.flags().privileged(), None);
        assert!(token.flags().default());
    }
}

#[test]
fn h17_processes_and_threads_come_and_go() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let child = hold(socket);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                    std::thread::spawn(|| ()).join().unwrap();
                }
            });
        }
        let finder = Finder::new(VIEW);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            for search in [HolderSearch::All, HolderSearch::First] {
                assert_eq!(pids(&finder.token(&owner, search)), [child.pid()]);
                assert_eq!(pids(&Finder::new(VIEW).token(&owner, search)), [child.pid()]);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Is told an inode and its owner, answers with the token.
pub(super) fn asker() {
    let finder = Finder::new(VIEW);
    while let Some(line) = told() {
        let (inode, user) = line.split_once(' ').unwrap();
        let owner = SocketOwner::new(inode.parse().unwrap(), uid(user.parse().unwrap())).unwrap();
        let token = finder.token(&owner, HolderSearch::All);
        answer(token);
    }
}

#[test]
#[ignore = "needs root: asks as another user"]
fn h27_the_process_of_another_user() {
    let _alone = alone();
    let scratch = Scratch::new("h27");
    let program = scratch.copy(&std::env::current_exe().unwrap(), 0o755);
    let mut command = role_command(&program, "asker");
    let mut asker = Actor::run(command.uid(SOMEBODY).gid(SOMEBODY).current_dir("/"));

    let socket = socket_of(0);
    let owner = owner(&socket);
    let roots = hold(socket);
    asker.tell(&format!("{} 0", owner.inode));
    let token = asker.answer();
    assert!(token.starts_with("user=0 flags=default holders=0 incomplete=no-right "), "{token}");
    assert!(!token.contains("pid="), "{token}");
    drop(roots);

    let socket = socket_of(SOMEBODY);
    let inode = super::owner(&socket).inode;
    let mut command = Command::new("sleep");
    let own = hold_with(command.arg("1000").uid(SOMEBODY).gid(SOMEBODY), socket);
    asker.tell(&format!("{inode} {SOMEBODY}"));
    let token = asker.answer();
    assert!(token.contains(&format!("{{pid={} command=\"sleep\"", own.pid())), "{token}");
    assert!(token.contains("holders=1 incomplete=no-right"), "{token}");
}
