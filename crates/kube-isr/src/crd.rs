//! `kube-isr crd`: the definitions of our resources.

use std::io::Write;
use std::process::ExitCode;

/// Prints the CRDs of `IsrRoute` and `IsrPurge` as YAML.
pub(crate) fn run(out: &mut impl Write) -> anyhow::Result<ExitCode> {
    for (place, crd) in isr_api::crds().iter().enumerate() {
        if place > 0 {
            writeln!(out, "---")?;
        }
        let yaml = serde_saphyr::to_string(crd)?;
        out.write_all(yaml.as_bytes())?;
        if !yaml.ends_with('\n') {
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
