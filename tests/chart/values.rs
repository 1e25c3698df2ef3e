//! The values: documented, checked, and refused with a reason.

use crate::tools::{CASES, HELMS, KUBERNETES, argument, run, template};

#[test]
fn values_and_readme_are_written_from_the_schema() {
    run("values", &["-check", &argument("charts/kube-isr")]);
}

#[test]
fn lint_has_nothing_to_say() {
    for (helm, case) in HELMS.into_iter().flat_map(|helm| CASES.map(|case| (helm, case))) {
        let values = argument(&format!("tests/chart/cases/{case}.yaml"));
        run(
            helm,
            &[
                "lint",
                "--strict",
                "--kube-version",
                KUBERNETES[0],
                "--values",
                &values,
                &argument("charts/kube-isr"),
            ],
        );
    }
}

#[test]
fn refuses_values_that_make_no_sense() {
    let refused = [
        ("proxy.replica=2", "replica"),
        ("proxy.kind=StatefulSet", "kind"),
        ("image.digest=latest", "digest"),
        ("operator.leaseDuration=15", "leaseDuration"),
        ("proxy.drain.delaySeconds=-1", "delaySeconds"),
        ("proxy.tls.enabled=true", "secretName"),
        ("gateway.httpRoute.enabled=true", "parentRefs"),
        ("proxy.replicas=2", "set shared.url to a Redis 7 or Valkey, or valkey.enabled to true"),
        ("proxy.kind=DaemonSet", "more than one proxy needs a shared tier"),
        ("proxy.autoscaling.enabled=true", "more than one proxy needs a shared tier"),
        ("valkey.enabled=true,shared.url=redis://valkey:6379", "two shared tiers"),
        ("shared.url=valkey:6379", "shared"),
        ("shared.url=redis://user:password@valkey", "shared"),
        ("proxy.kind=DaemonSet,proxy.autoscaling.enabled=true", "a DaemonSet has one pod on each node"),
    ];
    for (helm, (set, says)) in HELMS.into_iter().flat_map(|helm| refused.map(|refused| (helm, refused))) {
        let rendered = template(helm, &["--set", set]);
        let error = rendered.expect_err(set);
        assert!(error.contains(says), "{helm} --set {set}: {error}");
    }
}
