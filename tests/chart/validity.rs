//! What is rendered is valid in each release of Kubernetes, and as safe as it can be.

use std::path::Path;

use crate::tools::{CASES, KUBERNETES, folder, render, render_for, repository, run};

/// Judges manifests by the schemas of a release, and of the resources that the chart speaks to. Kinds of other projects
/// that only examples have are skipped by name.
fn validate(release: &str, skipped: &str, path: &Path) {
    let schemas = |of: &str| {
        let file = "{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json";
        folder().join("schemas.d").join(of).join(file).display().to_string()
    };
    let (release, custom) = (schemas(release), schemas("custom"));
    let path = path.display().to_string();
    let locations = ["-schema-location", &release, "-schema-location", &custom];
    run("kubeconform", &[&["-strict", "-skip", skipped], &locations[..], &[&path]].concat());
}

#[test]
fn every_rendering_is_valid_in_every_release() {
    let folder = tempfile::tempdir().expect("a folder");
    for case in CASES {
        let file = folder.path().join(format!("{case}.yaml"));
        for release in KUBERNETES {
            std::fs::write(&file, render_for(release, "helm4", case)).expect("the rendering");
            validate(release, "", &file);
        }
    }
}

#[test]
fn every_example_is_valid_in_every_release() {
    let others = "IsrRoute,Application,HelmRelease,GitRepository,Certificate";
    for release in KUBERNETES {
        for name in [
            "application",
            "routes",
            "httproute",
            "ingress",
            "gitops/argo-cd",
            "gitops/flux",
            "tls/certificate",
        ] {
            validate(release, others, &repository(&format!("examples/kubernetes/{name}.yaml")));
        }
    }
}

#[test]
fn kube_score_finds_nothing_critical() {
    let folder = tempfile::tempdir().expect("a folder");
    for case in ["default", "everything", "namespaced"] {
        let file = folder.path().join(format!("{case}.yaml"));
        // The pod of `helm test` is there for seconds and serves nobody.
        let text = render("helm4", case);
        let lasting = text.split("\n---\n").filter(|document| !document.contains("helm.sh/hook: test"));
        std::fs::write(&file, lasting.collect::<Vec<_>>().join("\n---\n")).expect("the rendering");
        let path = file.display().to_string();
        let arguments = [
            "score",
            // A limit of CPU makes answers wait while processors are idle.
            "--ignore-container-cpu-limit",
            // Tags are never moved, and images that were loaded into a node cannot be pulled.
            "--ignore-test",
            "container-image-pull-policy",
            &path,
        ];
        run("kube-score", &arguments);
    }
}
