//! Who is the partner on another host.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::super::agent::daemon::{gap, token};
use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::connected;
use super::super::support::Namespace;
use super::site::{Authority, two_hosts};

crate::harness::tests![
    h18_a_partner_on_another_host_is_named,
    h18_a_token_of_another_host_names_the_process_there,
    h12_the_process_of_another_host_s_socket_is_told_beside_its_owner,
    h30_names_are_those_of_the_partner_s_host_and_never_of_the_own_one,
];

fn h18_a_partner_on_another_host_is_named() {
    let (there, _authority, one, two) = two_hosts();
    let server = one.puppet(1000);
    let client = there.run(|| two.puppet(1001));
    for at in addresses(8, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("who 5000"), "user 1001", "{at}");
        assert_eq!(near.must("who 5000"), "user 1000", "{at}");
        assert_eq!(far.must("anew routing 5000"), "routing 2", "{at}");
        assert_eq!(near.must("anew routing 5000"), "routing 2", "{at}");
    }
}

fn h18_a_token_of_another_host_names_the_process_there() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let (one, two) = ("first-node", "second-node");
    let one = as_host(&Namespace::current(), one, None, || authority.start("one"));
    let two = as_host(&there, two, None, || authority.start("two"));
    let server = one.puppet(1000);
    let client = there.run(|| two.puppet(1001));
    for at in addresses(8, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew token 5000"), token(1001, &client), "{at}");
        assert_eq!(near.must("anew token 5000"), token(1000, &server), "{at}");
        for (end, partner, user, node) in
            [(&far, &client, 1001, "second-node"), (&near, &server, 1000, "first-node")]
        {
            let said = end.must("describe 5000");
            let pid = partner.pid();
            let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
            for word in [
                format!("user={user}"),
                format!("process={user}"),
                format!("pid={pid}"),
                format!("command={}", command.trim_end()),
                format!("node={node}"),
                "remote=true".into(),
                "default=false".into(),
                "routing=2".into(),
            ] {
                assert!(said.split(' ').any(|one| one == word), "{at}: no {word} in {said}");
            }
        }
    }
}

fn h12_the_process_of_another_host_s_socket_is_told_beside_its_owner() {
    let (there, _authority, one, two) = two_hosts();
    let server = one.puppet(1000);
    for at in addresses(8, 1, 8080) {
        let client = there.run(|| two.puppet(0));
        let listener = server.listen(at);
        let near = client.tcp(at);
        client.must("setuid 1001");
        near.connect(at).unwrap();
        let far = listener.accept();
        let said = format!("user 0 holders {}=1001 gap {}", client.pid(), gap());
        assert_eq!(far.must("anew token 5000"), said, "{at}");
        assert_eq!(near.must("anew token 5000"), token(1000, &server), "{at}");
    }
}

/// Numbers mean one account here and another there; 1002 has one here alone, 1003 there alone.
fn h30_names_are_those_of_the_partner_s_host_and_never_of_the_own_one() {
    const HERE: &[(u32, &str)] = &[(0, "toor"), (1001, "mallory"), (1002, "mallet")];
    const THERE: &[(u32, &str)] = &[(0, "root"), (1001, "carol"), (1003, "dave")];
    let there = neighbour(8);
    let here = Namespace::current();
    let authority = Authority::new("TEST.DOMAIN");
    let one = as_host(&here, "first-node", Some(HERE), || authority.start("one"));
    let two = as_host(&there, "second-node", Some(THERE), || authority.start("two"));
    let server = as_host(&here, "first-node", Some(HERE), || one.puppet(1000));
    for (uid, name, undefined) in
        [(0, "root", "false"), (1001, "carol", "false"), (1002, "-", "-"), (1003, "dave", "false")]
    {
        let client = there.run(|| two.puppet(uid));
        for at in addresses(8, 1, 8080) {
            let (_near, far) = connected(&server, &client, at);
            let said = far.must("describe 5000");
            // The process's user has no name: nobody told one.
            let expected = format!("user={uid} name={name} process={uid} process-name=- ");
            assert!(said.starts_with(&expected), "{at}: {said}");
            assert!(said.contains(&format!(" undefined={undefined} ")), "{at}: {said}");
        }
    }
    // The accounts are what was arranged, where the number is one of this host.
    let local = one.puppet(1001);
    let [at, _] = addresses(8, 1, 8081);
    let (_near, far) = connected(&server, &local, at);
    let said = far.must("describe 5000");
    assert!(
        said.starts_with("user=1001 name=mallory process=1001 process-name=mallory "),
        "{said}"
    );
}

/// Runs `inside` as on a host with this name and, if they are given, these accounts.
fn as_host<T: Send>(
    network: &Namespace,
    name: &str,
    accounts: Option<&[(u32, &str)]>,
    inside: impl FnOnce() -> T + Send,
) -> T {
    network.run(|| {
        unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWNS).unwrap();
        std::fs::write("/proc/sys/kernel/hostname", name).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).unwrap();
        if let Some(accounts) = accounts {
            let lines = accounts.iter().map(|(uid, name)| format!("{name}:x:{uid}:{uid}::/:/\n"));
            let file = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            std::fs::write(&file, lines.collect::<String>()).unwrap();
            mount(Some(&file), "/etc/passwd", none, MsFlags::MS_BIND, none).unwrap();
            std::fs::remove_file(&file).unwrap();
        }
        inside()
    })
}
