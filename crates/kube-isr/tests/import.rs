//! `kube-isr import`, as a person and a pipeline run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// What `next build` leaves behind of a small site.
fn built() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let next = folder.path().join("site/.next");
    fs::create_dir_all(&next).expect("a folder");
    let prerendered = r#"{
        "version": 4,
        "routes": {
            "/blog-posts": { "initialRevalidateSeconds": 10, "srcRoute": null },
            "/blog-posts/1": { "initialRevalidateSeconds": 60, "srcRoute": "/blog-posts/[slug]" }
        },
        "dynamicRoutes": { "/blog-posts/[slug]": { "fallback": null } },
        "preview": { "previewModeId": "this-is-not-to-be-written-anywhere" }
    }"#;
    fs::write(next.join("prerender-manifest.json"), prerendered).expect("a file");
    fs::write(next.join("routes-manifest.json"), r#"{ "version": 3, "basePath": "" }"#).expect("a file");
    let pages = r#"{ "/_app": "pages/_app.js", "/blog-posts/new": "pages/blog-posts/new.js" }"#;
    fs::create_dir(next.join("server")).expect("a folder");
    fs::write(next.join("server/pages-manifest.json"), pages).expect("a file");
    folder
}

fn kube_isr(folder: &Path, arguments: &str) -> Output {
    let arguments = arguments.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_kube-isr"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("kube-isr runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

const IMPORT: &str = "import nextjs site --hostname shop.example.com --hostname *.example.com --service web --namespace shop \
    --token-secret blog-isr --origin-token-secret blog-isr --prerender";

const WRITTEN: &str = r#"# Written by kube-isr import nextjs from the build of the application.
# Fields that the build says nothing about, such as staleFor or tags, may be added: --check leaves
# them alone.

# pages/blog-posts, revalidate: 10 (routes of .next/prerender-manifest.json)
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata:
  name: blog-posts
  namespace: shop
  labels:
    kube-isr.dev/imported-from: nextjs
spec:
  hostnames:
    - shop.example.com
    - "*.example.com"
  path: /blog-posts
  interval: 10s
  framework: NextJs
  backendRef:
    name: web
    port: 3000
  bypassToken:
    secretKeyRef:
      name: blog-isr
      key: token
  originToken:
    secretKeyRef:
      name: blog-isr
      key: previewModeId
  prerender:
    paths:
      - /blog-posts
---
# pages/blog-posts/[slug], revalidate: 60 (dynamicRoutes of .next/prerender-manifest.json)
"#;

#[test]
fn routes_are_written_for_people_and_pass_the_check() {
    let folder = built();
    let written = kube_isr(folder.path(), IMPORT);
    let text = said(&written);
    assert_eq!(written.status.code(), Some(0), "{text}");
    assert!(text.starts_with(WRITTEN), "{text}");
    assert!(
        text.contains(
            "# pages/blog-posts/new, a page of its own: without this route /blog-posts/[slug] would answer for it\n"
        ),
        "{text}"
    );
    assert!(!text.contains("not-to-be-written"), "secrets stay where they are");
    assert_eq!(said(&kube_isr(folder.path(), IMPORT)), text, "the same every time");

    fs::write(folder.path().join("routes.yaml"), &text).expect("a file");
    let around = "
apiVersion: v1
kind: Secret
metadata: { name: blog-isr, namespace: shop }
stringData: { token: 0123456789abcdef0123456789abcdef, previewModeId: 0123456789abcdef0123456789abcdef }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { type: ExternalName, externalName: 127.0.0.1, ports: [{ port: 3000 }] }
";
    fs::write(folder.path().join("around.yaml"), around).expect("a file");
    let checked = kube_isr(folder.path(), "check routes.yaml around.yaml");
    assert_eq!(said(&checked).lines().last(), Some("3 routes in force, 0 errors, 0 warnings"));
}

#[test]
fn a_pipeline_is_told_what_differs() {
    let folder = built();
    let deploy = folder.path().join("deploy");
    fs::create_dir(&deploy).expect("a folder");
    let written = said(&kube_isr(folder.path(), IMPORT));
    fs::write(deploy.join("routes.yaml"), &written).expect("a file");
    let check = format!("{IMPORT} --check deploy");
    let same = kube_isr(folder.path(), &check);
    assert_eq!((same.status.code(), &*said(&same)), (Some(0), "3 routes as the build says\n"));

    // People add what is theirs.
    fs::write(
        deploy.join("routes.yaml"),
        written.replace("  interval: 10s\n", "  interval: 10s\n  staleFor: 24h\n"),
    )
    .expect("a file");
    assert_eq!(kube_isr(folder.path(), &check).status.code(), Some(0));

    fs::write(deploy.join("routes.yaml"), written.replace("interval: 10s", "interval: 30s")).expect("a file");
    let other = kube_isr(folder.path(), &check);
    let line = 1 + written.lines().position(|line| line == "  interval: 10s").expect("the interval");
    let expected = format!(
        "deploy/routes.yaml:{line}: IsrRoute shop/blog-posts: spec.interval: is 30s, and the build says 10s\n\
         1 difference: write the routes anew by the same command without --check\n"
    );
    assert_eq!((other.status.code(), said(&other)), (Some(1), expected));
}

#[test]
fn what_cannot_be_imported_is_told() {
    let folder = built();
    for (arguments, code, expected) in [
        (
            "import nextjs . --hostname a.example --service web",
            1,
            "kube-isr: . holds no .next/prerender-manifest.json: run next build there first, or name the folder that the build writes (distDir)\n",
        ),
        ("import sveltekit site --hostname a.example --service web", 1, "run vite build there first"),
        ("import nuxt site --hostname a.example --service web", 1, "run nuxt build there first"),
        ("import nextjs site --hostname A.example --service web", 64, "write a.example"),
        ("import nuxt site --hostname a.example --service web --origin-token-secret s", 64, "is for nextjs"),
        (
            "import rails site --hostname a.example --service web",
            64,
            "possible values: nextjs, sveltekit, nuxt",
        ),
        ("import nextjs site --service web", 64, "--hostname"),
    ] {
        let output = kube_isr(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}");
        assert!(said(&output).contains(expected), "{arguments}: {}", said(&output));
    }
    // In the folder of the build itself it is found as well.
    let inside = kube_isr(folder.path(), "import nextjs site/.next --hostname a.example --service web");
    assert_eq!(inside.status.code(), Some(0), "{}", said(&inside));
}
