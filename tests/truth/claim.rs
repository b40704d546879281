//! What a client tells of a connection: over the connection itself, and once more in its report.

use std::net::SocketAddr;
use std::str::FromStr;

/// What a client does to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// Stays until the server has sent a byte. So do all up to [`Deed::Beside`].
    Stay,
    /// Sends its FIN, and stays.
    HalfClose,
    /// A grandchild holds the connection; who connected and the process between are gone from it.
    Fork,
    /// Another program holds it.
    Exec,
    /// Root connected; a process that has become another user holds it.
    Drop,
    /// A process of another user was passed it, and alone holds it.
    Pass,
    /// Another user listens on the same port meanwhile.
    Beside,
    /// Closes: at once, or a moment later.
    Close,
    /// Resets: at once, or a moment later.
    Reset,
    /// The process that holds it ends.
    Exit,
    /// Closes at once and says nothing.
    SilentClose,
    /// Resets at once and says nothing.
    SilentReset,
    /// Resets, and another user connects from the same port at once.
    Usurp,
    /// Closes, and another user listens on the same port at once.
    Squat,
}

/// Each deed, how often it is done in a thousand, and its name.
pub(crate) const DEEDS: [(Deed, u64, &str); 14] = [
    (Deed::Stay, 250, "stays"),
    (Deed::HalfClose, 80, "half-closes and stays"),
    (Deed::Fork, 25, "forks, a grandchild stays"),
    (Deed::Exec, 4, "executes another program, which stays"),
    (Deed::Drop, 25, "gives up root and stays"),
    (Deed::Pass, 76, "is passed to another user's process, which stays"),
    (Deed::Beside, 40, "stays, another user listens on its port"),
    (Deed::Close, 125, "closes"),
    (Deed::Reset, 125, "resets"),
    (Deed::Exit, 20, "its process ends"),
    (Deed::SilentClose, 60, "closes and says nothing"),
    (Deed::SilentReset, 60, "resets and says nothing"),
    (Deed::Usurp, 70, "resets, another user connects from its port"),
    (Deed::Squat, 40, "closes, another user listens on its port"),
];

impl Deed {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let mut left = dice.below(DEEDS.iter().map(|(_, weight, _)| weight).sum());
        for (deed, weight, _) in DEEDS {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return deed,
            }
        }
        Self::Stay
    }

    fn of(number: u8) -> Self {
        DEEDS[usize::from(number)].0
    }

    /// Somebody holds the connection until the server has sent a byte.
    pub(crate) fn stays(self) -> bool {
        self <= Self::Beside
    }

    pub(crate) fn is_silent(self) -> bool {
        matches!(self, Self::SilentClose | Self::SilentReset)
    }

    /// Who holds the connection may be another user than the one it belongs to.
    pub(crate) fn has_other_holder(self) -> bool {
        matches!(self, Self::Drop | Self::Pass)
    }

    pub(crate) fn text(self) -> &'static str {
        DEEDS[self as usize].2
    }
}

/// The first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// No other connection of the run has it.
    pub(crate) number: u64,
    /// The effective user of who made the socket, asked of the kernel when it was made.
    pub(crate) uid: u32,
    pub(crate) deed: Deed,
}

impl Claim {
    pub(crate) const LEN: usize = 16;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = *b"........truth...";
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.uid.to_le_bytes());
        bytes[12] = self.deed as u8;
        bytes
    }

    pub(crate) fn of_bytes(bytes: &[u8; Self::LEN]) -> Self {
        assert_eq!(bytes[13..], *b"...", "no claim: {bytes:?}");
        Self {
            number: u64::from_le_bytes(bytes[..8].try_into().unwrap()),
            uid: u32::from_le_bytes(bytes[8..12].try_into().unwrap()),
            deed: Deed::of(bytes[12]),
        }
    }
}

/// The two addresses of a connection as far as they differ in a run: all of the client's, and the
/// server's port. Connections that have both in common follow one another.
pub(crate) type Tuple = (SocketAddr, u16);

/// A connection in a client's report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) claim: Claim,
    pub(crate) tuple: Tuple,
    /// Nanoseconds of the machine's monotonic clock, read between connect and whatever came after. So
    /// of connections with one tuple the earlier has the lower one, whoever made them: the earlier
    /// was closed after it was read, and the later was made after that.
    pub(crate) when: u64,
}

impl Record {
    pub(crate) fn now(claim: Claim, from: SocketAddr, to: SocketAddr) -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let when = u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap();
        Self { claim, tuple: (from, to.port()), when }
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { claim: Claim { number, uid, deed }, tuple: (from, port), when } = self;
        write!(f, "{number} {uid} {} {from} {port} {when}", *deed as u8)
    }
}

impl FromStr for Record {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let [number, uid, deed, from, port, when] = words[..] else { return Err(line.into()) };
        let number = number.parse().unwrap();
        let claim =
            Claim { number, uid: uid.parse().unwrap(), deed: Deed::of(deed.parse().unwrap()) };
        let tuple = (from.parse().unwrap(), port.parse().unwrap());
        Ok(Self { claim, tuple, when: when.parse().unwrap() })
    }
}

/// Numbers that look random and are the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        let len = u64::try_from(from.len()).unwrap();
        &from[usize::try_from(self.below(len)).unwrap()]
    }
}
