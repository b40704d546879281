//! What two agents record of a question that one asks of the other.

use serde_json::{Value, json};

use super::super::agent::daemon::Partnerd;
use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::connected;
use super::super::support::eventually;
use super::site::Authority;

crate::harness::tests![
    both_agents_record_what_was_told_and_whom,
    a_refused_host_is_recorded_where_it_is_refused,
    failed_handshakes_are_recorded,
];

fn records(agent: &Partnerd) -> Vec<Value> {
    agent.audit().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The only record, once it is there.
fn only(agent: &Partnerd) -> Value {
    eventually("it is recorded", || agent.audit().lines().count() >= 1);
    let [record] = &records(agent)[..] else { panic!("{}", agent.audit()) };
    record.clone()
}

fn both_agents_record_what_was_told_and_whom() {
    for n in 0..2 {
        let there = neighbour(8 + n);
        let authority = Authority::new("TEST.DOMAIN");
        let (one, two) = (authority.start("one"), there.run(|| authority.start("two")));
        let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
        let at = addresses(8 + n, 1, 8080)[usize::from(n)];
        let (near, far) = connected(&server, &client, at);
        far.must("anew token 5000");
        let (here, away) = (only(&one), only(&two));
        for record in [&here, &away] {
            assert_eq!(record["event"], "disclosure", "{record}");
            assert_eq!(record["asked"], json!(["user-id", "utoken"]));
            assert_eq!(
                (&record["told"]["user"], &record["told"]["routing"]),
                (&json!(1001), &json!(2))
            );
            let holder = &record["told"]["holders"][0];
            assert_eq!(holder["pid"], client.pid());
            assert_eq!(record["refused"], Value::Null);
        }
        // Here a program asked, of a partner at the other host's address.
        let caller = json!({"uid": 1000, "gid": 1000, "pid": server.pid()});
        assert_eq!((&here["caller"], &here["host"]), (&caller, &Value::Null));
        assert_eq!(here["connection"]["local"], at.to_string());
        assert_eq!(here["connection"]["remote"], near.local().to_string());
        // There this host did.
        let host = json!({"name": "one", "address": at.ip().to_string()});
        assert_eq!((&away["caller"], &away["host"]), (&Value::Null, &host));
        assert_eq!(away["connection"]["local"], near.local().to_string());
        assert_eq!(away["connection"]["remote"], at.to_string());
        for end in [&here, &away] {
            assert!(end["connection"]["cookie"].as_u64().unwrap() > 0, "{end}");
            assert!(end["connection"]["namespace"].as_u64().unwrap() > 0, "{end}");
        }
        assert_ne!(here["connection"]["namespace"], away["connection"]["namespace"]);
    }
}

fn a_refused_host_is_recorded_where_it_is_refused() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let one = authority.start("one");
    let two = there.run(|| {
        let nobody = format!("{}[peers]\nallow = []\n", authority.host("two"));
        Partnerd::configured(super::super::agent::daemon::OPEN, &nobody)
    });
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let [at, _] = addresses(8, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    assert_eq!(far.must("anew user 5000"), "NotAuthorized");
    let (here, away) = (only(&one), only(&two));
    for record in [&here, &away] {
        assert_eq!(record["event"], "refusal", "{record}");
        assert_eq!(record["refused"]["kind"], "not-authorized", "{record}");
        assert_eq!(record["told"], Value::Null);
    }
    assert_eq!(away["host"], json!({"name": "one", "address": at.ip().to_string()}));
    assert_eq!(here["caller"]["uid"], 1000);
}

fn failed_handshakes_are_recorded() {
    let there = neighbour(8);
    let (authority, other) = (Authority::new("TEST.DOMAIN"), Authority::new("TEST.DOMAIN"));
    let (one, two) = (authority.start("one"), there.run(|| other.start("two")));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let [at, _] = addresses(8, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    assert_eq!(far.must("anew user 5000"), "Agent");
    // Where it was asked: nobody who is proven.
    let away = only(&two);
    assert_eq!(away["event"], "handshake-failed", "{away}");
    assert_eq!(away["host"], json!({"name": null, "address": at.ip().to_string()}));
    assert_eq!((&away["told"], &away["connection"]), (&Value::Null, &Value::Null));
    assert!(["tls", "untrusted"].contains(&away["refused"]["kind"].as_str().unwrap()), "{away}");
    assert_eq!(away["left_out"], 0);
    // Where a program asked.
    let here = only(&one);
    assert_eq!((&here["event"], &here["caller"]["uid"]), (&json!("refusal"), &json!(1000)));
    assert_eq!(here["refused"]["kind"], "agent", "{here}");
    // One that has no certificate at all.
    let stranger = client.connect(addresses(8, 1, 0xf612)[0]);
    stranger.must("send what-is-no-handshake-at-all");
    eventually("it is recorded as well", || records(&one).len() == 2);
    let stranger_s = &records(&one)[1];
    assert_eq!(stranger_s["event"], "handshake-failed", "{stranger_s}");
    let address = addresses(8, 2, 0)[0].ip().to_string();
    assert_eq!(stranger_s["host"], json!({"name": null, "address": address}));
}
