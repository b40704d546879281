//! Partners that have closed, or are not there yet (H1 to H4).

use super::puppet::Puppet;
use super::raw;
use super::support::{
    CLOSE_WAIT, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, SYN_RECV, TIME_WAIT, accept,
    assert_nobody, connect, eventually, listen, local, loopbacks, nft, peer, receive, routing,
    seen, state, tcp, who,
};

super::tests![
    h01_a_partner_in_fin_wait2_without_a_descriptor_is_nobody,
    #[nft]
    h01_a_partner_in_time_wait_is_nobody,
    h01_our_own_end_in_time_wait_has_no_partner,
    h01_a_killed_partner_is_nobody,
    h02_a_server_end_in_syn_recv_is_nobody,
    h03_an_orphan_with_unsent_data_is_nobody,
    h04_a_half_closed_partner_is_answered,
    h04_the_asker_may_be_half_closed,
    h04_both_may_be_half_closed,
];

/// The partner's entry in the kernel's table, as its state and inode.
fn partner(server: &socket2::Socket) -> Option<(u8, u64)> {
    seen(peer(server), local(server)).map(|entry| (entry.state, entry.inode))
}

fn h01_a_partner_in_fin_wait2_without_a_descriptor_is_nobody() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        assert_eq!(who(&server), "user 1000", "staging");
        far.close();
        eventually("FIN_WAIT2, no inode", || partner(&server) == Some((FIN_WAIT2, 0)));
        assert_eq!(state(&server), CLOSE_WAIT, "staging");
        assert_eq!(who(&server), "PartnerGone");
    }
}

/// The partner has our FIN; its last acknowledgement is lost, so our own end still waits for it.
fn h01_a_partner_in_time_wait_is_nobody() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        far.close();
        eventually("FIN_WAIT2", || partner(&server) == Some((FIN_WAIT2, 0)));
        nft("table inet wall {
               chain out {
                 type filter hook output priority 0
                 tcp dport 8080 drop
               }
             }\n");
        server.shutdown(std::net::Shutdown::Write).unwrap();
        eventually("TIME_WAIT", || partner(&server) == Some((TIME_WAIT, 0)));
        assert_eq!(state(&server), LAST_ACK, "staging");
        assert_eq!(who(&server), "PartnerGone");
        nft("flush ruleset\n");
    }
}

fn h01_our_own_end_in_time_wait_has_no_partner() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        server.shutdown(std::net::Shutdown::Write).unwrap();
        far.must("wait-for-end");
        far.close();
        eventually("our end is closed", || who(&server) == "NotConnected");
        assert_eq!(routing(&server), "NotConnected");
    }
}

fn h01_a_killed_partner_is_nobody() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        far.must("send bye");
        client.kill();
        eventually("its end is gone", || partner(&server).is_none_or(|(_, inode)| inode == 0));
        assert_nobody(&who(&server));
        assert_eq!(receive(&server), b"bye");
        assert_nobody(&who(&server));
    }
}

/// `TCP_DEFER_ACCEPT`: the client is connected, the server's end stays a request until data comes.
fn h02_a_server_end_in_syn_recv_is_nobody() {
    for at in loopbacks(8080) {
        let listener = tcp(at);
        listener.bind(&at.into()).unwrap();
        raw::set_option(&listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 30).unwrap();
        listener.listen(16).unwrap();
        let client = connect(at);
        assert_eq!(state(&client), ESTABLISHED, "staging");
        assert_eq!(partner(&client).map(|(state, _)| state), Some(SYN_RECV), "staging");
        let begun = std::time::Instant::now();
        assert_eq!(who(&client), "NotYetAccepted");
        assert!(begun.elapsed() < super::support::PATIENCE / 2, "took {:?}", begun.elapsed());

        client.send(b"x").unwrap();
        let _server = accept(&listener);
        assert_eq!(who(&client), "user 0");
    }
}

/// The receiver reads nothing, so the partner's last data, and its FIN behind them, stay unsent
/// after it has closed.
fn h03_an_orphan_with_unsent_data_is_nobody() {
    for at in loopbacks(8080) {
        let listener = tcp(at);
        listener.set_recv_buffer_size(4096).unwrap();
        listener.bind(&at.into()).unwrap();
        listener.listen(16).unwrap();
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        far.must("flood");
        assert_eq!(who(&server), "user 1000", "staging");
        far.close();
        eventually("FIN_WAIT1, no inode", || partner(&server) == Some((FIN_WAIT1, 0)));
        assert_eq!(state(&server), ESTABLISHED, "staging");
        assert_eq!(who(&server), "PartnerGone");
    }
}

fn h04_a_half_closed_partner_is_answered() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        far.must("half-close");
        eventually("FIN_WAIT2", || partner(&server).map(|(state, _)| state) == Some(FIN_WAIT2));
        assert_eq!(who(&server), "user 1000");
    }
}

fn h04_the_asker_may_be_half_closed() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let _far = client.connect(at);
        let server = accept(&listener);
        server.shutdown(std::net::Shutdown::Write).unwrap();
        eventually("FIN_WAIT2", || state(&server) == FIN_WAIT2);
        assert_eq!(who(&server), "user 1000");
    }
}

/// A partner that has sent its FIN first and lives, while data from us is still to be read there:
/// CLOSING or LAST_ACK on one side or the other, with a descriptor.
fn h04_both_may_be_half_closed() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        far.must("half-close");
        eventually("our end knows", || state(&server) == CLOSE_WAIT);
        fill(&server);
        server.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(state(&server), LAST_ACK, "staging");
        assert_eq!(who(&server), "user 1000");
    }
}

/// Sends until no more fits.
fn fill(socket: &socket2::Socket) {
    socket.set_nonblocking(true).unwrap();
    while socket.send(&[0; 65_536]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
}
