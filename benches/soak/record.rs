//! What was seen, and what it comes to.

use std::time::Duration;

use crate::library::Counts;
use crate::support::status::Status;
use crate::{Clients, LANES};

/// One look at all processes.
pub struct Sample {
    pub library: Status,
    pub near: Status,
    pub far: Status,
    /// Bytes that the library's process has allocated.
    pub allocated: u64,
    pub answers: u64,
    pub wrong: u64,
    pub refused: u64,
}

/// Descriptors of those that are idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    pub library: usize,
    pub near: usize,
    pub far: usize,
}

/// What must be flat: its name, and how much it is in KiB or as a number.
type Series = (&'static str, bool, fn(&Sample) -> u64);

const SERIES: [Series; 13] = [
    ("library: allocated, KiB", true, |sample| sample.allocated / 1_024),
    ("library: RssAnon, KiB", true, |sample| sample.library.anonymous),
    ("library: VmRSS, KiB", true, |sample| sample.library.resident),
    ("library: descriptors", false, |sample| count(sample.library.descriptors)),
    ("library: threads", false, |sample| sample.library.threads),
    ("agent: RssAnon, KiB", true, |sample| sample.near.anonymous),
    ("agent: VmRSS, KiB", true, |sample| sample.near.resident),
    ("agent: descriptors", false, |sample| count(sample.near.descriptors)),
    ("agent: threads", false, |sample| sample.near.threads),
    ("other host's agent: RssAnon, KiB", true, |sample| sample.far.anonymous),
    ("other host's agent: VmRSS, KiB", true, |sample| sample.far.resident),
    ("other host's agent: descriptors", false, |sample| count(sample.far.descriptors)),
    ("other host's agent: threads", false, |sample| sample.far.threads),
];

/// Descriptors and threads of a moment depend on what is open at that moment.
const NUMBER_MARGIN: u64 = 8;
const LONG_MARGIN: u64 = 256;
const SHORT_MARGIN: u64 = 1_024;
/// A line of the table.
const LINE: Duration = Duration::from_secs(300);

pub struct Record {
    every: Duration,
    samples: Vec<Sample>,
    planned: usize,
    is_short: bool,
}

impl Record {
    pub fn new(time: Duration, every: Duration, is_short: bool) -> Self {
        let planned = usize::try_from(time.as_secs() / every.as_secs()).expect("few");
        let names = SERIES.map(|(name, ..)| name).join(" | ");
        println!("| minutes | answers | wrong | refused | {names} |");
        println!("|{}", "---|".repeat(SERIES.len() + 4));
        Self { every, samples: Vec::new(), planned, is_short }
    }

    /// When the next sample is due; `None` at the end.
    pub fn next(&self) -> Option<Duration> {
        let next = self.samples.len() + 1;
        let number = u32::try_from(next).expect("few");
        (next <= self.planned).then(|| self.every * number)
    }

    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
        let each = usize::try_from(LINE.as_secs() / self.every.as_secs()).expect("few");
        let whole = self.samples.len().is_multiple_of(each);
        if whole || self.samples.len() == self.planned {
            let since = (self.samples.len() - 1) / each * each;
            self.line(&self.samples[since..]);
        }
    }

    /// What happened up to now, and the medians of what was held.
    fn line(&self, samples: &[Sample]) {
        let last = samples.last().expect("a sample");
        let minutes = self.every.as_secs_f64() * self.samples.len() as f64 / 60.0;
        let held: Vec<String> =
            SERIES.iter().map(|(_, _, of)| median(samples, *of).to_string()).collect();
        println!(
            "| {minutes:.0} | {} | {} | {} | {} |",
            last.answers,
            last.wrong,
            last.refused,
            held.join(" | ")
        );
    }

    /// Prints it; whether all is well.
    pub fn verdict(
        &self,
        lasted: Duration,
        counts: &Counts,
        clients: &Clients,
        (before, after): (Idle, Idle),
    ) -> bool {
        let mut all = true;
        let mut holds = |holds: bool| {
            all &= holds;
            if holds { "yes" } else { "NO" }
        };
        let quarter = self.samples.len() / 4;
        let second = &self.samples[quarter..2 * quarter];
        let last = &self.samples[self.samples.len() - quarter..];
        let margin = if self.is_short { SHORT_MARGIN } else { LONG_MARGIN };
        println!("\n| medians | second quarter | last quarter | flat |\n|---|---|---|---|");
        for (name, is_memory, of) in SERIES {
            let (second, last) = (median(second, of), median(last, of));
            let allowed = if is_memory { margin.max(second / 50) } else { NUMBER_MARGIN };
            println!("| {name} | {second} | {last} | {} |", holds(last <= second + allowed));
        }
        println!("\n| what | | as it should be |\n|---|---|---|");
        println!("| descriptors, idle before | {before:?} | |");
        println!("| descriptors, idle after | {after:?} | {} |", holds(before == after));
        let rate: u32 = LANES.iter().map(|lane| lane.rate).sum();
        let planned = f64::from(rate) * lasted.as_secs_f64();
        let Clients { made, left, forgotten } = clients;
        let reached = *made as f64 / planned;
        println!("| connections made to the library | {made} | |");
        println!("| of the planned rate | {:.1} % | {} |", reached * 100.0, holds(reached > 0.95));
        println!("| left by the client at once | {left} | |");
        let few = holds(forgotten * 1_000 <= *made);
        println!("| not closed within 30 s | {forgotten} | {few} |");
        println!(
            "| answers, warm-up included | {} | {} |",
            counts.answers,
            holds(counts.answers > 0)
        );
        println!(
            "| gets dropped before they were done | {} | {} |",
            counts.dropped,
            holds(counts.dropped > 0)
        );
        println!("| tokens without a process | {} | |", counts.bare);
        println!("| wrong answers | {} | {} |", counts.wrong, holds(counts.wrong == 0));
        let reasons: Vec<String> =
            counts.reasons.iter().map(|(name, count)| format!("{name} {count}")).collect();
        println!("| refusals | {} | |", reasons.join(", "));
        // Who waits is named: only those who left are not.
        let refused = counts.refused();
        println!(
            "| more refusals than clients that left | {} | {} |",
            refused.saturating_sub(*left),
            holds(refused <= *left)
        );
        println!(
            "\n{}",
            if all { "flat" } else { "NOT FLAT, or not as it should be: see NO above" }
        );
        all
    }
}

fn median(samples: &[Sample], of: fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn count(number: usize) -> u64 {
    u64::try_from(number).expect("few")
}
