use super::*;

/// A part of what Nuxt 4.5 writes into `.output/server/chunks/nitro/nitro.mjs`.
const CODE: &str = r#"
const inlineAppConfig = { "nuxt": {} };
const _inlineRuntimeConfig = {
  "app": {
    "baseURL": "/",
    "buildId": "b"
  },
  "nitro": {
    "envPrefix": "NUXT_",
    "routeRules": {
      "/__nuxt_error": { "cache": false },
      "/blog-posts": { "isr": 10 },
      "/blog-posts/**": { "isr": 60 },
      "/blog-posts/mine": { "isr": false },
      "/about": { "isr": true },
      "/swr": { "swr": true, "cache": { "swr": true } },
      "/off": { "isr": false },
      "/q": { "isr": { "expiration": 20, "allowQuery": ["page"] } },
      "/users/:id/posts/*": { "isr": { "expiration": false } },
      "/a*b": { "isr": 10 },
      "/pre": { "prerender": true },
      "/_nuxt/**": { "headers": { "cache-control": "public, max-age=31536000, immutable" } },
      "/blog-posts/_payload.json": { "ssr": true, "isr": 10 }
    }
  },
  "public": {}
};
function getRouteRules(config) { return config.nitro.routeRules; }
"#;

#[test]
fn rules_become_pages() {
    let build = pages(&configuration(CODE).expect("a configuration")).expect("a build");
    let found: Vec<(&str, Every)> =
        build.pages.iter().map(|page| (page.path.as_str(), page.interval)).collect();
    assert_eq!(
        found,
        [
            ("/about", Every::Never),
            ("/blog-posts", Every::Seconds(10)),
            ("/blog-posts/[[...rest]]", Every::Seconds(60)),
            ("/blog-posts/mine", Every::Unsaid),
            ("/q", Every::Seconds(20)),
            ("/users/[id]/posts/[param4]", Every::Never),
        ]
    );
    assert_eq!(build.pages[4].query, ["page"]);
    assert_eq!((&*build.pages[1].known, &*build.pages[2].known), (&["/blog-posts".to_owned()][..], &[][..]));
    assert_eq!(build.pages[1].source, "routeRules['/blog-posts'], isr: 10 (.output/server)");
    let notes = build.notes.join("\n");
    assert!(notes.contains("/swr has swr") && notes.contains("/a*b is no path"), "{notes}");
}

/// As a minifier writes it, below a path.
#[test]
fn minified_code_is_read() {
    let code =
        r#"const c={app:{baseURL:"/shop/"},nitro:{routeRules:{"/":{isr:!0},"/x/**":{isr:1e3}}}};export{c};"#;
    let build = pages(&configuration(code).expect("a configuration")).expect("a build");
    let found: Vec<(&str, Every)> =
        build.pages.iter().map(|page| (page.path.as_str(), page.interval)).collect();
    assert_eq!(found, [("/shop", Every::Never), ("/shop/x/[[...rest]]", Every::Seconds(1000))]);
}

#[test]
fn what_is_no_build_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = format!("{:#}", read(folder.path()).expect_err("nothing was built"));
    assert!(said.contains("holds no .output/server/index.mjs: run nuxt build there first"), "{said}");
    let server = folder.path().join(SERVER);
    std::fs::create_dir_all(server.join("chunks")).expect("a folder");
    std::fs::write(server.join("index.mjs"), "").expect("a file");
    let said = format!("{:#}", read(folder.path()).expect_err("another build"));
    assert!(said.contains("holds the routeRules of the build"), "{said}");
    let code = r#"const c = {"routeRules": {"/_nuxt/**": {"headers": {}}}};"#;
    std::fs::write(server.join("chunks/nitro.mjs"), code).expect("a file");
    let said = format!("{:#}", read(folder.path()).expect_err("no page"));
    assert!(
        said.contains("no rule of routeRules has isr: write routeRules: { '/blog/**': { isr: 60 } }"),
        "{said}"
    );
    std::fs::write(server.join("chunks/nitro.mjs"), CODE).expect("a file");
    assert_eq!(read(folder.path()).expect("a build").pages.len(), 6);
}
