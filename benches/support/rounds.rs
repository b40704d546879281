//! Rounds of questions, and what is told of them.

use std::time::{Duration, Instant};

/// What one round of one way has shown.
#[derive(Clone, Debug, Default)]
pub struct Round {
    pub times: Vec<Duration>,
    pub took: Duration,
}

/// What is told of a round, or of all.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
}

impl Round {
    /// In questions a second and microseconds.
    pub fn measured(mut self) -> Measured {
        self.times.sort_unstable();
        let at = |percent: usize| {
            let place = (self.times.len() * percent / 100).min(self.times.len() - 1);
            self.times[place].as_secs_f64() * 1e6
        };
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let count = self.times.len() as f64;
        Measured { rate: count / self.took.as_secs_f64(), p50: at(50), p99: at(99) }
    }
}

impl Measured {
    /// Of each number by itself.
    pub fn medians(rounds: &[Self]) -> Self {
        let median = |what: fn(&Self) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(what).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            rate: median(|round| round.rate),
            p50: median(|round| round.p50),
            p99: median(|round| round.p99),
        }
    }
}

/// `count` in flight, by as many tasks, each of which asks again when it has its answer.
pub async fn drive<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    length: Duration,
    ask: impl Fn() -> F + Clone + Send + 'static,
) -> Round {
    let began = Instant::now();
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let ask = ask.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                while began.elapsed() < length {
                    let asked = Instant::now();
                    ask().await;
                    times.push(asked.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a task"));
    }
    Round { times, took: began.elapsed() }
}

/// How many times as much the one shows as the other: the median over rounds that were neighbours.
pub fn ratio(one: &[Measured], other: &[Measured], what: impl Fn(&Measured) -> f64) -> f64 {
    let mut ratios: Vec<f64> =
        one.iter().zip(other).map(|(one, other)| what(one) / what(other)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
