//! What was measured, as it is kept in JSON, and what follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys::HitRatio;
use crate::servers::Kind;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The processor and the kernel.
    pub(crate) machine: String,
    /// The day, as an HTTP date.
    pub(crate) date: String,
    /// Which versions were measured.
    pub(crate) versions: BTreeMap<Kind, String>,
    pub(crate) rows: Vec<Row>,
    /// Which pages are kept; by simulation.
    pub(crate) hit_ratios: Vec<HitRatio>,
}

/// One kind of work, done by each server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// What is asked, in a few words.
    pub(crate) title: String,
    pub(crate) cells: BTreeMap<Kind, Cell>,
}

/// What one server did.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cell {
    /// A value for each round.
    Measured(BTreeMap<Metric, Vec<f64>>),
    /// It has no such thing, and why.
    NotOffered(String),
    /// It was tried and went wrong.
    Failed(String),
}

/// What is measured in one round.
pub(crate) type Values = BTreeMap<Metric, f64>;

/// A quantity. Less is better, but for rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Metric {
    /// User and system time of the server, divided by requests, in microseconds.
    Cpu,
    /// Requests in a second, when as many are sent as are answered.
    Rate,
    /// Quantiles of the time to an answer in that closed loop, in microseconds.
    Median,
    P99,
    P999,
    /// The same in an open loop at 70 % of that rate.
    OpenMedian,
    OpenP99,
    OpenP999,
    /// A stale page, and the next request on that connection, in milliseconds.
    Stale,
    Next,
    /// How often the application was asked.
    Renders,
    /// Quantiles at a constant load, alone and besides other work, in microseconds.
    QuietP99,
    BusyP99,
    BusyP999,
    /// Requests that were under way when their connection ended.
    Lost,
    /// From the change of a file to the first request that the new routes answer, in milliseconds.
    InForce,
    /// User and system time of the server for a GiB, in seconds.
    CpuPerGib,
    /// GiB in a second.
    Throughput,
    /// Memory for each connection, in KiB.
    PerConnection,
    /// Memory for each stored page, in bytes.
    PerPage,
}

impl Metric {
    /// The name for people, with its unit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU µs",
            Self::Rate => "requests/s",
            Self::Median => "p50 µs",
            Self::P99 => "p99 µs",
            Self::P999 => "p99.9 µs",
            Self::OpenMedian => "p50 at 70 %",
            Self::OpenP99 => "p99 at 70 %",
            Self::OpenP999 => "p99.9 at 70 %",
            Self::Stale => "stale page ms",
            Self::Next => "next request ms",
            Self::Renders => "renders",
            Self::QuietP99 => "p99 µs, quiet",
            Self::BusyP99 => "p99 µs meanwhile",
            Self::BusyP999 => "p99.9 µs meanwhile",
            Self::Lost => "requests lost",
            Self::InForce => "in force after ms",
            Self::CpuPerGib => "CPU s/GiB",
            Self::Throughput => "GiB/s",
            Self::PerConnection => "KiB/connection",
            Self::PerPage => "bytes/page",
        }
    }
}

impl Row {
    /// The values of one server, round by round.
    pub(crate) fn values(&self, kind: Kind, metric: Metric) -> Option<&[f64]> {
        match self.cells.get(&kind)? {
            Cell::Measured(values) => values.get(&metric).map(Vec::as_slice),
            Cell::NotOffered(_) | Cell::Failed(_) => None,
        }
    }

    /// The quantities that any server has, in order.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = self
            .cells
            .values()
            .filter_map(|cell| if let Cell::Measured(values) = cell { Some(values) } else { None })
            .flat_map(|values| values.keys().copied())
            .collect();
        metrics.sort_unstable();
        metrics.dedup();
        metrics
    }

    /// How many times as much of `metric` this server has as kube-isr, compared round by round.
    pub(crate) fn ratio(&self, kind: Kind, metric: Metric) -> Option<Spread> {
        let (own, theirs) = (self.values(Kind::KubeIsr, metric)?, self.values(kind, metric)?);
        Spread::of(own.iter().zip(theirs).map(|(own, theirs)| theirs / own))
    }
}

/// The middle of some values, and how far they are apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { least, median, most })
    }
}
