//! Carries the questions of [`verify`](super::verify) to the kernel, and its answers back.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use super::conntrack::{self, Translation};
use super::route;
use super::sock_diag::{self, Answer, Query};
use super::sys::{self, Errno, NOT_LINUX, Netlink, Socket, errno};
use super::verify::{Examined, Next, OwnEnd, Trust, Verdict, Verification};
use super::{Endpoint, LOOPBACK, user_namespace};
use crate::error::Reason;

/// How often a batch is asked again when its replies were lost or damaged on the way (H25).
const TRIES: u32 = 4;
/// Stale datagrams that are passed over while the expected ones are looked for.
const STALE: u32 = 64;
/// A reply is some 130 bytes; an error repeats the request.
const DATAGRAM: usize = 1024;

/// The text of a file under /proc, `None` where it cannot be read. That there was nothing to read it
/// with, for the moment, says nothing of the file.
fn text(path: &str) -> Result<Option<String>, Failure> {
    match sys::read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(Errno(errno)) if is_shortage(errno) => {
            Err(Failure::Io { doing: "read which users are mapped here", errno })
        }
        Err(_) => Ok(None),
    }
}

/// No descriptor, or no memory, is left: for this process, or on this machine.
fn is_shortage(errno: i32) -> bool {
    matches!(errno, errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM)
}

/// Why the kernel could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No sock_diag here (H26).
    Unsupported,
    Io {
        doing: &'static str,
        errno: i32,
    },
}

/// A netlink socket with what must be known of where it was made.
#[derive(Debug)]
pub(crate) struct Asker {
    netlink: Netlink,
    /// Made where it is needed first.
    route: Option<Netlink>,
    /// Made in a namespace of choice, and not to be replaced by one of the calling thread's.
    pinned: bool,
    seq: u32,
    /// See [`sys::generation`].
    generation: u32,
    /// The uid that stands for "not mapped" in the user namespace it was made in.
    overflow_uid: Option<u32>,
    buffer: Box<[u8; DATAGRAM]>,
    usual_local: UsualLocal,
}

thread_local! {
    /// One netlink socket a thread: a thread has one network namespace, and no lock is needed.
    static ASKER: RefCell<Option<Asker>> = const { RefCell::new(None) };
}

/// What is known of our own end before anything is asked: enough to find saved credentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected {
    pub(crate) cookie: u64,
    pub(crate) remote: SocketAddr,
}

/// Proves who holds the other end of `socket`.
///
/// A few system calls (`cargo bench --bench lookup` tells what they cost); never waits.
///
/// Where the table does not show the partner, `elsewhere` is asked whether somebody else will look
/// for it; if so, this does not look any closer, and says [`Verdict::NotInThisStack`].
pub(crate) fn resolve(
    socket: Socket<'_>,
    connected: Connected,
    trust_hidden_translation: bool,
    elsewhere: impl Fn() -> bool,
) -> Result<Verdict, Failure> {
    with_asker(|asker| asker.resolve(socket, connected, trust_hidden_translation, &elsewhere))
}

impl Connected {
    fn own_end(&self, local: Endpoint) -> OwnEnd {
        let scope = match self.remote {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        OwnEnd { local, remote: self.remote.into(), scope, cookie: self.cookie }
    }
}

/// The local address of the connections that this thread asks about.
///
/// A server's connections all have its own address, and to ask each for it is a system call. So
/// where the last two had the same, the third is guessed to have it too. No answer depends on the
/// guess: our own end is looked up with it, and only where the kernel shows our own cookie at this
/// address was it right; else the address is asked for and all begins anew.
#[derive(Debug, Default)]
struct UsualLocal {
    last: Option<Endpoint>,
    again: bool,
}

impl UsualLocal {
    fn guess(&self) -> Option<Endpoint> {
        if self.again { self.last } else { None }
    }

    fn handle(&mut self, local: Endpoint) {
        self.again = self.last == Some(local);
        self.last = Some(local);
    }
}

/// The cookie of the socket that listens at `local`, or would take a connection to it.
pub(crate) fn listener(local: Endpoint) -> Result<Option<u64>, Failure> {
    let nobody = match local.ip {
        IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    let remote = Endpoint { ip: nobody, port: 0 };
    let query = Query { local, remote, device: LOOPBACK };
    with_asker(|asker| {
        let [answer] = asker.lookups([query])?;
        Ok(match answer {
            Answer::Found(entry)
                if entry.state == sock_diag::TcpState::Listen && entry.local.port == local.port =>
            {
                Some(entry.cookie)
            }
            Answer::Found(_) | Answer::NotFound | Answer::Failed(_) => None,
        })
    })
}

fn with_asker<T>(mut ask: impl FnMut(&mut Asker) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut run = |kept: &mut Option<Asker>| {
        let generation = sys::generation();
        let asker = match kept {
            Some(asker) if asker.generation == generation => asker,
            Some(_) | None => kept.insert(Asker::open()?),
        };
        let result = ask(asker);
        // After a failure the socket may hold replies that nobody waits for.
        if result.is_err() {
            *kept = None;
        }
        result
    };
    // A thread that is ending has no kept socket any more; it may still ask.
    ASKER
        .try_with(|kept| match kept.try_borrow_mut() {
            Ok(mut kept) => run(&mut kept),
            Err(_) => run(&mut None),
        })
        .unwrap_or_else(|_| run(&mut None))
}

impl Asker {
    /// One in the calling thread's network namespace, for good: where its socket fails, so do its
    /// questions.
    #[cfg(feature = "agent")]
    pub(crate) fn open_pinned() -> Result<Self, Failure> {
        Ok(Self { pinned: true, ..Self::open()? })
    }

    /// The netlink socket, which tells the namespace.
    #[cfg(feature = "agent")]
    pub(crate) fn socket(&self) -> Socket<'_> {
        sys::socket_of(&self.netlink)
    }

    /// As [`resolve`]. The calling thread is in the namespace of this asker.
    pub(crate) fn resolve(
        &mut self,
        socket: Socket<'_>,
        connected: Connected,
        trust_hidden_translation: bool,
        elsewhere: &dyn Fn() -> bool,
    ) -> Result<Verdict, Failure> {
        let trust = |asker: &Self| asker.trust(trust_hidden_translation);
        let mut moved = self.pinned;
        let guess = self.usual_local.guess();
        let mut guessed = guess.is_some();
        let mut own = match guess {
            Some(local) => connected.own_end(local),
            None => self.own_end(socket, connected)?,
        };
        let mut verification = Verification::new(own, trust(self));
        let mut next = verification.start();
        loop {
            next = match next {
                Next::Done(verdict) => return Ok(verdict),
                Next::Translation => {
                    let translation = translation(socket, connected.remote, || {
                        if guessed {
                            guessed = false;
                            own = self.own_end(socket, connected)?;
                            verification = Verification::new(own, trust(self));
                        }
                        Ok(own)
                    })?;
                    verification.handle_translation(translation)
                }
                Next::Lookups { partner, own } => {
                    let [partner, own] = self.lookups([partner, own])?;
                    verification.handle_lookups(partner, own)
                }
                Next::Examine if guessed => {
                    guessed = false;
                    own = self.own_end(socket, connected)?;
                    verification = Verification::new(own, trust(self));
                    verification.start()
                }
                Next::Examine => {
                    let examined = examine(socket, &self.netlink)?;
                    if examined.same_namespace == Some(false) && !moved {
                        // The thread may have moved since its netlink socket was made.
                        moved = true;
                        *self = Self::open()?;
                        verification = Verification::new(own, trust(self));
                        verification.start()
                    } else {
                        verification.handle_examined(examined)
                    }
                }
                Next::Place(_) if elsewhere() => return Ok(Verdict::NotInThisStack),
                Next::Place(ip) => match self.place(ip)? {
                    Some(place) => verification.handle_place(place),
                    None => return Ok(Verdict::Refused(Reason::OtherNamespace)),
                },
                Next::OwnPlace(ip) => match self.place(ip)? {
                    Some(place) => verification.handle_own_place(place),
                    None => return Ok(Verdict::Refused(Reason::OtherNamespace)),
                },
            };
        }
    }

    /// What this asker's circumstances are worth.
    pub(crate) fn trust(&self, hidden_translation: bool) -> Trust {
        Trust { overflow_uid: self.overflow_uid, hidden_translation }
    }

    pub(super) fn open() -> Result<Self, Failure> {
        let netlink = Netlink::sock_diag().map_err(|e| opening("open a sock_diag socket", e))?;
        let overflow_uid = user_namespace::overflow_id(
            text("/proc/self/uid_map")?.as_deref(),
            text("/proc/sys/kernel/overflowuid")?.as_deref(),
        );
        Ok(Self {
            netlink,
            route: None,
            pinned: false,
            seq: 0,
            generation: sys::generation(),
            overflow_uid,
            buffer: Box::new([0; DATAGRAM]),
            usual_local: UsualLocal::default(),
        })
    }

    fn own_end(&mut self, socket: Socket<'_>, connected: Connected) -> Result<OwnEnd, Failure> {
        let io = |errno| Failure::Io { doing: "ask for the socket's own address", errno };
        let local = sys::addresses::local(socket).map_err(|Errno(errno)| io(errno))?;
        let local = Endpoint::from(local.ok_or(io(errno::EAFNOSUPPORT))?);
        self.usual_local.handle(local);
        Ok(connected.own_end(local))
    }

    /// Where `ip` is, as the asker's namespace has it; `None` where the calling thread is in another
    /// one by now.
    pub(super) fn place(&mut self, ip: IpAddr) -> Result<Option<route::Place>, Failure> {
        let io = |Errno(errno)| Failure::Io { doing: "ask the routing table", errno };
        let netlink = match &self.route {
            Some(netlink) => netlink,
            None => {
                let netlink = Netlink::route().map_err(io)?;
                if same_namespace(sys::socket_of(&self.netlink), sys::socket_of(&netlink))
                    == Some(false)
                {
                    return Ok(None);
                }
                self.route.insert(netlink)
            }
        };
        let answer = ask_once(netlink, &route::encode(ip, SEQ), route::decode);
        if answer.is_err() {
            // It may hold a reply that nobody waits for.
            self.route = None;
        }
        answer.map(Some).map_err(io)
    }

    /// Whether connection tracking rewrote the connection with these addresses, of which no descriptor
    /// is at hand. The calling thread is in the namespace of this asker.
    #[cfg(feature = "ident")]
    pub(crate) fn translation_of(&self, local: Endpoint, remote: Endpoint) -> Translation {
        if tracks_nothing(sys::socket_of(&self.netlink)) {
            return Translation::None;
        }
        let asked = asked_in_detail(sys::socket_of(&self.netlink), local, remote, None);
        // What could not be asked may be translated.
        asked.unwrap_or(Translation::Hidden { original: None })
    }

    /// Asks all queries in one message and returns the answers in their order.
    pub(crate) fn lookups<const N: usize>(
        &mut self,
        queries: [Query; N],
    ) -> Result<[Answer; N], Failure> {
        let mut last = Errno(errno::EAGAIN);
        for _ in 0..TRIES {
            let result = self.batch(&queries);
            // What was not answered may have been asked of something else, which has its number.
            if !result.as_ref().is_ok_and(all_found) && !self.netlink.is_itself() {
                last = Errno(errno::EBADF);
                if self.pinned {
                    break;
                }
                *self = Self::open()?;
                continue;
            }
            match result {
                Ok(answers) => {
                    if let Some(retry) = answers.iter().find_map(transient) {
                        last = retry;
                        continue;
                    }
                    if answers.iter().any(is_unsupported) {
                        return Err(unsupported());
                    }
                    return Ok(answers);
                }
                Err(e @ Errno(errno::EINTR | errno::EAGAIN | errno::ENOBUFS | errno::ENOMEM)) => {
                    last = e;
                    if self.pinned {
                        break;
                    }
                    // Whatever the old socket still holds goes with it.
                    *self = Self::open()?;
                }
                Err(e) => return Err(opening("ask sock_diag", e)),
            }
        }
        Err(Failure::Io { doing: "ask sock_diag", errno: last.0 })
    }

    fn batch<const N: usize>(&mut self, queries: &[Query; N]) -> Result<[Answer; N], Errno> {
        let first = self.seq.wrapping_add(1);
        let mut requests = [[0; sock_diag::REQUEST_LEN]; N];
        for (request, query) in requests.iter_mut().zip(queries) {
            self.seq = self.seq.wrapping_add(1);
            *request = sock_diag::encode(query, self.seq);
        }
        self.netlink.send(requests.as_flattened())?;
        let mut answers = [Answer::Failed(errno::EAGAIN); N];
        let mut waited_for = [true; N];
        for _ in 0..STALE {
            let Some(datagram) = self.netlink.receive(self.buffer.as_mut_slice())? else {
                continue;
            };
            let Ok((seq, answer)) = sock_diag::decode(datagram) else {
                continue;
            };
            let index = usize::try_from(seq.wrapping_sub(first)).unwrap_or(usize::MAX);
            if let (Some(slot), Some(waited)) = (answers.get_mut(index), waited_for.get_mut(index))
                && std::mem::take(waited)
            {
                *slot = answer;
            }
            if !waited_for.contains(&true) {
                return Ok(answers);
            }
        }
        Err(Errno(errno::EAGAIN))
    }
}

fn all_found<const N: usize>(answers: &[Answer; N]) -> bool {
    answers.iter().all(|answer| matches!(answer, Answer::Found(_)))
}

fn transient(answer: &Answer) -> Option<Errno> {
    match *answer {
        Answer::Failed(e @ (errno::EINTR | errno::EAGAIN | errno::ENOBUFS | errno::ENOMEM)) => {
            Some(Errno(e))
        }
        Answer::Failed(_) | Answer::Found(_) | Answer::NotFound => None,
    }
}

fn is_unsupported(answer: &Answer) -> bool {
    match *answer {
        Answer::Failed(errno) => refuses_sock_diag(errno),
        Answer::Found(_) | Answer::NotFound => false,
    }
}

/// What kernels without sock_diag answer, and filters that forbid it (seccomp, systemd's
/// `RestrictAddressFamilies=`, an LSM).
fn refuses_sock_diag(errno: i32) -> bool {
    matches!(
        errno,
        errno::EPROTONOSUPPORT
            | errno::EAFNOSUPPORT
            | errno::EOPNOTSUPP
            | errno::ENOSYS
            | errno::EPERM
            | errno::EACCES
    ) || Errno(errno) == NOT_LINUX
}

pub(super) fn opening(doing: &'static str, Errno(errno): Errno) -> Failure {
    if refuses_sock_diag(errno) { unsupported() } else { Failure::Io { doing, errno } }
}

/// Says so once: after that, every answer says it anyway.
fn unsupported() -> Failure {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            "this kernel or its sandbox answers no NETLINK_SOCK_DIAG question: partners stay unknown"
        );
    });
    Failure::Unsupported
}

fn examine(socket: Socket<'_>, netlink: &Netlink) -> Result<Examined, Failure> {
    let io = |Errno(errno)| Failure::Io { doing: "examine the socket", errno };
    let same_namespace = same_namespace(socket, sys::socket_of(netlink));
    Ok(Examined {
        protocol: sys::protocol(socket).map_err(io)?,
        inode: sys::inode(socket).map_err(io)?,
        // A kernel that cannot say it cannot be asked with it either.
        device: sys::bound_device(socket).unwrap_or(0),
        same_namespace,
        connected: sys::addresses::peer(socket).is_ok(),
    })
}

/// Whether connection tracking rewrote this connection. One system call where it does not track
/// it; else it is asked in detail, which takes CAP_NET_ADMIN.
fn translation(
    socket: Socket<'_>,
    remote: SocketAddr,
    own: impl FnOnce() -> Result<OwnEnd, Failure>,
) -> Result<Translation, Failure> {
    let ipv4 = remote.ip().to_canonical().is_ipv4();
    let original = match sys::original_destination(socket, ipv4) {
        Ok(None) => return Ok(Translation::None),
        Ok(Some(original)) => Some(original.into()),
        Err(Errno(errno::EOPNOTSUPP)) if tracks_nothing(socket) => return Ok(Translation::None),
        Err(Errno(errno::EOPNOTSUPP)) => None,
        Err(Errno(errno)) => {
            return Err(Failure::Io { doing: "ask SO_ORIGINAL_DST", errno });
        }
    };
    let own = own()?;
    asked_in_detail(socket, own.local, own.remote, original)
}

/// What connection tracking says of a connection in the namespace of `socket`.
fn asked_in_detail(
    socket: Socket<'_>,
    local: Endpoint,
    remote: Endpoint,
    original: Option<Endpoint>,
) -> Result<Translation, Failure> {
    let hidden = Translation::Hidden { original };
    let netlink = match Netlink::netfilter() {
        Ok(netlink) => netlink,
        Err(Errno(errno)) if is_shortage(errno) => {
            return Err(Failure::Io { doing: "open a socket to connection tracking", errno });
        }
        Err(_) => return Ok(hidden),
    };
    // Tracking of another namespace, where the thread may be by now, knows nothing of this.
    if !same_namespace(socket, sys::socket_of(&netlink)).unwrap_or(false) {
        return Ok(hidden);
    }
    let request = conntrack::encode(local, remote, SEQ);
    let decode = |datagram: &[u8]| conntrack::decode(datagram, local, remote);
    Ok(match ask_once(&netlink, &request, decode) {
        Ok(conntrack::Reply::Known(translation)) => translation,
        Ok(conntrack::Reply::NotTracked) if original.is_none() => Translation::None,
        Ok(conntrack::Reply::NotTracked | conntrack::Reply::Failed(_)) | Err(_) => hidden,
    })
}

/// Whether connection tracking has no entry at all in the socket's network namespace, or is not
/// there. A multipath socket does not tell of itself.
fn tracks_nothing(socket: Socket<'_>) -> bool {
    // The file is of the calling thread's namespace.
    let here =
        Netlink::route().ok().and_then(|netlink| same_namespace(socket, sys::socket_of(&netlink)));
    here == Some(true) && nothing_is_tracked()
}

/// The same of the calling thread's network namespace.
pub(super) fn nothing_is_tracked() -> bool {
    match sys::read_text("/proc/sys/net/netfilter/nf_conntrack_count") {
        Ok(text) => text.trim() == "0",
        Err(Errno(errno)) => errno == errno::ENOENT,
    }
}

/// `None` on kernels that do not say.
fn same_namespace(one: Socket<'_>, other: Socket<'_>) -> Option<bool> {
    match (sys::namespace_cookie(one), sys::namespace_cookie(other)) {
        (Ok(one), Ok(other)) => Some(one == other),
        (Err(_), _) | (_, Err(_)) => None,
    }
}

/// The sequence number of the only question on a socket.
pub(super) const SEQ: u32 = 1;

pub(super) fn ask_once<T>(
    netlink: &Netlink,
    request: &[u8],
    decode: impl Fn(&[u8]) -> Option<(u32, T)>,
) -> Result<T, Errno> {
    netlink.send(request)?;
    for _ in 0..STALE {
        let mut buffer = [0; DATAGRAM];
        let Some(datagram) = netlink.receive(&mut buffer)? else {
            continue;
        };
        if let Some((SEQ, answer)) = decode(datagram) {
            return Ok(answer);
        }
    }
    Err(Errno(errno::EAGAIN))
}
