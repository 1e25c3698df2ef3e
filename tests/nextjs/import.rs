//! The routes of a real build, as `kube-isr import` reads them.

use std::path::Path;
use std::process::{Command, Output};

use crate::application::Application;

fn import(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kube-isr"));
    command.args(["import", "nextjs"]).arg(folder);
    command.args(["--hostname", "blog.example.com", "--service", "nextjs", "--token-secret", "revalidation"]);
    command.args(more).output().expect("kube-isr")
}

/// What a base path, languages and intercepting routes make of the routes of a build.
#[tokio::test]
async fn the_routes_of_a_build_name_its_languages_and_what_is_intercepted() {
    let fixture = Application::fixture().await;
    let written = import(fixture.path(), &[]);
    let text = String::from_utf8(written.stdout).expect("text");
    assert!(text.contains("path: /docs/blog\n  interval: 1h\n  framework: NextJs\n  backendRef"), "{text}");
    let english = "path: /docs/posts/[slug]\n  # No interval: the application's own Cache-Control governs.\n  framework: NextJs\n  defaultLocale: en\n";
    assert!(text.contains(english), "{text}");
    let german = english.replace("/posts", "/de/posts").replace("  defaultLocale: en\n", "  backendRef:\n");
    assert!(text.contains(&german), "{text}");

    let second = Application::second().await;
    let text = String::from_utf8(import(second.path(), &[]).stdout).expect("text");
    let (_, photo) = text.split_once("path: /photo/[id]\n").expect("the photo");
    let (photo, _) = photo.split_once("---").unwrap_or((photo, ""));
    assert!(photo.contains("  varyBy:\n    headers:\n      - \"Next-Url\"\n"), "{text}");
    assert_eq!(text.matches("varyBy").count(), 1, "no other page is intercepted: {text}");
    let kept = second.path().join("isr-routes.yaml");
    std::fs::write(&kept, text.replace("- \"Next-Url\"", "- Accept-Language")).expect("a file");
    let other = import(second.path(), &["--check", kept.to_str().expect("a path")]);
    let said = String::from_utf8(other.stdout).expect("text");
    assert!(said.contains("spec.varyBy.headers: is absent, and the build says Next-Url"), "{said}");
    assert!(
        said.ends_with("\n1 difference: write the routes anew by the same command without --check\n"),
        "{said}"
    );
}

#[tokio::test]
async fn the_routes_of_a_build_are_those_that_its_pages_say() {
    let application = Application::copy().await;
    let written = import(application.path(), &["--prerender"]);
    let text = String::from_utf8(written.stdout).expect("text");
    assert!(written.status.success(), "{text}{}", String::from_utf8_lossy(&written.stderr));
    for (source, route) in [
        ("pages/blog-posts, revalidate: 10 ", "path: /blog-posts\n  interval: 10s\n"),
        (
            "app/app-router/blog-posts/page, revalidate: 10 ",
            "path: /app-router/blog-posts\n  interval: 10s\n",
        ),
        ("app/page, revalidate: false ", "path: /\n  interval: Never\n"),
        // Nothing was rendered of these when it was built: Next.js says it with the first page.
        ("pages/blog-posts/[slug], no revalidate known ", "path: /blog-posts/[slug]\n  # No interval"),
        ("app/app-router/blog-posts/[slug]/page, ", "path: /app-router/blog-posts/[slug]\n  # No interval"),
    ] {
        assert!(text.contains(&format!("# {source}")) && text.contains(route), "{source}{route}\n{text}");
    }
    assert_eq!(text.matches("kind: IsrRoute\n").count(), 5, "and no others: {text}");
    assert!(!text.contains(&application.preview_mode_id), "the token of the build stays in the build");

    let kept = application.path().join("isr-routes.yaml");
    std::fs::write(&kept, &text).expect("a file");
    let kept = kept.to_str().expect("a path");
    let same = import(application.path(), &["--prerender", "--check", kept]);
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    std::fs::write(kept, text.replace("interval: 10s", "interval: 20s")).expect("a file");
    let other = import(application.path(), &["--check", kept]);
    let said = String::from_utf8(other.stdout).expect("text");
    assert_eq!(other.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("spec.interval: is 20s, and the build says 10s").count(), 2, "{said}");
}
