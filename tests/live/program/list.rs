//! `partner list`.

use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::{Puppet, connected};
use super::super::support::loopbacks;
use super::{partner, pids, said};

crate::harness::tests![
    every_connection_is_listed_once_with_both_ends,
    the_table_has_a_line_a_connection,
    an_empty_stack_has_an_empty_list,
];

fn every_connection_is_listed_once_with_both_ends() {
    let there = neighbour(1);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let distant = there.run(|| Puppet::new(1002));
    let mut held = Vec::new();
    for at in loopbacks(8080) {
        for _ in 0..20 {
            held.push(connected(&server, &client, at));
        }
    }
    for at in addresses(1, 1, 8081) {
        held.push(connected(&server, &distant, at));
    }
    for asker in [0, 1003] {
        let ran = partner(asker, &["list", "--json"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let json = ran.json();
        let connections = json["connections"].as_array().unwrap();
        assert_eq!(connections.len(), 42, "{json}");
        let mut both = 0;
        for connection in connections {
            let ends = [&connection["ends"][0], &connection["ends"][1]];
            let mut said = ends.map(said);
            said.sort_unstable();
            if said == ["user 1000", "user 1001"] {
                both += 1;
                assert!(!connection["routing"].is_null());
            } else {
                assert_eq!(said, ["not-in-this-stack", "user 1000"]);
                assert!(connection["routing"].is_null());
            }
            for end in ends.iter().filter(|end| !end["user"].is_null()) {
                let pid = if end["user"]["uid"] == 1000 { server.pid() } else { client.pid() };
                let expected = if asker == 0 { vec![u64::from(pid)] } else { Vec::new() };
                assert_eq!(pids(end), expected);
            }
        }
        assert_eq!(both, 40);
    }
}

fn the_table_has_a_line_a_connection() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let held = connected(&server, &client, at);
    let ran = partner(0, &["list"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let words: Vec<_> = ran.out.split_whitespace().collect();
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    assert_eq!([words[0], words[3]], [at.to_string(), held.0.local().to_string()]);
    assert!(words[2].ends_with(&format!("[{}]", server.pid())), "{}", ran.out);
    assert!(words[5].ends_with(&format!("[{}]", client.pid())), "{}", ran.out);
    assert!(!ran.out.contains('\x1b'));
}

fn an_empty_stack_has_an_empty_list() {
    let ran = partner(1000, &["list"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""));
    let ran = partner(1000, &["list", "--json"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), "{\"version\":1,\"connections\":[]}\n"));
}
