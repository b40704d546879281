//! The sequence of questions that proves who holds the other end. No input, no output.
//!
//! The descriptor says its own addresses and cookie (t0), and connection tracking whether both
//! ends see the same addresses. Then one batch asks the kernel, in this order, for the socket with
//! the addresses swapped (t1) and for the socket with our own addresses (t2). Where the second is
//! ours by its cookie, our connection lived from t0 to t2, so the first was looked up while it
//! lived; and while it lives, untranslated, no other socket of this stack can be connected with
//! the partner's addresses: a newcomer's SYN would have met our end and been refused. A socket in
//! any other state than a connected one, or without a descriptor, is never named.
//!
//! Two more things must fit, since they cost nothing to look at: the states of the two ends (who has
//! sent a FIN is known to both), and the interfaces that they are bound to.
//!
//! Every path ends: each question is asked at most once, and each lookup at most once a device.

use super::conntrack::Translation;
use super::route::Place;
use super::sock_diag::{Answer, Entry, Query, TcpState};
use super::{Endpoint, LOOPBACK};
use crate::error::Reason;

/// What the descriptor itself says, before the kernel's table is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnEnd {
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    /// Interface of a link-local IPv6 address, 0 for none.
    pub(crate) scope: u32,
    pub(crate) cookie: u64,
}

/// What is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Were addresses rewritten on the way? Answer with [`Verification::handle_translation`].
    Translation,
    /// Look up both, in this order and without a pause; answer with
    /// [`Verification::handle_lookups`].
    Lookups { partner: Query, own: Query },
    /// The table does not show our own end as we know it: examine the descriptor; answer with
    /// [`Verification::handle_examined`].
    Examine,
    /// Is the partner's address one of the stack's own? Answer with
    /// [`Verification::handle_place`].
    Place(std::net::IpAddr),
    /// On which interface is our own address? Answer with [`Verification::handle_own_place`].
    OwnPlace(std::net::IpAddr),
    /// The end.
    Done(Verdict),
}

/// What was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The partner's socket, held by a descriptor.
    Partner(Owner),
    /// The partner's end exists and nobody has accepted it yet: ask again later.
    NotYetAccepted,
    /// No socket of this stack is the partner.
    NotInThisStack,
    Refused(Reason),
    NotConnected,
    NotTcp,
    /// The table does not show our own live connection.
    Unsupported,
    /// The kernel failed a lookup with this errno.
    Failed(i32),
}

/// The proven owner of the partner's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) inode: u32,
    pub(crate) cgroup: Option<u64>,
}

/// What an examination of the descriptor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Examined {
    pub(crate) protocol: Protocol,
    pub(crate) inode: u64,
    /// Interface the socket is bound to, 0 for none.
    pub(crate) device: u32,
    /// Whether the lookups were made in the socket's own network namespace; `None` on kernels
    /// that do not say.
    pub(crate) same_namespace: Option<bool>,
    pub(crate) connected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Mptcp,
    Other,
}

/// What the caller's circumstances are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trust {
    /// The uid that stands for "not mapped" here, where there is one.
    pub(crate) overflow_uid: Option<u32>,
    /// A tracked connection is taken for untranslated although this process may not see it, as
    /// long as nothing speaks against it: the operator vouches for the rules.
    pub(crate) hidden_translation: bool,
}

/// One run of the sequence.
#[derive(Debug)]
pub(crate) struct Verification {
    own: OwnEnd,
    trust: Trust,
    partner_device: u32,
    own_device: u32,
    /// MPTCP: the table shows the subflow, which shares the descriptor's inode, not its cookie.
    own_inode: Option<u32>,
    /// Answers of the latest batch.
    answers: Option<(Answer, Answer)>,
    examined: bool,
    /// Where the partner's address is.
    place: Option<Place>,
    /// Where our own address is; asked where only our own end is bound to a device.
    own_place: Option<Place>,
    /// Batches whose two states did not fit: something happened between the two lookups.
    misfits: u32,
}

impl Verification {
    pub(crate) fn new(own: OwnEnd, trust: Trust) -> Self {
        // An unbound socket matches any interface, so the most likely one serves both kinds.
        let device = if own.scope == 0 { LOOPBACK } else { own.scope };
        Self {
            own,
            trust,
            partner_device: device,
            own_device: device,
            own_inode: None,
            answers: None,
            examined: false,
            place: None,
            own_place: None,
            misfits: 0,
        }
    }

    /// One about a socket of somebody else, as the table has shown it a moment before. There is no
    /// descriptor to examine: what the table does not show again is no longer the connection.
    #[cfg(feature = "agent")]
    pub(crate) fn of_entry(entry: &Entry, trust: Trust) -> Self {
        let &Entry { local, remote, device, cookie, .. } = entry;
        // A link-local address means something only on an interface, to which its socket is bound.
        let is_link_local = match local.ip {
            std::net::IpAddr::V4(_) => false,
            std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let scope = if is_link_local { device } else { 0 };
        let mut this = Self::new(OwnEnd { local, remote, scope, cookie }, trust);
        if device != 0 {
            (this.own_device, this.partner_device) = (device, device);
        }
        this.examined = true;
        this
    }

    pub(crate) fn start(&self) -> Next {
        Next::Translation
    }

    /// H20: where addresses were rewritten, or may have been, the lookups prove nothing.
    pub(crate) fn handle_translation(&self, translation: Translation) -> Next {
        let refused = |reason| Next::Done(Verdict::Refused(reason));
        match translation {
            Translation::None => self.lookups(),
            Translation::Translated => refused(Reason::AddressTranslated),
            Translation::Hidden { original } => match original {
                Some(original) if original != self.own.local && original != self.own.remote => {
                    refused(Reason::AddressTranslated)
                }
                Some(_) | None if self.trust.hidden_translation => self.lookups(),
                Some(_) | None => refused(Reason::TranslationHidden),
            },
        }
    }

    fn lookups(&self) -> Next {
        let OwnEnd { local, remote, .. } = self.own;
        Next::Lookups {
            partner: Query { local: remote, remote: local, device: self.partner_device },
            own: Query { local, remote, device: self.own_device },
        }
    }

    pub(crate) fn handle_lookups(&mut self, partner: Answer, own: Answer) -> Next {
        self.answers = Some((partner, own));
        match own {
            Answer::Failed(errno) => Next::Done(Verdict::Failed(errno)),
            Answer::Found(entry) if self.is_own(&entry) => self.judge_partner(partner, &entry),
            Answer::Found(_) | Answer::NotFound if !self.examined => {
                self.examined = true;
                Next::Examine
            }
            Answer::Found(_) | Answer::NotFound => {
                Next::Done(Verdict::Refused(Reason::ConnectionChanged))
            }
        }
    }

    pub(crate) fn handle_examined(&mut self, found: Examined) -> Next {
        let Some((partner, own)) = self.answers else {
            return self.lookups();
        };
        let refused = |reason| Next::Done(Verdict::Refused(reason));
        if found.protocol == Protocol::Other {
            return Next::Done(Verdict::NotTcp);
        }
        if found.same_namespace == Some(false) {
            return refused(Reason::OtherNamespace);
        }
        match own {
            Answer::Found(entry) if self.has_own_addresses(&entry) => {
                let inode = u32::try_from(found.inode).ok().filter(|inode| *inode != 0);
                if found.protocol == Protocol::Mptcp && inode == Some(entry.inode) {
                    self.own_inode = inode;
                    return self.judge_partner(partner, &entry);
                }
                refused(Reason::ConnectionChanged)
            }
            Answer::Found(_) | Answer::NotFound | Answer::Failed(_) => {
                if !found.connected {
                    Next::Done(Verdict::NotConnected)
                } else if found.device != 0 && found.device != self.own_device {
                    self.own_device = found.device;
                    if self.own.scope == 0 {
                        self.partner_device = found.device;
                    }
                    if found.protocol == Protocol::Mptcp {
                        self.own_inode = u32::try_from(found.inode).ok();
                    }
                    self.lookups()
                } else if found.protocol == Protocol::Tcp && found.same_namespace == Some(true) {
                    Next::Done(Verdict::Unsupported)
                } else {
                    refused(Reason::ConnectionChanged)
                }
            }
        }
    }

    pub(crate) fn handle_place(&mut self, place: Place) -> Next {
        let first = self.place.replace(place).is_none();
        match place {
            Place::Local(device) if first && device != self.partner_device => {
                self.partner_device = device;
                self.lookups()
            }
            Place::Local(_) | Place::NotLocal => self.missing(place),
        }
    }

    pub(crate) fn handle_own_place(&mut self, place: Place) -> Next {
        self.own_place = Some(place);
        match self.answers {
            Some((partner, Answer::Found(own))) => self.judge_partner(partner, &own),
            Some((_, Answer::NotFound | Answer::Failed(_))) | None => self.lookups(),
        }
    }

    /// Both addresses and both ports, and the interface where the address needs one (H7).
    fn has_own_addresses(&self, entry: &Entry) -> bool {
        entry.local == self.own.local
            && entry.remote == self.own.remote
            && self.scope_fits(entry)
            && entry.state != TcpState::Listen
    }

    fn is_own(&self, entry: &Entry) -> bool {
        let same = match self.own_inode {
            None => entry.cookie == self.own.cookie,
            Some(inode) => inode != 0 && entry.inode == inode,
        };
        same && self.has_own_addresses(entry)
    }

    fn scope_fits(&self, entry: &Entry) -> bool {
        self.own.scope == 0 || entry.device == self.own.scope
    }

    fn judge_partner(&mut self, partner: Answer, own: &Entry) -> Next {
        if !is_live(own.state) {
            return Next::Done(Verdict::NotConnected);
        }
        let entry = match partner {
            Answer::Found(entry)
                if entry.local == self.own.remote
                    && entry.remote == self.own.local
                    && self.scope_fits(&entry) =>
            {
                entry
            }
            Answer::Found(_) | Answer::NotFound => {
                return match self.place {
                    None => Next::Place(self.own.remote.ip),
                    Some(place) => self.missing(place),
                };
            }
            Answer::Failed(errno) => return Next::Done(Verdict::Failed(errno)),
        };
        if !states_fit(entry.state, own.state) {
            self.misfits += 1;
            return if self.misfits < MISFITS {
                self.lookups()
            } else {
                Next::Done(Verdict::Refused(Reason::ConnectionChanged))
            };
        }
        if own.device != 0 && self.own.scope == 0 {
            // The same addresses may stand on two interfaces, and then the table shows one of two
            // connections. A partner that is bound to a device is on ours; one that is not goes by
            // the interface that holds our address.
            let via = match (entry.device, self.own_place) {
                (0, None) => return Next::OwnPlace(self.own.local.ip),
                (0, Some(Place::Local(device))) => device,
                (0, Some(Place::NotLocal)) => 0,
                (bound, _) => bound,
            };
            if via != own.device {
                return Next::Done(Verdict::Refused(Reason::NotEstablished));
            }
        }
        Next::Done(judge_entry(&entry, self.trust))
    }

    /// No socket with the partner's addresses, on any interface that could carry it.
    fn missing(&self, place: Place) -> Next {
        let partner_sent_fin = match self.answers {
            Some((_, Answer::Found(own))) => match own.state {
                TcpState::CloseWait | TcpState::LastAck | TcpState::Closing => true,
                TcpState::Established
                | TcpState::SynSent
                | TcpState::SynRecv
                | TcpState::FinWait1
                | TcpState::FinWait2
                | TcpState::TimeWait
                | TcpState::Close
                | TcpState::Listen
                | TcpState::Other(_) => false,
            },
            Some((_, Answer::NotFound | Answer::Failed(_))) | None => false,
        };
        Next::Done(match place {
            Place::Local(_) if partner_sent_fin => Verdict::Refused(Reason::PartnerGone),
            Place::Local(_) => Verdict::Refused(Reason::AddressTranslated),
            Place::NotLocal => Verdict::NotInThisStack,
        })
    }
}

/// H1 to H4, H6, H11: what state and inode say of a socket with the partner's addresses.
pub(crate) fn judge_entry(entry: &Entry, trust: Trust) -> Verdict {
    match (entry.state, entry.inode) {
        (TcpState::Established | TcpState::CloseWait, 0) | (TcpState::SynRecv, _) => {
            Verdict::NotYetAccepted
        }
        (TcpState::FinWait1 | TcpState::FinWait2 | TcpState::LastAck | TcpState::Closing, 0)
        | (TcpState::TimeWait, _) => Verdict::Refused(Reason::PartnerGone),
        (TcpState::SynSent | TcpState::Close | TcpState::Listen | TcpState::Other(_), _) => {
            Verdict::Refused(Reason::NotEstablished)
        }
        (
            TcpState::Established
            | TcpState::CloseWait
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::LastAck
            | TcpState::Closing,
            inode,
        ) => {
            if trust.overflow_uid == Some(entry.uid) {
                return Verdict::Refused(Reason::OverflowUid);
            }
            Verdict::Partner(Owner { uid: entry.uid, inode, cgroup: entry.cgroup })
        }
    }
}

/// How often two states may fail to fit before the partner is taken for a stranger.
const MISFITS: u32 = 4;

/// Whether an end in state `partner` can be the other end of one that, a moment later, was in state
/// `own`: each knows of a FIN that it has received or seen acknowledged.
///
/// A partner that is judged by its state alone (no connected state) fits anything.
pub(super) fn states_fit(partner: TcpState, own: TcpState) -> bool {
    use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck};
    let Some(partner) = Fin::of(partner) else { return true };
    match own {
        // No FIN received, none sent: the partner's may be on its way.
        Established => !partner.received && !partner.acknowledged,
        // A FIN received, none sent.
        CloseWait => partner.sent && !partner.received,
        // None received; ours is sent, and acknowledged or not.
        FinWait1 => !partner.acknowledged,
        FinWait2 => partner.received && !partner.acknowledged,
        // One received, one sent.
        Closing => partner.sent,
        LastAck => partner.sent,
        TcpState::SynSent
        | TcpState::SynRecv
        | TcpState::TimeWait
        | TcpState::Close
        | TcpState::Listen
        | TcpState::Other(_) => false,
    }
}

/// What a connected end knows of FINs.
struct Fin {
    sent: bool,
    acknowledged: bool,
    received: bool,
}

impl Fin {
    fn of(state: TcpState) -> Option<Self> {
        let (sent, acknowledged, received) = match state {
            TcpState::Established => (false, false, false),
            TcpState::FinWait1 => (true, false, false),
            TcpState::FinWait2 => (true, true, false),
            TcpState::CloseWait => (false, false, true),
            TcpState::LastAck | TcpState::Closing => (true, false, true),
            TcpState::SynSent
            | TcpState::SynRecv
            | TcpState::TimeWait
            | TcpState::Close
            | TcpState::Listen
            | TcpState::Other(_) => return None,
        };
        Some(Self { sent, acknowledged, received })
    }
}

/// Our own end: connected in the sense of getpeername(2).
pub(crate) fn is_live(state: TcpState) -> bool {
    match state {
        TcpState::Established
        | TcpState::FinWait1
        | TcpState::FinWait2
        | TcpState::CloseWait
        | TcpState::LastAck
        | TcpState::Closing => true,
        TcpState::SynSent
        | TcpState::SynRecv
        | TcpState::TimeWait
        | TcpState::Close
        | TcpState::Listen
        | TcpState::Other(_) => false,
    }
}

#[cfg(test)]
mod tests;
