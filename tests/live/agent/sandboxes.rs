//! What a process may not see, and the agent sees for it (H20, H26).

use super::super::puppet::connected;
use super::super::support::{assert_nobody, loopbacks, nft};
use super::daemon::{OPEN, Partnerd, token};
use super::places::{addresses, neighbour, routed};

crate::harness::tests![
    h26_a_sandbox_without_netlink_is_answered_by_the_agent,
    #[nft]
    h20_a_tracked_connection_is_answered_by_the_agent,
    #[nft]
    h20_a_redirected_connection_is_refused_by_the_agent,
    #[nft]
    h20_a_masqueraded_partner_in_another_namespace_is_refused,
    #[nft]
    h20_a_partner_behind_a_forwarded_port_is_refused,
];

fn h26_a_sandbox_without_netlink_is_answered_by_the_agent() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let client = there.run(|| agent.puppet(1001));
    let local = agent.puppet(1002);
    for errno in [libc::EAFNOSUPPORT, libc::EPERM, libc::EACCES] {
        let asker = agent.puppet(1000);
        asker.must(&format!("no-netlink {errno}"));
        for at in addresses(1, 1, 8080) {
            let listener = asker.listen(at);
            for (puppet, uid) in [(&client, 1001), (&local, 1002)] {
                let _near = puppet.connect(at);
                let far = listener.accept();
                assert_eq!(far.must("anew user 5000"), format!("user {uid}"), "errno {errno}");
                assert_eq!(far.must("anew token 5000"), token(uid, puppet), "errno {errno}");
                assert_eq!(far.must("anew routing 5000"), "routing 14", "errno {errno}");
            }
        }
    }
}

/// A firewall that looks at connection states translates nothing.
fn h20_a_tracked_connection_is_answered_by_the_agent() {
    nft("table inet filter {
           chain input {
             type filter hook input priority 0
             ct state established accept
           }
         }\n");
    let agent = Partnerd::start(OPEN);
    let nowhere = std::env::temp_dir().join("no-agent-is-here.sock");
    let (server, client) = (agent.puppet(1000), agent.puppet(1001));
    let alone = super::daemon::puppet_of(&nowhere, 1000);
    for at in loopbacks(8080) {
        let listener = alone.listen(at);
        client.connect(at);
        assert_eq!(listener.accept().must("anew user 5000"), "TranslationHidden", "staging");
        listener.close();
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
        assert_eq!(far.must("anew token 5000"), token(1001, &client), "{at}");
    }
}

fn h20_a_redirected_connection_is_refused_by_the_agent() {
    nft("table inet translate {
           chain output {
             type nat hook output priority -100
             tcp dport 80 redirect to :8080
           }
         }\n");
    let agent = Partnerd::start(OPEN);
    let (server, client) = (agent.puppet(1000), agent.puppet(1001));
    for ([at, _, redirected], v6) in
        [false, true].map(|v6| ([8080, 8081, 80].map(|port| loopbacks(port)[usize::from(v6)]), v6))
    {
        let listener = server.listen(at);
        let near = client.connect(redirected);
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "AddressTranslated", "v6: {v6}");
        for what in ["user", "token"] {
            assert_nobody(&far.must(&format!("anew {what} 5000")));
            assert_nobody(&near.must(&format!("anew {what} 5000")));
        }
    }
}

fn h20_a_masqueraded_partner_in_another_namespace_is_refused() {
    let [one, two] = routed();
    nft("table inet translate {
           chain out {
             type nat hook postrouting priority 100
             oifname near1 masquerade
           }
         }\n");
    let agent = Partnerd::start(OPEN);
    let server = one.run(|| agent.puppet(1000));
    let client = two.run(|| agent.puppet(1001));
    let router = agent.puppet(1002);
    for at in addresses(1, 2, 8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.peer().ip(), addresses(1, 1, 0)[usize::from(at.is_ipv6())].ip(), "staging");
        // Somebody at the router has the address and the port that the server sees.
        let taken = router.tcp(at);
        taken.bind(far.peer());
        let _other = server.listen((at.ip(), 8081).into());
        taken.connect((at.ip(), 8081).into()).unwrap();
        for end in [&far, &near] {
            for what in ["user", "token", "routing"] {
                assert_nobody(&end.must(&format!("anew {what} 5000")));
            }
            assert_eq!(end.must("anew routing 5000"), "routing 1");
        }
    }
}

/// As container engines publish a port.
fn h20_a_partner_behind_a_forwarded_port_is_refused() {
    let [one, two] = routed();
    nft("table ip translate {
           chain in {
             type nat hook prerouting priority -100
             tcp dport 80 dnat to 10.7.1.2:8080
           }
         }
         table ip6 translate {
           chain in {
             type nat hook prerouting priority -100
             tcp dport 80 dnat to [fd07:1::2]:8080
           }
         }\n");
    let agent = Partnerd::start(OPEN);
    let server = one.run(|| agent.puppet(1000));
    let client = two.run(|| agent.puppet(1001));
    for (at, published) in addresses(1, 2, 8080).into_iter().zip(addresses(2, 1, 80)) {
        let listener = server.listen(at);
        let near = client.connect(published);
        let far = listener.accept();
        for what in ["user", "token"] {
            assert_nobody(&far.must(&format!("anew {what} 5000")));
            assert_nobody(&near.must(&format!("anew {what} 5000")));
        }
    }
}
