//! What one visitor sends never decides what another one gets.

use crate::governed;
use crate::support::{Answer, Folder, Origin, Proxy, get, route};

/// An application that believes everything: its page holds every field that it was asked with.
async fn gullible() -> Origin {
    Origin::start(|request| {
        let believed = request.headers.0.iter().map(|(name, value)| format!("{name}: {value}\n"));
        Answer::page(believed.collect::<String>()).header("cache-control", "max-age=600")
    })
    .await
}

const POISON: [(&str, &str); 14] = [
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Scheme", "gopher"),
    ("X-Forwarded-Ssl", "on"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Path", "/evil"),
    ("X-Host", "evil.example"),
    ("X-Original-URL", "/evil"),
    ("X-Rewrite-URL", "/evil"),
    ("X-HTTP-Method-Override", "PURGE"),
    ("Forwarded", "host=evil.example"),
    ("X-Middleware-Prefetch", "1"),
    ("X-Invoke-Status", "404"),
    ("X-Now-Route-Matches", "1=evil"),
];

#[tokio::test]
async fn claims_about_the_request_stay_with_who_claims() {
    for trusted in [false, true] {
        let origin = gullible().await;
        let proxy = if trusted {
            let folder = Folder::of(&origin, [route("/[[...page]]")]);
            Proxy::with(folder).option("--trusted-proxies", "127.0.0.0/8").start().await
        } else {
            governed(&origin).await
        };
        for (index, (name, value)) in POISON.into_iter().enumerate() {
            let target = format!("/page-{index}");
            let poisoned = get(&target).header(name, value);
            proxy.send(&poisoned).await;
            let clean = proxy.get(&target).await;
            for (name, value) in clean.text().lines().filter_map(|line| line.split_once(": ")) {
                let evil = POISON
                    .iter()
                    .any(|(poison, harm)| poison.eq_ignore_ascii_case(name) && value.contains(harm));
                assert!(!evil, "{name}: {value} of another visitor (trusted: {trusted})");
            }
            assert_eq!(proxy.get(&target).await.cache(), "HIT", "the clean page is stored");
        }
    }
}
