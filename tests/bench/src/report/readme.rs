use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::table::number;
use crate::results::{Cell, Metric, Results, Spread};
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

fn made(results: &Results) -> String {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| results.versions.contains_key(kind)).collect();
    let mut text = String::from("![CPU per hit, side by side](bench/hits.svg)\n\n| CPU per hit, µs |");
    for kind in &kinds {
        let version = results.versions.get(kind).filter(|version| !version.is_empty());
        let _ = write!(
            text,
            " {}{} |",
            kind.name(),
            version.map(|version| format!(" {version}")).unwrap_or_default()
        );
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(kinds.len()));
    for row in results.rows.iter().filter(|row| row.id.starts_with("hit-")) {
        let _ = write!(text, "| {} |", row.title);
        for kind in &kinds {
            let shown = match row.cells.get(kind) {
                Some(Cell::Measured(values)) => values
                    .get(&Metric::Cpu)
                    .and_then(|values| Spread::of(values.iter().copied()))
                    .map(|spread| number(spread.median)),
                _ => None,
            };
            let shown = shown.unwrap_or_else(|| "–".to_owned());
            let _ = if *kind == Kind::KubeIsr {
                write!(text, " **{shown}** |")
            } else {
                write!(text, " {shown} |")
            };
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "\n{}, one core for the server; medians of several rounds of one run.",
        results.machine
    );
    text
}
