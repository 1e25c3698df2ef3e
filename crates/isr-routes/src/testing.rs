//! Routes and requests for tests.

use http::{HeaderMap, HeaderName, HeaderValue};
use isr_api::IsrRoute;
use isr_cache::Policy;
use serde_json::{Value, json};

use crate::path::PathPattern;
use crate::preset::Preset;
use crate::references::{References, Secret, Service};
use crate::route::{Backend, QueryRule, Route};
use crate::token::Tokens;

/// An origin-governed route of plain HTTP with this path.
pub(crate) fn route_with(path: &str) -> Route {
    Route {
        id: "shop/route".into(),
        hostnames: vec!["shop.example.com".into()],
        path: PathPattern::parse(path).expect(path),
        policy: Policy::Origin,
        backend: Backend { name: "shop/web:3000".into(), address: Ok("127.0.0.1:3000".into()) }.into(),
        tokens: Tokens::default(),
        origin_token: None,
        query: QueryRule::Names(Vec::new()),
        key_headers: Vec::new(),
        preset: Preset::of(None),
        tags: Vec::new(),
        bypass: Vec::new(),
        prerender: None,
        default_locale: None,
    }
}

pub(crate) fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    headers
}

/// An `IsrRoute` `namespace/name` for a host and a path with an interval of 10s and the Service `web`, with these
/// fields of the spec on top; a field that is null is removed.
pub(crate) fn resource(id: &str, host: &str, path: &str, fields: &Value) -> IsrRoute {
    let (namespace, name) = id.split_once('/').expect("namespace/name");
    let mut spec = json!({
        "hostnames": [host],
        "path": path,
        "interval": "10s",
        "backendRef": { "name": "web", "port": 3000 },
    });
    let known = spec.as_object_mut().expect("an object");
    for (field, value) in fields.as_object().into_iter().flatten() {
        if value.is_null() {
            known.remove(field);
        } else {
            known.insert(field.clone(), value.clone());
        }
    }
    serde_json::from_value(json!({
        "apiVersion": isr_api::API_VERSION,
        "kind": isr_api::KIND,
        "metadata": { "namespace": namespace, "name": name },
        "spec": spec,
    }))
    .expect("a resource")
}

/// A token of the least length.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// In the namespaces `shop` and `rival`: the Services `web` and `api` on port 3000, and a Secret `isr` with the keys
/// `token`, `previous`, `twelve` and `odd`.
pub(crate) fn references() -> References {
    let mut references = References::default();
    for namespace in ["shop", "rival"] {
        for name in ["web", "api"] {
            let service = Service { external_name: Some("127.0.0.1".into()), ports: vec![3000] };
            references.services.insert((namespace.into(), name.into()), service);
        }
        let data = [
            ("token", TOKEN.as_bytes()),
            ("previous", b"fedcba9876543210fedcba9876543210\n"),
            ("odd", "0123456789abcdef0123456789abcdé".as_bytes()),
            ("twelve", b"0123456789ab"),
        ];
        let data = data.into_iter().map(|(key, value)| (key.to_owned(), value.to_vec())).collect();
        references.secrets.insert((namespace.into(), "isr".into()), Secret { data });
    }
    references
}
