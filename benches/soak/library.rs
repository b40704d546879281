//! Who asks.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use partner_info::token::Holder;
use partner_info::{AccountNames, Error, PartnerInfo, PartnerRequest, Stack, UserToken};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::client::{listen, runtime, ticks};
use crate::common::actor::{say, say_words, told};
use crate::support::counting;
use crate::{KEPT, LANES, Lane, OUT};

const PATIENCE: Duration = Duration::from_secs(10);
/// Remembered connections: few, so that the table is full long before it is measured.
const REMEMBERED: usize = 1_024;

/// No name service is measured here.
struct NoNames;

impl AccountNames for NoNames {
    fn name_of(&self, _: u32) -> std::io::Result<Option<String>> {
        Ok(None)
    }
}

/// What is done with a connection.
#[derive(Clone, Copy)]
enum Turn {
    /// A get, and then the end.
    Get(PartnerRequest),
    /// A get is dropped after its first poll, then made again.
    Dropped(PartnerRequest),
    /// A get is dropped after so long, then made again.
    Late(PartnerRequest, Duration),
    /// Dropped after its first poll, and not made again.
    Abandoned(PartnerRequest),
}

/// Of twenty connections fourteen are asked who their user is, and six gets are dropped half-way. One in
/// twenty is asked for the token, too: to read processes takes the agent a hundred times as long.
fn turn(number: u64) -> Turn {
    let what = if number.is_multiple_of(80) || number % 40 == 1 {
        PartnerRequest::all()
    } else {
        PartnerRequest::USER_ID
    };
    match number % 20 {
        0 | 10 => Turn::Dropped(what),
        5 | 15 => Turn::Late(what, Duration::from_micros(number % 1_000)),
        7 | 17 => Turn::Abandoned(what),
        _ => Turn::Get(what),
    }
}

/// What came of it.
#[derive(Default)]
struct Tally {
    answers: AtomicU64,
    wrong: AtomicU64,
    dropped: AtomicU64,
    /// Tokens without a process.
    bare: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    fn enter(&self, lane: &Lane, answer: Result<PartnerInfo, Error>) {
        match answer {
            Ok(info) => {
                let is_right = |uid: u32| uid == lane.user;
                let holders = info.token().map(UserToken::holders).into_iter().flatten();
                // What is not known of a process is no wrong answer.
                let mut users = holders.filter_map(Holder::process_user);
                let right = is_right(info.user().expect("it was asked for").uid())
                    && users.all(|user| is_right(user.as_raw()));
                if right { &self.answers } else { &self.wrong }.fetch_add(1, Ordering::Relaxed);
                if !right {
                    eprintln!("{}: expected user {}: {info:?}", lane.name, lane.user);
                }
                if info.token().is_some_and(|token| token.flags().default()) {
                    self.bare.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(error) => {
                let what = match error.reason() {
                    Some(reason) => reason.as_str(),
                    None => error.kind().as_str(),
                };
                let what = format!("{}:{what}", lane.name.replace(' ', "-"));
                let mut refused = self.refused.lock().expect("nobody panicked");
                *refused.entry(what).or_default() += 1;
            }
        }
    }
}

/// What the library's process says of itself.
pub struct Counts {
    pub allocated: u64,
    pub answers: u64,
    pub wrong: u64,
    pub dropped: u64,
    pub bare: u64,
    pub reasons: BTreeMap<String, u64>,
}

impl Counts {
    pub fn of(words: &[String]) -> Self {
        let number = |at: usize| words[at].parse().expect("a number");
        let reason = |word: &String| {
            let (name, count) = word.split_once('=').expect("a reason");
            (name.to_owned(), count.parse().expect("a number"))
        };
        Self {
            allocated: number(0),
            answers: number(1),
            wrong: number(2),
            dropped: number(3),
            bare: number(4),
            reasons: words[5..].iter().map(reason).collect(),
        }
    }

    pub fn refused(&self) -> u64 {
        self.reasons.values().sum()
    }
}

pub fn play(agent: &str) {
    let runtime = runtime();
    let builder = Stack::builder().agent(agent).account_names(NoNames).connections(REMEMBERED);
    let stack = builder.build();
    // What is made for the first token that the agent does not tell stays, too.
    stack.prepare_tokens();
    let listeners: Vec<_> = LANES
        .iter()
        .map(|lane| {
            let _guard = runtime.enter();
            let listener = listen(lane.at);
            stack.set_partner_info(&listener, PartnerRequest::USER_ID).expect("set");
            Arc::new(listener)
        })
        .collect();
    let tally = Arc::new(Tally::default());
    let mut running = JoinSet::new();
    let mut stop = Arc::new(AtomicBool::new(false));
    let mut out = None;
    say(&[]);
    for line in told() {
        match line.as_str() {
            "begin" => {
                stop = Arc::new(AtomicBool::new(false));
                let _guard = runtime.enter();
                for (lane, listener) in LANES.iter().zip(&listeners) {
                    let task = serve(stack.clone(), Arc::clone(listener), lane, &tally);
                    running.spawn(task);
                }
                out = Some(runtime.spawn(connects(
                    stack.clone(),
                    Arc::clone(&tally),
                    Arc::clone(&stop),
                )));
                say(&[]);
            }
            "stop-out" => {
                stop.store(true, Ordering::Relaxed);
                runtime.block_on(out.take().expect("it began")).expect("it ends");
                say(&[]);
            }
            "end" => {
                runtime.block_on(running.shutdown());
                say(&[]);
            }
            "counts" => say_words(&counts(&tally)),
            other => panic!("no such command: {other}"),
        }
    }
}

fn counts(tally: &Tally) -> String {
    let bytes = counting::bytes();
    let [answers, wrong, dropped, bare] =
        [&tally.answers, &tally.wrong, &tally.dropped, &tally.bare]
            .map(|count| count.load(Ordering::Relaxed));
    let refused = tally.refused.lock().expect("nobody panicked");
    let reasons: Vec<String> =
        refused.iter().map(|(name, count)| format!("{name}={count}")).collect();
    format!("{bytes} {answers} {wrong} {dropped} {bare} {}", reasons.join(" "))
}

/// Accepts a lane's connections: first those that are kept.
fn serve(
    stack: Stack,
    listener: Arc<TcpListener>,
    lane: &'static Lane,
    tally: &Arc<Tally>,
) -> impl Future<Output = ()> + use<> {
    let tally = Arc::clone(tally);
    async move {
        let mut kept = Vec::with_capacity(KEPT.0);
        for _ in 0..KEPT.0 {
            kept.push(stack.accept_partner(&*listener).await.expect("accept").0);
        }
        let mut open = JoinSet::new();
        open.spawn(ask_kept(stack.clone(), kept, lane, Arc::clone(&tally)));
        let mut number = 0;
        loop {
            // A connection that was reset before it was accepted is no error of the listener's.
            let Ok((stream, _)) = stack.accept_partner(&*listener).await else { continue };
            number += 1;
            open.spawn(one(stack.clone(), stream, turn(number), lane, Arc::clone(&tally)));
            while open.try_join_next().is_some() {}
        }
    }
}

async fn one(stack: Stack, stream: TcpStream, turn: Turn, lane: &'static Lane, tally: Arc<Tally>) {
    let count_dropped = || tally.dropped.fetch_add(1, Ordering::Relaxed);
    let request = match turn {
        Turn::Get(request) => request,
        Turn::Dropped(request) | Turn::Abandoned(request) => {
            if !polled_once(&stack, &stream, request).await {
                count_dropped();
            }
            request
        }
        Turn::Late(request, time) => {
            let get = stack.get_partner_info(&stream, request, PATIENCE);
            if tokio::time::timeout(time, get).await.is_err() {
                count_dropped();
            }
            request
        }
    };
    if !matches!(turn, Turn::Abandoned(_)) {
        tally.enter(lane, stack.get_partner_info(&stream, request, PATIENCE).await);
    }
}

/// Whether a get was done when it was polled for the first time; it is dropped then.
async fn polled_once(stack: &Stack, stream: &TcpStream, request: PartnerRequest) -> bool {
    let mut get = pin!(stack.get_partner_info(stream, request, PATIENCE));
    std::future::poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx).is_ready())).await
}

async fn ask_kept(stack: Stack, kept: Vec<TcpStream>, lane: &'static Lane, tally: Arc<Tally>) {
    let lanes = u32::try_from(LANES.len()).expect("few");
    let mut ticks = ticks(KEPT.1 / lanes);
    for (number, stream) in kept.iter().cycle().enumerate() {
        ticks.tick().await;
        if number % 10 == 9 {
            stack.forget_partner(stream).expect("a socket");
        }
        let answer = stack.get_partner_info(stream, PartnerRequest::USER_ID, PATIENCE).await;
        tally.enter(lane, answer);
    }
}

/// Connects, with the partner asked for in advance.
async fn connects(stack: Stack, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let mut ticks = ticks(OUT.1);
    let (to, id) = (OUT.0.parse().expect("an address"), PartnerRequest::USER_ID);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let socket = TcpSocket::new_v4().expect("a socket");
        stack.set_partner_info(&socket, id).expect("set");
        let stream = stack.connect_partner(socket, to).await.expect("connect");
        let answer = stack.get_partner_info(&stream, id, PATIENCE).await;
        tally.enter(&LANES[0], answer);
    }
}
