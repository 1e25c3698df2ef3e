//! Paths of requests, and the patterns of routes that match them.

mod normal;
mod pattern;

pub(crate) use normal::{loosest, normalise, percent_decoded};
pub use pattern::PathPattern;
pub(crate) use pattern::{Segment, Tail, is_full, segments_of, split_first};
