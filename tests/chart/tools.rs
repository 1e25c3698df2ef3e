//! The tools, and what Helm renders.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Releases of Kubernetes whose schemas are there: the oldest that the chart supports, the newest, and one between.
pub const KUBERNETES: [&str; 3] = ["v1.33.13", "v1.35.4", "v1.37.2"];
/// Both versions of Helm.
pub const HELMS: [&str; 2] = ["helm4", "helm3"];
/// Sets of values in `cases/`.
pub const CASES: [&str; 4] = ["default", "everything", "namespaced", "daemonset"];

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A path in the repository, as an argument.
pub fn argument(path: &str) -> String {
    repository(path).display().to_string()
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The folder of the tools, built if need be.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let output =
            Command::new(repository("tests/chart/tools/build")).output().expect("tests/chart/tools/build");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// Runs a tool: what it prints, or what it prints and complains.
pub fn attempt(tool: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Result<String, String> {
    let mut command = Command::new(folder().join(tool));
    for (name, value) in environment {
        command.env(name, value);
    }
    let output = command.args(arguments).output().unwrap_or_else(|error| panic!("{tool}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    Err(format!("{tool} {}\n{printed}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}

/// Runs a tool that must succeed.
pub fn run(tool: &str, arguments: &[&str]) -> String {
    attempt(tool, arguments, &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// What the chart comes to with a set of values in a release of Kubernetes: release and namespace as in the README.
pub fn render_for(kubernetes: &str, helm: &str, case: &str) -> String {
    let values = argument(&format!("tests/chart/cases/{case}.yaml"));
    template(helm, &["--kube-version", kubernetes, "--values", &values])
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What the chart comes to with a set of values.
pub fn render(helm: &str, case: &str) -> String {
    render_for(KUBERNETES[0], helm, case)
}

/// Runs `helm template` on the chart.
pub fn template(helm: &str, further: &[&str]) -> Result<String, String> {
    let chart = argument("charts/kube-isr");
    let arguments = ["template", "kube-isr", &chart, "--namespace", "kube-isr-system"];
    // Helm takes the last of several --kube-version.
    attempt(helm, &[&arguments, &["--kube-version", KUBERNETES[0]][..], further].concat(), &[])
}

/// The objects in a rendering.
pub fn objects(rendering: &str) -> Vec<Value> {
    let documents = rendering.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    let parsed = documents
        .map(|text| serde_saphyr::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}\n{text}")));
    parsed.filter(|object| !object.is_null()).collect()
}

/// The first object of this kind whose name ends so.
pub fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |object: &&Value| {
        object["kind"] == kind
            && object["metadata"]["name"].as_str().is_some_and(|found| found.ends_with(name))
    };
    objects.iter().find(is).unwrap_or_else(|| panic!("there is no {kind} …{name}"))
}
