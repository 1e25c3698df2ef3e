//! The picture: for each row of hits a bar for each server, as long as a hit takes CPU time.

use std::fmt::Write as _;

use super::table::number;
use crate::results::{Metric, Results, Row, Spread};
use crate::servers::Kind;

// All lengths are in the picture's own units, which are pixels when it is shown in its own size.
const WIDTH: f64 = 860.0;
const LABEL: f64 = 190.0;
/// Beside the longest bar, for its number.
const NUMBER: f64 = 90.0;
const BAR: f64 = 13.0;
const GAP: f64 = 3.0;
/// Between rows.
const APART: f64 = 16.0;
const TOP: f64 = 76.0;

/// The colours are one scale for both backgrounds; only text changes with it.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}.quiet{fill:#59636e}\
.bare{fill:#8c959f}.kube-isr{fill:#1a7f5a}.haproxy{fill:#3b82c4}.nginx{fill:#7a8f2a}\
.varnish{fill:#c4703b}.traffic-server{fill:#9a5fb5}\
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.quiet{fill:#9198a1}.kube-isr{fill:#2ea876}}";

/// The picture of all rows of hits.
pub(super) fn hits(results: &Results) -> String {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| results.versions.contains_key(kind)).collect();
    let rows: Vec<&Row> = results.rows.iter().filter(|row| row.id.starts_with("hit-")).collect();
    let mut body = String::new();
    let mut y = TOP;
    for row in rows {
        let bars: Vec<(Kind, Spread)> = kinds
            .iter()
            .filter_map(|kind| Some((*kind, Spread::of(row.values(*kind, Metric::Cpu)?.iter().copied())?)))
            .collect();
        // Each row has a scale of its own: sizes differ by much more than servers do.
        let longest = bars.iter().map(|(_, spread)| spread.median).fold(0.0, f64::max);
        let middle = y + BAR;
        let _ = writeln!(body, r#"<text x="0" y="{middle}">{}</text>"#, escape(&row.title));
        for (kind, spread) in bars {
            let width = spread.median / longest * (WIDTH - LABEL - NUMBER);
            let (base, end) = (y + BAR - 3.0, LABEL + width + 6.0);
            let _ = writeln!(
                body,
                "<rect class=\"{}\" x=\"{LABEL}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"><title>{} {} µs</title></rect>\
                 <text class=\"quiet\" x=\"{end:.1}\" y=\"{base}\">{} µs</text>",
                class(kind),
                kind.name(),
                number(spread.median),
                number(spread.median),
            );
            y += BAR + GAP;
        }
        y += APART;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" role=\"img\" \
         aria-label=\"CPU time per hit\">\n<style>{STYLE}</style>\n<text class=\"title\" x=\"0\" y=\"18\">CPU time of the \
         server for a stored page</text>\n<text class=\"quiet\" x=\"0\" y=\"36\">{}, one core; shorter is better; each row \
         has a scale of its own</text>\n{}{body}</svg>\n",
        escape(&results.machine),
        legend(&kinds)
    )
}

fn legend(kinds: &[Kind]) -> String {
    let mut text = String::new();
    let mut x = 0.0;
    for kind in kinds {
        let name = kind.name();
        let (square, at) = (TOP - 30.0, x + 16.0);
        let _ = writeln!(
            text,
            "<rect class=\"{}\" x=\"{x}\" y=\"{square}\" width=\"11\" height=\"11\" rx=\"2\"/><text x=\"{at}\" y=\"{}\">{name}</text>",
            class(*kind),
            square + 10.0
        );
        // Letters are about 7 wide.
        x = at + f64::from(u32::try_from(name.len()).unwrap_or_default()) * 7.0 + 16.0;
    }
    text
}

fn class(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
