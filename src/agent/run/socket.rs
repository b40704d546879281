//! The socket where callers ask: from the service manager, or made here.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::agent::config::{Account, SocketConfig, TEMPORARY, shown_path};

/// Callers that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Behind the socket's path: the file that is locked while the socket is made.
const LOCK: &str = ".lock";
/// How long another agent that makes its socket in the same folder is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket that listens, and its file if it was made here.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: OwnedFd,
    pub(super) file: Option<SocketFile>,
}

/// The file of a socket that was made here; removed at the end, if it is still that one.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if still.is_ok_and(|found| found == self.identity) {
            // It may be gone by now, or the folder may not be ours to write to any more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why there is no socket to listen on: what was being done, and what to do.
#[derive(Debug)]
pub(super) struct SocketError {
    path: PathBuf,
    doing: &'static str,
    error: io::Error,
    remedy: &'static str,
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown_path(&self.path);
        write!(f, "{path}: {}: {}; {}", self.doing, self.error, self.remedy)
    }
}

impl std::error::Error for SocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The socket that the service manager passed, or else one made as the configuration says.
///
/// Call it before there is a second thread: it takes variables out of the environment.
pub(super) fn listen(config: &SocketConfig) -> Result<Listener, SocketError> {
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 => make(config),
        1 => take(&mut passed).map(|socket| Listener { socket, file: None }).map_err(|error| {
            SocketError {
                path: "LISTEN_FDS".into(),
                doing: "taking the socket that the service manager passed",
                error,
                remedy: "write ListenSequentialPacket= in the .socket unit, once",
            }
        }),
        more => Err(SocketError {
            path: "LISTEN_FDS".into(),
            doing: "taking the socket that the service manager passed",
            error: io::Error::new(io::ErrorKind::InvalidInput, format!("{more} sockets")),
            remedy: "write ListenSequentialPacket= in the .socket unit, once",
        }),
    }
}

fn take(passed: &mut ListenFd) -> io::Result<OwnedFd> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    let hint = "Unix socket of type SOCK_SEQPACKET";
    let socket = passed.take_custom::<OwnedFd>(0, libc::AF_UNIX, libc::SOCK_SEQPACKET, hint)?;
    let socket = socket.ok_or_else(|| wrong("it was taken before"))?;
    if sockopt::socket_domain(&socket)? != AddressFamily::UNIX
        || sockopt::socket_type(&socket)? != SocketType::SEQPACKET
    {
        return Err(wrong("not a Unix socket of type SOCK_SEQPACKET"));
    }
    if !sockopt::socket_acceptconn(&socket)? {
        return Err(wrong("it does not listen (Accept=no is needed)"));
    }
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Makes the socket under a temporary name and gives it its rights before it listens and has its
/// own name, so that nobody is let in by others.
fn make(config: &SocketConfig) -> Result<Listener, SocketError> {
    let path = config.path.as_path();
    let failed = |doing, remedy| {
        move |error: io::Error| SocketError { path: path.into(), doing, error, remedy }
    };
    let permitted = "run the agent as root, or name a socket.path where it may make one";
    let folder = path.parent().unwrap_or(Path::new("/"));
    match fs::DirBuilder::new().mode(0o755).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("making the socket's folder", permitted)(error)),
    }
    // Held until the socket has its name: two agents that start at once must not take each
    // other's file for a stale one.
    let _lock = lock(&beside(path, LOCK)).map_err(failed(
        "locking the socket's name",
        "see which process holds the lock (fuser, with .lock behind the path), or start again",
    ))?;
    is_free(path).map_err(failed(
        "making the socket",
        "stop the other agent, remove what is there, or name another socket.path",
    ))?;
    let temporary = beside(path, TEMPORARY);
    let made = bind(config, &temporary).and_then(|socket| {
        let metadata = fs::symlink_metadata(&temporary)?;
        fs::rename(&temporary, path)?;
        let file = SocketFile { path: path.into(), identity: (metadata.dev(), metadata.ino()) };
        Ok(Listener { socket, file: Some(file) })
    });
    made.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed("making the socket", permitted)(error)
    })
}

/// The path with an ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}

/// Locks a file that only the agent's user may open, so that nobody else can hold the lock. The
/// file stays: to remove it would be to unlock it for who has it open.
fn lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether there is nothing at the path, or a socket on which nobody listens any more.
fn is_free(path: &Path) -> io::Result<()> {
    let taken = |what| Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return taken("something that is no socket is there"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let socket = socket()?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        // The second says that so many wait that no more are let in.
        Ok(()) | Err(Errno::AGAIN) => taken("another agent answers there"),
        Err(Errno::PROTOTYPE) => taken("a socket of another type is there"),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn bind(config: &SocketConfig, temporary: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(temporary) {
        // What an agent left that was killed while it made its socket.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let (owner, group) = (owner(config)?, group(config)?);
    let socket = socket()?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(temporary)?)?;
    if owner.is_some() || group.is_some() {
        std::os::unix::fs::lchown(temporary, owner, group)?;
    }
    fs::set_permissions(temporary, Permissions::from_mode(config.mode))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn owner(config: &SocketConfig) -> io::Result<Option<u32>> {
    match &config.owner {
        None => Ok(None),
        Some(Account::Number(number)) => Ok(Some(*number)),
        Some(Account::Name(name)) => match nix::unistd::User::from_name(name)? {
            Some(user) => Ok(Some(user.uid.as_raw())),
            None => Err(no_account("user", name)),
        },
    }
}

fn group(config: &SocketConfig) -> io::Result<Option<u32>> {
    match &config.group {
        None => Ok(None),
        Some(Account::Number(number)) => Ok(Some(*number)),
        Some(Account::Name(name)) => match nix::unistd::Group::from_name(name)? {
            Some(group) => Ok(Some(group.gid.as_raw())),
            None => Err(no_account("group", name)),
        },
    }
}

fn no_account(kind: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no {kind} {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is removed with everything in it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("partnerd-socket-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn config(&self) -> SocketConfig {
            SocketConfig { path: self.0.join("p.sock"), mode: 0o640, owner: None, group: None }
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_has_its_rights_and_is_removed_at_the_end() {
        let folder = Folder::new("rights");
        let config = folder.config();
        let made = make(&config).unwrap();
        let mode = fs::metadata(&config.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        assert_eq!(sockopt::socket_type(&made.socket).unwrap(), SocketType::SEQPACKET);
        assert!(sockopt::socket_acceptconn(&made.socket).unwrap());
        assert_eq!(folder.names(), ["p.sock", "p.sock.lock"]);
        drop(made);
        assert_eq!(folder.names(), ["p.sock.lock"]);
    }

    #[test]
    fn a_living_agent_is_left_alone_and_a_stale_socket_is_replaced() {
        let folder = Folder::new("stale");
        let config = folder.config();
        let first = make(&config).unwrap();
        let error = make(&config).unwrap_err().to_string();
        assert!(error.contains("another agent answers there"), "{error}");
        let Listener { socket, file } = first;
        drop(socket);
        // Killed while it made its socket.
        fs::write(beside(&config.path, TEMPORARY), "").unwrap();
        let second = make(&config).unwrap();
        // The first's file is not there any more, and what is there is not the first's.
        drop(file);
        assert_eq!(folder.names(), ["p.sock", "p.sock.lock"]);
        drop(second);
    }

    #[test]
    fn what_is_no_socket_of_an_agent_stays() {
        let folder = Folder::new("other");
        let config = folder.config();
        fs::write(&config.path, "precious").unwrap();
        let error = make(&config).unwrap_err().to_string();
        assert!(error.contains("something that is no socket"), "{error}");
        assert_eq!(fs::read(&config.path).unwrap(), b"precious");
        fs::remove_file(&config.path).unwrap();
        let stream = std::os::unix::net::UnixListener::bind(&config.path).unwrap();
        let error = make(&config).unwrap_err().to_string();
        assert!(error.contains("a socket of another type"), "{error}");
        drop(stream);
    }

    #[test]
    fn an_account_that_is_not_there_is_named() {
        let folder = Folder::new("account");
        let group = Some(Account::Name("no such group".into()));
        let error = make(&SocketConfig { group, ..folder.config() }).unwrap_err().to_string();
        assert!(error.contains("there is no group \"no such group\""), "{error}");
        assert_eq!(folder.names(), ["p.sock.lock"]);
    }

    #[test]
    fn agents_that_start_at_once_wait_for_each_other() {
        let folder = Folder::new("lock");
        let config = folder.config();
        let lock = lock(&beside(&config.path, LOCK)).unwrap();
        let other = std::thread::spawn(move || make(&config).map(drop));
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(folder.names(), ["p.sock.lock"]);
        drop(lock);
        other.join().unwrap().unwrap();
    }
}
