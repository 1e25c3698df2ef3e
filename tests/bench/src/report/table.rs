use std::fmt::Write as _;

use crate::keys::HitRatio;
use crate::results::{Cell, Metric, Row, Spread};
use crate::servers::Kind;

/// One row of the run as a table for a terminal: a line for each server, medians and how far the rounds are apart.
pub(crate) fn table(row: &Row) -> String {
    let metrics = row.metrics();
    let mut text = format!("\n{} ({})\n{:<18}", row.title, row.id, "");
    for metric in &metrics {
        let _ = write!(text, "{:>18}", metric.name());
    }
    let first = metrics.first().copied();
    if let Some(first) = first {
        let _ = write!(text, "   {} beside kube-isr", first.name());
    }
    for (kind, cell) in &row.cells {
        let _ = write!(text, "\n{:<18}", kind.name());
        match cell {
            Cell::NotOffered(why) => {
                let _ = write!(text, "not offered: {why}");
            }
            Cell::Failed(why) => {
                let _ = write!(text, "FAILED: {why}");
            }
            Cell::Measured(values) => {
                for metric in &metrics {
                    let spread = values.get(metric).and_then(|values| Spread::of(values.iter().copied()));
                    let _ = write!(text, "{:>18}", spread.map_or_else(String::new, |spread| show(&spread)));
                }
                text.push_str(&first.map_or_else(String::new, |metric| beside(row, *kind, metric)));
            }
        }
    }
    text
}

/// Hit ratios as a table.
pub(crate) fn ratios(ratios: &[HitRatio]) -> String {
    let mut text = String::from("\nA million pages, memory for a tenth of them: hits by policy (keys)");
    for HitRatio { trace, policy, ratio } in ratios {
        let _ = write!(text, "\n{trace:<12}{policy:<20}{:>6.2} %", ratio * 100.0);
    }
    text
}

fn beside(row: &Row, kind: Kind, metric: Metric) -> String {
    row.ratio(kind, metric).filter(|_| kind != Kind::KubeIsr).map_or_else(String::new, |ratio| {
        format!("   {:.2} × ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most)
    })
}

fn show(spread: &Spread) -> String {
    let Spread { least, median, most } = *spread;
    // How far the rounds are from the middle, at most.
    let apart = f64::max(most - median, median - least) / median * 100.0;
    if apart > 0.0 { format!("{} ±{apart:.0}%", number(median)) } else { number(median) }
}

/// A number with three or more digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 100.0 => grouped(value),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
