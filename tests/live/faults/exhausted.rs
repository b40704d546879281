//! No descriptor, no memory, no room for replies: each is an error that says so, and is over when
//! its cause is.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use partner_info::{Error, ErrorKind, PartnerInfo, Stack, prelude::*};
use seccompiler::SeccompCmpOp;
use socket2::Socket;

use super::super::sandbox::{argument, refuse};
use super::super::support::{PATIENCE, fresh, get, say};
use super::partner;

super::scenes![
    h25_replies_that_are_lost_each_time_are_an_error_and_then_no_more,
    kind_io_says_that_the_kernel_makes_no_socket,
    kind_io_says_that_a_descriptor_was_missing_for_any_part_of_an_answer,
];

const WHO: PartnerRequest = PartnerRequest::USER_ID;
const ALL: PartnerRequest = PartnerRequest::all();

/// Asserts that the system call's own error came, and that the message says more than its number.
#[track_caller]
fn assert_io(answer: Result<PartnerInfo, Error>, errno: i32) {
    let error = answer.expect_err("a fault");
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Io, Some(errno)), "{error}");
    let system = std::io::Error::from_raw_os_error(errno).to_string();
    let said = error.to_string();
    assert!(said.ends_with(&system) && said.len() > system.len() + 5, "{said}");
}

/// The fault holds for descriptors from this number on, so that a crowd of others begins it, and
/// ends it.
const FROM: usize = 200;

fn crowd() -> Vec<OwnedFd> {
    (super::descriptors()..FROM + 1)
        .map(|_| std::fs::File::open("/dev/null").unwrap().into())
        .collect()
}

fn h25_replies_that_are_lost_each_time_are_an_error_and_then_no_more() {
    let (_client, server) = partner();
    let calls: [(&str, &[libc::c_long]); 2] = [
        ("sent", &[libc::SYS_sendto, libc::SYS_sendmsg]),
        ("received", &[libc::SYS_recvfrom, libc::SYS_recvmsg]),
    ];
    for (what, calls) in calls {
        for errno in [libc::ENOBUFS, libc::ENOMEM, libc::EINTR, libc::EAGAIN] {
            // The filter stays with its thread, and so does the netlink socket: closed when it ends.
            std::thread::scope(|scope| {
                let asking = scope.spawn(|| {
                    refuse(calls, &argument(SeccompCmpOp::Ge, FROM as u64), errno);
                    let crowd = crowd();
                    let stack = fresh();
                    assert_io(get(&stack, &server, WHO, PATIENCE), errno);
                    let again = get(&stack, &server, PartnerRequest::empty(), PATIENCE);
                    assert_io(again, errno);
                    drop(crowd);
                    let said = say(&get(&stack, &server, WHO, PATIENCE));
                    assert_eq!(said, "user 1001", "{what}, {errno}");
                });
                asking.join().unwrap();
            });
        }
    }
}

fn kind_io_says_that_the_kernel_makes_no_socket() {
    let (_client, server) = partner();
    for errno in [libc::ENOBUFS, libc::ENOMEM, libc::EMFILE, libc::ENFILE] {
        let stack = fresh();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let netlink = u64::try_from(libc::AF_NETLINK).unwrap();
                refuse(&[libc::SYS_socket], &argument(SeccompCmpOp::Eq, netlink), errno);
                assert_io(get(&stack, &server, WHO, PATIENCE), errno);
                assert_io(stack.try_get_partner_info(&server, WHO), errno);
            });
        });
        // By a thread without the filter.
        assert_eq!(say(&get(&stack, &server, WHO, PATIENCE)), "user 1001", "{errno}");
    }
}

/// Whatever an answer is made of that takes a descriptor: the netlink socket, the map of users,
/// the processes, the facts of this host.
fn kind_io_says_that_a_descriptor_was_missing_for_any_part_of_an_answer() {
    let (client, server) = partner();
    let whole = told(&get(&fresh(), &server, ALL, PATIENCE));
    assert!(whole.starts_with("1001 held by 1 "), "{whole}");
    let (mut failed, mut answered) = (0, 0);
    for free in 0..16 {
        for what in [WHO, ALL] {
            let stack = fresh();
            let answer = with_few_descriptors(free, &stack, &server, (what, PATIENCE));
            if answer.is_ok() {
                answered += 1;
                if what == ALL {
                    assert_eq!(told(&answer), whole, "with {free} descriptors");
                }
            } else {
                failed += 1;
                assert_io(answer, libc::EMFILE);
            }
            // Nothing of it is kept.
            let later = get(&stack, &server, ALL, PATIENCE);
            assert_eq!(told(&later), whole, "after {free} descriptors");
        }
    }
    assert!(failed > 3 && answered > 3, "staging: {failed} failed, {answered} were answered");
    drop(client);
}

/// All that must not be lacking.
fn told(answer: &Result<PartnerInfo, Error>) -> String {
    let info = match answer {
        Ok(info) => info,
        Err(error) => return error.to_string(),
    };
    let token = info.token().expect("asked for");
    let holders: Vec<_> = token
        .holders()
        .iter()
        .map(|one| {
            let facts = (one.executable().is_some(), one.started().is_some());
            format!("{} {facts:?} {:?}", one.pid(), one.process_user())
        })
        .collect();
    let (node, gap) = (token.execution_node(), token.holders_gap());
    let node = (node.host_name().is_some(), node.boot_id().is_some());
    format!("{} held by {} {holders:?} {gap:?} {node:?}", info.user().unwrap().uid(), holders.len())
}

/// The number above so many that are not open: the limit is one of numbers.
fn unused_number(free: usize) -> u64 {
    let open = super::open_numbers();
    let number = (0..).filter(|number| !open.contains(number)).nth(free).unwrap();
    u64::try_from(number).unwrap()
}

/// A get on a thread that has asked nothing yet, while this process may open so many descriptors.
pub(crate) fn with_few_descriptors(
    free: usize,
    stack: &Stack,
    server: &Socket,
    (what, timeout): (PartnerRequest, Duration),
) -> Result<PartnerInfo, Error> {
    let server = server.try_clone().unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            server.set_nonblocking(true).unwrap();
            runtime.block_on(async {
                let stream = tokio::net::TcpStream::from_std(server.into()).unwrap();
                let (most, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
                setrlimit(Resource::RLIMIT_NOFILE, unused_number(free), hard).unwrap();
                let answer = stack.get_partner_info(&stream, what, timeout).await;
                setrlimit(Resource::RLIMIT_NOFILE, most, hard).unwrap();
                answer
            })
        });
        asked.join().unwrap()
    })
}
