//! Whatever the definition of the resource bounds, compiling bounds as well: a folder of manifests has no API server.

use serde_json::{Value, json};

use super::{HOST, compiled, said};
use crate::testing::resource;

/// A field of the spec, as in `query.allow[]`; what makes a value of this size (characters, items, or the number itself);
/// and the fields of a spec with a value.
type Row = (&'static str, fn(usize) -> Value, fn(Value) -> Value);

fn text(size: usize) -> Value {
    "n".repeat(size).into()
}

fn names(size: usize) -> Value {
    (0..size).map(|number| format!("n{number}")).collect()
}

fn number(size: usize) -> Value {
    size.into()
}

fn duration(size: usize) -> Value {
    "99999ms".repeat(8)[..size].into()
}

fn paths(size: usize) -> Value {
    (0..size).map(|number| format!("/n{number}")).collect()
}

fn path(size: usize) -> Value {
    format!("/{}", "n".repeat(size))[..size].into()
}

const ROWS: [Row; 27] = [
    ("hostnames", names, |value| json!({ "hostnames": value })),
    ("hostnames[]", |size| "a.".repeat(size)[..size].into(), |value| json!({ "hostnames": [value] })),
    ("path", path, |value| json!({ "path": value })),
    ("prerender.paths", paths, |value| json!({ "path": "/[[...any]]", "prerender": { "paths": value } })),
    ("prerender.paths[]", path, |value| json!({ "path": "/[[...any]]", "prerender": { "paths": [value] } })),
    (
        "prerender.sitemap",
        |size| format!("/{}.xml", "n".repeat(size - 5)).into(),
        |value| json!({ "prerender": { "sitemap": value } }),
    ),
    ("defaultLocale", text, |value| json!({ "framework": "NextJs", "defaultLocale": value })),
    ("interval", duration, |value| json!({ "interval": value })),
    ("staleFor", duration, |value| json!({ "staleFor": value })),
    (
        "invalidateOn.backendRollout.over",
        duration,
        |value| json!({ "invalidateOn": { "backendRollout": { "over": value } } }),
    ),
    ("tags", names, |value| json!({ "tags": value })),
    ("tags[]", text, |value| json!({ "tags": [value] })),
    ("query.allow", names, |value| json!({ "query": { "allow": value } })),
    // Characters, which are no bytes.
    ("query.allow[]", |size| "é".repeat(size).into(), |value| json!({ "query": { "allow": [value] } })),
    ("varyBy.headers", names, |value| json!({ "varyBy": { "headers": value } })),
    ("varyBy.headers[]", text, |value| json!({ "varyBy": { "headers": [value] } })),
    (
        "bypass",
        |size| (0..size).map(|number| json!({ "cookie": format!("n{number}") })).collect(),
        |value| json!({ "bypass": value }),
    ),
    ("bypass[].cookie", text, |value| json!({ "bypass": [{ "cookie": value }] })),
    ("bypass[].header", text, |value| json!({ "bypass": [{ "header": value }] })),
    ("backendRef.name", text, |value| json!({ "backendRef": { "name": value, "port": 3000 } })),
    ("backendRef.port", number, |value| json!({ "backendRef": { "name": "web", "port": value } })),
    (
        "bypassToken.secretKeyRef.name",
        text,
        |value| json!({ "bypassToken": { "secretKeyRef": { "name": value, "key": "token" } } }),
    ),
    (
        "bypassToken.secretKeyRef.key",
        text,
        |value| json!({ "bypassToken": { "secretKeyRef": { "name": "isr", "key": value } } }),
    ),
    ("bypassToken.previousSecretKeyRef.name", text, |value| {
        let present = json!({ "name": "isr", "key": "token" });
        json!({ "bypassToken": { "secretKeyRef": present, "previousSecretKeyRef": { "name": value, "key": "token" } } })
    }),
    ("bypassToken.previousSecretKeyRef.key", text, |value| {
        let present = json!({ "name": "isr", "key": "token" });
        json!({ "bypassToken": { "secretKeyRef": present, "previousSecretKeyRef": { "name": "isr", "key": value } } })
    }),
    (
        "originToken.secretKeyRef.name",
        text,
        |value| json!({ "originToken": { "secretKeyRef": { "name": value, "key": "token" } } }),
    ),
    (
        "originToken.secretKeyRef.key",
        text,
        |value| json!({ "originToken": { "secretKeyRef": { "name": "isr", "key": value } } }),
    ),
];

/// Every bound below a schema: the field, the keyword, and the number where it is one.
fn bounds(schema: &Value, field: &str, found: &mut Vec<(String, String, usize)>) {
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let is_bound = matches!(
            &**keyword,
            "maxLength" | "minLength" | "maxItems" | "minItems" | "maximum" | "minimum" | "pattern"
        );
        if is_bound || (keyword == "x-kubernetes-list-type" && value == "set") {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small whole number"
            )]
            found.push((field.to_owned(), keyword.clone(), value.as_f64().unwrap_or(0.0) as usize));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let field = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
        bounds(schema, &field, found);
    }
    if schema.get("items").is_some() {
        bounds(&schema["items"], &format!("{field}[]"), found);
    }
}

/// What is said about a route with these fields, if it is left out.
fn refused(fields: &Value) -> Option<String> {
    let compiled = compiled(&[resource("shop/case", HOST, "/case", fields)]);
    (!compiled.reports[0].accepted).then(|| said(&compiled, "shop/case").join("\n"))
}

#[test]
fn what_the_definition_bounds_is_bounded() {
    let definition = serde_json::to_value(&isr_api::crds()[0]).expect("JSON");
    let spec = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .expect("the schema of spec");
    let mut found = Vec::new();
    bounds(spec, "", &mut found);
    assert!(found.len() > 40, "{found:?}");
    for (field, keyword, bound) in found {
        let row = |field: &str| {
            let row = ROWS.iter().find(|row| row.0 == field);
            *row.unwrap_or_else(|| panic!("{field} has a {keyword}: give it a row"))
        };
        let (_, sized, spec) = row(&field);
        let (good, bad) = match &*keyword {
            "pattern" => (sized(5), json!("a b")),
            "x-kubernetes-list-type" => {
                let (_, item, _) = row(&format!("{field}[]"));
                (json!([item(5), item(7)]), json!([item(5), item(5)]))
            }
            most if most.starts_with("max") => (sized(bound), sized(bound + 1)),
            _ => (sized(bound), sized(bound - 1)),
        };
        assert_eq!(refused(&spec(good)), None, "{field} at its {keyword}");
        let said = refused(&spec(bad)).unwrap_or_else(|| panic!("{field} beyond its {keyword} is taken"));
        let named = format!("spec.{}", field.replace("[]", "[0]"));
        assert!(said.starts_with(&named) && said.contains(": "), "{field} beyond its {keyword}: {said}");
    }
}

#[test]
fn headers_that_the_definition_refuses_in_keys_are_refused() {
    let definition = serde_json::to_string(&isr_api::crds()[0]).expect("JSON");
    for name in crate::key_header::NOT_FOR_KEYS {
        assert!(definition.contains(&format!("'{name}'")), "the definition refuses {name} in varyBy too");
    }
}

/// Each row: fields of the spec, the field that is named, and all that is said.
#[test]
fn what_is_too_long_is_told_its_limit() {
    let long = |size: usize| "n".repeat(size);
    for (fields, field, most) in [
        (json!({ "query": { "allow": ["page", long(129)] } }), "spec.query.allow[1]", 128),
        (json!({ "varyBy": { "headers": [long(65)] } }), "spec.varyBy.headers[0]", 64),
        (json!({ "bypass": [{ "cookie": long(129) }] }), "spec.bypass[0].cookie", 128),
        (json!({ "bypass": [{ "header": long(65) }] }), "spec.bypass[0].header", 64),
        (json!({ "backendRef": { "name": long(254), "port": 80 } }), "spec.backendRef.name", 253),
        (
            json!({ "originToken": { "secretKeyRef": { "name": "isr", "key": long(254) } } }),
            "spec.originToken.secretKeyRef.key",
            253,
        ),
    ] {
        let expected = format!("{field}: is longer than {most} characters: write a shorter name");
        assert_eq!(refused(&fields), Some(expected));
    }
    let fields = json!({ "bypassToken": { "secretKeyRef": { "name": "", "key": "a/b" } } });
    let expected = "spec.bypassToken.secretKeyRef.name: is empty: write the name of a Secret in this namespace\n\
         spec.bypassToken.secretKeyRef.key: `a/b` is not a key of a Secret: write letters, digits, -, _ and ., such as token";
    assert_eq!(refused(&fields), Some(expected.into()));
}
