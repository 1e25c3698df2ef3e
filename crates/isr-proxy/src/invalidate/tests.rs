use super::*;

fn plan_of(own_host: Option<&str>, request: &serde_json::Value) -> Result<Plan, String> {
    let listener = own_host.map_or(Listener::Admin, Listener::Public);
    let request = serde_json::from_value(request.clone()).map_err(|error| error.to_string())?;
    plan(&RouteTable::default(), &listener, &[], &request)
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write() {
    for (own_host, request, expected) in [
        (None, json!({}), "nothing is named: write paths"),
        (None, json!({ "path": ["/"] }), "unknown field `path`, expected one of `paths`"),
        (None, json!({ "paths": ["/blog"] }), "write the URL, as in https://shop.example.com/blog"),
        (Some("a.example.com"), json!({ "hosts": ["b.example.com"] }), "is another host"),
        (None, json!({ "tags": ["a"], "mode": "gentle" }), "expected `soft` or `hard`"),
        (None, json!({ "tags": vec!["a"; 1001] }), "1001 things are named"),
    ] {
        let refused = plan_of(own_host, &request).expect_err("it makes no sense");
        assert!(refused.contains(expected), "{request}: {refused}");
    }
}
