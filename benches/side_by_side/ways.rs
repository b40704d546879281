//! Ways to ask one question, measured in turn.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::support::processes::Partner;

/// A connection whose partner is asked for.
pub struct Asked {
    pub stream: TcpStream,
    /// Another one of the same process.
    pub another: Option<TcpStream>,
    pub ours: SocketAddr,
    pub theirs: SocketAddr,
    pub user: u32,
    pub pid: u32,
}

impl Asked {
    pub fn new(stream: TcpStream, another: Option<TcpStream>, partner: &Partner) -> Self {
        let (ours, theirs) = (stream.local_addr(), stream.peer_addr());
        let (ours, theirs) = (ours.expect("an address"), theirs.expect("a peer"));
        let user = partner.user.expect("a user of its own");
        Self { stream, another, ours, theirs, user, pid: partner.pid }
    }
}

/// What a way came to; nothing where it is a floor.
#[derive(Default)]
pub struct Named {
    pub user: Option<u32>,
    pub pid: Option<u32>,
    /// In microseconds, where not all of it is to be counted.
    pub took: Option<f64>,
}

impl Named {
    pub fn user(user: u32) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    pub fn pid(pid: u32) -> Self {
        Self { pid: Some(pid), ..Self::default() }
    }

    fn is_wrong(&self, asked: &Asked) -> bool {
        self.user.is_some_and(|user| user != asked.user)
            || self.pid.is_some_and(|pid| pid != asked.pid)
    }
}

type Ask<'a> = Box<dyn FnMut(&Asked) -> Named + 'a>;

/// One of the alternatives.
pub struct Way<'a> {
    name: &'static str,
    /// How often it is asked in a round.
    each: usize,
    /// Or why it cannot be.
    ask: Result<Ask<'a>, &'static str>,
}

impl<'a> Way<'a> {
    pub fn new(
        name: &'static str,
        each: usize,
        ask: Result<impl FnMut(&Asked) -> Named + 'a, &'static str>,
    ) -> Self {
        Self { name, each, ask: ask.map(|ask| Box::new(ask) as Ask<'_>) }
    }

    pub fn there(name: &'static str, each: usize, ask: impl FnMut(&Asked) -> Named + 'a) -> Self {
        Self::new(name, each, Ok(ask))
    }
}

/// What was measured of one way, in microseconds.
#[derive(Clone)]
pub struct Measured {
    pub name: &'static str,
    pub missing: Option<&'static str>,
    /// The median of each round.
    rounds: Vec<f64>,
    all: Vec<f64>,
    pub wrong: usize,
}

/// From so many answers on one in a hundred says something; below, the longest is told.
const MANY: usize = 1_000;

impl Measured {
    pub fn median(&self) -> f64 {
        percentile(&self.all, 50)
    }

    /// The 99th percentile, or the longest where there are few.
    pub fn high(&self) -> f64 {
        percentile(&self.all, if self.is_few() { 100 } else { 99 })
    }

    pub fn is_few(&self) -> bool {
        self.all.len() < MANY
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// How many times as long as `other` it takes: the median over rounds that were neighbours.
    pub fn ratio(&self, other: &Self) -> f64 {
        let ratios: Vec<f64> =
            self.rounds.iter().zip(&other.rounds).map(|(this, other)| this / other).collect();
        percentile(&ratios, 50)
    }

    /// As [`spread`], of the medians of the rounds.
    pub fn spread(&self) -> f64 {
        spread(&self.rounds)
    }
}

/// How far values lie apart, from the 10th to the 90th percentile, in hundredths of the middle.
pub fn spread(values: &[f64]) -> f64 {
    let at = |percent| percentile(values, percent);
    (at(90) - at(10)) / at(50) * 100.0
}

/// `rounds` rounds, in each of which each way has its turn. A round asks about one connection, or
/// where `in_turn` about all in turn.
pub fn measure(
    ways: &mut [Way<'_>],
    asked: &[Asked],
    rounds: usize,
    in_turn: bool,
) -> Vec<Measured> {
    let clock = cost_of_clock();
    let mut all: Vec<Measured> = ways
        .iter()
        .map(|way| Measured {
            name: way.name,
            missing: way.ask.as_ref().err().copied(),
            rounds: Vec::new(),
            all: Vec::new(),
            wrong: 0,
        })
        .collect();
    for round in 0..rounds {
        for (way, measured) in ways.iter_mut().zip(&mut all) {
            let Ok(ask) = &mut way.ask else { continue };
            let mut times = Vec::with_capacity(way.each);
            for number in 0..way.each {
                let asked = &asked[if in_turn { round + number } else { round } % asked.len()];
                let began = Instant::now();
                let named = ask(asked);
                let took = began.elapsed().as_secs_f64() * 1e6 - clock;
                measured.wrong += usize::from(named.is_wrong(asked));
                times.push(named.took.unwrap_or(took));
            }
            measured.rounds.push(percentile(&times, 50));
            measured.all.extend(times);
        }
    }
    all
}

/// Microseconds of the two looks at the clock around a question.
fn cost_of_clock() -> f64 {
    let look = || Instant::now().elapsed().as_secs_f64() * 1e6;
    percentile(&std::iter::repeat_with(look).take(10_001).collect::<Vec<_>>(), 50)
}

pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or(f64::NAN)
}
