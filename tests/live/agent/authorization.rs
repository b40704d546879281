//! Who may ask, by the agent's policy.

use super::super::puppet::{Puppet, connected};
use super::super::support::eventually;
use super::daemon::{ONE, Partnerd, token};
use super::places::{addresses, neighbour};

crate::harness::tests![
    who_holds_no_read_is_told_why_not_and_nothing_else,
    who_is_permitted_or_root_is_answered,
    a_refused_caller_does_not_learn_whether_there_is_a_partner,
    a_refused_caller_is_told_of_its_own_stack_what_the_kernel_tells,
    groups_and_users_are_permitted_by_number_and_by_name,
    a_permit_of_none_beats_universal_access,
    without_a_policy_file_the_own_stack_is_answered_and_no_other,
    a_program_that_became_somebody_else_is_judged_as_that_one,
];

fn who_holds_no_read_is_told_why_not_and_nothing_else() {
    let there = neighbour(1);
    let agent = Partnerd::start(ONE);
    let server = agent.puppet(1001);
    let client = there.run(|| agent.puppet(1002));
    for at in addresses(1, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        for (end, uid) in [(&far, 1001), (&near, 1002)] {
            assert_eq!(end.must("anew user 5000"), "NotAuthorized");
            assert_eq!(end.must("anew token 5000"), "NotAuthorized");
            // Which needs no right.
            assert_eq!(end.must("anew routing 5000"), "routing 14");
            let why = end.must("why user 5000");
            let policy = agent.file("policy.toml");
            assert!(why.starts_with(&format!("uid {uid} (")), "{why}");
            assert!(why.contains(".TCPIP.PARTNERINFO: "), "{why}");
            let rule = format!(
                "universal access NONE of profile EZB.IOCTL.*.*.PARTNERINFO ({}:6)",
                policy.display()
            );
            assert!(why.contains(&rule), "{why}");
        }
    }
}

fn who_is_permitted_or_root_is_answered() {
    let there = neighbour(1);
    let agent = Partnerd::start(ONE);
    let client = there.run(|| agent.puppet(1002));
    for uid in [1000, 0] {
        let server = agent.puppet(uid);
        for at in addresses(1, 1, 8080) {
            let (_near, far) = connected(&server, &client, at);
            assert_eq!(far.must("anew user 5000"), "user 1002", "{uid} asks");
            assert_eq!(far.must("anew token 5000"), token(1002, &client), "{uid} asks");
        }
    }
}

fn a_refused_caller_does_not_learn_whether_there_is_a_partner() {
    let there = neighbour(1);
    let agent = Partnerd::start(ONE);
    let server = agent.puppet(1001);
    let client = there.run(|| agent.puppet(1002));
    let [at, _] = addresses(1, 1, 8080);
    let listener = server.listen(at);
    let near = client.connect(at);
    // Not yet accepted, there, and gone.
    assert_eq!(near.must("anew user 5000"), "NotAuthorized");
    let far = listener.accept();
    assert_eq!(far.must("anew user 5000"), "NotAuthorized");
    near.close();
    far.must("wait-for-end");
    assert_eq!(far.must("anew user 5000"), "NotAuthorized");
}

/// The agent's refusal does not take away what the kernel has proven.
fn a_refused_caller_is_told_of_its_own_stack_what_the_kernel_tells() {
    let agent = Partnerd::start(ONE);
    let (server, client) = (agent.puppet(1001), agent.puppet(1002));
    for at in super::super::support::loopbacks(8080) {
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1002");
        assert_eq!(far.must("anew token 5000"), "user 1002 holders - gap no-right");
    }
}

fn groups_and_users_are_permitted_by_number_and_by_name() {
    let named = |id: u32| {
        let user = nix::unistd::User::from_uid(id.into()).unwrap().unwrap().name;
        (user, nix::unistd::Group::from_gid(id.into()).unwrap().unwrap().name)
    };
    // An account and a group that every system has.
    let (daemon, daemons) = named(1);
    let there = neighbour(1);
    let client = there.run(|| Puppet::new(1002));
    let [at, _] = addresses(1, 1, 8080);
    for (permit, uid, groups, permitted) in [
        ("gid = 1500".to_owned(), 1001, "1500", true),
        ("gid = 1500".to_owned(), 1001, "1400,1500", true),
        ("gid = 1500".to_owned(), 1001, "1400", false),
        (format!("group = {daemons:?}"), 1001, "1400,1", true),
        (format!("group = {daemons:?}"), 1001, "1400", false),
        (format!("user = {daemon:?}"), 1, "1400", true),
        (format!("user = {daemon:?}"), 1001, "1", false),
    ] {
        let agent = Partnerd::start(&ONE.replace("uid = 1000", &permit));
        let server = agent.puppet(0);
        server.must(&format!("become user {uid} {groups}"));
        let listener = server.listen(at);
        client.connect(at);
        let said = listener.accept().must("anew user 5000");
        let right = if permitted { "user 1002" } else { "NotAuthorized" };
        assert_eq!(said, right, "{permit} for {uid} in {groups}");
    }
}

fn a_permit_of_none_beats_universal_access() {
    let there = neighbour(1);
    let policy =
        super::daemon::OPEN.to_owned() + "[[profile.permit]]\nuid = 1001\naccess = \"NONE\"\n";
    let agent = Partnerd::start(&policy);
    let client = there.run(|| agent.puppet(1002));
    let [at, _] = addresses(1, 1, 8080);
    for (uid, said) in [(1000, "user 1002"), (1001, "NotAuthorized")] {
        let server = agent.puppet(uid);
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), said);
        if said == "NotAuthorized" {
            let why = far.must("why user 5000");
            assert!(why.contains("permit uid 1001 NONE"), "{why}");
            assert!(why.contains("/policy.toml:9)"), "{why}");
        }
    }
}

/// As it is on a host that nobody has configured.
fn without_a_policy_file_the_own_stack_is_answered_and_no_other() {
    assert!(!std::path::Path::new("/etc/partner-info/policy.toml").exists(), "staging");
    let there = neighbour(1);
    let agent = Partnerd::without_policy();
    let (server, neighbour) = (agent.puppet(1000), agent.puppet(1001));
    let client = there.run(|| agent.puppet(1002));
    for at in addresses(1, 1, 8080) {
        let listener = server.listen(at);
        let _near = neighbour.connect(at);
        let of_neighbour = listener.accept();
        assert_eq!(of_neighbour.must("anew user 5000"), "user 1001");
        assert_eq!(of_neighbour.must("anew token 5000"), token(1001, &neighbour));
        let _near = client.connect(at);
        let of_client = listener.accept();
        assert_eq!(of_client.must("anew user 5000"), "NotAuthorized");
        let why = of_client.must("why token 5000");
        assert!(why.contains("uid 1000 ") && why.contains("no policy file"), "{why}");
        // Without a domain it is no cluster.
        assert_eq!(of_client.must("anew routing 5000"), "routing 12");
        listener.close();
        // Root may ask, and there is no domain.
        let root = agent.puppet(0);
        let listener = root.listen(at);
        let _near = client.connect(at);
        assert_eq!(listener.accept().must("anew user 5000"), "SecurityDomain");
    }
}

/// What the agent knew of the process when it connected does not count any more.
fn a_program_that_became_somebody_else_is_judged_as_that_one() {
    let there = neighbour(1);
    let agent = Partnerd::start(ONE);
    let client = there.run(|| agent.puppet(1002));
    let server = agent.puppet(0);
    let [at, _] = addresses(1, 1, 8080);
    let listener = server.listen(at);
    let connect = || {
        client.connect(at);
        listener.accept()
    };
    let (first, second, third) = (connect(), connect(), connect());
    assert_eq!(first.must("ask user 5000"), "user 1002");
    server.must("setuid 1001");
    assert_eq!(second.must("ask user 5000"), "NotAuthorized");
    // By the same connection to the agent, later too.
    assert_eq!(third.must("ask token 5000"), "NotAuthorized");
    let refusals = || agent.audit().lines().filter(|line| line.contains("\"refusal\"")).count();
    eventually("both are recorded", || refusals() == 2);
    for line in agent.audit().lines().filter(|line| line.contains("\"refusal\"")) {
        assert!(line.contains("\"caller\":{\"uid\":1001,\"gid\":1001,"), "{line}");
    }
}
