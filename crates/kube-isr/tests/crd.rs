//! `kube-isr crd`, and the files that hold what it prints: to apply by hand, and in the chart.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn the_crds_in_the_repository_are_current() {
    let output = Command::new(env!("CARGO_BIN_EXE_kube-isr")).arg("crd").output().expect("kube-isr runs");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    let documents: Vec<&str> = printed.split("---\n").collect();
    assert_eq!(documents.len(), 2, "one for each kind");
    for (kind, document) in ["isrroutes", "isrpurges"].iter().zip(documents) {
        for folder in ["crds", "charts/kube-isr/files"] {
            let name = format!("{folder}/{kind}.yaml");
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&name);
            if env::var_os("UPDATE").is_some() {
                fs::write(&file, document).expect("the file can be written");
            }
            let held = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                held == document,
                "{name} is not what `kube-isr crd` prints: run UPDATE=1 cargo test -p kube-isr --test crd"
            );
        }
    }
}
