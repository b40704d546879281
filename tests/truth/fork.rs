//! Children that hold a connection.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, Gid, Uid, fork};

/// Seconds after which a child ends that nobody has told to.
const LIFETIME: u32 = 300;

/// Nobody waits for children of this process.
#[allow(unsafe_code, reason = "nix has no safe function for it")]
pub(crate) fn forget_children() {
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
}

/// Runs `life` in a child that has no descriptor but `socket`, as its standard input, and the standard
/// output and error. It ends with `life`.
#[allow(unsafe_code, reason = "fork(2) is what is tested")]
pub(crate) fn child(socket: &impl AsFd, life: impl FnOnce()) {
    // SAFETY: the calling process has one thread, so no lock is held by another; the child leaves
    // by _exit(2), without running what belongs to the parent.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { .. } => {}
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                nix::unistd::alarm::set(LIFETIME);
                rustix::stdio::dup2_stdin(socket).unwrap();
                close_all_but_standard();
                life();
            }));
            // SAFETY: ends this process.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
    }
}

#[allow(unsafe_code, reason = "no safe function knows which descriptors are in use")]
fn close_all_but_standard() {
    // SAFETY: what owns those descriptors is never used again in this process, nor dropped: it ends
    // by _exit(2) or execve(2).
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    assert_eq!(result, 0, "close_range");
}

/// In a child: waits for the server's byte, or its end.
pub(crate) fn wait_for_byte() {
    let mut byte = [0];
    let _ = rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut byte));
}

/// In a child: becomes another user, for good.
pub(crate) fn become_user(uid: u32) {
    nix::unistd::setgroups(&[]).unwrap();
    nix::unistd::setgid(Gid::from_raw(uid)).unwrap();
    nix::unistd::setuid(Uid::from_raw(uid)).unwrap();
}

/// In a child: becomes a program that waits for the server's byte.
pub(crate) fn become_program() {
    let stdin: OwnedFd = rustix::stdio::stdin().try_clone_to_owned().unwrap();
    let error = Command::new("head").arg("-c1").stdin(stdin).stdout(Stdio::null()).exec();
    panic!("head: {error}");
}

/// In a child: a child of it lives on, as `life`, while it ends.
pub(crate) fn grandchild(life: impl FnOnce()) {
    child(&rustix::stdio::stdin(), life);
}
