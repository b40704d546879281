//! The chart: what each way takes among few and many other sockets, on a logarithmic scale.

use std::fmt::Write;

use crate::page::number;
use crate::users::OTHERS;
use crate::ways::Measured;

const LEFT: f64 = 270.0;
const WIDTH: f64 = 620.0;
const RIGHT: f64 = 80.0;
const TOP: f64 = 64.0;
const ROW: f64 = 26.0;
/// From a tenth of a microsecond to ten seconds.
const DECADES: std::ops::RangeInclusive<i32> = -1..=7;

/// Readable on either background: the colours follow the reader's.
const STYLE: &str = "
  .paper { fill: #ffffff } .ink { fill: #1f2328 } .faint { fill: #59636e }
  .line { stroke: #d1d9e0 } .theirs { fill: #9a6700; stroke: #9a6700 }
  .floor { fill: #59636e; stroke: #59636e } .ours { fill: #0969da; stroke: #0969da }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .faint { fill: #9198a1 }
    .line { stroke: #3d444d } .theirs { fill: #d29922; stroke: #d29922 }
    .floor { fill: #9198a1; stroke: #9198a1 } .ours { fill: #4493f8; stroke: #4493f8 }
  }
  text { font: 13px system-ui, sans-serif } .small { font-size: 11px }
";

fn across(microseconds: f64) -> f64 {
    let (first, last) = (f64::from(*DECADES.start()), f64::from(*DECADES.end()));
    LEFT + (microseconds.log10().clamp(first, last) - first) / (last - first) * WIDTH
}

fn unit(decade: i32) -> &'static str {
    ["0.1 us", "1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]
        [usize::try_from(decade - DECADES.start()).expect("within")]
}

pub fn draw(stages: &[Vec<Measured>; 4]) -> String {
    draw_into(stages).expect("a string takes everything")
}

fn draw_into(stages: &[Vec<Measured>; 4]) -> Result<String, std::fmt::Error> {
    let rows: Vec<usize> =
        (0..stages[0].len()).filter(|row| stages[0][*row].missing.is_none()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a few rows")]
    let bottom = TOP + ROW * rows.len() as f64;
    let (width, height) = (LEFT + WIDTH + RIGHT, bottom + 34.0);
    let mut out = String::new();
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>Who is at the other end? What one answer takes, among 10 to 30,000 other sockets</title>
<style>{STYLE}</style>
<rect class="paper" width="{width}" height="{height}"/>
<text class="ink" x="16" y="24" font-weight="600">One answer to "which user is at the other end?"</text>
<text class="faint small" x="16" y="44">dots: {} other sockets, small to large; the number: 10,000</text>"#,
        OTHERS.map(|others| others.to_string()).join(", "),
    )?;
    for decade in DECADES {
        let x = across(10_f64.powi(decade));
        writeln!(
            out,
            r#"<line class="line" x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom}"/><text class="faint small" x="{x:.1}" y="{}" text-anchor="middle">{}</text>"#,
            TOP - 8.0,
            bottom + 18.0,
            unit(decade),
        )?;
    }
    let mut y = TOP + ROW / 2.0 - 4.0;
    for row in rows {
        let name = stages[0][row].name;
        let medians = [0, 1, 2, 3].map(|stage: usize| stages[stage][row].median());
        let class = match name {
            _ if name.contains("ours") => "ours",
            _ if name.contains("raw") || name.contains("SO_") => "floor",
            _ => "theirs",
        };
        let plain: String = name.chars().filter(|c| !matches!(c, '*' | '`')).collect();
        let places = medians.map(across);
        let (from, to) = places.iter().fold((f64::MAX, f64::MIN), |(least, most), place| {
            (least.min(*place), most.max(*place))
        });
        writeln!(
            out,
            r#"<text class="ink" x="{}" y="{}" text-anchor="end">{plain}</text><line class="{class}" stroke-width="2" x1="{from:.1}" x2="{to:.1}" y1="{y}" y2="{y}"/>"#,
            LEFT - 14.0,
            y + 4.5,
        )?;
        for (place, radius) in places.into_iter().zip([2.0, 3.0, 4.0, 5.0]) {
            writeln!(out, r#"<circle class="{class}" cx="{place:.1}" cy="{y}" r="{radius}"/>"#)?;
        }
        writeln!(
            out,
            r#"<text class="faint small" x="{:.1}" y="{}">{} us</text>"#,
            to + 10.0,
            y + 4.0,
            number(medians[2]),
        )?;
        y += ROW;
    }
    out.push_str("</svg>\n");
    Ok(out)
}
