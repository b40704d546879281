//! The partner's user, on the same host, among more and more other sockets.

use std::hint::black_box;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use partner_info::prelude::*;
use partner_info::{PartnerInfo, Stack, StackBuilder};
use tokio::runtime::Runtime;

use crate::Effort;
use crate::support::floor::Floor;
use crate::support::places;
use crate::support::processes::{Partners, Processes};
use crate::tools::{self, Oidentd, Psutil};
use crate::ways::{self, Asked, Measured, Named, Way};
use crate::{crates, enclosure};

/// Other sockets.
pub const OTHERS: [usize; 4] = [10, 1_000, 10_000, 30_000];
/// Connections asked about in turn, so few that the others can be ten.
pub const ASKED: usize = 3;
/// Processes besides those that hold the other sockets.
pub const PROCESSES: usize = 50;
const USER: PartnerRequest = PartnerRequest::USER_ID;

/// The place of some ways in what [`measure`] returns.
pub const FLOOR: usize = 0;
pub const COOKIE: usize = 2;
pub const FRESH: usize = 3;
pub const SAVED: usize = 5;
pub const NETSTAT2: usize = 7;
pub const PROCFS: usize = 8;
pub const LISTENERS: usize = 9;
pub const PSUTIL: usize = 11;
pub const LSOF: usize = 12;
pub const OIDENTD: [usize; 2] = [13, 14];

/// What each way takes among each of [`OTHERS`].
pub fn measure(runtime: &Runtime, effort: Effort) -> [Vec<Measured>; 4] {
    let mut partners =
        runtime.block_on(Partners::new(PROCESSES, enclosure::USERS, PROCESSES.div_ceil(ASKED)));
    let asked = runtime.block_on(prefetched(&mut partners));
    OTHERS.map(|others| {
        // The two ends of what is asked about are no others.
        let _crowd = Processes::crowd(others - 2 * (ASKED - 1));
        beside(&asked, effort)
    })
}

/// Connections whose partners the default stack has looked up when it accepted them.
pub async fn prefetched(partners: &mut Partners) -> Vec<Asked> {
    partners.listener.set_partner_info(USER).expect("set");
    let mut all = Vec::new();
    for number in 0..ASKED {
        partners.tell(number);
        let (stream, _) = partners.listener.accept_partner().await.expect("accept");
        let deadline = Instant::now() + Duration::from_secs(5);
        while stream.try_get_partner_info(USER).is_err() {
            assert!(Instant::now() < deadline, "the name service answers");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        all.push(Asked::new(stream, None, &partners.all[number]));
    }
    all
}

/// One that remembers one connection: to ask about several in turn asks the kernel each time. Names are
/// believed for longer than it takes.
pub fn forgetful() -> StackBuilder {
    Stack::builder().connections(1).name_age(Duration::from_secs(3_600))
}

fn named(answer: &PartnerInfo) -> Named {
    Named::user(answer.user().expect("a user").uid())
}

/// The answer to a get that is asked of the kernel, and has no name to wait for.
pub fn fresh(stack: &Stack, asked: &Asked) -> Named {
    let get = stack.get_partner_info(&asked.stream, USER, Duration::from_secs(1));
    named(&black_box(get.now_or_never().expect("known at once").expect("an answer")))
}

pub fn saved(stack: &Stack, asked: &Asked) -> Named {
    let answer = stack.try_get_partner_info(&asked.stream, USER);
    named(&black_box(answer.expect("saved")))
}

/// Asks until all names are known.
pub fn warm(stack: &Stack, asked: &[Asked]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    for one in asked {
        while stack
            .get_partner_info(&one.stream, USER, Duration::from_secs(1))
            .now_or_never()
            .is_none()
        {
            assert!(Instant::now() < deadline, "the name service answers");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn beside(asked: &[Asked], effort: Effort) -> Vec<Measured> {
    let Effort { rounds, many, several } = effort;
    let mut floor = Floor::new(asked.iter().map(|asked| &asked.stream));
    let (unix, _other) = UnixStream::pair().expect("a pair");
    let forgetful = forgetful().build();
    let remembering = Stack::builder().build();
    warm(&forgetful, asked);
    warm(&remembering, asked);
    let mut dump = crates::Dump::new();
    let mut psutil = Psutil::start();
    let there = places::first(|| Oidentd::start(113));
    let here = Oidentd::start(114);
    let mut ways = [
        Way::there("raw exact netlink lookup, unverified", many, |_| {
            black_box(floor.round_trip());
            Named::default()
        }),
        Way::there("`SO_PEERCRED` of a Unix socket", many, |_| {
            black_box(rustix::net::sockopt::socket_peercred(&unix).expect("credentials"));
            Named::default()
        }),
        Way::there("`getsockopt(SO_COOKIE)`", many, |asked| {
            black_box(rustix::net::sockopt::socket_cookie(&asked.stream).expect("a cookie"));
            Named::default()
        }),
        Way::there("**ours, fresh**", many, |asked| fresh(&forgetful, asked)),
        Way::there("**ours, prefetched at accept**", many, |asked| {
            named(&black_box(asked.stream.try_get_partner_info(USER).expect("saved")))
        }),
        Way::there("**ours, saved**", many, |asked| saved(&remembering, asked)),
        Way::there("netlink-packet-sock-diag, dump", several, |asked| dump.user(asked)),
        Way::there("netstat2, without pids", several, crates::netstat2_user),
        Way::there("procfs", several, crates::procfs_user),
        Way::there("listeners", 1, crates::listeners_user),
        Way::new("`ss -tne`, filtered", several, tools::ss_user()),
        Way::new(
            "psutil",
            1,
            psutil.as_mut().map(|psutil| |asked: &Asked| psutil.ask(asked)).map_err(|why| *why),
        ),
        Way::new("`lsof -i`, filtered", 1, tools::lsof()),
        Way::new("oidentd, on another processor", several, Oidentd::asking(&there)),
        Way::new("oidentd, on the same processor", several, Oidentd::asking(&here)),
    ];
    ways::measure(&mut ways, asked, rounds, true)
}
