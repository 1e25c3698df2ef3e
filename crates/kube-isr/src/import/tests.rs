use isr_routes::manifest::{self, Manifests};
use proptest::prelude::*;

use super::*;

fn arguments(more: &[&str]) -> ImportArgs {
    #[derive(Debug, clap::Parser)]
    struct Parser {
        #[command(flatten)]
        import: ImportArgs,
    }
    let usual = ["import", "nextjs", ".", "--hostname", "shop.example.com", "--service", "web"];
    let parsed: Parser = clap::Parser::parse_from(usual.iter().chain(more));
    parsed.import
}

fn manifests(text: &str) -> Manifests {
    Manifests::from_files([manifest::read("routes.yaml", text)])
}

/// Whether an escape sequence stands for a character that no pattern matches: such a page is refused with an error.
fn is_refused(text: &str) -> bool {
    let codes = text.match_indices('%').filter_map(|(at, _)| text.get(at + 1..at + 3));
    codes
        .filter_map(|code| u8::from_str_radix(code, 16).ok())
        .any(|code| code.is_ascii_control() || br"/\.".contains(&code))
}

fn any_page() -> impl Strategy<Value = Page> {
    let segment = prop_oneof![
        "[a-zA-Z0-9%&:'!~. é]{1,8}"
            .prop_filter("no pattern matches it", |text| !is_refused(text))
            .prop_map(|text| pattern::literal(&text)),
        Just("[slug]".to_owned()),
        Just("true".to_owned()),
    ];
    let is_dots = |path: &String| path.split('/').any(|segment| matches!(segment, "." | ".."));
    let path = prop::collection::vec(segment, 0..4)
        .prop_map(|segments| pattern::join(&segments))
        .prop_filter("a path of dots is none", move |path| !is_dots(path));
    let interval =
        prop_oneof![Just(Every::Unsaid), Just(Every::Never), any::<u64>().prop_map(Every::Seconds)];
    (path, interval, ".{0,40}", any::<bool>()).prop_map(|(path, interval, source, has_query)| Page {
        known: if path.contains('[') { Vec::new() } else { vec![path.clone()] },
        path,
        interval,
        source,
        query: if has_query { vec!["page".to_owned(), "q: #\"".to_owned()] } else { Vec::new() },
        default_locale: has_query.then(|| "en-US".to_owned()),
        vary_by: if has_query { vec!["Next-Url".to_owned()] } else { Vec::new() },
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_is_no_different(pages in prop::collection::vec(any_page(), 1..8)) {
        let args = arguments(&["--token-secret", "isr", "--prerender", "--namespace", "shop"]);
        let build = Build { pages, notes: vec!["A note.\nOf two lines: #!".to_owned()], ..Build::default() };
        let routes = written::routes(&args, &build.pages);
        let text = written::text(&args, &build, &routes);
        must_compile(&text).map_err(|error| TestCaseError::fail(format!("{error:#}\n{text}")))?;
        let read = manifests(&text);
        prop_assert_eq!(read.routes.len(), routes.len());
        let differences = compare::differences(Framework::NextJs, &routes, &read, "routes.yaml");
        prop_assert!(differences.is_empty(), "{:?}\n{}", differences, text);
    }

    #[test]
    fn the_order_of_the_build_is_nothing(pages in prop::collection::vec(any_page(), 1..8), seed in any::<u64>()) {
        let args = arguments(&[]);
        // Of one path there is one page.
        let mut pages = pages;
        pages.sort_by(|one, other| one.path.cmp(&other.path));
        pages.dedup_by(|one, other| one.path == other.path);
        let mut shuffled = pages.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        let text = |pages: Vec<Page>| {
            let build = Build { pages, ..Build::default() };
            written::text(&args, &build, &written::routes(&args, &build.pages))
        };
        prop_assert_eq!(text(pages), text(shuffled));
    }
}

#[test]
fn what_yaml_does_not_print_is_escaped() {
    let odd = "a\u{fffe}\u{ffff}\u{feff}\u{7f}\u{9b}\u{1}\u{1fffe}";
    let page = Page {
        path: "/".to_owned(),
        interval: Every::Seconds(10),
        source: odd.to_owned(),
        query: vec![odd.to_owned()],
        ..Page::default()
    };
    let args = arguments(&[]);
    let build = Build { pages: vec![page], notes: vec![odd.to_owned()], ..Build::default() };
    let text = written::text(&args, &build, &written::routes(&args, &build.pages));
    assert!(text.contains("# a??????\u{1fffe}\n"), "{text}");
    let read = manifests(&text);
    let query = read.routes[0].spec.query.as_ref().expect("the route says which parameters count");
    assert_eq!(query.allow, [odd], "{text}");
}

fn routes(more: &[&str]) -> Vec<written::Route> {
    let page = |path: &str, interval| Page { path: path.to_owned(), interval, ..Page::default() };
    let pages = [
        page("/about", Every::Never),
        page("/blog/[slug]", Every::Seconds(90)),
        page("/news/[slug]", Every::Unsaid),
    ];
    written::routes(&arguments(more), &pages)
}

#[test]
fn differences_are_told_where_they_stand() {
    let wanted = routes(&["--token-secret", "isr"]);
    let kept = "\
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: blog-slug, labels: { kube-isr.dev/imported-from: nextjs } }
spec:
  hostnames: [shop.example.com]
  path: /blog/[slug]
  interval: 10s
  staleFor: 24h
  framework: NextJs
  backendRef: { name: web, port: 80 }
  bypassToken: { secretKeyRef: { name: isr, key: token } }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: gone, labels: { kube-isr.dev/imported-from: nextjs } }
spec: { hostnames: [shop.example.com], path: /gone, interval: 10s, backendRef: { name: web, port: 3000 } }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: written-by-hand }
spec: { hostnames: [shop.example.com], path: /mine, interval: 10s, backendRef: { name: web, port: 3000 } }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: about, namespace: other }
spec: { hostnames: [shop.example.com], path: /about, interval: 10s, backendRef: { name: web, port: 3000 } }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: news-slug, labels: { kube-isr.dev/imported-from: nextjs } }
spec:
  hostnames: [shop.example.com]
  path: /news/[slug]
  interval: 5m
  framework: NextJs
  backendRef: { name: web, port: 3000 }
  bypassToken: { secretKeyRef: { name: isr, key: token } }
";
    let found = compare::differences(Framework::NextJs, &wanted, &manifests(kept), "deploy");
    assert_eq!(
        found,
        [
            "deploy: IsrRoute default/about: is missing, and the build has /about (IsrRoute other/about has that path: were --namespace and --name-prefix the same?)",
            "routes.yaml:10: IsrRoute default/blog-slug: spec.backendRef.port: is 80, and the build says 3000",
            "routes.yaml:7: IsrRoute default/blog-slug: spec.interval: is 10s, and the build says 1m30s",
            "routes.yaml:16: IsrRoute default/gone: is imported, and the build has no /gone",
        ]
    );
}

#[test]
fn the_same_interval_in_other_words_is_no_difference() {
    let routes = routes(&[]);
    let args = arguments(&[]);
    let text = written::text(&args, &Build::default(), &routes).replace("interval: 1m30s", "interval: 90s");
    assert!(text.contains("interval: 90s"));
    let found = compare::differences(Framework::NextJs, &routes, &manifests(&text), "deploy");
    assert_eq!(found, [""; 0]);
}

#[test]
fn intervals_are_written_as_the_resource_takes_them() {
    for (seconds, text) in [
        (0, "1s"),
        (10, "10s"),
        (3600, "1h"),
        (86_400 + 61, "24h1m1s"),
        (31_536_000, "8760h"),
        (359_999_999, "99999h59m59s"),
        (360_000_000, "Never"),
        (u64::MAX, "Never"),
    ] {
        let page = Page { path: "/a".to_owned(), interval: Every::Seconds(seconds), ..Page::default() };
        let routes = written::routes(&arguments(&[]), &[page]);
        assert_eq!(routes[0].interval.as_deref(), Some(text), "{seconds}");
    }
}

#[test]
fn a_hostname_or_name_that_is_none_is_refused() {
    for wrong in [&["--hostname", "Shop.example.com"][..], &["--service", ""], &["--name-prefix", "é"]] {
        let mut args = arguments(&[]);
        match wrong {
            ["--hostname", host] => args.hostnames = vec![(*host).to_owned()],
            ["--service", service] => (*service).clone_into(&mut args.service),
            _ => "a_b.".clone_into(&mut args.namespace),
        }
        let build =
            Build { pages: vec![Page { path: "/a".to_owned(), ..Page::default() }], ..Build::default() };
        let text = written::text(&args, &build, &written::routes(&args, &build.pages));
        let said = must_compile(&text).expect_err("it would not be valid").to_string();
        assert!(said.starts_with("these routes would not be valid: "), "{said}");
    }
}
