//! Shows what was measured, as a table for people, a section of `docs/benchmarks.md`, and a plot.

use std::fmt::Write;
use std::fs;

use anyhow::Context;

use super::Case;
use crate::program::root;

const HEADING: &str = "# Benchmarks

Written by `cargo xtask bench`, which runs both sides in turn on one machine and takes medians. The ratio is the peer's
figure divided by ours, from that one run: above 1 we are ahead. The line on the best peer says it the other way round:
ours divided by theirs, so below 1 we are ahead. Absolute figures are that machine's, and no result.
";

pub(super) fn print(cases: &[Case]) {
    for case in cases {
        println!("\n{}", case.what);
        for line in rows(case) {
            println!("  {:<36}{:>16}  {}", line.name, line.figure, line.ratio);
        }
        if let Some(best) = beside_best(case) {
            println!("  {best}");
        }
    }
    println!();
}

/// Puts the section `name` into the page, in place of the one from before.
pub(super) fn keep(name: &str, cases: &[Case]) -> anyhow::Result<()> {
    let docs = root().join("docs");
    fs::create_dir_all(docs.join("benchmarks"))?;
    fs::write(docs.join(format!("benchmarks/{name}.svg")), plot(cases))?;
    let path = docs.join("benchmarks.md");
    let old = fs::read_to_string(&path).unwrap_or_else(|_| HEADING.to_owned());
    let new = with_section(&old, name, &section(name, cases));
    fs::write(&path, new).with_context(|| format!("failed to write {path:?}"))
}

fn with_section(page: &str, name: &str, section: &str) -> String {
    let title = format!("## {name}\n");
    let Some(start) = page.find(&title) else { return format!("{page}\n{section}") };
    let rest = &page[start + title.len()..];
    let after = rest.find("\n## ").map_or("", |end| &rest[end..]);
    format!("{}{section}{after}", &page[..start])
}

fn section(name: &str, cases: &[Case]) -> String {
    let mut text = format!("## {name}\n\n![{name}](benchmarks/{name}.svg)\n");
    for case in cases {
        let _ = write!(
            text,
            "\n{}, {}:\n\n| | median | ratio to ours |\n|---|---:|---:|\n",
            case.what, case.unit
        );
        for row in rows(case) {
            // A pipe would end the cell.
            let name = row.name.replace('|', "\\|");
            let _ = writeln!(text, "| {name} | {} | {} |", row.number, row.ratio);
        }
        if let Some(best) = beside_best(case) {
            let _ = writeln!(text, "\n{best}");
        }
    }
    text
}

/// Divides our figure by that of the best peer. The column of ratios has it the other way round;
/// here we are ahead below 1.
fn beside_best(case: &Case) -> Option<String> {
    let ours = case.contenders.first()?.median();
    let best = case.best_peer()?;
    let share = ours / best.median();
    Some(format!("Best peer: {}; ours is {} times its figure.", best.name, rounded(share)))
}

struct Row {
    name: String,
    number: String,
    figure: String,
    ratio: String,
}

fn rows(case: &Case) -> Vec<Row> {
    let ours = case.contenders.first().map_or(f64::NAN, |contender| contender.median());
    let row = |(place, contender): (usize, &super::Contender)| {
        let median = contender.median();
        let number = rounded(median);
        let ratio = if place == 0 { String::new() } else { rounded(median / ours) };
        Row {
            name: contender.name.clone(),
            figure: format!("{number} {}", case.unit),
            number,
            ratio,
        }
    };
    case.contenders.iter().enumerate().map(row).collect()
}

/// Writes a number with about three digits; more would be noise.
fn rounded(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else if value >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

const BAR_HEIGHT: usize = 18;
const NAME_WIDTH: usize = 240;
const BAR_WIDTH_MAX: f64 = 420.0;

/// Draws bars, a group for each case, each group on a scale of its own.
fn plot(cases: &[Case]) -> String {
    let mut bars = String::new();
    let mut y = 10;
    for case in cases {
        y += 20;
        let _ =
            writeln!(bars, "<text x=\"10\" y=\"{y}\" font-weight=\"bold\">{}</text>", case.what);
        y += 8;
        let most = case.contenders.iter().map(|c| c.median()).fold(f64::MIN_POSITIVE, f64::max);
        for (place, (contender, row)) in case.contenders.iter().zip(rows(case)).enumerate() {
            let width = contender.median() / most * BAR_WIDTH_MAX;
            let colour = if place == 0 { "#b5482a" } else { "#8a9aa8" };
            let middle = y + 13;
            let end = NAME_WIDTH as f64 + width + 6.0;
            let _ = writeln!(
                bars,
                "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{NAME_WIDTH}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <text x=\"{end:.1}\" y=\"{middle}\">{}</text>",
                NAME_WIDTH - 8,
                row.name,
                BAR_HEIGHT - 4,
                row.figure,
            );
            y += BAR_HEIGHT;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"820\" height=\"{}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{bars}</svg>\n",
        y + 10
    )
}
