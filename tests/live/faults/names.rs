//! A name service that never answers, asked by many at once (H29). One get at a time: `live/names`.

use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use partner_info::{AccountNames, Stack, prelude::*};
use tokio::net::TcpStream;

use super::super::puppet::Puppet;
use super::super::support::{accept, eventually, fresh, get, listen, loopbacks, say};

super::scenes![h29_a_name_service_that_hangs_holds_two_threads_and_nobody_s_get];

/// Longer than the scene; its threads end with its process.
const FOR_EVER: Duration = Duration::from_secs(600);

struct Hangs;

impl AccountNames for Hangs {
    fn name_of(&self, _: u32) -> io::Result<Option<String>> {
        std::thread::sleep(FOR_EVER);
        Ok(None)
    }

    fn group_name_of(&self, _: u32) -> io::Result<Option<String>> {
        std::thread::sleep(FOR_EVER);
        Ok(None)
    }
}

/// Threads of this process that ask for names. The kernel keeps 15 letters of what they are called.
fn asking_for_names() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .filter(|name| name.starts_with("partner-info-na"))
        .count()
}

fn h29_a_name_service_that_hangs_holds_two_threads_and_nobody_s_get() {
    let [at, _] = loopbacks(8080);
    let listener = listen(at);
    let users = 2_000..2_008;
    let clients: Vec<Puppet> = users.clone().map(Puppet::new).collect();
    let servers: Vec<_> = (0..64)
        .map(|n| {
            clients[n % clients.len()].connect(at);
            accept(&listener)
        })
        .collect();
    let stack = Stack::builder().account_names(Hangs).name_patience(FOR_EVER).build();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ask = |timeout| {
        let streams: Vec<_> = servers
            .iter()
            .map(|server| {
                server.set_nonblocking(true).unwrap();
                server.try_clone().unwrap().into()
            })
            .collect();
        let stack = stack.clone();
        async move {
            let gets = streams.into_iter().map(|stream| async {
                let stream = TcpStream::from_std(stream).unwrap();
                stack.get_partner_info(&stream, PartnerRequest::USER_ID, timeout).await
            });
            join_all(gets).await
        }
    };
    // The number is proven, and the deadline ends the wait for the name: not an error.
    for _ in 0..3 {
        let answers = runtime.block_on(ask(Duration::from_millis(200)));
        for (n, answer) in answers.iter().enumerate() {
            let user = answer.as_ref().unwrap().user().unwrap();
            let expected = users.start + u32::try_from(n % clients.len()).unwrap();
            assert_eq!((user.uid(), user.name()), (expected, None));
        }
        assert!(asking_for_names() <= 2, "{} threads", asking_for_names());
    }
    for server in &servers {
        stack.forget_partner(server).unwrap();
    }
    // Gets that wait for names for ever, and are dropped with their runtime.
    runtime.spawn({
        let gets = ask(FOR_EVER);
        async move { drop(gets.await) }
    });
    let waits = |server| {
        let poll = stack.try_get_partner_info(server, PartnerRequest::USER_ID);
        poll.is_err_and(|error| error.kind() == partner_info::ErrorKind::AlreadyInProgress)
    };
    eventually("all wait", || servers.iter().all(waits));
    assert!(asking_for_names() <= 2, "{} threads", asking_for_names());
    // Another stack's are not hurt, and neither is routing, which has no name, of this one.
    assert_eq!(say(&get(&fresh(), &servers[1], PartnerRequest::USER_ID, FOR_EVER)), "user 2001");
    drop(runtime);
    assert!(servers.iter().all(|server| !waits(server)), "a get that was dropped waits still");
    let routing = get(&stack, &servers[0], PartnerRequest::empty(), Duration::from_millis(200));
    assert_eq!(say(&routing), "routing 14");
    // The threads that hang hold up neither this nor the end of the process.
    drop(stack);
}
