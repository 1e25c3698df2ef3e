//! The resource definition: what the API server accepts, refuses and explains.

use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::installation::{Cluster, SHOP};
use crate::support::route;

/// A route with one field changed; null removes it.
fn with(field: &str, value: Value) -> Value {
    let mut spec = json!({
        "hostnames": ["shop.example.com"], "path": "/blog/[slug]", "interval": "10s", "framework": "NextJs",
        "backendRef": { "name": "web", "port": 3000 },
    });
    match value {
        Value::Null => drop(spec.as_object_mut().expect("an object").remove(field)),
        value => spec[field] = value,
    }
    json!({ "apiVersion": "kube-isr.dev/v1alpha1", "kind": "IsrRoute",
        "metadata": { "name": "case", "namespace": SHOP }, "spec": spec })
}

/// Field, value, and whether that is a route.
fn cases() -> Vec<(&'static str, Value, bool)> {
    let token = |key: &str| json!({ "secretKeyRef": { "name": "isr", "key": key } });
    let mut cases: Vec<(&str, Value, bool)> = vec![
        ("hostnames", Value::Null, false),
        ("hostnames", json!([]), false),
        ("hostnames", json!(["shop.example.com", "shop.example.com"]), false),
        ("backendRef", Value::Null, false),
        ("backendRef", json!({ "name": "web" }), false),
        ("backendRef", json!({ "name": "", "port": 80 }), false),
        ("backendRef", json!({ "name": "web", "port": 0 }), false),
        ("backendRef", json!({ "name": "web", "port": 65536 }), false),
        ("bypassToken", token("token"), true),
        ("bypassToken", token(""), false),
        ("bypassToken", token("a/b"), false),
        ("bypassToken", json!({}), false),
        ("originToken", token("token"), true),
        ("framework", json!("NextJs"), true),
        ("framework", json!("nextjs"), false),
        ("defaultLocale", json!("en"), true),
        ("defaultLocale", json!("pt-BR"), true),
        ("defaultLocale", json!(""), false),
        ("defaultLocale", json!("en/us"), false),
        ("defaultLocale", json!("-en"), false),
        ("query", json!({ "allow": ["page"] }), true),
        ("query", json!({ "allow": ["*"] }), true),
        ("query", json!({ "allow": ["*", "page"] }), false),
        ("query", json!({ "allow": ["a=b"] }), false),
        ("varyBy", json!({ "headers": ["Accept-Language"] }), true),
        ("varyBy", json!({ "headers": ["Cookie"] }), false),
        ("varyBy", json!({ "headers": ["a b"] }), false),
        ("tags", json!(["blog", "post-1"]), true),
        ("tags", json!(["blog", "blog"]), false),
        ("query", json!({ "allow": ["page", "page"] }), false),
        ("tags", json!(["a b"]), false),
        ("tags", json!(["a,b"]), false),
        ("bypass", json!([{ "cookie": "session" }, { "header": "X-Preview" }]), true),
        ("bypass", json!([{ "cookie": "session", "header": "X-Preview" }]), false),
        ("bypass", json!([{}]), false),
        ("invalidateOn", json!({ "backendRollout": {} }), true),
        ("invalidateOn", json!({ "backendRollout": { "over": "5m" } }), true),
        ("invalidateOn", json!({ "backendRollout": { "over": "0s" } }), true),
        ("invalidateOn", json!({ "backendRollout": { "over": "5" } }), false),
        ("invalidateOn", json!({}), false),
        ("prerender", json!({ "paths": ["/blog/1", "/blog/caf%C3%A9"] }), true),
        ("prerender", json!({ "sitemap": "/sitemap.xml" }), true),
        ("prerender", json!({ "sitemap": "/maps/pages.xml", "paths": ["/blog/1/"] }), true),
        ("prerender", json!({}), false),
        ("prerender", json!({ "paths": [] }), false),
        ("prerender", json!({ "paths": ["blog/1"] }), false),
        ("prerender", json!({ "paths": ["/blog/[slug]"] }), false),
        ("prerender", json!({ "paths": ["/blog/**"] }), false),
        ("prerender", json!({ "paths": ["/blog/1?page=2"] }), false),
        ("prerender", json!({ "paths": ["/blog//1"] }), false),
        ("prerender", json!({ "paths": ["/blog/../1"] }), false),
        ("prerender", json!({ "paths": ["/blog/%2f"] }), false),
        ("prerender", json!({ "paths": ["/blog/%"] }), false),
        ("prerender", json!({ "paths": ["/blog/é"] }), false),
        ("prerender", json!({ "paths": ["/blog/1", "/blog/1"] }), false),
        ("prerender", json!({ "sitemap": "sitemap.xml" }), false),
        ("prerender", json!({ "sitemap": "/sitemap" }), false),
        ("prerender", json!({ "sitemap": "/.xml" }), false),
        ("prerender", json!({ "sitemap": "https://shop.example.com/sitemap.xml" }), false),
        ("prerender", json!({ "sitemap": "/../sitemap.xml" }), false),
        ("cacheControl", json!("Override"), true),
        ("cacheControl", json!("override"), false),
    ];
    cases.extend(lengths());
    let hosts = [
        ("shop.example.com", true),
        ("*.example.com", true),
        ("localhost", true),
        ("Shop.example.com", false),
        ("shop.example.com:80", false),
        ("shop.example.com.", false),
        ("192.0.2.1", false),
        ("*", false),
        ("a.*.com", false),
        ("*example.com", false),
        ("-a.example.com", false),
        ("a_b.example.com", false),
        ("", false),
    ];
    cases.extend(hosts.map(|(host, valid)| ("hostnames", json!([host]), valid)));
    // HTTPRoute's cases for paths, and ours for parameters.
    let paths = [
        ("/", true),
        ("/foo", true),
        ("/foo/", true),
        ("/foo/[bar]/baz", true),
        ("/docs/[[...rest]]", true),
        ("/docs/[...rest]", true),
        ("/docs/**", true),
        ("/caf%C3%A9", true),
        ("/a.b-c_d~e!$&'()*+,;=:@", false),
        ("/a.b-c_d~e!$&'()+,;=:@", true),
        ("foo", false),
        ("", false),
        ("//foo", false),
        ("/foo//bar", false),
        ("/foo/.", false),
        ("/foo/..", false),
        ("/foo/./bar", false),
        ("/foo/../bar", false),
        ("/foo/%2fbar", false),
        ("/foo/%2F", false),
        ("/foo%", false),
        ("/foo#bar", false),
        ("/foo?bar", false),
        ("/foo bar", false),
        ("/[a]b", false),
        ("/**/foo", false),
        ("/[...rest]/foo", false),
        ("/café", false),
    ];
    cases.extend(paths.map(|(path, valid)| ("path", json!(path), valid)));
    let times = [
        ("10s", true),
        ("1h30m", true),
        ("1500ms", true),
        ("Never", true),
        ("never", false),
        ("10", false),
        ("500ms", false),
        ("0s", false),
        ("-1s", false),
        ("1.5s", false),
        ("1d", false),
        ("100000s", false),
        ("", false),
    ];
    cases.extend(times.map(|(time, valid)| ("interval", json!(time), valid)));
    let limits = [("24h", true), ("Never", false), ("0s", false), ("1d", false)];
    cases.extend(limits.map(|(time, valid)| ("staleFor", json!(time), valid)));
    cases
}

/// The same, about names at their limits and beyond.
fn lengths() -> Vec<(&'static str, Value, bool)> {
    let long = |size: usize| "n".repeat(size);
    let secret = |name: String, key: String| json!({ "secretKeyRef": { "name": name, "key": key } });
    vec![
        ("query", json!({ "allow": [long(128)] }), true),
        ("query", json!({ "allow": [long(129)] }), false),
        ("query", json!({ "allow": ["é".repeat(128)] }), true),
        ("varyBy", json!({ "headers": [long(64)] }), true),
        ("varyBy", json!({ "headers": [long(65)] }), false),
        ("varyBy", json!({ "headers": ["X-Market", "X-Market"] }), false),
        ("varyBy", json!({ "headers": ["X-Anna's"] }), true),
        ("bypass", json!([{ "cookie": long(128) }, { "header": long(64) }]), true),
        ("bypass", json!([{ "cookie": long(129) }]), false),
        ("bypass", json!([{ "header": long(65) }]), false),
        ("backendRef", json!({ "name": long(254), "port": 80 }), false),
        ("bypassToken", secret(long(254), "token".into()), false),
        ("originToken", secret("isr".into(), long(254)), false),
        ("defaultLocale", json!(long(35)), true),
        ("defaultLocale", json!(long(36)), false),
        ("path", json!(format!("/{}", long(1023))), true),
        ("path", json!(format!("/{}", long(1024))), false),
        ("prerender", json!({ "paths": [format!("/blog/{}", long(506))] }), true),
        ("prerender", json!({ "paths": [format!("/blog/{}", long(507))] }), false),
        ("prerender", json!({ "paths": (0..100).map(|n| format!("/blog/{n}")).collect::<Vec<_>>() }), true),
        ("prerender", json!({ "paths": (0..101).map(|n| format!("/blog/{n}")).collect::<Vec<_>>() }), false),
        ("interval", json!("99999ms".repeat(4)), true),
        ("interval", json!("99999ms".repeat(5)), false),
    ]
}

/// What `kube-isr check --cluster` says about a manifest, with everything there that it may refer to.
fn is_checked(manifest: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = std::fs::File::create(folder.path().join("case.yaml")).expect("a file");
    let around = [
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": SHOP }, "spec": { "ports": [{ "port": 3000 }] } }),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "isr", "namespace": SHOP },
            "stringData": { "token": "example-token-of-32-characters-00" } }),
    ];
    for document in around.iter().chain([manifest]) {
        writeln!(file, "---\n{document}").expect("a document");
    }
    let check =
        Command::new(env!("CARGO_BIN_EXE_kube-isr")).args(["check", "--cluster"]).arg(folder.path()).output();
    let check = check.expect("kube-isr check");
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    if check.status.success() { Ok(()) } else { Err(said) }
}

#[tokio::test]
async fn api_the_api_server_and_kube_isr_check_are_of_one_mind() {
    let cluster = Cluster::new().await;
    let mut disagreements = Vec::new();
    for (field, value, expected) in cases() {
        let manifest = with(field, value.clone());
        let arguments = ["create", "--dry-run=server", "-f", "-"];
        let stored = cluster.plane.try_kubectl(&arguments, Some(&manifest.to_string()));
        let checked = is_checked(&manifest);
        if stored.is_ok() != expected || checked.is_ok() != expected {
            disagreements.push(format!(
                "{field}: {value}: expected {expected}, stored {stored:?}, checked {checked:?}"
            ));
        }
        if let Err(said) = &stored {
            assert!(said.contains(&format!("spec.{field}")), "{field}: {value}: the field is named: {said}");
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    // Rules about two fields.
    for (field, value) in [
        ("staleFor", json!("24h")),
        ("cacheControl", json!("Override")),
        ("prerender", json!({ "sitemap": "/sitemap.xml" })),
    ] {
        let mut manifest = with("interval", Value::Null);
        manifest["spec"][field] = value;
        let said = cluster
            .plane
            .try_kubectl(&["create", "--dry-run=server", "-f", "-"], Some(&manifest.to_string()));
        let said = said.expect_err("without an interval it means nothing");
        assert!(said.contains(field) && said.contains("set interval too"), "{said}");
        assert!(is_checked(&manifest).is_err());
    }
    let mut manifest = with("framework", json!("Nuxt"));
    manifest["spec"]["defaultLocale"] = json!("en");
    let said =
        cluster.plane.try_kubectl(&["create", "--dry-run=server", "-f", "-"], Some(&manifest.to_string()));
    assert!(said.expect_err("Nuxt has none").contains("set framework: NextJs too"));
    assert!(is_checked(&manifest).is_err());
}

#[tokio::test]
async fn api_kubectl_explains_lists_and_waits() {
    let cluster = Cluster::new().await;
    let explained = cluster.plane.kubectl(&["explain", "isrroute.spec.interval"]);
    assert!(explained.contains("such as `10s`") && explained.contains("`Never`"), "{explained}");
    let wait = ["wait", "--for=condition=Ready", "isrroute/page", "-n", SHOP];
    cluster.route(&route("/page").named("page").interval("10s"));
    let newborn = cluster.get_route("page");
    assert_eq!(newborn["status"]["observedGeneration"], -1, "nobody has looked at it");
    let states: Vec<&Value> = newborn["status"]["conditions"]
        .as_array()
        .expect("conditions")
        .iter()
        .map(|one| &one["status"])
        .collect();
    assert_eq!(states, ["Unknown"; 4]);
    let early = cluster.plane.try_kubectl(&[&wait[..], &["--timeout=1s"]].concat(), None);
    assert!(early.expect_err("nothing is ready").contains("timed out"));

    let _operator = cluster.operator("operator-1");
    let _proxy = cluster.proxy("proxy-1").await;
    cluster.plane.kubectl(&[&wait[..], &["--timeout=60s"]].concat());
    let listed = cluster.plane.kubectl(&["get", "isr", "-n", SHOP, "-o", "wide"]);
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "HOSTNAMES", "PATH", "INTERVAL", "READY", "REASON", "PRERENDERED", "AGE"]);
    assert_eq!(lines[1][..6], ["page", r#"["shop.example.com"]"#, "/page", "10s", "True", "Ready"]);
}

#[tokio::test]
async fn api_a_malformed_route_that_is_stored_already_disturbs_no_other() {
    let cluster = Cluster::new().await;
    // A definition that was looser once.
    let name = "isrroutes.kube-isr.dev";
    let strict: Value =
        serde_json::from_str(&cluster.plane.kubectl(&["get", "crd", name, "-o", "json"])).expect("JSON");
    let mut loose = strict.clone();
    loose["spec"]["versions"][0]["schema"] =
        json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let replace = |definition: &Value| {
        let mut definition = definition.clone();
        definition["metadata"] = json!({ "name": name });
        let arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager=kubectl", "-f", "-"];
        cluster
            .plane
            .try_kubectl(&arguments, Some(&definition.to_string()))
            .expect("the definition is accepted");
    };
    let mut odd = with("path", json!(["not", "a", "text"]));
    odd["metadata"]["name"] = json!("odd");
    replace(&loose);
    crate::support::eventually("it is stored", crate::support::PATIENCE, async || {
        cluster.plane.try_kubectl(&["create", "-f", "-"], Some(&odd.to_string())).ok()
    })
    .await;
    replace(&{
        let mut strict = strict.clone();
        strict.as_object_mut().expect("an object").remove("status");
        strict
    });

    let operator = cluster.operator("operator-1");
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/page").named("page").interval("10s"));
    cluster.says("page", "Ready", "True Ready").await;
    assert_eq!(proxy.admin_json("/configz").await["routes"], 1);
    operator.says("spec.path").await;
    assert!(operator.metric("isr_operator_routes", "unreadable").await > 0.5, "it is counted");
}
