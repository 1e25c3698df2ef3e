//! `kube-isr check` and `kube-isr explain`, as a person runs them.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Two routes, their Service and their token: all good.
const GOOD: &str = "\
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: blog-posts, namespace: shop }
spec:
  hostnames: [shop.example.com]
  path: /blog-posts/[slug]
  interval: 10s
  bypassToken: { secretKeyRef: { name: isr, key: token } }
  backendRef: { name: web, port: 3000 }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: home, namespace: shop }
spec:
  hostnames: [shop.example.com]
  path: /
  interval: 1m
  backendRef: { name: web, port: 3000 }
---
apiVersion: v1
kind: Secret
metadata: { name: isr, namespace: shop }
stringData: { token: 0123456789abcdef0123456789abcdef }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  type: ExternalName
  externalName: 127.0.0.1
  ports: [{ port: 3000 }]
";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn kube_isr(folder: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kube-isr"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("kube-isr runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn good_manifests_are_good() {
    let folder = folder(&[("routes.yaml", GOOD), (".hidden.yaml", "]"), ("notes.txt", "]")]);
    let output = kube_isr(&folder, &["check", "."]);
    assert_eq!(stdout(&output), "2 routes in force, 0 errors, 0 warnings\n");
    assert_eq!(output.status.code(), Some(0));
}

/// Each row: what to change in the good manifests, the line, the object, the field, and what to write instead. The
/// route `home` stays in force each time.
#[test]
fn bad_input_is_named_where_it_stands_with_what_to_write() {
    let table = [
        ("interval: 10s", "intervall: 10s", 7, "spec.intervall", "did you mean interval?", 1),
        ("/blog-posts/[slug]", "blog/[slug", 6, "spec.path", "write /blog/[slug]", 1),
        ("interval: 10s", "interval: 10", 7, "spec.interval", "write 10s", 1),
        (
            "  backendRef: { name: web, port: 3000 }\n---",
            &format!(
                "  backendRef: {{ name: web, port: 3000 }}\n  query: {{ allow: [{}] }}\n---",
                "n".repeat(129)
            ),
            10,
            "spec.query.allow[0]",
            "is longer than 128 characters: write a shorter name",
            1,
        ),
        (
            "0123456789abcdef0123456789abcdef",
            "0123456789ab",
            8,
            "spec.bypassToken.secretKeyRef.key",
            "write a random value of 32 or more",
            2,
        ),
        (
            "stringData: { token:",
            "stringData: { tokn:",
            8,
            "spec.bypassToken.secretKeyRef.key",
            "Secret shop/isr has no key `token` (only tokn): add the key",
            2,
        ),
        (
            "  backendRef: { name: web, port: 3000 }\n---",
            "  backendRef: { name: web, port: 80 }\n---",
            9,
            "spec.backendRef.port",
            "Service shop/web has no port 80: write one of its ports (3000)",
            2,
        ),
    ];
    for (good, bad, line, field, fix, in_force) in table {
        assert!(GOOD.contains(good), "{good}");
        let folder = folder(&[("routes.yaml", &GOOD.replacen(good, bad, 1))]);
        let output = kube_isr(&folder, &["check", "routes.yaml"]);
        let said = stdout(&output);
        let expected = format!("routes.yaml:{line}: error: IsrRoute shop/blog-posts: {field}: ");
        assert!(said.starts_with(&expected), "{bad}: {said}");
        assert!(said.contains(fix), "{bad}: {said}");
        let routes = if in_force == 1 { "1 route in force" } else { "2 routes in force" };
        assert!(said.ends_with(&format!("{routes}, 1 error, 0 warnings\n")), "{bad}: {said}");
        assert!(!said.contains("0123456789ab"), "no token in {said}");
        assert_eq!(output.status.code(), Some(1), "{bad}");
    }
}

/// In a cluster the same manifests are judged as the operator does: by the Service's DNS name, never by where an
/// `ExternalName` points.
#[test]
fn a_cluster_is_judged_as_the_operator_does() {
    let external = "spec:\n  type: ExternalName\n  externalName: 127.0.0.1\n";
    assert!(GOOD.contains(external));
    let in_cluster = GOOD.replacen(external, "spec:\n", 1);
    let folder = folder(&[("external.yaml", GOOD), ("cluster.yaml", &in_cluster)]);

    let refused = kube_isr(&folder, &["check", "--cluster", "external.yaml"]);
    assert!(
        stdout(&refused).contains("of type ExternalName, which could point anywhere"),
        "{}",
        stdout(&refused)
    );
    assert_eq!(refused.status.code(), Some(1));
    let good = kube_isr(&folder, &["check", "--cluster", "cluster.yaml"]);
    assert_eq!(stdout(&good), "2 routes in force, 0 errors, 0 warnings\n");
    assert_eq!(kube_isr(&folder, &["check", "cluster.yaml"]).status.code(), Some(1));

    let url = "http://shop.example.com/blog-posts/1";
    let explain =
        ["explain", url, "--routes", "cluster.yaml", "--cluster", "--cluster-domain", "k8s.internal"];
    let explained = stdout(&kube_isr(&folder, &explain));
    assert!(explained.contains("backend   shop/web:3000 at web.shop.svc.k8s.internal:3000"), "{explained}");
}

#[test]
fn two_routes_for_one_path_name_the_winner() {
    let copy = GOOD.split("---").next().expect("a document").replace("name: blog-posts", "name: copy");
    let folder = folder(&[("a.yaml", GOOD), ("b.yaml", &copy)]);
    let output = kube_isr(&folder, &["check", "."]);
    assert_eq!(
        stdout(&output),
        "./b.yaml:5: error: IsrRoute shop/copy: spec.hostnames[0]: IsrRoute shop/blog-posts already answers shop.example.com/blog-posts/[slug] and is older: change spec.path or remove `shop.example.com` from one of the two routes\n2 routes in force, 1 error, 0 warnings\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn json_says_the_same() {
    let folder = folder(&[("routes.yaml", &GOOD.replace("interval: 10s", "interval: 10"))]);
    let output = kube_isr(&folder, &["check", "--output", "json", "routes.yaml"]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&said["routesInForce"], &said["errors"], &said["warnings"]),
        (&1.into(), &1.into(), &0.into())
    );
    let problem = &said["problems"][0];
    assert_eq!(problem["file"], "routes.yaml");
    assert_eq!(problem["line"], 7);
    assert_eq!(problem["severity"], "error");
    assert_eq!(problem["kind"], "IsrRoute");
    assert_eq!(problem["namespace"], "shop");
    assert_eq!(problem["name"], "blog-posts");
    assert_eq!(problem["field"], "spec.interval");
    assert!(problem["message"].as_str().is_some_and(|message| message.contains("write 10s")), "{problem}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn exit_codes() {
    let folder = folder(&[("routes.yaml", GOOD), ("broken.txt", "a: [")]);
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    let table: [(&[&str], i32, &str); 11] = [
        (&["check", "routes.yaml"], 0, ""),
        (&["check", "broken.txt"], 1, ""),
        (&["check", "absent.yaml"], 1, "kube-isr: cannot read absent.yaml"),
        (&["check", "empty"], 1, "holds no manifests"),
        (&["check"], 64, "FILE_OR_DIR"),
        (&["chek"], 64, "check"),
        (&[], 64, "Usage"),
        (&["--help"], 0, ""),
        (&["--version"], 0, ""),
        (&["explain", "http://a b/", "--routes", "."], 1, "is not a URL"),
        (&["explain", "http://shop.example.com/a/%2e%2e/b", "--routes", "."], 1, "answers this with 400"),
    ];
    for (args, code, said) in table {
        let output = kube_isr(&folder, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}

#[test]
fn help_teaches_by_example() {
    let folder = folder(&[]);
    for command in ["operator", "check", "explain", "purge", "crd"] {
        let help = stdout(&kube_isr(&folder, &[command, "--help"]));
        assert!(help.contains(&format!("$ kube-isr {command}")), "{help}");
    }
    let all = stdout(&kube_isr(&folder, &["--help"]));
    assert!(all.lines().any(|line| line.trim_start().starts_with("purge ")), "{all}");
}

/// The image has the command under the name by which kubectl finds its plugins as well.
#[test]
fn as_a_plugin_of_kubectl_it_speaks_of_kubectl() {
    let kubectl_isr = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kube-isr"));
        stdout(&command.arg0("/usr/local/bin/kubectl-isr").args(args).output().expect("kubectl-isr runs"))
    };
    let all = kubectl_isr(&["--help"]);
    assert!(all.contains("Usage: kubectl isr <COMMAND>"), "{all}");
    for (command, offered) in [("purge", true), ("check", true), ("proxy", false), ("operator", false)] {
        let is_listed = all.lines().any(|line| line.trim_start().starts_with(&format!("{command} ")));
        assert_eq!(is_listed, offered, "{command}: {all}");
    }
    let purge = kubectl_isr(&["purge", "--help"]);
    for expected in ["Usage: kubectl isr purge [OPTIONS] [isrroute/NAME]", "$ kubectl isr purge isrroute/"] {
        assert!(purge.contains(expected), "{purge}");
    }
}

/// Someone who pipes the output into `head` has seen enough.
#[test]
fn a_closed_pipe_is_success() {
    // More than a pipe holds (64 KiB), so that the end of the reader is always noticed.
    let many = "kind: IsrRoute\n---\n".repeat(1000);
    let folder = folder(&[("many.yaml", &many)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_kube-isr"))
        .args(["check", "many.yaml"])
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kube-isr runs");
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    let status = child.wait().expect("an end");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn explain_says_who_answers_and_who_lost() {
    let more = "\
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: all, namespace: shop }
spec:
  hostnames: ['*.example.com']
  path: /[[...path]]
  framework: NextJs
  query: { allow: [page] }
  backendRef: { name: web, port: 3000 }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: news, namespace: shop }
spec:
  hostnames: [shop.example.com]
  path: /news/[slug]
  interval: 10s
  prerender: { paths: [/news/1], sitemap: /sitemap.xml }
  backendRef: { name: web, port: 3000 }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: late, namespace: shop }
spec:
  hostnames: [shop.example.com]
  path: /blog-posts/[id]
  backendRef: { name: web, port: 3000 }
";
    let folder = folder(&[("routes.yaml", &format!("{GOOD}{more}"))]);
    let explain = |url: &str, headers: &[&str]| {
        let mut args = vec!["explain", url, "--routes", "routes.yaml"];
        for header in headers {
            args.extend(["-H", header]);
        }
        stdout(&kube_isr(&folder, &args))
    };
    assert_eq!(
        explain("http://SHOP.example.com:80/blog-posts/%31?utm=x", &[]),
        "\
answer    IsrRoute shop/blog-posts: shop.example.com /blog-posts/[slug]
policy    rendered again when older than 10s, served stale for as long as it takes; no-store opts a page out
on demand with the header x-prerender-revalidate: <token>
key       shop.example.com/blog-posts/1
group     shop.example.com/blog-posts/1
backend   shop/web:3000 at 127.0.0.1:3000
render    GET /blog-posts/1
lost      IsrRoute shop/all /[[...path]]: its hostname *.example.com is wider than shop.example.com
          IsrRoute shop/late /blog-posts/[id]: not in force: spec.hostnames[0]: IsrRoute shop/blog-posts already answers shop.example.com/blog-posts/[id] and is older: change spec.path or remove `shop.example.com` from one of the two routes
"
    );
    let companion =
        explain("a.example.com/_next/data/build/docs/1.json?page=2&slug=1", &["RSC: 1", "Cookie: a=b"]);
    for line in [
        "answer    IsrRoute shop/all: *.example.com /[[...path]]",
        "policy    the origin's Cache-Control decides",
        "on demand refused: no bypass token is in force",
        "page      this is data of the page /docs/1",
        "key       a.example.com/_next/data/build/docs/1.json?page=2 [rsc: 1]",
        "group     a.example.com/docs/1",
        "render    GET /_next/data/build/docs/1.json?page=2&_rsc",
        "          rsc: 1",
    ] {
        assert!(companion.lines().any(|said| said == line), "{line}\nnot in\n{companion}");
    }
    assert!(!companion.contains("cookie"), "{companion}");
    for (path, when) in [
        ("/news/1", "before anybody asks: spec.prerender.paths names it"),
        ("/news/2", "before anybody asks, if /sitemap.xml lists it"),
    ] {
        let told = explain(&format!("shop.example.com{path}"), &[]);
        assert!(told.contains(&format!("\nprerender {when}\n")), "{told}");
    }
    let passed = explain("http://a.example.com/_next/static/a.js", &[]);
    assert!(passed.starts_with("answer    passed through, uncached: NextJs answers such paths"), "{passed}");
    let unknown = explain("http://example.org/", &[]);
    assert!(unknown.starts_with("answer    421: no route names the host example.org"), "{unknown}");
    assert!(unknown.contains("hosts     *.example.com, shop.example.com"), "{unknown}");
    let draft = explain(
        "http://shop.example.com/blog-posts/1",
        &["Cookie: __prerender_bypass=0123456789abcdef0123456789abcdef"],
    );
    assert!(draft.contains("bypass    this request goes past the cache: its draft cookie"), "{draft}");
}

/// The repository's root.
fn repository() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `kube-isr check` says of a folder of the repository.
fn check(folder: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kube-isr"))
        .args(["check", folder])
        .current_dir(repository())
        .output()
        .expect("kube-isr runs");
    (output.status.success(), stdout(&output))
}

#[test]
fn the_examples_are_good() {
    for (folder, routes) in
        [("manifests/origin", 5), ("sveltekit/manifests", 2), ("nuxt/manifests", 2), ("nextjs/manifests", 4)]
    {
        let (good, said) = check(&format!("examples/{folder}"));
        assert!(
            good && said.contains(&format!("{routes} routes in force, 0 errors, 0 warnings")),
            "{folder}: {said}"
        );
    }
}

#[test]
fn the_resource_in_the_readme_is_accepted() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README");
    let shown =
        readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a resource");
    let files = [("route.yaml", shown)];
    let said = stdout(&kube_isr(&folder(&files), &["check", "."]));
    assert!(said.contains("1 route in force") && !said.contains("warning: IsrRoute"), "{said}");
    let missing = |line: &str| line.contains("blog-isr") || line.contains("shop/web");
    assert!(
        said.lines().filter(|line| line.contains(": error: ")).all(missing),
        "only what is not shown: {said}"
    );
}
