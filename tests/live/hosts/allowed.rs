//! Which hosts may ask.

use super::super::agent::places::addresses;
use super::super::puppet::connected;
use super::super::support::eventually;
use super::site::two_hosts;

crate::harness::tests![hosts_ask_as_the_configuration_allows_and_a_reload_changes_it];

fn hosts_ask_as_the_configuration_allows_and_a_reload_changes_it() {
    let (there, authority, one, two) = two_hosts();
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let own = authority.host("one");
    for (allow, told) in [
        ("allow = []", "NotAuthorized"),
        ("allow = [\"Two\"]", "user 1000"),
        ("allow = [\"one\", \"twofold\"]", "NotAuthorized"),
        ("", "user 1000"),
        ("allow = [\"other\"]", "NotAuthorized"),
        ("allow = [\"other\", \"two\"]", "user 1000"),
    ] {
        one.configure(true, &format!("{own}[peers]\n{allow}\n"));
        one.signal("HUP");
        for at in addresses(8, 1, 8080) {
            let (near, far) = connected(&server, &client, at);
            eventually(allow, || near.must("anew user 5000") == told);
            assert_eq!(near.must("anew user 5000"), told, "{at}: {allow}");
            let said = near.must("anew token 5000");
            assert!(said.starts_with(told), "{at}: {allow}: {said}");
            if told == "NotAuthorized" {
                // Whom to turn to.
                let why = near.must("why user 5000");
                assert!(why.contains("host two") && why.contains("`allow`"), "{why}");
            }
            // Who may ask has nothing to do with who may be asked.
            assert_eq!(far.must("anew user 5000"), "user 1001", "{at}: {allow}");
        }
    }
}
