//! What the chart renders, beside what a reviewer has read. `make chart` writes `golden/` anew.

use std::env;
use std::fmt::Write as _;

use crate::tools::{CASES, HELMS, read, render, repository};

/// Kinds whose content is a file of the chart, and is reviewed there.
const FILES: [&str; 3] = ["CustomResourceDefinition", "PrometheusRule", "ConfigMap"];

/// One document after another, sorted: Helm 3 and Helm 4 order objects of one kind differently.
fn normalised(rendering: &str) -> String {
    let documents = rendering.split("---\n").map(str::trim);
    let mut documents: Vec<&str> = documents
        .filter(|document| !document.is_empty())
        .filter(|document| FILES.iter().all(|kind| !document.contains(&format!("\nkind: {kind}\n"))))
        .collect();
    documents.sort_unstable();
    documents.iter().fold(String::new(), |mut text, document| {
        let _ = write!(text, "---\n{document}\n");
        text
    })
}

#[test]
fn renders_what_was_reviewed() {
    for case in CASES {
        let path = format!("tests/chart/golden/{case}.yaml");
        for helm in HELMS {
            let rendered = normalised(&render(helm, case));
            if env::var_os("UPDATE").is_some() {
                std::fs::write(repository(&path), &rendered).expect("the file can be written");
            }
            let held = read(&path);
            if held != rendered {
                let at = held.lines().zip(rendered.lines()).position(|(held, rendered)| held != rendered);
                let at = at.unwrap_or_else(|| held.lines().count().min(rendered.lines().count()));
                panic!(
                    "{path} is not what {helm} renders, from line {} on: {:?}\nRun `make chart`, and review the difference.",
                    at + 1,
                    rendered.lines().nth(at)
                );
            }
        }
    }
}
