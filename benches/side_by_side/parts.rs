//! What a get is made of: its system calls, each by itself, and its allocations.

use std::hint::black_box;

use partner_info::Stack;
use rustix::net::sockopt;
use tokio::runtime::Runtime;

use crate::Effort;
use crate::enclosure;
use crate::support::counting;
use crate::support::floor::Floor;
use crate::support::processes::Partners;
use crate::users::{self, forgetful, fresh, saved, warm};
use crate::ways::{self, Asked, Measured, Named, Way};

/// The place of the gets in what [`measure`] returns.
pub const FRESH: usize = 7;
pub const SAVED: usize = 9;
/// The calls of a fresh get, and those of a saved one.
pub const OF_FRESH: [usize; 4] = [1, 2, 3, 5];
pub const OF_SAVED: [usize; 2] = [1, 2];

pub struct Parts {
    pub calls: Vec<Measured>,
    /// In a thousand gets of a kind, at best: other threads of this process allocate, too.
    pub allocations: [usize; 2],
}

pub fn measure(runtime: &Runtime, effort: Effort) -> Parts {
    let every = users::PROCESSES.div_ceil(users::ASKED);
    let mut partners = runtime.block_on(Partners::new(users::PROCESSES, enclosure::USERS, every));
    let asked = runtime.block_on(users::prefetched(&mut partners));
    let mut floor = Floor::new(asked.iter().map(|asked| &asked.stream));
    let mut pair = Floor::new(asked.iter().map(|asked| &asked.stream));
    let mut pair_at_once = Floor::new(asked.iter().map(|asked| &asked.stream));
    let nameless = forgetful().without_names().build();
    let forgetful = forgetful().build();
    let remembering = Stack::builder().build();
    warm(&forgetful, &asked);
    warm(&nameless, &asked);
    warm(&remembering, &asked);

    let many = effort.many;
    let nothing = Named::default;
    let mut ways = [
        Way::there("`getppid`, which does nothing", many, |_| {
            black_box(rustix::process::getppid());
            nothing()
        }),
        Way::there("`getsockopt(SO_COOKIE)`: which socket", many, |asked| {
            black_box(sockopt::socket_cookie(&asked.stream).expect("a cookie"));
            nothing()
        }),
        Way::there("`getpeername`: which connection of it", many, |asked| {
            black_box(rustix::net::getpeername(&asked.stream).expect("a peer"));
            nothing()
        }),
        Way::there("`getsockopt(SO_ORIGINAL_DST)`: translated or not", many, |asked| {
            let _ = black_box(sockopt::ip_original_dst(&asked.stream));
            nothing()
        }),
        Way::there("`sendto`, `recvfrom`: one lookup (the floor)", many, |_| {
            black_box(floor.round_trip());
            nothing()
        }),
        Way::there("`sendto`, 2 `recvfrom`: both lookups in one message", many, |_| {
            black_box(pair.pair());
            nothing()
        }),
        Way::there("`sendto`, `recvmmsg`: the same, tried instead", many, |_| {
            black_box(pair_at_once.pair_at_once());
            nothing()
        }),
        Way::there("**a fresh get**", many, |asked| fresh(&forgetful, asked)),
        Way::there("**a fresh get of a stack without names**", many, |asked| {
            fresh(&nameless, asked)
        }),
        Way::there("**a saved get**", many, |asked| saved(&remembering, asked)),
    ];
    let calls = ways::measure(&mut ways, &asked, effort.rounds, true);
    drop(ways);
    let allocations = [
        allocations(&asked, |asked| fresh(&forgetful, asked)),
        allocations(&asked, |asked| saved(&remembering, asked)),
    ];
    Parts { calls, allocations }
}

fn allocations(asked: &[Asked], mut get: impl FnMut(&Asked) -> Named) -> usize {
    let mut thousand = || {
        let before = counting::allocations();
        for number in 0..1_000 {
            black_box(get(&asked[number % asked.len()]));
        }
        counting::allocations() - before
    };
    (0..5).map(|_| thousand()).min().expect("five")
}
