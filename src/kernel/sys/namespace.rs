//! Network namespaces: which one a socket is in, and going there and back.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Errno;

/// `SIOCGSKNS`: the network namespace of a socket. Takes `CAP_NET_ADMIN` over it.
///
/// Source: `sock_ioctl` in `net/socket.c`.
pub(crate) fn of_socket(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    opened_by(socket, SIOCGSKNS)
}

/// `NS_GET_USERNS` of ioctl_ns(2): whether the user namespace of this process owns the network
/// namespace behind a descriptor. One that another owns is somebody's who is its root, and need be
/// nobody else. A doubt is a no.
pub(crate) fn is_owned_by_ours(namespace: BorrowedFd<'_>) -> bool {
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    let owner = opened_by(namespace, NS_GET_USERNS)
        .and_then(|owner| rustix::fs::fstat(owner).map_err(|error| Errno(error.raw_os_error())));
    let ours = rustix::fs::stat("/proc/self/ns/user");
    let same = |(one, two): (rustix::fs::Stat, rustix::fs::Stat)| {
        (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)
    };
    owner.ok().zip(ours.ok()).is_some_and(same)
}

/// An ioctl(2) that opens a namespace.
#[allow(unsafe_code, reason = "rustix does not have these calls")]
fn opened_by(file: BorrowedFd<'_>, request: libc::Ioctl) -> Result<OwnedFd, Errno> {
    // SAFETY: the descriptor is open for as long as it is borrowed. Both requests read no argument.
    let opened = unsafe { libc::ioctl(file.as_raw_fd(), request, 0) };
    if opened < 0 {
        return Err(Errno(
            std::io::Error::last_os_error().raw_os_error().unwrap_or(super::errno::EIO),
        ));
    }
    // SAFETY: the kernel has just made it for this call, so nothing else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// The calling thread's network namespace.
pub(crate) fn current() -> Result<OwnedFd, Errno> {
    open(Path::new("/proc/thread-self/ns/net"))
}

/// A namespace by its file: `/proc/<pid>/ns/net`, or one that ip-netns(8) has made.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, Errno> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| Errno(e.raw_os_error()))
}

/// A new network namespace with nothing in it. The calling thread stays where it is.
#[cfg(test)]
#[allow(unsafe_code, reason = "unshare(2) can be used to unshare descriptors, and is not")]
pub(crate) fn new() -> Result<OwnedFd, Errno> {
    let home = current()?;
    // SAFETY: of what unshare(2) can do, the network namespace alone is asked for: no descriptor
    // is taken from another thread.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
        .map_err(|e| Errno(e.raw_os_error()))?;
    let _visit = Visit { home: std::os::fd::AsFd::as_fd(&home) };
    current()
}

/// Runs `there` with the calling thread in the namespace `to`, and returns to `home`, from where
/// the thread must have come.
///
/// Takes `CAP_SYS_ADMIN` over both.
pub(crate) fn visit<T>(
    home: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    there: impl FnOnce() -> T,
) -> Result<T, Errno> {
    enter(to)?;
    let _visit = Visit { home };
    Ok(there())
}

fn enter(namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
        .map_err(|e| Errno(e.raw_os_error()))
}

/// Brings the thread back, also where what it did panicked.
struct Visit<'a> {
    home: BorrowedFd<'a>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if enter(self.home).is_err() {
            // A thread that is lost in another namespace would name the partners of that one. The
            // way back is a right that it had a moment ago: this does not happen.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// Which network namespace the calling thread is in.
    fn here() -> u64 {
        rustix::fs::stat("/proc/thread-self/ns/net").unwrap().st_ino
    }

    #[test]
    #[ignore = "needs root, to make network namespaces"]
    fn a_thread_goes_there_and_comes_back_whatever_happens() {
        let at_home = here();
        let (home, other) = (current().unwrap(), new().unwrap());
        assert_eq!(here(), at_home, "making one leaves the thread where it was");
        let there = visit(home.as_fd(), other.as_fd(), here).unwrap();
        assert_ne!(there, at_home);
        assert_eq!(here(), at_home);
        let panicked =
            std::panic::catch_unwind(|| visit(home.as_fd(), other.as_fd(), || panic!("there")));
        assert!(panicked.is_err());
        assert_eq!(here(), at_home);
        // A descriptor of something else leads nowhere.
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(visit(home.as_fd(), file.as_fd(), || ()), Err(Errno(libc::EINVAL)));
        assert_eq!(here(), at_home);
    }

    #[test]
    #[ignore = "needs root, to see the network namespace of a socket"]
    fn a_socket_tells_its_namespace() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let namespace = of_socket(socket.as_fd()).unwrap();
        assert_eq!(rustix::fs::fstat(&namespace).unwrap().st_ino, here());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(of_socket(file.as_fd()).is_err());
    }
}
