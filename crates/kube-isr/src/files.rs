//! Manifests from files and folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use isr_routes::manifest::{self, File, Manifests};

/// Reads files, and the manifests of folders in the order of their names. Folders within folders are not read.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Manifests> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in manifests_of(path)? {
                files.push(read_file(&file)?);
            }
        } else {
            files.push(read_file(path)?);
        }
    }
    Ok(Manifests::from_files(files))
}

fn manifests_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let is_named = path.file_name().is_some_and(|name| manifest::is_manifest(&name.to_string_lossy()));
        if is_named && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    anyhow::ensure!(
        !files.is_empty(),
        "the folder {} holds no manifests: add files that end in .yaml, .yml or .json",
        folder.display()
    );
    Ok(files)
}

fn read_file(path: &Path) -> anyhow::Result<File> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // What is not UTF-8 becomes a character that no YAML syntax or field allows, and is reported like any mistake.
    Ok(manifest::read(&path.display().to_string(), &String::from_utf8_lossy(&bytes)))
}
