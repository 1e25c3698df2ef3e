//! `kube-isr crd`: the CustomResourceDefinition.

use std::io::Write;
use std::process::ExitCode;

/// Prints the CRD of `IsrRoute` as YAML.
pub(crate) fn run(out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let yaml = serde_saphyr::to_string(&isr_api::crd())?;
    out.write_all(yaml.as_bytes())?;
    if !yaml.ends_with('\n') {
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}
