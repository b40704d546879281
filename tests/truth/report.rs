//! The tables of a run.

use super::claim::DEEDS;
use super::judge::{Tally, Verdict};
use super::others::TOOLS;

pub(crate) fn print(verdict: &Verdict) {
    let Verdict { connections, across, recycled, unaccepted, untold, .. } = verdict;
    println!("\n| connections | |\n|---|---|");
    for (what, count) in [
        ("all", connections),
        ("between network namespaces", across),
        ("with the addresses of an earlier one of another user", recycled),
        ("never accepted, and so not asked about", unaccepted),
        ("not judged: silent, and not told from others of their addresses", untold),
    ] {
        println!("| {what} | {count} |");
    }
    println!(
        "\n| what the partner does | asked | right | refused | **wrong** |\n|---|---|---|---|---|"
    );
    for (deed, _, text) in DEEDS {
        row(text, verdict.deeds.get(&deed).copied().unwrap_or_default());
    }
    row("all", verdict.all);
    row("of those, while the partner stays", verdict.honest);
    println!("\n| refused because | same stack | between namespaces |\n|---|---|---|");
    for (why, [own, across]) in &verdict.refusals {
        println!("| `{why}` | {own} | {across} |");
    }
    println!("\n| asked at the same moments | asked | right | nobody | wrong | of those root |");
    println!("|---|---|---|---|---|---|");
    for (tool, text) in TOOLS {
        let Some(tally) = verdict.tools.get(&tool) else { continue };
        let Tally { asked, right, nobody, wrong, root } = tally;
        println!("| {text} | {asked} | {right} | {nobody} | {wrong} | {root} |");
    }
    println!();
}

fn row(text: &str, Tally { asked, right, nobody, wrong, .. }: Tally) {
    println!("| {text} | {asked} | {right} | {nobody} | {wrong} |");
}
