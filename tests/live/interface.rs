//! The error kinds of sets and gets, for every sort of descriptor.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use partner_info::ErrorKind::{InProgress, NotConnected, NotRequested, NotTcp, TooLate};
use partner_info::{ErrorKind, prelude::*};
use socket2::{Domain, Protocol, Socket, Type};

use super::puppet::Puppet;
use super::raw;
use super::support::{
    PATIENCE, accept, address, connect, eventually, fresh, get, listen, local, loopbacks, nft,
    peer, say, tcp, who,
};

super::tests![
    kind_not_tcp_for_everything_that_is_not_tcp,
    kind_not_tcp_for_a_raw_socket_that_sees_tcp,
    kind_not_tcp_for_udp_with_the_addresses_of_a_tcp_connection,
    kind_not_connected_before_connect_and_while_listening,
    #[nft]
    kind_not_connected_while_connecting,
    kind_not_connected_after_a_reset,
    kind_too_late_for_a_set_on_a_connected_socket,
    kind_not_tcp_for_a_descriptor_that_became_something_else,
    kind_not_requested_without_a_set_and_starts_nothing,
    kind_in_progress_once_after_a_set,
    kind_unsupported_without_a_resolver,
    kind_io_when_no_descriptor_is_left,
    every_refusal_has_the_errno_of_its_kind,
];

const WHO: PartnerRequest = PartnerRequest::USER_ID;

#[track_caller]
fn assert_kinds(socket: &impl AsFd, get: ErrorKind, set: Option<ErrorKind>) {
    let stack = fresh();
    for request in [WHO, PartnerRequest::UTOKEN, PartnerRequest::empty()] {
        let error = stack.try_get_partner_info(socket, request).unwrap_err();
        assert_eq!(error.kind(), get, "get: {error}");
    }
    let answer = stack.set_partner_info(socket, WHO);
    assert_eq!(answer.err().map(|error| error.kind()), set, "set");
}

fn kind_not_tcp_for_everything_that_is_not_tcp() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_kinds(&udp, NotTcp, Some(NotTcp));
    udp.connect("127.0.0.1:9").unwrap();
    assert_kinds(&udp, NotTcp, Some(NotTcp));
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    udp.connect("[::1]:9").unwrap();
    assert_kinds(&udp, NotTcp, Some(NotTcp));

    let (one, _two) = UnixStream::pair().unwrap();
    assert_kinds(&one, NotTcp, Some(NotTcp));
    assert_kinds(&UnixDatagram::unbound().unwrap(), NotTcp, Some(NotTcp));
    let path = std::env::temp_dir().join(format!("partner-info-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    assert_kinds(&UnixListener::bind(&path).unwrap(), NotTcp, Some(NotTcp));
    std::fs::remove_file(&path).unwrap();

    let (reader, _writer) = std::io::pipe().unwrap();
    assert_kinds(&reader, NotTcp, Some(NotTcp));
    assert_kinds(&File::open("/dev/null").unwrap(), NotTcp, Some(NotTcp));
    assert_kinds(&File::open("/proc/thread-self/ns/net").unwrap(), NotTcp, Some(NotTcp));
}

/// Its protocol is TCP's number, its type is not.
fn kind_not_tcp_for_a_raw_socket_that_sees_tcp() {
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
    assert_kinds(&raw, NotTcp, Some(NotTcp));
    raw.connect(&address("127.0.0.1:0").into()).unwrap();
    assert_kinds(&raw, NotTcp, Some(NotTcp));
    assert_eq!(who(&raw), "NotTcp");
}

fn kind_not_tcp_for_udp_with_the_addresses_of_a_tcp_connection() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = connect(at);
        let server = accept(&listener);
        let udp = UdpSocket::bind(local(&server)).unwrap();
        udp.connect(peer(&server)).unwrap();
        assert_kinds(&udp, NotTcp, Some(NotTcp));
        assert_eq!(who(&udp), "NotTcp");
        assert_eq!(say(&get(&fresh(), &udp, PartnerRequest::empty(), PATIENCE)), "NotTcp");
        drop(client);
    }
}

fn kind_not_connected_before_connect_and_while_listening() {
    for at in loopbacks(8080) {
        let socket = tcp(at);
        assert_kinds(&socket, NotConnected, None);
        socket.bind(&at.into()).unwrap();
        assert_kinds(&socket, NotConnected, None);
        socket.listen(1).unwrap();
        assert_kinds(&socket, NotConnected, None);
        let domain = Domain::for_address(at);
        let mptcp = Socket::new(domain, Type::STREAM, Some(Protocol::MPTCP)).unwrap();
        assert_kinds(&mptcp, NotConnected, None);
    }
    assert_kinds(&TcpListener::bind("127.0.0.1:0").unwrap(), NotConnected, None);
}

fn kind_not_connected_while_connecting() {
    nft("table inet wall {
           chain out {
             type filter hook output priority 0
             tcp dport 8080 drop
           }
         }\n");
    for at in loopbacks(8080) {
        let socket = tcp(at);
        socket.set_nonblocking(true).unwrap();
        socket.connect(&at.into()).unwrap_err();
        assert_kinds(&socket, NotConnected, None);
    }
}

fn kind_not_connected_after_a_reset() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        let stack = fresh();
        far.reset();
        eventually("reset", || server.peer_addr().is_err());
        let error = stack.try_get_partner_info(&server, WHO).unwrap_err();
        assert_eq!(error.kind(), NotConnected);
        assert_eq!(who(&server), "NotConnected");
    }
}

fn kind_too_late_for_a_set_on_a_connected_socket() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = connect(at);
        let server = accept(&listener);
        for socket in [&client, &server] {
            let error = fresh().set_partner_info(socket, WHO).unwrap_err();
            assert_eq!(error.kind(), TooLate);
        }
    }
}

fn kind_not_tcp_for_a_descriptor_that_became_something_else() {
    let stack = fresh();
    let listener = listen(address("127.0.0.1:8080"));
    let _client = connect(address("127.0.0.1:8080"));
    let server = accept(&listener);
    assert_eq!(say(&get(&stack, &server, WHO, PATIENCE)), "user 0");
    let number = server.as_raw_fd();
    raw::put_in_place_of(number, &File::open("/dev/null").unwrap());
    assert_eq!(stack.try_get_partner_info(&server, WHO).unwrap_err().kind(), NotTcp);
    raw::put_in_place_of(number, &tcp(address("127.0.0.1:0")));
    assert_eq!(stack.try_get_partner_info(&server, WHO).unwrap_err().kind(), NotConnected);
    raw::put_in_place_of(number, &UnixStream::pair().unwrap().0);
    assert_eq!(stack.try_get_partner_info(&server, WHO).unwrap_err().kind(), NotTcp);
}

fn kind_not_requested_without_a_set_and_starts_nothing() {
    for at in loopbacks(8080) {
        let stack = fresh();
        let listener = listen(at);
        let _client = connect(at);
        let server = accept(&listener);
        for _ in 0..5 {
            let error = stack.try_get_partner_info(&server, WHO).unwrap_err();
            assert_eq!(error.kind(), NotRequested);
            // A get that waits with nothing to wait is the same call.
            let zero = get(&stack, &server, WHO, std::time::Duration::ZERO);
            assert_eq!(say(&zero), "NotRequested");
        }
        // What a waiting get saved, a get without waiting may have.
        assert_eq!(say(&get(&stack, &server, WHO, PATIENCE)), "user 0");
        assert_eq!(say(&stack.try_get_partner_info(&server, WHO)), "user 0");
        assert_eq!(say(&get(&stack, &server, WHO, std::time::Duration::ZERO)), "user 0");
    }
}

fn kind_in_progress_once_after_a_set() {
    for at in loopbacks(8080) {
        let stack = fresh();
        let listener = listen(at);
        let client = tcp(at);
        stack.set_partner_info(&client, WHO).unwrap();
        client.connect(&at.into()).unwrap();
        let _server = accept(&listener);
        let first = stack.try_get_partner_info(&client, WHO);
        assert_eq!(say(&first), "InProgress");
        assert_eq!(first.unwrap_err().kind(), InProgress);
        eventually("found", || say(&stack.try_get_partner_info(&client, WHO)) == "user 0");
        // The same by way of the call that could wait.
        let client = tcp(at);
        stack.set_partner_info(&client, WHO).unwrap();
        client.connect(&at.into()).unwrap();
        let _server = accept(&listener);
        let zero = || say(&get(&stack, &client, WHO, std::time::Duration::ZERO));
        assert_eq!(zero(), "InProgress");
        eventually("found", || zero() == "user 0");
    }
}

fn kind_unsupported_without_a_resolver() {
    let listener = listen(address("127.0.0.1:8080"));
    let _client = connect(address("127.0.0.1:8080"));
    let server = accept(&listener);
    let nobody = partner_info::Stack::builder().resolvers([]).build();
    assert_eq!(say(&get(&nobody, &server, WHO, PATIENCE)), "Unsupported");
}

fn kind_io_when_no_descriptor_is_left() {
    let asker = Puppet::new(1000);
    let listener = asker.listen(address("127.0.0.1:8080"));
    let _client = connect(address("127.0.0.1:8080"));
    let server = listener.accept();
    assert_eq!(server.must("poll-without-descriptors"), "Io, then user 0");
}

/// In a puppet: what a set and a get without waiting come to when nothing more can be opened, and
/// what when it can again.
pub(crate) fn poll_without_descriptors(socket: &Socket) -> std::io::Result<String> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let stack = fresh();
    let (most, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard)?;
    let without = say(&stack.try_get_partner_info(socket, WHO));
    setrlimit(Resource::RLIMIT_NOFILE, most, hard)?;
    Ok(format!("{without}, then {}", say(&get(&stack, socket, WHO, PATIENCE))))
}

fn every_refusal_has_the_errno_of_its_kind() {
    let listener = listen(address("127.0.0.1:8080"));
    let client = connect(address("127.0.0.1:8080"));
    let server = accept(&listener);
    let stack = fresh();
    let errno = |answer: Result<PartnerInfo, partner_info::Error>| {
        std::io::Error::from(answer.unwrap_err())
            .into_inner()
            .unwrap()
            .downcast::<partner_info::Error>()
            .unwrap()
            .raw_os_error()
    };
    let poll = |socket: &Socket| stack.try_get_partner_info(socket, WHO);
    assert_eq!(errno(poll(&server)), Some(libc::EAGAIN));
    assert_eq!(errno(poll(&listener)), Some(libc::ENOTCONN));
    let udp = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    assert_eq!(errno(poll(&udp)), Some(libc::EPROTOTYPE));
    let late = stack.set_partner_info(&client, WHO).unwrap_err();
    assert_eq!(late.raw_os_error(), Some(libc::EOPNOTSUPP));
    drop(client);
    eventually("gone", || {
        let gone = get(&fresh(), &server, PartnerRequest::USER_ID, PATIENCE);
        gone.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
    });
}
