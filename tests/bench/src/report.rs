//! What people read: tables, the picture, and the part of the README that is made from the results.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::results::Results;

mod picture;
mod readme;
mod table;

pub(crate) use table::{ratios, table};

/// The folder of results and picture, and the README, seen from this crate.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Keeps the results.
pub(crate) fn keep(results: &Results) -> Result<()> {
    fs::create_dir_all(file("bench"))?;
    Ok(fs::write(file("bench/results.json"), format!("{}\n", serde_json::to_string_pretty(results)?))?)
}

/// The results that were kept last.
pub(crate) fn read() -> Result<Results> {
    let text =
        fs::read_to_string(file("bench/results.json")).context("bench/results.json: run make bench first")?;
    Ok(serde_json::from_str(&text)?)
}

/// Writes the picture, and the table into the README.
pub(crate) fn write(results: &Results) -> Result<()> {
    fs::write(file("bench/hits.svg"), picture::hits(results))?;
    let readme = fs::read_to_string(file("README.md"))?;
    Ok(fs::write(file("README.md"), readme::with(&readme, results)?)?)
}
