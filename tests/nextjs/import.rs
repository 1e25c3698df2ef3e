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
