//! Two things measured in turn, so that a slow moment of the machine hits both.

use std::time::Instant;

const ROUNDS: usize = 61;
const BATCH: u32 = 2_000;

/// How many times as long `this` takes as `floor`: the median over many short rounds.
pub fn ratio(mut floor: impl FnMut(), mut this: impl FnMut()) -> f64 {
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let floor = batch(&mut floor);
            batch(&mut this) / floor
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}

/// How long `work` takes: the median over many short rounds.
pub fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| batch(&mut work)).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2] * 1e9 / f64::from(BATCH)
}

fn batch(work: &mut impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..BATCH {
        work();
    }
    began.elapsed().as_secs_f64()
}
