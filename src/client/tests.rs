//! A client and an agent of the test's own making on a real Unix socket. What the real one says is
//! tested with it, in `tests/live/agent`.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::task::{Wake, Waker};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::*;
use crate::info::{PartnerRequest, Routing};
use crate::protocol::{Answer, MAX_QUESTION, Outcome, Refused, Told};
use crate::token::{HolderSearch, Uid};

const PATIENCE: Duration = Duration::from_secs(10);

/// An agent that listens in a folder of its own.
struct Stand {
    folder: PathBuf,
    listener: OwnedFd,
}

impl Stand {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("partner-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("agent");
        Self { listener: listen(&path), folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("agent")
    }

    fn accept(&self) -> OwnedFd {
        rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC).unwrap()
    }

    fn agent(&self) -> Agent {
        Agent::new(self.path())
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn listen(path: &Path) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let kind = SocketType::SEQPACKET;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&socket, 16).unwrap();
    socket
}

fn read(caller: &OwnedFd) -> Question {
    let mut bytes = [0; MAX_QUESTION];
    let flags = rustix::net::RecvFlags::empty();
    let (_, len) = rustix::net::recv(caller, &mut bytes, flags).unwrap();
    Question::decode(&bytes[..len]).unwrap()
}

fn write(caller: &OwnedFd, number: u64, uid: u32) {
    let user = Some(Uid::new(uid).unwrap());
    let told = Told { user, name: None, routing: Routing::SAME_IMAGE, token: None };
    let answer = Answer { number, cookie: Some(1), outcome: Outcome::Told(told) };
    send(caller, &answer.encode());
}

fn send(caller: &OwnedFd, bytes: &[u8]) {
    rustix::net::send(caller, bytes, rustix::net::SendFlags::NOSIGNAL).unwrap();
}

fn question() -> Question {
    Question {
        number: 0,
        request: PartnerRequest::USER_ID,
        search: HolderSearch::All,
        timeout: PATIENCE,
        domain: None,
    }
}

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn ask(agent: &Agent, socket: &TcpStream) -> Job {
    match agent.ask(socket.as_fd(), &question(), false, Instant::now()) {
        Asked::Yes(job) => job,
        other @ (Asked::Busy | Asked::Absent) => panic!("{other:?}"),
    }
}

/// What a question comes to, looked at until it is there.
fn end(job: &Job) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        match job.poll(None) {
            Progress::Pending => {
                assert!(Instant::now() < until, "no answer");
                std::thread::sleep(Duration::from_millis(1));
            }
            done @ (Progress::Answered(_) | Progress::Lost) => return said(&done),
        }
    }
}

fn said(progress: &Progress) -> String {
    match progress {
        Progress::Pending => "pending".into(),
        Progress::Lost => "lost".into(),
        Progress::Answered(answer) => match &answer.outcome {
            Outcome::Told(told) => told.user.unwrap().to_string(),
            other @ (Outcome::NotYetAccepted | Outcome::Refused(_)) => format!("{other:?}"),
        },
    }
}

#[test]
fn answers_find_their_questions_in_any_order() {
    let (stand, (socket, _far)) = (Stand::new("order"), connection());
    let agent = stand.agent();
    let jobs = [0, 1, 2].map(|_| ask(&agent, &socket));
    assert_eq!(said(&jobs[0].poll(None)), "pending");
    let caller = stand.accept();
    let numbers = [0, 1, 2].map(|_| read(&caller).number);
    for (number, uid) in [(numbers[2], 1002), (numbers[0], 1000), (99, 0), (numbers[1], 1001)] {
        write(&caller, number, uid);
    }
    assert_eq!(jobs.each_ref().map(end), ["1000", "1001", "1002"]);
    // Told once.
    assert_eq!(end(&jobs[0]), "lost");
    // One that is asked for no more is nobody's.
    let forgotten = ask(&agent, &socket);
    let number = read(&caller).number;
    drop(forgotten);
    write(&caller, number, 0);
    let next = ask(&agent, &socket);
    write(&caller, read(&caller).number, 1003);
    assert_eq!(end(&next), "1003");
}

#[test]
fn without_an_agent_nothing_is_asked_and_little_is_tried() {
    let (socket, _far) = connection();
    let folder = Stand::new("absent");
    let agent = Agent::new(folder.folder.join("nothing"));
    let now = Instant::now();
    assert!(!agent.is_there(now));
    let ask = |insist, now| agent.ask(socket.as_fd(), &question(), insist, now);
    assert!(matches!(ask(false, now), Asked::Absent));
    // One that comes is found: at once by who insists, and by all others after a moment.
    let _listener = listen(&folder.folder.join("nothing"));
    assert!(matches!(ask(false, now), Asked::Absent));
    assert!(matches!(ask(true, now), Asked::Yes(_)));
    let other = Agent::new(folder.folder.join("later"));
    assert!(!other.is_there(now));
    let _later = listen(&folder.folder.join("later"));
    assert!(!other.is_there(now + ABSENT_FOR / 2) && other.is_there(now + ABSENT_FOR));
}

#[test]
fn who_waits_is_told_when_the_agent_goes_and_the_next_question_finds_another() {
    let (stand, (socket, _far)) = (Stand::new("gone"), connection());
    let agent = stand.agent();
    let jobs = [ask(&agent, &socket), ask(&agent, &socket)];
    let caller = stand.accept();
    write(&caller, read(&caller).number, 1000);
    drop(caller);
    assert_eq!(jobs.each_ref().map(end), ["1000", "lost"]);
    let again = ask(&agent, &socket);
    let caller = stand.accept();
    write(&caller, read(&caller).number, 1001);
    assert_eq!(end(&again), "1001");
}

#[test]
fn an_agent_that_talks_nonsense_is_left() {
    let (stand, (socket, _far)) = (Stand::new("nonsense"), connection());
    let agent = stand.agent();
    for nonsense in [&b"\xff\xff\xff"[..], &[8; 100], &[0; 65_537]] {
        let job = ask(&agent, &socket);
        let caller = stand.accept();
        read(&caller);
        send(&caller, nonsense);
        assert_eq!(end(&job), "lost");
    }
}

#[test]
fn a_connection_that_is_not_taken_says_so_to_all_who_asked_over_it() {
    let (stand, (socket, _far)) = (Stand::new("full"), connection());
    let agent = stand.agent();
    let what = String::from("the agent has 1024 connections already");
    let outcome = Outcome::Refused(Refused::Failed(what.clone()));
    let answer = Answer { number: 0, cookie: None, outcome: outcome.clone() }.encode();
    // Asked before the agent says so ...
    let jobs = [ask(&agent, &socket), ask(&agent, &socket)];
    let caller = stand.accept();
    send(&caller, &answer);
    drop(caller);
    assert_eq!(jobs.each_ref().map(end), [format!("{outcome:?}"), format!("{outcome:?}")]);
    // ... and after.
    assert!(agent.is_there(Instant::now()));
    let caller = stand.accept();
    send(&caller, &answer);
    drop(caller);
    assert_eq!(end(&ask(&agent, &socket)), format!("{outcome:?}"));
}

#[test]
fn too_many_questions_wait_here() {
    let (stand, (socket, _far)) = (Stand::new("many"), connection());
    let agent = stand.agent();
    let mut jobs = Vec::new();
    let busy = loop {
        match agent.ask(socket.as_fd(), &question(), false, Instant::now()) {
            Asked::Yes(job) => jobs.push(job),
            other @ (Asked::Busy | Asked::Absent) => break other,
        }
        assert!(jobs.len() < 10_000, "no bound");
    };
    assert!(matches!(busy, Asked::Busy));
    let caller = stand.accept();
    write(&caller, read(&caller).number, 1000);
    assert_eq!(end(&jobs[0]), "1000");
    jobs.clear();
    assert!(matches!(agent.ask(socket.as_fd(), &question(), false, Instant::now()), Asked::Yes(_)));
}

#[test]
fn what_is_passed_is_the_socket_itself() {
    let (stand, (socket, _far)) = (Stand::new("passed"), connection());
    let agent = stand.agent();
    let _job = ask(&agent, &socket);
    let caller = stand.accept();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; MAX_QUESTION];
    let into = &mut [std::io::IoSliceMut::new(&mut bytes)];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(&caller, into, &mut ancillary, flags).unwrap();
    let passed: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|part| {
            let rustix::net::RecvAncillaryMessage::ScmRights(passed) = part else { return None };
            Some(passed.collect::<Vec<_>>())
        })
        .flatten()
        .collect();
    let cookie = |of: &dyn AsFd| rustix::net::sockopt::socket_cookie(of.as_fd()).unwrap();
    assert_eq!(passed.iter().map(|it| cookie(it)).collect::<Vec<_>>(), [cookie(&socket)]);
}

/// Wakes a channel.
struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

#[cfg(feature = "tokio")]
#[test]
fn an_answer_wakes_who_waits_also_when_the_runtime_that_asked_is_gone() {
    let (stand, (socket, _far)) = (Stand::new("runtimes"), connection());
    let agent = stand.agent();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    };
    let (bell, rung) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(bell)));
    let first = runtime();
    let job = {
        let _inside = first.enter();
        let job = ask(&agent, &socket);
        assert_eq!(said(&job.poll(Some(&waker))), "pending");
        job
    };
    let caller = stand.accept();
    let number = read(&caller).number;
    // A task of the first runtime takes in what comes.
    let other = {
        let _inside = first.enter();
        ask(&agent, &socket)
    };
    let other_number = read(&caller).number;
    let _ = other.poll(Some(&waker));
    write(&caller, other_number, 1001);
    rung.recv_timeout(PATIENCE).expect("woken by the first runtime's task");
    assert_eq!(end(&other), "1001");
    // It ends, and whoever waits is woken, to have a task of its own runtime do it.
    first.shutdown_timeout(PATIENCE);
    rung.recv_timeout(PATIENCE).expect("woken by the end of the first runtime");
    let second = runtime();
    {
        let _inside = second.enter();
        assert_eq!(said(&job.poll(Some(&waker))), "pending");
    }
    write(&caller, number, 1000);
    rung.recv_timeout(PATIENCE).expect("woken by the second runtime's task");
    assert_eq!(end(&job), "1000");
}

#[test]
fn whom_an_agent_belongs_to_decides_whether_it_is_asked() {
    use std::os::unix::fs::PermissionsExt;
    // This process's own is trusted wherever it is: all tests above rest on it. What another user's
    // would take is another user: see `tests/live/agent`. Here, the folder.
    let stand = Stand::new("folder");
    let own = rustix::process::geteuid().as_raw();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&stand.folder, permissions).unwrap();
    };
    for (bits, trusted) in [(0o755, true), (0o700, true), (0o775, false), (0o757, false)] {
        mode(bits);
        assert_eq!(socket::owns_folder(own, &stand.path()), trusted, "{bits:o}");
        assert!(!socket::owns_folder(own + 1, &stand.path()));
    }
    assert!(!socket::owns_folder(own, Path::new("/no/such/folder/agent")));
}
