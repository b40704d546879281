//! The security domains of two hosts: compared once for each connection, by both sides.

use std::fs;

use super::super::agent::daemon::{NO_DOMAIN, OPEN, Partnerd, open_in};
use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::connected;
use super::super::support::eventually;
use super::site::{Authority, configuration, two_hosts};

crate::harness::tests![
    hosts_of_one_domain_in_another_case_answer_each_other,
    a_domain_that_one_host_does_not_define_is_refused_on_both,
    hosts_of_two_authorities_name_nobody,
    hosts_of_two_domains_name_nobody_even_where_they_trust_both_authorities,
    h31_a_domain_that_changes_holds_for_new_connections_alone,
];

fn hosts_of_one_domain_in_another_case_answer_each_other() {
    let there = neighbour(8);
    let authority = Authority::new("test.DOMAIN");
    let one = authority.start_under("one", &open_in("Test.Domain"));
    let two = there.run(|| authority.start_under("two", &open_in("TEST.domain")));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    for at in addresses(8, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
    }
}

/// What a server on the first host and a client on the second are told of each other.
fn told(one: &Partnerd, two: &Partnerd, what: &str) -> Vec<[String; 2]> {
    let there = super::super::support::Namespace::of_process(two.pid());
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let ask = |at| {
        let (near, far) = connected(&server, &client, at);
        [far, near].map(|end| end.must(&format!("anew {what} 5000")))
    };
    addresses(8, 1, 8080).into_iter().map(ask).collect()
}

fn a_domain_that_one_host_does_not_define_is_refused_on_both() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    for (here, far) in [(OPEN, NO_DOMAIN), (NO_DOMAIN, OPEN), (NO_DOMAIN, NO_DOMAIN)] {
        let one = authority.start_under("one", here);
        let two = there.run(|| authority.start_under("two", far));
        let refused = || vec![["SecurityDomain"; 2].map(String::from); 2];
        assert_eq!(told(&one, &two, "user"), refused());
        assert_eq!(told(&one, &two, "token"), refused());
        // Outside the cluster.
        assert_eq!(told(&one, &two, "routing"), vec![["routing 1"; 2].map(String::from); 2]);
    }
}

/// Neither proves to the other of which domain it is.
fn hosts_of_two_authorities_name_nobody() {
    let there = neighbour(8);
    let [first, second] = ["TEST.DOMAIN", "OTHER.DOMAIN"].map(Authority::new);
    // Another authority that says it is of the same domain.
    let impostor = Authority::new("TEST.DOMAIN");
    let one = first.start("one");
    for (authority, domain) in [(&second, "OTHER.DOMAIN"), (&impostor, "TEST.DOMAIN")] {
        let two = there.run(|| authority.start_under("two", &open_in(domain)));
        assert_eq!(told(&one, &two, "user"), vec![["Agent"; 2].map(String::from); 2], "{domain}");
        assert_eq!(told(&one, &two, "token"), vec![["Agent"; 2].map(String::from); 2], "{domain}");
        let routing = vec![["routing 1"; 2].map(String::from); 2];
        assert_eq!(told(&one, &two, "routing"), routing, "{domain}");
    }
}

fn hosts_of_two_domains_name_nobody_even_where_they_trust_both_authorities() {
    let there = neighbour(8);
    let [first, second] = ["TEST.DOMAIN", "OTHER.DOMAIN"].map(Authority::new);
    let [one, two] = [first.issue("one", &[]), second.issue("two", &[])];
    let roots = [&one, &two].map(|folder| fs::read_to_string(folder.join("ca.pem")).unwrap());
    for folder in [&one, &two] {
        fs::write(folder.join("ca.pem"), roots.concat()).unwrap();
    }
    let own = "namespaces = \"own\"";
    let one = Partnerd::configured(OPEN, &configuration(own, &one));
    let other = open_in("OTHER.DOMAIN");
    let two = there.run(|| Partnerd::configured(&other, &configuration(own, &two)));
    for said in told(&one, &two, "user").concat() {
        assert_eq!(said, "SecurityDomain");
    }
}

/// Each side is the one whose domain changes.
fn h31_a_domain_that_changes_holds_for_new_connections_alone() {
    let (there, _authority, one, two) = two_hosts();
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    for (turn, (at, changed)) in
        addresses(8, 1, 8080).into_iter().flat_map(|at| [(at, &one), (at, &two)]).enumerate()
    {
        let ask = |(near, far): &(super::super::puppet::Far<'_>, super::super::puppet::Far<'_>)| {
            [far, near].map(|end| end.must("ask user 5000"))
        };
        let connect = || connected(&server, &client, at);
        let (right, wrong) = (["user 1001", "user 1000"], ["SecurityDomain"; 2]);
        let saved = connect();
        let unasked = connect();
        assert_eq!(ask(&saved), right, "turn {turn}");
        changed.write("policy.toml", &open_in("OTHER.DOMAIN"));
        changed.signal("HUP");
        eventually("the domain is another", || ask(&connect()) == wrong);
        let refused = connect();
        assert_eq!(ask(&refused), wrong, "turn {turn}");
        assert_eq!(ask(&unasked), wrong, "turn {turn}");
        assert_eq!(ask(&saved), right, "turn {turn}: what is saved stays");
        changed.write("policy.toml", OPEN);
        changed.signal("HUP");
        eventually("the domain is corrected", || ask(&connect()) == right);
        assert_eq!(ask(&refused), wrong, "turn {turn}: verified the first time only");
        assert_eq!(ask(&unasked), wrong, "turn {turn}: verified the first time only");
        assert_eq!(ask(&saved), right, "turn {turn}");
    }
}
