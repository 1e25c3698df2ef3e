//! `kube-isr crd`, and the files that hold what it prints: one to apply by hand, one in the chart.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn the_crds_in_the_repository_are_current() {
    let output = Command::new(env!("CARGO_BIN_EXE_kube-isr")).arg("crd").output().expect("kube-isr runs");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    for name in ["crds/isrroutes.yaml", "charts/kube-isr/files/isrroutes.yaml"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
        if env::var_os("UPDATE").is_some() {
            fs::write(&file, &printed).expect("the file can be written");
        }
        let held = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            held == printed,
            "{name} is not what `kube-isr crd` prints: run UPDATE=1 cargo test -p kube-isr --test crd"
        );
    }
}
