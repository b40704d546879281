//! An agent, or its caller, that lacks something: descriptors, disk, time on a processor.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use partner_info::{ErrorKind, Resolver, Stack, prelude::*};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::super::faults::exhausted::with_few_descriptors;
use super::super::faults::runtimes::{wait_in, waits};
use super::super::puppet::connected;
use super::super::support::{PATIENCE, SHORT, accept, eventually, get, listen, say};
use super::daemon::{OPEN, Partnerd};
use super::places::{addresses, listening_here, neighbour, two_stacks};
use super::speaker::{Speaker, USER, question};

crate::harness::tests![
    an_agent_without_descriptors_says_so_and_answers_when_it_has_some,
    an_agent_whose_disk_is_full_answers_on_or_refuses_as_it_is_told,
    an_agent_that_stands_still_leaves_polls_in_progress,
    gets_that_end_with_their_runtime_while_the_agent_stands_still_are_free,
];

mod scenes {
    use super::a_caller_without_descriptors_is_answered_when_it_has_some;
    crate::harness::faults::scenes![a_caller_without_descriptors_is_answered_when_it_has_some];
}
pub(super) use scenes::{SCENES, TESTS as SCENE_TESTS};

/// Lets the agent open nothing more, or all that it may.
fn limit_descriptors(agent: &Partnerd, current: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(agent.pid()).unwrap());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: current.or(maximum), maximum }).unwrap();
}

fn an_agent_without_descriptors_says_so_and_answers_when_it_has_some() {
    let (_there, agent, server, client) = two_stacks(OPEN);
    let [at, other_at] = addresses(1, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    let (_other_near, other_far) = connected(&server, &client, other_at);
    // Connected before, as a server is.
    assert_eq!(far.must("ask user 5000"), "user 1001");
    let speaker = Speaker::new(&agent.socket());
    let listener = listen("127.0.0.1:8080".parse().unwrap());
    let _here = super::super::support::connect("127.0.0.1:8080".parse().unwrap());
    let passed = accept(&listener);
    assert_eq!(speaker.ask(&question(1, USER), &[passed.as_fd()]).what, "user 0");
    let before = agent.descriptors();
    limit_descriptors(&agent, Some(1));
    for number in 2..10 {
        let said = speaker.ask(&question(number, USER), &[passed.as_fd()]);
        assert_eq!((said.number, &*said.what), (number, "failed"));
        assert!(said.text.contains("LimitNOFILE"), "{}", said.text);
    }
    assert_eq!(other_far.must("ask user 5000"), "Agent");
    // A caller that it does not know yet is not taken in, and waits in the queue.
    assert_eq!(other_far.must("anew user 300"), "TimedOut");
    limit_descriptors(&agent, None);
    assert_eq!(other_far.must("ask user 5000"), "user 1001");
    assert_eq!(other_far.must("anew user 5000"), "user 1001");
    assert_eq!(speaker.ask(&question(10, USER), &[passed.as_fd()]).what, "user 0");
    eventually("nothing is left open", || agent.descriptors() <= before);
    // And it was not held against the caller as what is no question.
    assert!(agent.audit().contains("out-of-descriptors") && !agent.audit().contains("malformed"));
}

fn an_agent_whose_disk_is_full_answers_on_or_refuses_as_it_is_told() {
    let there = neighbour(1);
    for (on_failure, meanwhile, port) in
        [("continue", "user 1001", 8080), ("refuse", "Agent", 8081)]
    {
        let agent = Partnerd::prepare(Some(OPEN), "");
        let config = format!(
            "policy = {:?}\n[socket]\npath = {:?}\n[audit]\nfile = {:?}\njournald = false\n\
             on_failure = {on_failure:?}\n",
            agent.file("policy.toml"),
            agent.socket(),
            agent.file("disk/audit.jsonl"),
        );
        agent.write("partnerd.toml", &config);
        // More than the agent keeps of what it cannot write.
        agent.run_on_a_disk("disk", "8m");
        let audit = || fs::read_to_string(agent.file_within("disk/audit.jsonl")).unwrap();
        let (server, client) = (agent.puppet(1000), there.run(|| agent.puppet(1001)));
        let [at, _] = addresses(1, 1, port);
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1001");
        eventually("it is recorded", || audit().lines().count() == 1);
        let filler = agent.file_within("disk/filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        eventually("the disk is full", || {
            far.must("anew user 5000");
            agent.log().contains("the audit cannot be written")
        });
        for _ in 0..5 {
            assert_eq!(far.must("anew user 5000"), meanwhile, "{on_failure}");
        }
        let full = audit();
        assert!(full.ends_with('\n'), "whole lines: {full}");
        drop(file);
        fs::remove_file(&filler).unwrap();
        eventually("it answers", || far.must("anew user 5000") == "user 1001");
        eventually("it records", || {
            far.must("anew user 5000");
            audit().lines().count() > full.lines().count()
        });
        for line in audit().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["version"], 1);
        }
    }
}

fn an_agent_that_stands_still_leaves_polls_in_progress() {
    let (_there, agent, server, client) = two_stacks(OPEN);
    let [at, _] = addresses(1, 1, 8080);
    let listener = server.listen(at);
    let near = client.tcp(at);
    assert_eq!(near.must("set user"), "set");
    // It is known, and connected to.
    let (first, _far) = (client.connect(at), listener.accept());
    assert_eq!(first.must("ask user 5000"), "user 1000");
    near.connect(at).unwrap();
    let _far = listener.accept();
    agent.signal("STOP");
    for _ in 0..20 {
        assert_eq!(near.must("try user"), "InProgress");
    }
    assert_eq!(near.must("ask user 200"), "TimedOut");
    assert_eq!(near.must("try user"), "InProgress");
    agent.signal("CONT");
    eventually("the answer is there", || near.must("try user") == "user 1000");
    assert_eq!(near.must("ask user 5000"), "user 1000");
}

fn gets_that_end_with_their_runtime_while_the_agent_stands_still_are_free() {
    let (_there, agent, client, at, listener) = listening_here();
    let servers: Vec<_> = (0..20)
        .map(|_| {
            client.connect(at);
            accept(&listener)
        })
        .collect();
    let stack = Stack::builder().agent(agent.socket()).name_patience(Duration::ZERO).build();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    };
    let who = |server| say(&get(&stack, server, PartnerRequest::USER_ID, PATIENCE));
    assert_eq!(who(&servers[0]), "user 1001");
    stack.forget_partner(&servers[0]).unwrap();
    for end in [drop, tokio::runtime::Runtime::shutdown_background] {
        agent.signal("STOP");
        let first = runtime();
        wait_in(&first, &stack, &servers);
        end(first);
        eventually("all are free", || !servers.iter().any(|server| waits(&stack, server)));
        let said = say(&get(&stack, &servers[0], PartnerRequest::USER_ID, SHORT));
        assert_eq!(said, "TimedOut");
        agent.signal("CONT");
        for server in &servers {
            assert_eq!(who(server), "user 1001");
            stack.forget_partner(server).unwrap();
        }
    }
}

fn a_caller_without_descriptors_is_answered_when_it_has_some() {
    let (_there, agent, client, at, listener) = listening_here();
    client.connect(at);
    let server = accept(&listener);
    let (mut short, mut late, mut answered) = (0, 0, 0);
    // Without the kernel's word there is one descriptor to open: that to the agent.
    let resolvers: [&[Resolver]; 2] = [&[Resolver::Kernel, Resolver::Agent], &[Resolver::Agent]];
    for (free, resolvers) in (0..6).flat_map(|free| resolvers.map(|resolvers| (free, resolvers))) {
        let stack = Stack::builder()
            .agent(agent.socket())
            .resolvers(resolvers.iter().copied())
            .name_patience(Duration::ZERO)
            .build();
        let what = (PartnerRequest::USER_ID, Duration::from_millis(300));
        match with_few_descriptors(free, &stack, &server, what) {
            Ok(info) => {
                assert_eq!(info.user().unwrap().uid(), 1001);
                answered += 1;
            }
            Err(error) if error.kind() == ErrorKind::Io => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
                short += 1;
            }
            // The agent could be connected to at any moment of the wait.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                late += 1;
            }
        }
        let later = get(&stack, &server, PartnerRequest::USER_ID, PATIENCE);
        assert_eq!(say(&later), "user 1001", "after {free} descriptors");
    }
    assert!(short > 0 && late > 0 && answered > 0, "staging: {short}, {late}, {answered}");
}
