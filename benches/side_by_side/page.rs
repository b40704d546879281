//! The tables, and their place in docs/performance.md.

use std::fs;
use std::path::{Path, PathBuf};

use crate::parts::{self, Parts};
use crate::support::places::{self, Place};
use crate::support::report::{self, Line};
use crate::support::rounds::{self, ratio};
use crate::ways::{Measured, spread};
use crate::{chart, holders, hosts, services, users};

const BEGIN: &str = "<!-- What is between these two lines is written by the command. -->\n";
const END: &str = "<!-- The end of what the command has written. -->\n";

/// All that was measured in one run.
pub struct Run {
    pub users: [Vec<Measured>; 4],
    pub parts: Parts,
    pub holders: [Vec<Measured>; 2],
    pub hosts: Vec<(Place, [[Vec<rounds::Measured>; 4]; 2])>,
    pub services: Vec<services::Service>,
}

/// Microseconds, in as many digits as say something.
pub fn number(value: f64) -> String {
    if value >= 1_000.0 {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// One table of ways on several stages; the last two columns are of stage `at`, as ratio to `to`.
fn ways(stages: &[(String, &Vec<Measured>)], at: usize, to: usize) -> String {
    let heads: String = stages.iter().map(|(head, _)| format!(" {head} |")).collect();
    let chosen = &stages[at].0;
    let mut table = format!(
        "| microseconds, median |{heads} p99 or longest, {chosen} | times ours | asked | wrong |\n"
    );
    table.push_str(&format!("|---|{}---|---|---|---|\n", "---|".repeat(stages.len())));
    let (_, of_chosen) = &stages[at];
    for (index, way) in of_chosen.iter().enumerate() {
        if let Some(why) = way.missing {
            let empty = " |".repeat(stages.len() + 3);
            table.push_str(&format!("| {} | {why}{empty} |\n", way.name));
            continue;
        }
        let medians: String =
            stages.iter().map(|(_, ways)| format!(" {} |", number(ways[index].median()))).collect();
        let longest = if way.is_few() { "longest" } else { "p99" };
        let wrong: usize = stages.iter().map(|(_, ways)| ways[index].wrong).sum();
        table.push_str(&format!(
            "| {} |{medians} {} ({longest}) | {} | {} | {wrong} |\n",
            way.name,
            number(way.high()),
            number(way.ratio(&of_chosen[to])),
            number_of(way.count()),
        ));
    }
    table
}

fn number_of(count: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let value = count as f64;
    if count < 1_000 { count.to_string() } else { number(value) }
}

/// The system calls of a get, and what they leave.
fn of_parts(Parts { calls, allocations }: &Parts) -> String {
    let gets = [
        (parts::FRESH, &parts::OF_FRESH[..], allocations[0]),
        (parts::SAVED, &parts::OF_SAVED[..], allocations[1]),
    ];
    let mut table = String::from(
        "| microseconds, median | | of a fresh get | of a saved get |\n|---|---|---|---|\n",
    );
    for (index, call) in calls.iter().enumerate() {
        let median = number(call.median());
        let cells =
            gets.map(
                |(get, of_it, _)| {
                    if get == index || of_it.contains(&index) { median.as_str() } else { "" }
                },
            );
        table.push_str(&format!("| {} | {median} | {} | {} |\n", call.name, cells[0], cells[1]));
    }
    let rest = gets.map(|(get, of_it, _)| {
        let calls_of_it: f64 = of_it.iter().map(|index| calls[*index].median()).sum();
        number(calls[get].median() - calls_of_it)
    });
    table.push_str(&format!("| outside of system calls | | {} | {} |\n", rest[0], rest[1]));
    let [fresh, saved] = gets.map(|(_, _, allocations)| allocations);
    table.push_str(&format!("| allocations in 1,000 gets | | {fresh} | {saved} |\n"));
    table
}

fn of_hosts(run: &Run) -> String {
    let mut table = String::from(
        "| | in flight | | questions/s | p50 us | p99 us | p50, times bare frames |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (place, measured) in &run.hosts {
        for (count, ways) in hosts::IN_FLIGHT.iter().zip(measured) {
            let named = [
                ("bare frames (floor)", hosts::FLOOR),
                ("**ours: the link of two agents**", hosts::LINK),
                ("tonic, unary", hosts::TONIC),
            ];
            for (name, way) in named {
                let rounds::Measured { rate, p50, p99 } = rounds::Measured::medians(&ways[way]);
                let times = ratio(&ways[way], &ways[hosts::FLOOR], |round| round.p50);
                table.push_str(&format!(
                    "| {place} | {count} | {name} | {} | {} | {} | {times:.2} |\n",
                    number(rate),
                    number(p50),
                    number(p99)
                ));
            }
        }
    }
    table
}

fn of_services(run: &Run) -> String {
    let mut table = String::from(
        "| | counted | per second, silent | asking at accept | asking / silent | p50 us, silent | \
         asking | p99 us, silent | asking |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for service in &run.services {
        let [silent, asking] =
            [&service.silent, &service.asking].map(|rounds| rounds::Measured::medians(rounds));
        table.push_str(&format!(
            "| {} | {} | {} | {} | {:.3} | {} | {} | {} | {} |\n",
            service.name,
            service.counted,
            number(silent.rate),
            number(asking.rate),
            service.ratio(),
            number(silent.p50),
            number(asking.p50),
            number(silent.p99),
            number(asking.p99),
        ));
    }
    table
}

/// What the project aims at, and what this run has of it.
fn aims(run: &Run) -> Vec<Line> {
    let [few, _, ten_thousand, most] = &run.users;
    let ours = &ten_thousand[users::FRESH];
    let mut lines = Vec::new();
    let mut quicker = |what: &str, way: usize, bound: f64| {
        let way = &ten_thousand[way];
        if way.missing.is_none() {
            let what = format!("{what} / fresh get, 10,000 other sockets");
            lines.push(Line::at_least(what, way.ratio(ours), bound));
        }
    };
    quicker("netstat2's best call", users::NETSTAT2, 100.0);
    quicker("procfs", users::PROCFS, 1_000.0);
    quicker("listeners", users::LISTENERS, 1_000.0);
    quicker("psutil", users::PSUTIL, 1_000.0);
    quicker("lsof", users::LSOF, 1_000.0);
    let [there, here] = users::OIDENTD;
    let quickest =
        if ten_thousand[there].median() < ten_thousand[here].median() { there } else { here };
    quicker("oidentd where it is quicker", quickest, 50.0);
    for (others, ways) in users::OTHERS.iter().zip(&run.users) {
        let what = format!("fresh get / raw exact lookup, {} other sockets", number_of(*others));
        lines.push(Line::at_most(what, ways[users::FRESH].ratio(&ways[users::FLOOR]), 2.0));
    }
    let growth = most[users::FRESH].median() / few[users::FRESH].median();
    lines.push(Line::at_most("fresh get, 30,000 other sockets / 10", growth, 1.3));
    let saved = ten_thousand[users::SAVED].ratio(&ten_thousand[users::COOKIE]);
    lines.push(Line::at_most("saved get / getsockopt(SO_COOKIE)", saved, 2.0));
    for (what, allocations) in ["fresh", "saved"].into_iter().zip(run.parts.allocations) {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let allocations = allocations as f64;
        lines.push(Line::at_most(format!("allocations in 1,000 {what} gets"), allocations, 0.0));
    }
    lines
}

/// The machine, as far as it explains a number.
fn machine() -> String {
    let kernel = rustix::system::uname();
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "Linux {}, {} processors ({})",
        kernel.release().to_string_lossy(),
        places::processors().len(),
        model.map_or("of a model that /proc does not name", |(_, model)| model),
    )
}

/// How much the floors moved from round to round.
fn noise(run: &Run) -> String {
    let of_users = run.users.each_ref().map(|ways| ways[users::FLOOR].spread());
    let of_hosts: Vec<f64> = run
        .hosts
        .iter()
        .flat_map(|(_, measured)| measured)
        .map(|ways| spread(&ways[hosts::FLOOR].iter().map(|round| round.p50).collect::<Vec<_>>()))
        .collect();
    let of_services: Vec<f64> = run
        .services
        .iter()
        .map(|one| spread(&one.silent.iter().map(|round| round.rate).collect::<Vec<_>>()))
        .collect();
    let list = |values: &[f64]| {
        values.iter().map(|value| format!("{value:.0} %")).collect::<Vec<_>>().join(", ")
    };
    format!(
        "Noise, as the distance from the 10th to the 90th percentile of the rounds' medians: of the raw lookup \
         among 10 to 30,000 other sockets {}; of bare frames, in the order of their table, {}; of silent servers' \
         rates {}.",
        list(&of_users),
        list(&of_hosts),
        list(&of_services),
    )
}

pub fn text(run: &Run) -> String {
    let of_users: Vec<_> = users::OTHERS
        .iter()
        .zip(&run.users)
        .map(|(others, ways)| (format!("{} others", number_of(*others)), ways))
        .collect();
    let of_holders: Vec<_> = holders::PROCESSES
        .iter()
        .zip(&run.holders)
        .map(|(processes, ways)| (format!("{processes} processes"), ways))
        .collect();
    format!(
        "{}. {}\n\n\
         ![What each way takes among 10 to 30,000 other sockets](performance.svg)\n\n\
         ### What is aimed at\n\n{}\n\
         ### The user\n\n{}\n\
         ### What a get is made of\n\n{}\n\
         ### The process\n\n{}\n\
         ### Another host\n\n{}\n\
         ### In a server\n\n{}",
        machine(),
        noise(run),
        report::table(&aims(run), "aimed at"),
        ways(&of_users, 2, users::FRESH),
        of_parts(&run.parts),
        ways(&of_holders, 1, holders::COLD),
        of_hosts(run),
        of_services(run),
    )
}

/// The folder of the page.
pub fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// Puts text and chart into `folder`: the page of the documentation, with its middle replaced.
pub fn write(run: &Run, folder: &Path) {
    let page = folder.join("performance.md");
    let old = fs::read_to_string(docs().join("performance.md")).expect("docs/performance.md");
    let (before, rest) = old.split_once(BEGIN).expect("the line where the tables begin");
    let (_, after) = rest.split_once(END).expect("the line where they end");
    fs::write(&page, format!("{before}{BEGIN}\n{}\n{END}{after}", text(run))).expect("write it");
    fs::write(folder.join("performance.svg"), chart::draw(&run.users)).expect("write the chart");
}
