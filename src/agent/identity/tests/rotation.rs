//! Identities change while connections are there.

use std::io::{Read, Write};
use std::time::Duration;

use super::issue::Authority;
use super::*;

fn host(seen: Result<PeerName, Refused>) -> String {
    seen.unwrap().host().to_owned()
}

#[test]
fn connections_stay_and_new_ones_use_the_new_identity() {
    let root = Authority::new("root");
    let (publisher, web) = root.agent("web-old", &[]).identity(&[&root]);
    let (_publisher, db) = root.agent("db", &[]).identity(&[&root]);
    let mut old = Pair::of(&web, &db);
    assert_eq!(host(old.client(&db, HERE)), "web-old");
    // Configurations that are kept do not keep the identity.
    let (client, server) = (web.client_config(), web.server_config());

    assert!(publisher.publish(root.agent("web-new", &[]).svid(&[&root])));
    old.client.writer().write_all(b"still here").unwrap();
    old.exchange();
    let mut heard = [0; 10];
    old.server.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still here");

    for client in [client, web.client_config()] {
        let mut fresh = ClientConfig::clone(&client);
        fresh.resumption = Resumption::disabled();
        let pair = Pair::new(Arc::new(fresh), db.server_config());
        assert_eq!(host(pair.client(&db, HERE)), "web-new");
    }
    for server in [server, web.server_config()] {
        let pair = Pair::new(db.client_config(), server);
        assert_eq!(host(pair.server(&db, HERE)), "web-new");
    }
}

#[test]
fn sessions_are_resumed_with_who_the_peers_are_until_either_identity_changes() {
    let root = Authority::new("root");
    let (web_publisher, web) = root.agent("web", &[]).identity(&[&root]);
    let (db_publisher, db) = root.agent("db", &[]).identity(&[&root]);
    assert_eq!(Pair::of(&web, &db).kind(), HandshakeKind::Full);
    let resumed = Pair::of(&web, &db);
    assert_eq!(resumed.kind(), HandshakeKind::Resumed);
    assert_eq!(host(resumed.client(&db, HERE)), "web");
    assert_eq!(host(resumed.server(&web, HERE)), "db");

    // The same once more is no change.
    let same = root.agent("web", &[]);
    assert!(web_publisher.publish(same.svid(&[&root])));
    assert!(!web_publisher.publish(same.svid(&[&root])));
    assert_eq!(Pair::of(&web, &db).kind(), HandshakeKind::Full);
    assert_eq!(Pair::of(&web, &db).kind(), HandshakeKind::Resumed);
    db_publisher.publish(root.agent("db", &[]).svid(&[&root]));
    assert_eq!(Pair::of(&web, &db).kind(), HandshakeKind::Full);
    assert_eq!(Pair::of(&web, &db).kind(), HandshakeKind::Resumed);
}

#[test]
fn a_resumed_session_outlives_neither_the_certificate_nor_the_trust() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (_publisher, web) = old.agent("web", &[]).identity(&[&old, &new]);
    let (db_publisher, db) = new.agent("db", &[]).identity(&[&old, &new]);
    let kept = db.server_config();
    assert_eq!(Pair::new(web.client_config(), Arc::clone(&kept)).kind(), HandshakeKind::Full);
    db_publisher.publish(new.agent("db", &[]).svid(&[&new]));
    let resumed = Pair::new(web.client_config(), kept);
    assert_eq!(resumed.kind(), HandshakeKind::Resumed);
    assert_eq!(resumed.client(&db, HERE).unwrap_err().kind(), "untrusted");

    let ours = old.agent("db", &[]).svid(&[&old]);
    let chain = resumed.server.peer_certificates().unwrap();
    let theirs = old.agent("web", &[]).svid(&[&old]);
    let late = theirs.expires() + Duration::from_secs(1);
    let provider = ring::default_provider();
    assert!(ours.check(chain, Role::Client, SystemTime::now(), &provider).is_ok());
    let refused = ours.check(chain, Role::Client, late, &provider).unwrap_err();
    assert_eq!(refused.kind(), "expired");
}

#[test]
fn an_authority_is_replaced_while_both_are_trusted() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (web_publisher, web) = old.agent("web", &[]).identity(&[&old]);
    let (db_publisher, db) = old.agent("db", &[]).identity(&[&old]);
    let both = |web: &Identity, db: &Identity| {
        let pair = Pair::of(web, db);
        (pair.client(db, HERE).is_ok(), pair.server(web, HERE).is_ok())
    };
    assert_eq!(both(&web, &db), (true, true));
    // First the new root everywhere, then new certificates, then the old root goes.
    web_publisher.publish(old.agent("web", &[]).svid(&[&old, &new]));
    assert_eq!(both(&web, &db), (true, true));
    db_publisher.publish(old.agent("db", &[]).svid(&[&old, &new]));
    db_publisher.publish(new.agent("db", &[]).svid(&[&old, &new]));
    assert_eq!(both(&web, &db), (true, true));
    web_publisher.publish(new.agent("web", &[]).svid(&[&old, &new]));
    db_publisher.publish(new.agent("db", &[]).svid(&[&new]));
    assert_eq!(both(&web, &db), (true, true));
    web_publisher.publish(old.agent("web", &[]).svid(&[&old, &new]));
    let refused = Pair::of(&web, &db).client(&db, HERE).unwrap_err();
    assert_eq!(refused.kind(), "untrusted");
}

#[tokio::test]
async fn a_change_wakes_who_waits() {
    let root = Authority::new("root");
    let (publisher, mut identity) = channel().unwrap();
    publisher.publish(root.agent("web", &[]).svid(&[&root]));
    identity.changed().await;
    assert_eq!(identity.current().unwrap().name().host(), "web");
    drop(publisher);
    let late = tokio::time::timeout(Duration::from_millis(10), identity.changed()).await;
    assert!(late.is_err());
    assert!(identity.current().is_some());
}
