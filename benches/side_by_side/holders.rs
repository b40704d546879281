//! The partner's process, on the same host, among few and many processes.

use std::time::{Duration, Instant};

use partner_info::prelude::*;
use partner_info::{AccountNames, Stack};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::support::processes::{Partners, Processes};
use crate::tools::{self, Psutil};
use crate::ways::{self, Asked, Measured, Named, Way};
use crate::{Effort, crates, enclosure};

/// Processes of 20 descriptors each.
pub const PROCESSES: [usize; 2] = [50, 300];
/// Other sockets.
pub const OTHERS: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// The place of ours in what [`measure`] returns.
pub const COLD: usize = 0;

/// No name service is measured here.
struct NoNames;

impl AccountNames for NoNames {
    fn name_of(&self, _: u32) -> std::io::Result<Option<String>> {
        Ok(None)
    }
}

fn stack() -> Stack {
    Stack::builder().account_names(NoNames).build()
}

/// What each way takes among each of [`PROCESSES`].
pub fn measure(runtime: &Runtime, effort: Effort) -> [Vec<Measured>; 2] {
    let _crowd = Processes::crowd(OTHERS);
    PROCESSES.map(|processes| {
        // A process for each round, and one that is asked about before.
        let every = processes / (effort.rounds + 1);
        let mut partners = runtime.block_on(Partners::new(processes, enclosure::USERS, every));
        let mut asked = runtime.block_on(asked(&mut partners, effort.rounds + 1));
        let first = asked.remove(0);
        beside(runtime, &first, &asked, effort)
    })
}

async fn asked(partners: &mut Partners, count: usize) -> Vec<Asked> {
    let mut all = Vec::new();
    for number in 0..count {
        let stream = partners.connection(number).await;
        let another = partners.connection(number).await;
        all.push(Asked::new(stream, Some(another), &partners.all[number]));
    }
    all
}

/// The token, asked for where the user is known: what is measured is to find the process.
fn token(runtime: &Runtime, stack: &Stack, stream: &TcpStream) -> Named {
    runtime.block_on(async {
        let user = stack.get_partner_info(stream, PartnerRequest::USER_ID, PATIENCE).await;
        let user = user.expect("an answer").user().expect("a user").uid();
        let began = Instant::now();
        let token = stack.get_partner_info(stream, PartnerRequest::UTOKEN, PATIENCE).await;
        let took = began.elapsed().as_secs_f64() * 1e6;
        let answer = token.expect("an answer");
        let holder = answer.token().and_then(|token| token.holder()).expect("a process");
        Named { user: Some(user), pid: Some(holder.pid().as_raw()), took: Some(took) }
    })
}

fn beside(runtime: &Runtime, first: &Asked, asked: &[Asked], effort: Effort) -> Vec<Measured> {
    let prepared = stack();
    prepared.prepare_tokens();
    // Answered after the preparation, by the same thread.
    token(runtime, &prepared, &first.stream);
    let mut psutil = Psutil::start();
    let mut ways = [
        Way::there("**ours (token), a new stack each**", 1, |asked| {
            token(runtime, &stack(), &asked.stream)
        }),
        Way::there("**ours (token), prepared**", 1, |asked| {
            token(runtime, &prepared, &asked.stream)
        }),
        Way::there("**ours (token), prepared, another connection of a known process**", 1, {
            |asked| token(runtime, &prepared, asked.another.as_ref().expect("another"))
        }),
        Way::there("listeners", 1, crates::listeners_process),
        Way::there("netstat2, with pids", 1, crates::netstat2_process),
        Way::there("procfs", 1, crates::procfs_process),
        Way::new("`ss -tnp`, filtered", 1, tools::ss_process()),
        Way::new(
            "psutil",
            1,
            psutil.as_mut().map(|psutil| |asked: &Asked| psutil.ask(asked)).map_err(|why| *why),
        ),
        Way::new("`lsof -i`, filtered", 1, tools::lsof()),
    ];
    ways::measure(&mut ways, asked, effort.rounds, false)
}
