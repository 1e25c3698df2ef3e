use super::PathPattern;

#[test]
fn patterns_match_whole_segments() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/"], &["/a", "//"]),
        ("/blog", &["/blog", "/blog/"], &["/", "/blogs", "/blog/1", "//blog", "/blog//", "/Blog", "/blo"]),
        ("/blog/", &["/blog", "/blog/"], &["/blog/1"]),
        (
            "/blog/[slug]",
            &["/blog/1", "/blog/1/", "/blog/a%2Fb", "/blog/[slug]", "/blog/a;v=1"],
            &["/blog", "/blog/", "/blog//", "/blog/1/2", "/blog//1"],
        ),
        ("/[a]/x/[b]", &["/1/x/2"], &["/1/y/2", "//x/2", "/1/x/"]),
        ("/docs/**", &["/docs/a", "/docs/a/b/c", "/docs/a/"], &["/docs", "/docs/", "/docs//a", "/docs/a//b"]),
        ("/docs/[...rest]", &["/docs/a", "/docs/a/b"], &["/docs", "/docs/"]),
        ("/docs/**/", &["/docs/a", "/docs/a/"], &["/docs"]),
        ("/docs/[[...rest]]", &["/docs", "/docs/", "/docs/a", "/docs/a/b"], &["/", "/docsa", "/docs//"]),
        ("/[[...rest]]", &["/", "/a", "/a/b"], &["//", "//a"]),
        ("/**", &["/a", "/a/b"], &["/"]),
        ("/caf%c3%a9/%7euser", &["/caf%C3%A9/~user"], &["/caf%c3%a9/~user"]),
        ("/a:b@c!$&'()+,;=", &["/a:b@c!$&'()+,;="], &[]),
    ];
    for (pattern, matching, others) in table {
        let parsed = PathPattern::parse(pattern).unwrap_or_else(|wrong| panic!("{pattern}: {wrong}"));
        assert_eq!(parsed.to_string(), *pattern, "a pattern prints as it was written");
        for path in *matching {
            assert!(parsed.matches(path), "{pattern} matches {path}");
        }
        for path in *others {
            assert!(!parsed.matches(path), "{pattern} does not match {path}");
        }
    }
}

#[test]
fn bad_patterns_say_what_to_write() {
    let table = [
        ("blog/[slug", "does not start with a slash", "write /blog/[slug]"),
        ("blog", "does not start with a slash", "write /blog"),
        ("", "does not start with a slash", "write /"),
        ("/blog/[slug", "not closed", "write /blog/[slug]"),
        ("/blog/slug]", "not open", "write"),
        ("/a[b]c", "whole segment", "write"),
        ("/blog/[a b]", "letters, digits", "write"),
        ("/blog/[]", "letters, digits", "write"),
        ("/blog//[slug]", "empty segment", "write /blog/[slug]"),
        ("//", "empty segment", "write /"),
        ("/a/../b", "segment `..`", "write /a/b"),
        ("/a/./b", "segment `.`", "write /a/b"),
        ("/a/%2e%2e/b", "%2E", "write"),
        ("/a%2fb", "%2F", "write"),
        ("/a%5Cb", "%5C", "write"),
        ("/a%00b", "control character", "write"),
        ("/100%", "percent sign", "write"),
        ("/search?page=1", "query.allow", "write /search"),
        ("/a#b", "query.allow", "write /a"),
        ("/docs/**/x", "goes on after the catch-all **", "write"),
        ("/[[...a]]/b", "goes on after the catch-all", "write"),
        ("/docs/*", "only **", "write /docs/**"),
        ("/docs/a*", "only **", "write"),
        ("/blog/{slug}", "percent-encoded", "write /blog/[slug]"),
        ("/café", "`é`", "write /caf%C3%A9"),
        ("/a b", "percent-encoded", "write /a%20b"),
        ("/a\\b", "percent-encoded", "write"),
    ];
    for (text, wrong, fix) in table {
        let message = PathPattern::parse(text).map(|pattern| pattern.shape()).expect_err(text);
        assert!(message.contains(wrong) && message.contains(fix), "{text}: {message}");
    }
    assert!(PathPattern::parse(&format!("/{}", "a".repeat(1024))).is_err(), "1025 bytes");
    assert!(PathPattern::parse(&format!("/{}", "a".repeat(1023))).is_ok(), "1024 bytes");
}

/// What the fix proposes is never itself refused.
#[test]
fn fixes_are_good() {
    for text in ["blog/[slug", "/a//b/", "/x/{id}/*", "a b/[...r", "/[[...x]", "/:id/é?x"] {
        let message = PathPattern::parse(text).expect_err(text);
        let fix = message.rsplit("write ").next().expect("a fix").split(' ').next().expect("a fix");
        assert!(PathPattern::parse(fix).is_ok(), "{text}: {message}");
    }
}

/// The path values that `HTTPRoute`'s own validation is documented with: what it refuses is refused here, and what it
/// accepts without brackets and wildcards means the same here.
#[test]
fn http_route_paths() {
    for good in [
        "/",
        "/foo",
        "/foo/bar",
        "/foo/",
        "/foo-bar_1.2~x",
        "/foo:bar",
        "/foo@bar",
        "/a=b&c",
        "/%20",
        "/foo/v1.0/x",
    ] {
        let pattern = PathPattern::parse(good).unwrap_or_else(|wrong| panic!("{good}: {wrong}"));
        assert!(pattern.matches(good), "{good}");
    }
    for bad in [
        "foo",
        "//foo",
        "/foo//bar",
        "/foo/./bar",
        "/foo/../bar",
        "/foo/..",
        "/foo/.",
        "/foo%2f",
        "/foo%2F",
        "/foo#bar",
        "/foo%",
    ] {
        assert!(PathPattern::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn shapes_forget_names() {
    let shape = |text| PathPattern::parse(text).expect(text).shape();
    for (one, other) in
        [("/blog/[slug]", "/blog/[id]/"), ("/docs/**", "/docs/[...rest]"), ("/", "/"), ("/~a", "/%7ea")]
    {
        assert_eq!(shape(one), shape(other), "{one} and {other}");
    }
    for (one, other) in [
        ("/blog/[slug]", "/blog/slug"),
        ("/docs/[...a]", "/docs/[[...a]]"),
        ("/docs/[a]", "/docs/[...a]"),
        ("/a%40", "/a@"),
    ] {
        assert_ne!(shape(one), shape(other), "{one} and {other}");
    }
}
