//! Bad manifests: each is explained in one sentence, and every other route stays in force.

use crate::support::{Folder, Origin, PATIENCE, Proxy, TOKEN, eventually, get, manifest, route};

/// A route with these lines as its spec, after hostnames.
fn written(name: &str, spec: &str) -> String {
    let head = "apiVersion: kube-isr.dev/v1alpha1\nkind: IsrRoute\n";
    let metadata = format!("metadata: {{ name: {name}, namespace: shop }}\n");
    format!("{head}{metadata}spec:\n  hostnames: [bad.example.com]\n{spec}")
}

/// Bad input: its name, its manifest, and the words that a problem about it must contain: the object, the field, and
/// what to write instead.
fn cases(port: u16) -> Vec<(&'static str, String, Vec<String>)> {
    let backend = format!("  backendRef: {{ name: web, port: {port} }}\n");
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let token = "  bypassToken: { secretKeyRef: { name: short, key: token } }\n";
    let short = "---\napiVersion: v1\nkind: Secret\nmetadata: { name: short, namespace: shop }\n";
    vec![
        (
            "an unknown field",
            written("unknown-field", &format!("  path: /a\n  intervall: 10s\n{backend}")),
            words(&["unknown-field", "intervall", "interval"]),
        ),
        (
            "a path without its bracket",
            written("bad-path", &format!("  path: blog/[slug\n  interval: 10s\n{backend}")),
            words(&["bad-path", "path", "blog/[slug", "/"]),
        ),
        (
            "an interval without its unit",
            written("bad-interval", &format!("  path: /a\n  interval: 10\n{backend}")),
            words(&["bad-interval", "interval", "10s"]),
        ),
        (
            "an interval that is too short",
            written("tiny-interval", &format!("  path: /a\n  interval: 10ms\n{backend}")),
            words(&["tiny-interval", "interval", "1s"]),
        ),
        (
            "a short token",
            written("short-token", &format!("  path: /a\n  interval: 10s\n{token}{backend}"))
                + short
                + "stringData: { token: twelve-chars }\n",
            words(&["short-token", "bypassToken", "32"]),
        ),
        (
            "a missing key",
            written("no-key", &format!("  path: /a\n  interval: 10s\n{token}{backend}"))
                + short
                + &format!("stringData: {{ other: {TOKEN} }}\n"),
            words(&["no-key", "bypassToken", "short", "token"]),
        ),
        (
            "a missing Secret",
            written("no-secret", &format!("  path: /a\n  interval: 10s\n{token}{backend}")),
            words(&["no-secret", "bypassToken", "short"]),
        ),
        (
            "a Service without that port",
            written("no-port", "  path: /a\n  interval: 10s\n  backendRef: { name: web, port: 4 }\n"),
            words(&["no-port", "backendRef", "web", "4"]),
        ),
        (
            "a missing Service",
            written("no-service", "  path: /a\n  interval: 10s\n  backendRef: { name: absent, port: 80 }\n"),
            words(&["no-service", "backendRef", "absent"]),
        ),
        (
            "a framework that is none",
            written("bad-framework", &format!("  path: /a\n  interval: 10s\n  framework: NextJS\n{backend}")),
            words(&["bad-framework", "framework", "NextJs"]),
        ),
        (
            "no hostnames",
            written("no-hosts", &format!("  path: /a\n{backend}")).replace("[bad.example.com]", "[]"),
            words(&["no-hosts", "hostnames"]),
        ),
        (
            "a path that is missing",
            written("no-path", &format!("  interval: 10s\n{backend}")),
            words(&["no-path", "path"]),
        ),
    ]
}

#[tokio::test]
async fn each_bad_manifest_is_explained_while_the_others_serve() {
    let origin = Origin::counting().await;
    let port = origin.address().port();
    let mut silent = Vec::new();
    for (name, manifest, words) in cases(port) {
        let folder = Folder::of(&origin, [route("/good").interval("60s")]);
        folder.write("bad.yaml", &manifest);
        let proxy = Proxy::with(folder).start().await;
        assert_eq!(proxy.get("/good").await.status, 200, "{name}: every other route is in force");
        assert_eq!(proxy.get("/good").await.cache(), "HIT", "{name}: every other route is in force");
        let configz = proxy.admin_json("/configz").await;
        let lists =
            ["problems", "rejected"].map(|list| configz[list].as_array().cloned().unwrap_or_default());
        let problems: Vec<String> = lists.iter().flatten().map(ToString::to_string).collect();
        let told = problems.iter().any(|problem| words.iter().all(|word| problem.contains(word.as_str())));
        if !told {
            silent.push(format!("{name}: {words:?} in {configz:#}"));
        }
        let named = format!("{name}: the log names the object");
        let log =
            eventually(&named, PATIENCE, async || Some(proxy.log()).filter(|log| log.contains(&words[0])))
                .await;
        assert!(!log.contains("twelve-chars"), "{name}: no token in the log, not even a bad one");
        assert!(
            !configz.to_string().contains("twelve-chars"),
            "{name}: no token in configz, not even a bad one"
        );
    }
    assert!(
        silent.is_empty(),
        "each problem is one sentence with object, field and fix: {}",
        silent.join("\n")
    );
}

#[tokio::test]
async fn a_bad_manifest_that_comes_later_and_goes_again() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/good").interval("Never")]).await;
    proxy.get("/good").await.is(200, "MISS", "v1", "the first visitor renders");
    for (name, manifest, words) in cases(origin.address().port()) {
        proxy.folder().write("bad.yaml", &manifest);
        eventually(&format!("{name} is reported"), PATIENCE, async || {
            proxy.admin_json("/configz").await.to_string().contains(&words[0]).then_some(())
        })
        .await;
        proxy.get("/good").await.is(200, "HIT", "v1", &format!("{name}: every other route stays in force"));
        proxy.folder().remove("bad.yaml");
        eventually(&format!("{name} is gone"), PATIENCE, async || {
            (!proxy.admin_json("/configz").await.to_string().contains(&words[0])).then_some(())
        })
        .await;
    }
    assert_eq!(origin.count(), 1, "none of it cost the good page a render");
}

#[tokio::test]
async fn of_two_routes_for_one_page_the_first_wins_until_it_goes() {
    let one = Origin::start(|_| crate::support::Answer::page("one")).await;
    let two = Origin::start(|_| crate::support::Answer::page("two")).await;
    let folder = Folder::new();
    folder.write(
        "services.yaml",
        &[manifest::service("one", one.address()), manifest::service("two", two.address())].join("---\n"),
    );
    let backend =
        |name: &str, origin: &Origin| serde_json::json!({ "name": name, "port": origin.address().port() });
    let first = route("/page").named("first").interval("60s").set("backendRef", backend("one", &one));
    let second = route("/page").named("second").interval("60s").set("backendRef", backend("two", &two));
    folder.write("b-first.yaml", &first.yaml(0));
    folder.write("a-second.yaml", &second.yaml(0));
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/page").await.is(200, "MISS", "one", "without creation times the name decides, not the file");
    let configz = proxy.admin_json("/configz").await.to_string();
    for word in ["shop/first", "shop/second", "/page"] {
        let parts: Vec<_> = word.split('/').filter(|part| !part.is_empty()).collect();
        assert!(
            parts.iter().all(|part| configz.contains(part)),
            "the loser is told of the winner: {configz}"
        );
    }
    let passed = proxy.get("/elsewhere").await;
    assert_eq!(passed.text(), "one", "a route that lost is no second backend of the host");
    proxy.folder().remove("b-first.yaml");
    eventually("the loser takes over when the winner goes", PATIENCE, async || {
        let page = proxy.get("/page?again").await;
        (page.text() == "two" || proxy.get("/elsewhere").await.text() == "two").then_some(())
    })
    .await;
    let configz = proxy.admin_json("/configz").await;
    assert_eq!(
        configz["problems"].as_array().map(Vec::len),
        Some(0),
        "and nothing is wrong any more: {configz}"
    );
}

#[tokio::test]
async fn a_host_belongs_to_the_namespace_that_claimed_it() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/page").interval("60s")]);
    let service = manifest::service(manifest::SERVICE, origin.address()).replace("shop", "zoo");
    let stranger = route("/stolen").interval("60s").yaml(origin.address().port());
    let stranger = stranger
        .replace("namespace: shop", "namespace: zoo")
        .replace("namespace: \"shop\"", "namespace: zoo");
    folder.write("zoo.yaml", &(service + "---\n" + &stranger));
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/page").await.is(200, "MISS", "v1", "the owner's route is in force");
    for _ in 0..2 {
        let page = proxy.get("/stolen").await;
        assert!(
            !matches!(page.cache(), "HIT" | "MISS" | "STALE"),
            "the stranger's route is not: {:?}",
            page.headers
        );
    }
    let configz = proxy.admin_json("/configz").await.to_string();
    assert!(configz.contains("zoo") && configz.contains("stolen"), "and is told why: {configz}");
}

#[tokio::test]
async fn a_route_with_a_bad_token_serves_and_refuses_demands() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/page").interval("60s").token("twelve-chars")]);
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/page").await.is(200, "MISS", "v1", "the page does not suffer for its token");
    for token in ["twelve-chars", ""] {
        proxy.send(&get("/page").revalidate(token)).await.problem(401, "a token that is too short is none");
    }
    let draft = get("/page").header("Cookie", "__prerender_bypass=twelve-chars");
    proxy.send(&draft).await.is(200, "HIT", "v1", "nor does it open draft mode");
    assert_eq!(origin.count(), 1, "nothing was rendered for it");
}

#[tokio::test]
async fn a_route_without_a_reachable_service_explains_itself() {
    let origin = Origin::counting().await;
    let backend = serde_json::json!({ "name": "absent", "port": 80 });
    let lost =
        route("/lost").host("lost.example.com").interval("60s").set("backendRef", backend).token(TOKEN);
    let proxy = Proxy::serving(&origin, [route("/good").interval("60s"), lost]).await;
    let answer = proxy.send(&get("/lost").host("lost.example.com")).await;
    assert!(matches!(answer.status, 502 | 503), "there is nobody to ask: {}", answer.status);
    let problem = answer.problem(answer.status, "a route without a Service").to_string();
    assert!(problem.contains("absent"), "the answer names the Service: {problem}");
    let demand = get("/lost").host("lost.example.com").revalidate(TOKEN);
    let problem = proxy.send(&demand).await.problem(502, "nobody renders it anew");
    let expected = "The page was not rendered anew: Service shop/absent does not exist: add a manifest of it with type: \
                    ExternalName, or correct the name. The last good page stays in force.";
    assert_eq!(problem["detail"], expected);
    proxy.get("/good").await.is(200, "MISS", "v1", "every other route is in force");
}
