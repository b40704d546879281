//! The promised ratios of one run.

pub struct Line {
    what: String,
    value: f64,
    bound: f64,
    at_most: bool,
}

impl Line {
    pub fn at_most(what: impl Into<String>, value: f64, bound: f64) -> Self {
        Self { what: what.into(), value, bound, at_most: true }
    }

    pub fn at_least(what: impl Into<String>, value: f64, bound: f64) -> Self {
        Self { what: what.into(), value, bound, at_most: false }
    }

    fn holds(&self) -> bool {
        if self.at_most { self.value <= self.bound } else { self.value >= self.bound }
    }
}

pub fn print(lines: &[Line]) {
    println!("\n{}", table(lines, "promised"));
}

/// A table in Markdown; what the bounds are called.
pub fn table(lines: &[Line], bounds: &str) -> String {
    let mut table = format!("| what | measured | {bounds} | holds |\n|---|---|---|---|\n");
    for line in lines {
        let Line { what, value, bound, .. } = line;
        let sign = if line.at_most { "at most" } else { "at least" };
        let holds = if line.holds() { "yes" } else { "NO" };
        table.push_str(&format!("| {what} | {value:.2} | {sign} {bound} | {holds} |\n"));
    }
    table
}
