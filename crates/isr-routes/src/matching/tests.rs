use std::sync::Arc;

use proptest::prelude::*;

use super::Trie;
use crate::path::PathPattern;
use crate::route::Route;
use crate::testing::route_with;

fn trie(patterns: &[&str]) -> Trie {
    let routes =
        patterns.iter().map(|pattern| Arc::new(Route { id: (*pattern).into(), ..route_with(pattern) }));
    Trie::new(&routes.collect::<Vec<_>>())
}

#[test]
fn literal_before_parameter_before_catch_all_from_left_to_right() {
    let all =
        ["/a/b", "/a/[x]", "/[x]/b", "/[x]/[y]", "/a/[...r]", "/a/[[...r]]", "/[...r]", "/[[...r]]", "/"];
    let table = [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("/a/c", "/a/[x]"),
        ("/c/b", "/[x]/b"),
        ("/c/d", "/[x]/[y]"),
        ("/a", "/a/[[...r]]"),
        ("/a/b/c", "/a/[...r]"),
        ("/c", "/[...r]"),
        ("/c/d/e", "/[...r]"),
    ];
    let trie = trie(&all);
    for (path, expected) in table {
        assert_eq!(trie.find(path, |_| true).map(|route| &*route.id), Some(expected), "{path}");
    }
}

#[test]
fn a_search_turns_back_from_a_dead_end() {
    let trie = trie(&["/a/b/c/d", "/a/[x]/c/e", "/[x]/b/c/f", "/[...r]"]);
    for (path, expected) in [
        ("/a/b/c/d", Some("/a/b/c/d")),
        ("/a/b/c/e", Some("/a/[x]/c/e")),
        ("/a/b/c/f", Some("/[x]/b/c/f")),
        ("/a/b/c/g", Some("/[...r]")),
        ("/a//c/e", None),
    ] {
        assert_eq!(trie.find(path, |_| true).map(|route| &*route.id), expected, "{path}");
    }
    assert_eq!(
        trie.find("/a/b/c/d", |route| &*route.id != "/a/b/c/d").map(|route| &*route.id),
        Some("/[...r]")
    );
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["/a", "/b", "/[x]"]);
    let tail = prop::sample::select(vec!["", "", "/[...r]", "/[[...r]]"]);
    (prop::collection::vec(segment, 0..4), tail).prop_map(|(segments, tail)| {
        let text = format!("{}{tail}", segments.concat());
        if text.is_empty() { "/".into() } else { text }
    })
}

proptest! {
    /// The trie finds what a scan over all patterns, sorted by rank, finds.
    #[test]
    fn the_trie_agrees_with_a_scan(patterns in prop::collection::vec(pattern(), 0..12), path in "(/[abc]?){1,5}") {
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let parsed = texts.iter().map(|text| PathPattern::parse(text).expect("a pattern"));
        let best = parsed.filter(|pattern| pattern.matches(&path)).min_by_key(PathPattern::rank);
        let trie = trie(&texts);
        let found = trie.find(&path, |_| true).map(|route| route.path.to_string());
        prop_assert_eq!(found, best.map(|pattern| pattern.to_string()));
    }
}
