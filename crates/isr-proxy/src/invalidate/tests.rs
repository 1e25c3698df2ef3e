use super::*;

fn plan_of(own_host: Option<&str>, request: &serde_json::Value) -> Result<Plan, String> {
    let listener = own_host.map_or(Listener::Admin, Listener::Public);
    let request = serde_json::from_value(request.clone()).map_err(|error| error.to_string())?;
    plan(&RouteTable::default(), &listener, &[], request)
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write() {
    for (own_host, request, expected) in [
        (None, json!({}), "nothing is named: write paths"),
        (None, json!({ "path": ["/"] }), "unknown field `path`, expected one of `paths`"),
        (None, json!({ "paths": ["/blog"] }), "write the URL, as in https://shop.example.com/blog"),
        (None, json!({ "paths": ["https://a.example.com/blog"] }), "is no page of an IsrRoute"),
        (
            Some("a.example.com"),
            json!({ "paths": ["https://b.example.com/"] }),
            "is another host than a.example.com",
        ),
        (Some("a.example.com"), json!({ "hosts": ["b.example.com"] }), "is another host"),
        (Some("a.example.com"), json!({ "prefixes": ["https://b.example.com/x"] }), "is another host"),
        (None, json!({ "tags": [""] }), "a tag has 1 to 256 bytes"),
        (None, json!({ "hosts": ["a b"] }), "is no host"),
        (None, json!({ "prefixes": ["/a/../b"] }), "a . or .. segment"),
        (None, json!({ "prefixes": ["/a".repeat(17)] }), "more than 16 segments"),
        (None, json!({ "tags": ["a"], "mode": "gentle" }), "expected `soft` or `hard`"),
        (None, json!({ "tags": vec!["a"; 1001] }), "1001 things are named"),
    ] {
        let refused = plan_of(own_host, &request).expect_err("it makes no sense");
        assert!(refused.contains(expected), "{request}: {refused}");
    }
}

#[test]
fn prefixes_are_normal_and_stay_on_their_host() {
    let prefix = |own_host, prefix| prefix_pages(own_host, prefix).expect("a prefix");
    let pages =
        |host: Option<&str>, path: &str| Pages::Prefix { host: host.map(Into::into), path: path.into() };
    assert_eq!(prefix(None, "/blog/"), pages(None, "/blog"));
    assert_eq!(prefix(None, "/"), pages(None, ""));
    assert_eq!(prefix(None, "https://A.example.com/b%6Cog"), pages(Some("a.example.com"), "/blog"));
    assert_eq!(prefix(Some("a.example.com"), "/blog"), pages(Some("a.example.com"), "/blog"));
}
