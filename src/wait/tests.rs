//! With an agent of the test's own making, which answers when the test says so.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::*;
use crate::error::ErrorKind;
use crate::info::Routing;
use crate::protocol::{Answer, MAX_QUESTION, Outcome, Question, Told};
use crate::stack::Resolver;

const PATIENCE: Duration = Duration::from_secs(10);

/// An agent, a stack that asks nobody else, and a connection to ask about.
struct Stand {
    folder: PathBuf,
    listener: OwnedFd,
    stack: Stack,
    socket: TcpStream,
    far: TcpStream,
}

impl Stand {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("partner-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("agent");
        let (flags, kind) = (SocketFlags::CLOEXEC, SocketType::SEQPACKET);
        let listener = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 16).unwrap();
        let stack = Stack::builder().resolvers([Resolver::Agent]).agent(path).build();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let far = tcp.accept().unwrap().0;
        Self { folder, listener, stack, socket, far }
    }

    fn accept(&self) -> OwnedFd {
        rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC).unwrap()
    }

    /// Answers a question about this connection.
    fn answer(&self, caller: &OwnedFd, question: &Question) {
        let routing = Routing::SAME_IMAGE;
        let told = Told { user: None, name: None, routing, token: None };
        let cookie = crate::kernel::sys::cookie(self.socket.as_fd()).unwrap();
        let answer =
            Answer { number: question.number, cookie: Some(cookie), outcome: Outcome::Told(told) };
        let flags = rustix::net::SendFlags::NOSIGNAL;
        rustix::net::send(caller, &answer.encode(), flags).unwrap();
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn read(caller: &OwnedFd) -> Question {
    let mut bytes = [0; MAX_QUESTION];
    let flags = rustix::net::RecvFlags::empty();
    let (_, len) = rustix::net::recv(caller, &mut bytes, flags).unwrap();
    Question::decode(&bytes[..len]).unwrap()
}

fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many descriptors a thread of this process waits for in ppoll(2) at this moment.
fn waits_for(thread: i32) -> Option<u64> {
    let call = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).unwrap();
    let mut words = call.split_whitespace();
    if words.next() != Some(&libc::SYS_ppoll.to_string()) {
        return None;
    }
    u64::from_str_radix(words.nth(1)?.trim_start_matches("0x"), 16).ok()
}

#[test]
fn a_thread_that_waits_is_woken_by_the_agent_itself() {
    let stand = Stand::new("blocked");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let get = scope.spawn(|| {
            tell.send(rustix::thread::gettid().as_raw_pid()).unwrap();
            get(&stand.stack, stand.socket.as_fd(), PartnerRequest::empty(), PATIENCE)
        });
        let caller = stand.accept();
        let question = read(&caller);
        let thread = told.recv().unwrap();
        // What wakes it, and what the agent says: no runtime is there to take that in.
        eventually("it waits for both", || waits_for(thread) == Some(2));
        stand.answer(&caller, &question);
        assert_eq!(get.join().unwrap().unwrap().routing(), Routing::SAME_IMAGE);
    });
}

#[cfg(feature = "tokio")]
#[test]
fn a_blocked_runtime_does_not_keep_the_answer_from_the_thread_that_blocks_it() {
    let stand = Stand::new("inside");
    std::thread::scope(|scope| {
        let get = scope.spawn(|| {
            let build = tokio::runtime::Builder::new_current_thread().enable_all().build();
            build.unwrap().block_on(async {
                get(&stand.stack, stand.socket.as_fd(), PartnerRequest::empty(), PATIENCE)
            })
        });
        let caller = stand.accept();
        let question = read(&caller);
        stand.answer(&caller, &question);
        assert_eq!(get.join().unwrap().unwrap().routing(), Routing::SAME_IMAGE);
    });
}

#[test]
fn an_agent_that_goes_away_ends_the_wait() {
    let stand = Stand::new("gone");
    let timeout = Duration::from_millis(100);
    std::thread::scope(|scope| {
        let get = scope
            .spawn(|| get(&stand.stack, stand.socket.as_fd(), PartnerRequest::empty(), timeout));
        let caller = stand.accept();
        read(&caller);
        drop(caller);
        // It is asked anew, and says nothing.
        let caller = stand.accept();
        read(&caller);
        let error = get.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}

#[cfg(feature = "mio")]
mod event {
    use mio::{Events, Interest, Poll, Token};

    use super::*;
    use crate::error::Reason;

    fn begin(stand: &Stand, timeout: Duration) -> PartnerEvent {
        let socket = stand.socket.as_fd();
        PartnerEvent::new(&stand.stack, socket, PartnerRequest::empty(), timeout).unwrap()
    }

    fn kind(event: &mut PartnerEvent, stand: &Stand) -> Option<ErrorKind> {
        event.poll(&stand.socket).err().map(|error| error.kind())
    }

    /// Whether an event comes, within `wait`.
    fn rings(poll: &mut Poll, wait: Duration) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(wait)).unwrap();
        events.iter().any(|event| event.token() == Token(7) && event.is_readable())
    }

    #[test]
    fn it_is_readable_by_what_the_agent_says_alone() {
        let stand = Stand::new("event");
        let mut poll = Poll::new().unwrap();
        let mut event = begin(&stand, PATIENCE);
        poll.registry().register(&mut event, Token(7), Interest::READABLE).unwrap();
        let caller = stand.accept();
        let question = read(&caller);
        assert_eq!(kind(&mut event, &stand), Some(ErrorKind::InProgress));
        // No clock, and no waker.
        event.bell.clear();
        while rings(&mut poll, Duration::ZERO) {}
        stand.answer(&caller, &question);
        assert!(rings(&mut poll, PATIENCE));
        assert_eq!(event.poll(&stand.socket).unwrap().routing(), Routing::SAME_IMAGE);
        // Saved; and nothing more happens.
        assert_eq!(kind(&mut event, &stand), None);
        stand.answer(&caller, &question);
        assert!(!rings(&mut poll, Duration::from_millis(120)));
        poll.registry().deregister(&mut event).unwrap();
    }

    #[test]
    fn by_the_clock_alone_it_finds_its_end() {
        let stand = Stand::new("clock");
        let mut poll = Poll::new().unwrap();
        let mut event = begin(&stand, Duration::from_millis(120));
        poll.registry().register(&mut event, Token(7), Interest::READABLE).unwrap();
        let caller = stand.accept();
        read(&caller);
        let mut looks = 0;
        let kind = loop {
            assert!(rings(&mut poll, PATIENCE));
            looks += 1;
            match kind(&mut event, &stand) {
                Some(ErrorKind::InProgress) => {}
                other => break other,
            }
        };
        assert_eq!(kind, Some(ErrorKind::TimedOut));
        // 1, 2, 4 ... 50 ms apart: it does not spin.
        assert!(looks < 20, "{looks} looks");
    }

    #[test]
    fn dropped_it_ends_the_wait_and_tells_no_more() {
        let stand = Stand::new("dropped");
        let mut poll = Poll::new().unwrap();
        let mut first = begin(&stand, PATIENCE);
        let caller = stand.accept();
        let question = read(&caller);
        let socket = stand.socket.as_fd();
        let second =
            PartnerEvent::new(&stand.stack, socket, PartnerRequest::empty(), PATIENCE).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AlreadyInProgress);
        poll.registry().register(&mut first, Token(7), Interest::READABLE).unwrap();
        drop(first);
        stand.answer(&caller, &question);
        assert!(!rings(&mut poll, Duration::from_millis(120)));
        // What the first asked for answers the next one: at once, so that it is readable from the start.
        let mut third = begin(&stand, PATIENCE);
        poll.registry().register(&mut third, Token(7), Interest::READABLE).unwrap();
        assert!(rings(&mut poll, PATIENCE));
        assert_eq!(third.poll(&stand.socket).unwrap().routing(), Routing::SAME_IMAGE);
    }

    #[test]
    fn another_connection_s_stream_takes_no_answer() {
        let (stand, other) = (Stand::new("here"), Stand::new("there"));
        // By the kernel: the answer is there before anybody polls.
        let stack = Stack::builder().without_names().resolvers([Resolver::Kernel]).build();
        let what = PartnerRequest::USER_ID;
        for timeout in [Duration::ZERO, PATIENCE] {
            stack.get_partner_info_blocking(&stand.socket, what, PATIENCE).unwrap();
            let mut event = PartnerEvent::new(&stack, stand.socket.as_fd(), what, timeout).unwrap();
            let error = event.poll(&other.socket).unwrap_err();
            assert_eq!(error.reason(), Some(Reason::ConnectionChanged));
            assert!(event.poll(&stand.socket).unwrap().user().is_some());
        }
    }

    #[test]
    fn an_answer_outlives_its_connection() {
        let mut stand = Stand::new("ended");
        let stack = Stack::builder().without_names().resolvers([Resolver::Kernel]).build();
        let what = PartnerRequest::USER_ID;
        let mut event = PartnerEvent::new(&stack, stand.socket.as_fd(), what, PATIENCE).unwrap();
        // Reset, so that nothing is connected any more.
        rustix::net::sockopt::set_socket_linger(&stand.far, Some(Duration::ZERO)).unwrap();
        stand.far = TcpListener::bind("127.0.0.1:0")
            .and_then(|it| TcpStream::connect(it.local_addr()?))
            .unwrap();
        eventually("it has ended", || stand.socket.peer_addr().is_err());
        assert!(event.poll(&stand.socket).unwrap().user().is_some());
    }

    #[test]
    fn another_connection_s_stream_is_refused_and_the_wait_goes_on() {
        let (stand, other) = (Stand::new("one"), Stand::new("other"));
        let mut event = begin(&stand, PATIENCE);
        let caller = stand.accept();
        let question = read(&caller);
        let error = event.poll(&other.socket).unwrap_err();
        assert_eq!(error.reason(), Some(Reason::ConnectionChanged));
        stand.answer(&caller, &question);
        eventually("it is answered", || kind(&mut event, &stand).is_none());
    }
}
