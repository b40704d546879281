//! Each wrong certificate is refused on both sides, with a reason of its own.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, date_time_ymd,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::issue::{Authority, Issued, agent_params, authority_params};
use super::*;

/// With something else in it.
fn with(
    mut params: CertificateParams,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    change(&mut params);
    params
}

fn in_years(params: CertificateParams, from: i32, until: i32) -> CertificateParams {
    with(params, |params| {
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
    })
}

const OURS: &str = "spiffe://prod.example/partnerd/web";

/// What both sides think of a peer that shows this: first where the peer is the client.
fn seen(root: &Authority, issued: &Issued, at: IpAddr) -> [Result<PeerName, Refused>; 2] {
    let (_publisher, good) = root.agent("db", &[]).identity(&[root]);
    let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&issued.certified())));
    let mut client = ClientConfig::clone(&good.client_config());
    client.client_auth_cert_resolver = Arc::clone(&shown) as _;
    let as_client = Pair::new(Arc::new(client), good.server_config()).client(&good, at);
    let mut server = ServerConfig::clone(&good.server_config());
    server.cert_resolver = shown;
    let as_server = Pair::new(good.client_config(), Arc::new(server)).server(&good, at);
    [as_client, as_server]
}

fn kinds(seen: [Result<PeerName, Refused>; 2]) -> [&'static str; 2] {
    seen.map(|seen| seen.map_or_else(|refused| refused.kind(), |_| "good"))
}

#[test]
fn wrong_certificates_are_refused_in_both_roles() {
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let web = || agent_params(OURS, &[]);
    let named = |names: Vec<SanType>| with(web(), |p| p.subject_alt_names = names);
    let meant = |purposes| with(web(), |p| p.extended_key_usages = purposes);
    let used = |usages| with(web(), |p| p.key_usages = usages);
    let dns = || SanType::DnsName("web.prod.example".try_into().unwrap());
    let (client, server) =
        (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth);
    let root = Authority::new("root");
    for (what, params, expected) in [
        ("good", web(), ["good"; 2]),
        ("a DNS name beside", named(vec![dns(), uri(OURS)]), ["good"; 2]),
        ("no key usage", used(vec![]), ["good"; 2]),
        ("no names", named(vec![]), ["names"; 2]),
        ("a DNS name alone", named(vec![dns()]), ["names"; 2]),
        ("two URIs", named(vec![uri(OURS), uri("https://a/")]), ["names"; 2]),
        ("one twice", named(vec![uri(OURS), uri(OURS)]), ["names"; 2]),
        ("another scheme", named(vec![uri("https://prod.example/partnerd/web")]), ["name"; 2]),
        ("another program", named(vec![uri("spiffe://prod.example/other/web")]), ["name"; 2]),
        ("no host", named(vec![uri("spiffe://prod.example/partnerd/")]), ["name"; 2]),
        ("other domain", named(vec![uri("spiffe://test.example/partnerd/web")]), ["domain"; 2]),
        ("domain in it", named(vec![uri("spiffe://prod.example.x/partnerd/web")]), ["domain"; 2]),
        ("expired", in_years(web(), 2000, 2001), ["expired"; 2]),
        ("not yet valid", in_years(web(), 2900, 2901), ["not_yet_valid"; 2]),
        (
            "an authority",
            with(web(), |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            ["authority"; 2],
        ),
        ("for clients alone", meant(vec![client.clone()]), ["good", "purpose"]),
        ("for servers alone", meant(vec![server]), ["purpose", "good"]),
        ("for nothing", meant(vec![]), ["purpose"; 2]),
        ("for anything", meant(vec![ExtendedKeyUsagePurpose::Any]), ["purpose"; 2]),
        ("no signatures", used(vec![KeyUsagePurpose::KeyEncipherment]), ["key_usage"; 2]),
        (
            "signs certificates",
            used(vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign]),
            ["key_usage"; 2],
        ),
    ] {
        assert_eq!(kinds(seen(&root, &root.sign(params), HERE)), expected, "{what}");
    }
}

#[test]
fn nobody_is_believed_for_a_root_that_is_not_ours() {
    let (root, other) = (Authority::new("root"), Authority::new("root"));
    assert_eq!(kinds(seen(&root, &other.agent("web", &[]), HERE)), ["untrusted"; 2]);

    // A chain through an authority below is good, if the chain is shown.
    let below = root.below("below");
    let mut issued = below.agent("web", &[]);
    assert_eq!(kinds(seen(&root, &issued, HERE)), ["untrusted"; 2]);
    issued.chain.push(below.der());
    assert_eq!(kinds(seen(&root, &issued, HERE)), ["good"; 2]);
    // One that is shown beside changes nothing.
    let mut strange = other.agent("web", &[]);
    strange.chain.push(other.der());
    assert_eq!(kinds(seen(&root, &strange, HERE)), ["untrusted"; 2]);
    issued.chain.extend(std::iter::repeat_n(below.der(), 8));
    assert_eq!(kinds(seen(&root, &issued, HERE)), ["untrusted"; 2]);

    // An agent's key signs nobody.
    let agent = Authority::of(with(authority_params("no authority"), |params| {
        params.is_ca = IsCa::ExplicitNoCa;
    }));
    assert_eq!(kinds(seen(&root, &agent.agent("web", &[]), HERE)), ["untrusted"; 2]);
}

#[test]
fn a_root_that_has_expired_is_trusted_no_more() {
    let root = Authority::new("root");
    let old = Authority::of(in_years(authority_params("old"), 2000, 2001));
    let ours = root.agent("db", &[]).svid(&[&root, &old]);
    let theirs = old.agent("web", &[]);
    let (provider, now) = (ring::default_provider(), SystemTime::now());
    let refused = ours.check(&theirs.chain, Role::Client, now, &provider).unwrap_err();
    assert_eq!(refused.kind(), "untrusted");
}

#[test]
fn addresses_are_checked_where_the_certificate_has_some() {
    let root = Authority::new("root");
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    for (listed, at, expected) in [
        (&[][..], "192.0.2.1", "good"),
        (&[], "2001:db8::1", "good"),
        (&["192.0.2.1"], "192.0.2.1", "good"),
        (&["192.0.2.1"], "::ffff:192.0.2.1", "good"),
        (&["::ffff:192.0.2.1"], "192.0.2.1", "good"),
        (&["192.0.2.1", "2001:db8::1"], "2001:db8::1", "good"),
        (&["192.0.2.1", "2001:db8::1"], "192.0.2.2", "address"),
        (&["192.0.2.1"], "2001:db8::1", "address"),
        (&["2001:db8::1"], "2001:db8::2", "address"),
        (&["::192.0.2.1"], "192.0.2.1", "address"),
    ] {
        let listed: Vec<_> = listed.iter().map(|text| ip(text)).collect();
        let issued = root.agent("web", &listed);
        assert_eq!(kinds(seen(&root, &issued, ip(at))), [expected; 2], "{listed:?} {at}");
    }
}

#[test]
fn the_domain_has_no_case_and_the_host_has() {
    let root = Authority::new("root");
    let issued = root.sign(agent_params("spiffe://PROD.Example/partnerd/Web", &[]));
    for seen in seen(&root, &issued, HERE) {
        let name = seen.unwrap();
        assert_eq!(name, PeerName::new("prod.example", "Web").unwrap());
        assert_ne!(name, PeerName::new("prod.example", "web").unwrap());
    }
}

#[test]
fn keys_of_other_kinds_are_good() {
    let root = Authority::new("root");
    for kind in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(kind).unwrap();
        let issued = root.sign_for(agent_params(OURS, &[]), key);
        assert_eq!(kinds(seen(&root, &issued, HERE)), ["good"; 2]);
        issued.svid(&[&root]);
    }
}

#[test]
fn who_has_no_identity_trusts_nobody() {
    let root = Authority::new("root");
    let (_here, good) = root.agent("db", &[]).identity(&[&root]);
    let (publisher, none) = channel().unwrap();
    assert!(none.current().is_none());
    // It shows nothing, and the other side wants something.
    assert!(Pair::of(&none, &good).server_error.is_some());
    assert!(Pair::of(&good, &none).server_error.is_some());
    let chain = root.agent("web", &[]).chain;
    let refused = none.peer(&chain, HERE, Role::Client).unwrap_err();
    assert_eq!(refused.kind(), "no_identity");
    assert_eq!(good.peer(&[], HERE, Role::Client).unwrap_err().kind(), "no_certificate");
    let garbage = [CertificateDer::from(b"garbage".to_vec())];
    assert_eq!(good.peer(&garbage, HERE, Role::Client).unwrap_err().kind(), "untrusted");

    // One that has expired is none.
    let params = in_years(agent_params(OURS, &[]), 2000, 2001);
    publisher.publish(root.sign(params).svid(&[&root]));
    assert!(none.current().is_none());
    assert!(Pair::of(&none, &good).server_error.is_some());
    // Nor is it shown to anybody, who would refuse it.
    let error = Pair::of(&good, &none).client_error.unwrap();
    assert!(Refused::of(&error).is_none(), "{error:?}");
}

#[test]
fn other_protocols_are_refused() {
    let root = Authority::new("root");
    let (_publisher, good) = root.agent("db", &[]).identity(&[&root]);
    let mut client = ClientConfig::clone(&good.client_config());
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let pair = Pair::new(Arc::new(client), good.server_config());
    assert_eq!(pair.server_error, Some(rustls::Error::NoApplicationProtocol));
    let pair = Pair::of(&good, &good);
    assert_eq!(pair.kind(), HandshakeKind::Full);
    assert_eq!(pair.client.alpn_protocol(), Some(PROTOCOL));
    assert_eq!(pair.client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn a_refusal_says_what_was_expected_what_came_and_what_to_do() {
    let root = Authority::new("root");
    let at: IpAddr = "192.0.2.9".parse().unwrap();
    let issued = root.agent("web", &["192.0.2.1".parse().unwrap()]);
    let [refused, _] = seen(&root, &issued, at);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "expected a peer at one of its certificate's addresses; found 192.0.2.9, where the \
         certificate says 192.0.2.1; issue it with the host's addresses, or without any; see that \
         no address is translated between the agents"
    );
    let issued = root.sign(agent_params("spiffe://test.example/partnerd/web", &[]));
    let [_, refused] = seen(&root, &issued, HERE);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "expected the security domain prod.example; found test.example; only hosts of one \
         security domain answer each other"
    );
}
