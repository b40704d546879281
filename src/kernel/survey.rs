//! The connections of this stack, for who holds no descriptor of them: the program `partner`.
//!
//! The sequence is that of [`verify`](super::verify), from both sides. A socket is known by the cookie that
//! the table shows for it, where there is no descriptor to ask; so what is proven is who holds the
//! two ends of the connection that has these addresses *now*. Whoever has a descriptor can tell more:
//! that the connection is the one that was accepted.

use std::collections::HashMap;

use super::conntrack::{self, Translation};
use super::dump::{self, End};
use super::resolver::{self, Asker, Failure};
use super::sock_diag::{Answer, Entry, Query};
use super::sys::{self, Errno, Netlink, errno};
use super::verify::{self, Next, Trust, Verdict, Verification};
use super::{Endpoint, LOOPBACK};
use crate::error::Reason;

/// How often a list is asked for again that was interrupted or lost (H25).
const TRIES: u32 = 4;
/// The kernel makes its pieces no longer than this.
const PIECE: usize = 1 << 16;
const DUMP_SEQ: u32 = 1;

/// Both addresses of a socket, its own first.
pub(crate) type Ends = (Endpoint, Endpoint);

/// One connection of which at least one end is in this stack, as it was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Who holds the socket.
    pub(crate) near: Verdict,
    /// Who holds the one at its other end.
    pub(crate) far: Verdict,
    /// Both sockets are in this stack, and each is proven to be at the other's end.
    pub(crate) joined: bool,
    /// The cookie of the first socket, which no other one has until the host is started again.
    pub(crate) cookie: u64,
}

/// The calling thread's network namespace, and what looks at it. Not to be taken to another one.
#[derive(Debug)]
pub(crate) struct Survey {
    asker: Asker,
    /// `None`: not asked for yet.
    netfilter: Option<Option<Netlink>>,
}

impl Survey {
    pub(crate) fn open() -> Result<Self, Failure> {
        Ok(Self { asker: Asker::open()?, netfilter: None })
    }

    /// The netlink socket, which tells the namespace.
    pub(crate) fn socket(&self) -> sys::Socket<'_> {
        self.asker.socket()
    }

    /// Sockets that were connected a moment ago, by their addresses. Nothing is proven of them.
    pub(crate) fn candidates(&self) -> Result<Candidates, Failure> {
        let mut last = Errno(errno::EAGAIN);
        for _ in 0..TRIES {
            match dumped() {
                Ok(sockets) => return Ok(Candidates::new(sockets)),
                Err(error @ Errno(errno::EINTR | errno::EAGAIN | errno::ENOBUFS)) => last = error,
                Err(error) => return Err(resolver::opening("list connections", error)),
            }
        }
        Err(Failure::Io { doing: "list connections", errno: last.0 })
    }

    /// Who holds a candidate, and its other end; `None` where it is gone.
    pub(crate) fn look(
        &mut self,
        candidates: &Candidates,
        near: &Entry,
    ) -> Result<Option<Seen>, Failure> {
        let Some(near) = self.again(near)? else { return Ok(None) };
        let far = match candidates.of((near.remote, near.local)) {
            [] => None,
            [only] => self.again(only)?,
            // One address on two interfaces: which of them it is, the table does not tell.
            [_, _, ..] => {
                let far = Verdict::Refused(Reason::NotEstablished);
                let (near, cookie) = (self.owner(&near), near.cookie);
                return Ok(Some(Seen { near, far, joined: false, cookie }));
            }
        };
        let partner = self.verify(&near)?;
        // What one side proves, the other one must prove, too.
        let joined = match &far {
            Some(far) => partner == self.owner(far) && self.verify(far)? == self.owner(&near),
            None => false,
        };
        let far = if !joined && matches!(partner, Verdict::Partner(_)) {
            Verdict::Refused(Reason::ConnectionChanged)
        } else {
            partner
        };
        Ok(Some(Seen { near: self.owner(&near), far, joined, cookie: near.cookie }))
    }

    /// Who holds a socket that was just looked up.
    fn owner(&self, entry: &Entry) -> Verdict {
        verify::judge_entry(entry, self.trust())
    }

    fn trust(&self) -> Trust {
        self.asker.trust(false)
    }

    /// The same socket by an exact lookup; `None` where it is gone, or connected no longer.
    fn again(&mut self, entry: &Entry) -> Result<Option<Entry>, Failure> {
        let device = if entry.device == 0 { LOOPBACK } else { entry.device };
        let query = Query { local: entry.local, remote: entry.remote, device };
        let [answer] = self.asker.lookups([query])?;
        match answer {
            Answer::Found(found)
                if (found.local, found.remote) == (entry.local, entry.remote)
                    && found.device == entry.device
                    && verify::is_live(found.state) =>
            {
                Ok(Some(found))
            }
            Answer::Found(_) | Answer::NotFound => Ok(None),
            Answer::Failed(errno) => Err(Failure::Io { doing: "look up a socket", errno }),
        }
    }

    /// Who holds the other end of a socket that was just looked up.
    fn verify(&mut self, entry: &Entry) -> Result<Verdict, Failure> {
        let mut verification = Verification::of_entry(entry, self.trust());
        let mut next = verification.start();
        loop {
            next = match next {
                Next::Done(verdict) => return Ok(verdict),
                Next::Translation => {
                    let translation = self.translation((entry.local, entry.remote));
                    verification.handle_translation(translation)
                }
                Next::Lookups { partner, own } => {
                    let [partner, own] = self.asker.lookups([partner, own])?;
                    verification.handle_lookups(partner, own)
                }
                // There is no descriptor.
                Next::Examine => return Ok(Verdict::Refused(Reason::ConnectionChanged)),
                Next::Place(ip) => match self.asker.place(ip)? {
                    Some(place) => verification.handle_place(place),
                    None => return Ok(Verdict::Refused(Reason::OtherNamespace)),
                },
                Next::OwnPlace(ip) => match self.asker.place(ip)? {
                    Some(place) => verification.handle_own_place(place),
                    None => return Ok(Verdict::Refused(Reason::OtherNamespace)),
                },
            };
        }
    }

    /// Whether connection tracking rewrote a connection. `SO_ORIGINAL_DST` takes a descriptor; so where
    /// anything is tracked at all, it takes `CAP_NET_ADMIN` to see that this is not.
    fn translation(&mut self, (local, remote): Ends) -> Translation {
        if resolver::nothing_is_tracked() {
            return Translation::None;
        }
        let hidden = Translation::Hidden { original: None };
        let netlink = self.netfilter.get_or_insert_with(|| Netlink::netfilter().ok());
        let Some(asked) = netlink else { return hidden };
        let request = conntrack::encode(local, remote, resolver::SEQ);
        let decode = |datagram: &[u8]| conntrack::decode(datagram, local, remote);
        match resolver::ask_once(asked, &request, decode) {
            Ok(conntrack::Reply::Known(translation)) => translation,
            Ok(conntrack::Reply::NotTracked) => Translation::None,
            Ok(conntrack::Reply::Failed(_)) => hidden,
            Err(_) => {
                // It may hold a reply that nobody waits for.
                self.netfilter = None;
                hidden
            }
        }
    }
}

/// What a list showed.
#[derive(Debug)]
pub(crate) struct Candidates(HashMap<Ends, Vec<Entry>>);

impl Candidates {
    fn new(sockets: Vec<Entry>) -> Self {
        let mut all = HashMap::<Ends, Vec<Entry>>::with_capacity(sockets.len());
        for socket in sockets {
            let same = all.entry((socket.local, socket.remote)).or_default();
            // A socket that moved during the list may be in it twice.
            same.retain(|other| other.cookie != socket.cookie);
            same.push(socket);
        }
        Self(all)
    }

    /// Those with these addresses: mostly one or none.
    pub(crate) fn of(&self, ends: Ends) -> &[Entry] {
        self.0.get(&ends).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.values().flatten()
    }
}

/// All connected sockets of the calling thread's namespace.
fn dumped() -> Result<Vec<Entry>, Errno> {
    let mut sockets = Vec::new();
    let mut piece = vec![0; PIECE];
    for family in dump::FAMILIES {
        // A socket of its own: what an interrupted list leaves goes with it.
        let netlink = Netlink::sock_diag()?;
        netlink.send(&dump::encode(family, DUMP_SEQ))?;
        loop {
            let datagram = netlink.receive(&mut piece)?.ok_or(Errno(errno::ENOBUFS))?;
            let end = dump::decode(datagram, DUMP_SEQ, &mut sockets);
            match end.map_err(|_| Errno(errno::EAGAIN))? {
                End::Open => {}
                End::Done => break,
                End::Interrupted => return Err(Errno(errno::EINTR)),
                End::Failed(errno) => return Err(Errno(errno)),
            }
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::super::sock_diag::TcpState;
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse::<std::net::SocketAddr>().unwrap().into()
    }

    fn socket(local: &str, remote: &str, cookie: u64) -> Entry {
        Entry {
            state: TcpState::Established,
            local: endpoint(local),
            remote: endpoint(remote),
            device: 0,
            cookie,
            uid: 1000,
            inode: 7,
            cgroup: None,
        }
    }

    /// The verdict where the lookups answer this.
    fn verdict(entry: &Entry, partner: Answer, own: Answer) -> Next {
        let mut verification = Verification::of_entry(entry, Trust::default());
        assert_eq!(verification.start(), Next::Translation);
        let next = verification.handle_translation(Translation::None);
        assert!(matches!(next, Next::Lookups { .. }), "{next:?}");
        verification.handle_lookups(partner, own)
    }

    #[test]
    fn h05_a_socket_whose_place_was_taken_meanwhile_proves_nothing() {
        let near = socket("127.0.0.1:80", "127.0.0.1:40000", 1);
        let far = Answer::Found(socket("127.0.0.1:40000", "127.0.0.1:80", 2));
        let changed = Next::Done(Verdict::Refused(Reason::ConnectionChanged));
        assert!(matches!(
            verdict(&near, far, Answer::Found(near)),
            Next::Done(Verdict::Partner(_))
        ));
        for own in [Answer::NotFound, Answer::Found(Entry { cookie: 3, ..near })] {
            assert_eq!(verdict(&near, far, own), changed, "{own:?}");
        }
    }

    #[test]
    fn h09_a_socket_is_asked_for_where_it_is_bound() {
        let lookups = |entry: &Entry| {
            let next = Verification::of_entry(entry, Trust::default())
                .handle_translation(Translation::None);
            let Next::Lookups { partner, own } = next else { panic!("{next:?}") };
            (own.device, partner.device)
        };
        let near = socket("127.0.0.1:80", "127.0.0.1:40000", 1);
        assert_eq!(lookups(&near), (LOOPBACK, LOOPBACK));
        assert_eq!(lookups(&Entry { device: 5, ..near }), (5, 5));
        let link_local = socket("[fe80::1]:80", "[fe80::2]:40000", 1);
        let bound = Entry { device: 5, ..link_local };
        assert_eq!(lookups(&bound), (5, 5));
        // On another link the same addresses are another connection's.
        let elsewhere =
            Answer::Found(Entry { device: 6, ..socket("[fe80::2]:40000", "[fe80::1]:80", 2) });
        let next = verdict(&bound, elsewhere, Answer::Found(bound));
        assert!(!matches!(next, Next::Done(Verdict::Partner(_))), "{next:?}");
    }

    #[test]
    fn a_socket_that_moved_during_a_list_is_one_and_two_of_one_address_are_two() {
        let one = socket("127.0.0.1:80", "127.0.0.1:40000", 1);
        let closing = Entry { state: TcpState::CloseWait, ..one };
        let other = Entry { cookie: 2, device: 5, ..one };
        let all = Candidates::new(vec![one, closing, other]);
        assert_eq!(all.of((one.local, one.remote)), [closing, other]);
        assert_eq!(all.of((one.remote, one.local)), []);
        assert_eq!(all.iter().count(), 2);
    }
}
