//! The promised ratios of one run.

use std::path::Path;

pub struct Line {
    what: &'static str,
    value: f64,
    bound: f64,
    at_most: bool,
}

impl Line {
    pub fn at_most(what: &'static str, value: f64, bound: f64) -> Self {
        Self { what, value, bound, at_most: true }
    }

    pub fn at_least(what: &'static str, value: f64, bound: f64) -> Self {
        Self { what, value, bound, at_most: false }
    }

    fn holds(&self) -> bool {
        if self.at_most { self.value <= self.bound } else { self.value >= self.bound }
    }
}

pub fn print(lines: &[Line]) {
    println!("\n| what | measured | promised | holds |\n|---|---|---|---|");
    for line in lines {
        let sign = if line.at_most { "at most" } else { "at least" };
        let holds = if line.holds() { "yes" } else { "NO" };
        println!("| {} | {:.2} | {sign} {} | {holds} |", line.what, line.value, line.bound);
    }
}

/// The median, in nanoseconds, that criterion wrote for this benchmark; NaN where the benchmark
/// was filtered out.
pub fn median(results: &Path, name: &str) -> f64 {
    let file = results.join(name).join("new/estimates.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return f64::NAN;
    };
    let estimates: serde_json::Value = serde_json::from_str(&text).expect("criterion's JSON");
    estimates["median"]["point_estimate"].as_f64().unwrap_or(f64::NAN)
}
