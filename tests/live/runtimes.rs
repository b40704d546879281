//! Gets without tokio, about partners of other users: in this network namespace, and by the agent in
//! another.

use std::time::Duration;

use partner_info::prelude::*;

use super::each::Runtime;
use super::puppet::Puppet;
use super::support::{PATIENCE, accept, connect, eventually, fresh, listen, loopbacks, say};

#[cfg(not(feature = "agent"))]
super::tests![
    each_runtime_names_the_user,
    each_runtime_polls_for_the_user_of_a_set,
    each_runtime_waits_for_a_user_who_accepts_late,
];
#[cfg(feature = "agent")]
super::tests![
    each_runtime_names_the_user,
    each_runtime_polls_for_the_user_of_a_set,
    each_runtime_waits_for_a_user_who_accepts_late,
    h18_each_runtime_hears_the_agent_about_a_partner_in_another_namespace,
    each_runtime_gives_up_an_agent_that_does_not_answer,
];

const WHO: PartnerRequest = PartnerRequest::USER_ID;

fn each_runtime_names_the_user() {
    let clients = [(1000, Puppet::new(1000)), (1001, Puppet::new(1001))];
    for at in loopbacks(8080) {
        let listener = listen(at);
        for runtime in Runtime::ALL {
            for (uid, client) in &clients {
                let _near = client.connect(at);
                let server = accept(&listener);
                let answer = runtime.get(&fresh(), &server, WHO, PATIENCE);
                assert_eq!(say(&answer), format!("user {uid}"), "{runtime:?}");
            }
        }
    }
}

fn each_runtime_polls_for_the_user_of_a_set() {
    let client = Puppet::new(1000);
    for at in loopbacks(8080) {
        let listener = listen(at);
        for runtime in Runtime::ALL {
            let stack = fresh();
            stack.set_partner_info(&listener, WHO).unwrap();
            let _near = client.connect(at);
            let server = accept(&listener);
            assert_eq!(say(&runtime.poll(&stack, &server, WHO)), "InProgress", "{runtime:?}");
            eventually("it is known", || {
                let said = say(&runtime.poll(&stack, &server, WHO));
                assert!(["InProgress", "user 1000"].contains(&&*said), "{runtime:?}: {said}");
                said == "user 1000"
            });
        }
    }
}

fn each_runtime_waits_for_a_user_who_accepts_late() {
    let server = Puppet::new(1001);
    for at in loopbacks(8080) {
        let listener = server.listen(at);
        for runtime in Runtime::ALL {
            let client = connect(at);
            let stack = fresh();
            std::thread::scope(|scope| {
                let get = scope.spawn(|| runtime.get(&stack, &client, WHO, PATIENCE));
                std::thread::sleep(Duration::from_millis(60));
                let _far = listener.accept();
                assert_eq!(say(&get.join().unwrap()), "user 1001", "{runtime:?}");
            });
        }
    }
}

/// No runtime is there to take in what the agent says.
#[cfg(feature = "agent")]
fn h18_each_runtime_hears_the_agent_about_a_partner_in_another_namespace() {
    use super::agent::places::{addresses, two_stacks};
    let (_there, agent, _server, client) = two_stacks(super::agent::daemon::OPEN);
    for at in addresses(1, 1, 8080) {
        let listener = listen(at);
        for runtime in Runtime::ALL {
            for what in [WHO, WHO | PartnerRequest::UTOKEN] {
                let _near = client.connect(at);
                let server = accept(&listener);
                let stack = partner_info::Stack::builder().agent(agent.socket()).build();
                let answer = runtime.get(&stack, &server, what, PATIENCE);
                assert_eq!(say(&answer), "user 1001", "{runtime:?}");
                let info = answer.unwrap();
                let holder = info.token().map(|token| token.pid().unwrap().as_raw());
                let expected = what.contains(PartnerRequest::UTOKEN).then(|| client.pid());
                assert_eq!(holder, expected, "{runtime:?}");
            }
        }
    }
}

#[cfg(feature = "agent")]
fn each_runtime_gives_up_an_agent_that_does_not_answer() {
    use super::agent::places::{addresses, two_stacks};
    let (_there, agent, _server, client) = two_stacks(super::agent::daemon::OPEN);
    let silent = agent.file("silent");
    // It is believed: it is root's.
    let root = Puppet::new(0);
    root.must(&format!("impostor silent {}", silent.display()));
    let [at, _] = addresses(1, 1, 8080);
    let listener = listen(at);
    let _near = client.connect(at);
    let ours = accept(&listener);
    for runtime in Runtime::ALL {
        let stack = partner_info::Stack::builder().agent(&silent).build();
        let said = say(&runtime.get(&stack, &ours, WHO, Duration::from_millis(120)));
        assert_eq!(said, "TimedOut", "{runtime:?}");
    }
    assert!(root.must("impostor-heard").parse::<u32>().unwrap() >= 4);
}
