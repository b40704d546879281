//! The calls that ask for a token, and what they promise.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use partner_info::ErrorKind;
use partner_info::prelude::*;
use tokio::io::AsyncReadExt;

use super::actor::Actor;
use super::support::{PATIENCE, accept, eventually, fresh, get, listener, pids, run, tests};

tests![
    TESTS:
    without_waiting_the_token_is_asked_for_and_comes_later,
    a_get_that_times_out_leaves_the_retrieval_going_on,
    a_dropped_get_takes_nothing_and_blocks_nothing,
    a_thousand_gets_at_once_are_all_answered_by_a_few_threads,
    a_request_for_the_user_alone_has_no_token,
    #[cfg(feature = "serde")]
    a_token_is_written_with_its_version,
];

fn without_waiting_the_token_is_asked_for_and_comes_later() {
    run(async {
        let stack = fresh();
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {address}"));
        let stream = accept(&listener).await;
        let ask = |stream| stack.try_get_partner_info(stream, PartnerRequest::UTOKEN);
        assert_eq!(ask(&stream).unwrap_err().kind(), ErrorKind::NotRequested);

        stack.set_partner_info(&listener, PartnerRequest::UTOKEN).unwrap();
        actor.call("socket");
        actor.call(&format!("connect {address}"));
        let stream = accept(&listener).await;
        assert_eq!(ask(&stream).unwrap_err().kind(), ErrorKind::InProgress);
        let mut info = None;
        eventually("the token", || match ask(&stream) {
            Ok(found) => {
                info = Some(found);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InProgress, "{error}");
                false
            }
        });
        assert_eq!(pids(info.unwrap().token().unwrap()), [actor.pid()]);
        assert!(ask(&stream).is_ok(), "saved");
    });
}

fn a_get_that_times_out_leaves_the_retrieval_going_on() {
    run(async {
        let listener = listener().await;
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let stream = accept(&listener).await;
        // Shorter than it takes to read anything, unless this thread is kept from running.
        let moment = Duration::from_nanos(1);
        let mut timed_out = None;
        for _ in 0..100 {
            let stack = fresh();
            match stack.get_partner_info(&stream, PartnerRequest::UTOKEN, moment).await {
                Ok(info) => assert_eq!(pids(info.token().unwrap()), [actor.pid()]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                    timed_out = Some(stack);
                    break;
                }
            }
        }
        let stack = timed_out.expect("one of them timed out");
        eventually("the token", || {
            stack.try_get_partner_info(&stream, PartnerRequest::UTOKEN).is_ok()
        });
        let info = get(&stack, &stream).now_or_never().expect("saved").unwrap();
        assert_eq!(pids(info.token().unwrap()), [actor.pid()]);
    });
}

fn a_dropped_get_takes_nothing_and_blocks_nothing() {
    run(async {
        let listener = listener().await;
        let mut actor = Actor::new();
        let mut dropped = 0;
        for _ in 0..20 {
            let stack = fresh();
            actor.call("socket");
            actor.call(&format!("connect {}", listener.local_addr().unwrap()));
            actor.call("send hello");
            let mut stream = accept(&listener).await;
            {
                let mut first = pin!(get(&stack, &stream));
                let polled = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                // Unless this thread was kept from running until the other one had read it.
                if polled.is_pending() {
                    dropped += 1;
                    let second = get(&stack, &stream).now_or_never().expect("refused at once");
                    assert_eq!(second.unwrap_err().kind(), ErrorKind::AlreadyInProgress);
                }
            }
            let info = get(&stack, &stream).await.unwrap();
            assert_eq!(pids(info.token().unwrap()), [actor.pid()]);
            let mut said = [0; 5];
            stream.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"hello");
        }
        assert!(dropped > 0, "none was dropped while it waited");
    });
}

fn a_thousand_gets_at_once_are_all_answered_by_a_few_threads() {
    // In a process of its own, whose threads can be counted.
    let mut asker = Actor::start("crowd", None);
    assert_eq!(asker.answer(), "all answered");
}

/// A process that asks about very many connections at once.
pub(crate) fn crowd() {
    /// More than may wait for the reading thread at a time.
    const CONNECTIONS: usize = 1_200;
    /// This one, the one that counts, the one that reads, those that help it to read and those that
    /// ask for names.
    const THREADS: usize = 1 + 1 + 1 + 3 + 2;

    super::support::raise_descriptor_limit();
    run(async {
        let stack = fresh();
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let mut actors = [Actor::new(), Actor::new(), Actor::new()];
        let mut expected = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS / actors.len() {
            for actor in &mut actors {
                actor.call("socket");
                actor.call(&format!("connect {address}"));
                streams.push(accept(&listener).await);
                expected.push(actor.pid());
            }
        }
        let done = Arc::new(AtomicBool::new(false));
        let counter = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(std::fs::read_dir("/proc/self/task").unwrap().count());
                    std::thread::sleep(Duration::from_micros(200));
                }
                most
            }
        });
        let gets = streams.iter().map(|stream| get(&stack, stream));
        let answers = futures_util::future::join_all(gets).await;
        done.store(true, Ordering::Relaxed);
        for (answer, pid) in answers.iter().zip(&expected) {
            assert_eq!(pids(answer.as_ref().unwrap().token().unwrap()), [*pid]);
        }
        let most = counter.join().unwrap();
        assert!((3..=THREADS).contains(&most), "{most} threads");
    });
    println!("all answered");
}

fn a_request_for_the_user_alone_has_no_token() {
    run(async {
        let stack = fresh();
        let listener = listener().await;
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let stream = accept(&listener).await;
        let info =
            stack.get_partner_info(&stream, PartnerRequest::USER_ID, PATIENCE).await.unwrap();
        assert!(info.token().is_none() && info.process_user().is_none());
        // What is asked for beyond that is retrieved with all the rest.
        let info = get(&stack, &stream).await.unwrap();
        assert_eq!(pids(info.token().unwrap()), [actor.pid()]);
        let info = stack.try_get_partner_info(&stream, PartnerRequest::USER_ID).unwrap();
        assert!(info.token().is_none(), "it was not asked for");
    });
}

#[cfg(feature = "serde")]
fn a_token_is_written_with_its_version() {
    run(async {
        let listener = listener().await;
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let stream = accept(&listener).await;
        let token = super::support::token(&stream).await;
        let written = serde_json::to_value(&token).unwrap();
        assert_eq!(written["version"], 1);
        assert_eq!(written["user"], rustix::process::geteuid().as_raw());
        let holder = &written["holders"][0];
        assert_eq!(holder["pid"], actor.pid());
        assert_eq!(holder["start_ticks"], token.holders()[0].start_ticks());
        assert_eq!(holder["executable"], std::env::current_exe().unwrap().to_str().unwrap());
        assert_eq!(written["holders_complete"], token.holders_complete());
        assert_eq!(written["flags"]["default"], false);
        assert_eq!(written["flags"]["remote"], false);
    });
}
