use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::table::number;
use crate::keys::HitRatio;
use crate::results::{Metric, Results, Row, Spread};
use crate::servers::Kind;

/// What is between these lines of the README is made from the results.
const BEGIN: &str = "<!-- made by make bench -->\n";
const END: &str = "<!-- end of what make bench makes -->";

/// The README with its table made anew.
pub(super) fn with(readme: &str, results: &Results) -> Result<String> {
    let (before, rest) = readme.split_once(BEGIN).context("README.md has no place for the table")?;
    let (_, after) = rest.split_once(END).context("README.md has no end of the table")?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", made(results)))
}

/// What else is told of which row.
const BESIDES: [(&str, Metric); 12] = [
    ("stale", Metric::Stale),
    ("stale", Metric::Next),
    ("crowd", Metric::Renders),
    ("crowd", Metric::P99),
    ("revalidating", Metric::BusyP99),
    ("reload", Metric::BusyP99),
    ("miss-1k", Metric::Cpu),
    ("miss-16k", Metric::Cpu),
    ("pass-download", Metric::CpuPerGib),
    ("pass-upload", Metric::CpuPerGib),
    ("idle", Metric::PerConnection),
    ("stored", Metric::PerPage),
];

fn made(results: &Results) -> String {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| results.versions.contains_key(kind)).collect();
    let mut text = String::from("![CPU per hit, side by side](bench/hits.svg)\n\n");
    head(&mut text, "CPU per hit, µs", results, &kinds);
    let hits: Vec<&Row> = results.rows.iter().filter(|row| row.id.starts_with("hit-")).collect();
    for row in &hits {
        line(&mut text, &row.title, row, Metric::Cpu, &kinds);
    }
    text.push('\n');
    let behind: Vec<String> = hits.iter().filter_map(|row| behind(row, &kinds)).collect();
    text.push_str(if behind.is_empty() { "No peer takes less in any of these.\n" } else { "" });
    text.extend(behind);
    text.push('\n');
    head(&mut text, "besides", results, &kinds);
    for (id, metric) in BESIDES {
        if let Some(row) = results.rows.iter().find(|row| row.id == id) {
            line(&mut text, &format!("{}: {}", row.title, metric.name()), row, metric, &kinds);
        }
    }
    text.push('\n');
    for HitRatio { trace, policy, ratio } in &results.hit_ratios {
        let _ = writeln!(
            text,
            "- A million pages, memory for a tenth, {trace}, {policy}: {:.1} % hits",
            ratio * 100.0
        );
    }
    let _ = writeln!(
        text,
        "\n{}, one core for the server; medians of several rounds of one run on {}. A dash: not offered, see bench/results.json.",
        results.machine, results.date
    );
    text
}

fn head(text: &mut String, what: &str, results: &Results, kinds: &[Kind]) {
    let _ = write!(text, "| {what} |");
    for kind in kinds {
        let version = results.versions.get(kind).map(String::as_str).unwrap_or_default();
        let _ = write!(text, " {} |", format!("{} {version}", kind.name()).trim());
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(kinds.len()));
}

fn line(text: &mut String, title: &str, row: &Row, metric: Metric, kinds: &[Kind]) {
    let _ = write!(text, "| {title} |");
    for kind in kinds {
        let spread = row.values(*kind, metric).and_then(|values| Spread::of(values.iter().copied()));
        let shown = spread.map_or_else(|| "–".to_owned(), |spread| number(spread.median));
        let mark = if *kind == Kind::KubeIsr { "**" } else { "" };
        let _ = write!(text, " {mark}{shown}{mark} |");
    }
    text.push('\n');
}

/// Names the peers that took less than kube-isr, if there are any.
fn behind(row: &Row, kinds: &[Kind]) -> Option<String> {
    let ahead: Vec<String> = kinds
        .iter()
        .filter(|kind| !matches!(kind, Kind::Bare | Kind::KubeIsr))
        .filter_map(|kind| Some((kind, row.ratio(*kind, Metric::Cpu)?.median)))
        .filter(|(_, ratio)| *ratio < 1.0)
        .map(|(kind, ratio)| format!("{} takes {ratio:.2} times as much", kind.name()))
        .collect();
    (!ahead.is_empty()).then(|| format!("- Behind at {}: {}.\n", row.title, ahead.join(", ")))
}
