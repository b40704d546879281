//! The namespaces that an agent is told to look at.

use std::path::{Path, PathBuf};

use super::super::puppet::{Puppet, connected};
use super::super::support::{eventually, loopbacks, run};
use super::daemon::{OPEN, Partnerd, puppet_of};
use super::places::{addresses, neighbour};

crate::harness::tests![
    an_agent_of_its_own_namespace_answers_for_no_other,
    an_agent_answers_for_the_namespaces_that_are_listed,
    two_agents_answer_each_for_its_own,
    a_listed_namespace_may_be_made_anew,
    a_namespace_that_is_kept_by_a_mount_alone_is_found,
];

/// A file that stands for the namespace of a process.
fn file_of(puppet: &Puppet) -> PathBuf {
    format!("/proc/{}/ns/net", puppet.pid()).into()
}

fn listed(files: &[&Path]) -> String {
    format!("namespaces = {files:?}")
}

fn an_agent_of_its_own_namespace_answers_for_no_other() {
    let there = neighbour(1);
    let agent = Partnerd::configured(OPEN, "namespaces = \"own\"");
    let (here, local) = (agent.puppet(1000), agent.puppet(1002));
    let (server, client) = there.run(|| (agent.puppet(1003), agent.puppet(1001)));
    for at in addresses(1, 1, 8080) {
        let listener = here.listen(at);
        let near = client.connect(at);
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "OutsideCluster", "{at}");
        assert_eq!(far.must("anew routing 5000"), "routing 1", "{at}");
        assert_eq!(near.must("anew user 5000"), "StackNotServed", "{at}");
        let _near = local.connect(at);
        let far = listener.accept();
        assert_eq!(far.must("anew token 5000"), super::daemon::token(1002, &local), "{at}");
    }
    // The kernel tells the user; the processes would be the agent's to tell.
    for at in loopbacks(8081) {
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        assert_eq!(far.must("anew token 5000"), "user 1001 holders - gap no-right", "{at}");
    }
}

fn an_agent_answers_for_the_namespaces_that_are_listed() {
    let [one, two] = [neighbour(1), neighbour(2)];
    let resident = one.run(|| Puppet::new(1));
    let agent = Partnerd::configured(OPEN, &listed(&[&file_of(&resident)]));
    let server = agent.puppet(1000);
    let known = one.run(|| agent.puppet(1001));
    let unknown = two.run(|| agent.puppet(1002));
    for n in 0..2 {
        let at = addresses(1, 1, 8080)[n];
        let listener = server.listen(at);
        let near = known.connect(at);
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
        let at = addresses(2, 1, 8080)[n];
        let listener = server.listen(at);
        let near = unknown.connect(at);
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "OutsideCluster", "{at}");
        assert_eq!(near.must("anew user 5000"), "StackNotServed", "{at}");
    }
}

fn two_agents_answer_each_for_its_own() {
    let [one, two] = [neighbour(1), neighbour(2)];
    let first = one.run(|| Puppet::new(1001));
    let second = two.run(|| Puppet::new(1002));
    let agents = [&first, &second]
        .map(|resident| Partnerd::configured(OPEN, &listed(&[&file_of(resident)])));
    for (asked, right) in
        [(0, ["user 1001", "OutsideCluster"]), (1, ["OutsideCluster", "user 1002"])]
    {
        let server = puppet_of(&agents[asked].socket(), 1000);
        for (n, client, said) in [(1, &first, right[0]), (2, &second, right[1])] {
            for at in addresses(n, 1, 8080) {
                let listener = server.listen(at);
                let _near = client.connect(at);
                assert_eq!(listener.accept().must("anew user 5000"), said, "{at}");
            }
        }
    }
    // The one knows nothing of what the other was asked.
    for agent in &agents {
        eventually("all is recorded", || agent.audit().lines().count() >= 4);
        assert_eq!(agent.audit().lines().count(), 4);
    }
}

/// A file that a namespace is bound to, as ip-netns(8) makes it.
struct Bound(PathBuf);

impl Bound {
    fn new(path: PathBuf, namespace: &Path) -> Self {
        std::fs::write(&path, "").unwrap();
        run(&format!("mount --bind {} {}", namespace.display(), path.display()));
        Self(path)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // The agent may be looking at it.
        run(&format!("umount --lazy {}", self.0.display()));
    }
}

fn a_listed_namespace_may_be_made_anew() {
    let agent = Partnerd::prepare(Some(OPEN), "");
    let path = agent.file("web");
    agent.configure(true, &listed(&[&path]));
    // It is not there yet.
    agent.run();
    let server = agent.puppet(1000);
    for (n, uid) in [(1, 1001), (2, 1002)] {
        let there = neighbour(n);
        let client = there.run(|| agent.puppet(uid));
        let [at, _] = addresses(n, 1, 8080);
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "OutsideCluster", "{at}");
        assert_eq!(near.must("anew user 5000"), "StackNotServed", "{at}");
        let bound = Bound::new(path.clone(), &file_of(&client));
        eventually("it is found", || far.must("anew user 5000") == format!("user {uid}"));
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
        drop(bound);
        eventually("it is served no more", || {
            // What is asked about is kept for a moment, each time.
            std::thread::sleep(std::time::Duration::from_millis(300));
            near.must("anew user 5000") == "StackNotServed"
        });
    }
}

/// Nobody is in it, but a socket is that somebody outside holds.
fn a_namespace_that_is_kept_by_a_mount_alone_is_found() {
    let agent = Partnerd::start(OPEN);
    let there = neighbour(1);
    let name = format!("partner-info-{}", std::process::id());
    let resident = there.run(|| Puppet::new(1));
    run(&format!("ip netns attach {name} {}", resident.pid()));
    let _named = Named(name);
    resident.kill();
    let server = agent.puppet(1000);
    for at in addresses(1, 1, 8080) {
        let listener = server.listen(at);
        let near = there.run(|| super::super::support::connect(at));
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "user 0", "{at}");
        drop(near);
    }
}

/// A name of ip-netns(8).
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        run(&format!("ip netns del {}", self.0));
    }
}
