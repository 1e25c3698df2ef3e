//! Trees as Kubernetes objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use isr_api::{IsrPurge, IsrRoute};
use k8s_openapi::ByteString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::document::{Content, Node};
use super::suggestion::{closest, known_fields};
use super::{Diagnostic, File, Object, line_of};
use crate::references::{Secret, Service};
use crate::report::{ObjectRef, Severity};

/// What an object says.
#[derive(Clone, Debug)]
pub enum Body {
    /// An `IsrRoute`.
    Route(Box<IsrRoute>),
    /// An `IsrPurge`.
    Purge(Box<IsrPurge>),
    /// A `v1` Secret.
    Secret(Secret),
    /// A `v1` Service.
    Service(Service),
}

/// Reads an object, or each object of a `List`.
pub(super) fn read(file: &Arc<str>, node: &Node, found: &mut File) {
    let text = |name: &str| node.get(name).and_then(Node::text).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let mut reader = Reader { file, kind, object: None, lines: node.lines(), found };
    if !matches!(node.content, Content::Mapping(_)) {
        let message = "is not a Kubernetes object: write apiVersion, kind, metadata and spec";
        let diagnostic = Diagnostic::new(file, node.line, None, "", message, Severity::Error);
        reader.found.fatal.get_or_insert(diagnostic);
        return;
    }
    match (api_version, kind) {
        ("v1", "List") => {
            if let Some(Node { content: Content::Sequence(items), .. }) = node.get("items") {
                for item in items {
                    read(file, item, reader.found);
                }
            }
        }
        (isr_api::API_VERSION, isr_api::KIND | isr_api::PURGE_KIND) | ("v1", "Secret" | "Service") => {
            if let Some(object) = reader.name(node) {
                reader.object = Some(object);
                reader.body(node);
            }
        }
        ("", _) | (_, "") => {
            let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
            reader.error(
                missing,
                format!("is missing: write apiVersion: {} and kind: {}", isr_api::API_VERSION, isr_api::KIND),
            );
        }
        (other, isr_api::KIND | isr_api::PURGE_KIND) => {
            reader.error("apiVersion", format!("`{other}` is not known: write {}", isr_api::API_VERSION));
        }
        (other, "Secret" | "Service") => {
            reader.error("apiVersion", format!("`{other}` has no {kind}: write v1"));
        }
        (_, other) => {
            let message = format!("{other} is not read by kube-isr");
            let diagnostic = Diagnostic::new(file, node.line, None, "kind", message, Severity::Note);
            reader.found.problems.push(diagnostic);
        }
    }
}

/// One object being read.
struct Reader<'f> {
    file: &'f Arc<str>,
    kind: &'f str,
    object: Option<ObjectRef>,
    lines: BTreeMap<String, usize>,
    found: &'f mut File,
}

impl Reader<'_> {
    fn error(&mut self, field: &str, message: impl Into<String>) {
        let line = line_of(&self.lines, field);
        let object = self.object.clone();
        self.found.problems.push(Diagnostic::new(self.file, line, object, field, message, Severity::Error));
    }

    fn name(&mut self, node: &Node) -> Option<ObjectRef> {
        let metadata = node.get("metadata");
        let text = |name| metadata.and_then(|metadata| metadata.get(name)).and_then(Node::text);
        let namespace = text("namespace").unwrap_or("default");
        // A purge is made anew each time: its name may be left to the API server.
        let generated = (self.kind == isr_api::PURGE_KIND).then(|| text("generateName")).flatten();
        let generated = generated.map(|name| name.trim_end_matches('-'));
        let Some(name) = text("name").or(generated) else {
            self.error(
                "metadata.name",
                format!("of this {} is missing: write metadata: {{name: blog-posts}}", self.kind),
            );
            return None;
        };
        self.object = Some(ObjectRef::new(self.kind, namespace, name));
        for (field, value) in [("metadata.name", name), ("metadata.namespace", namespace)] {
            let is_name = (1..=253).contains(&value.len())
                && value.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
                && !value.starts_with(['-', '.'])
                && !value.ends_with(['-', '.']);
            if !is_name {
                self.error(field, format!("`{value}` is not a name: write lower-case letters, digits and hyphens, such as blog-posts"));
                return None;
            }
        }
        self.object.clone()
    }

    fn body(&mut self, node: &Node) {
        let json = node.to_json();
        let body = match self.kind {
            "Secret" => self.secret(node, json).map(Body::Secret),
            "Service" => self.service(json).map(Body::Service),
            isr_api::PURGE_KIND => self.typed::<IsrPurge>(json).map(|purge| Body::Purge(Box::new(purge))),
            _ => self.typed::<IsrRoute>(json).map(|route| Body::Route(Box::new(route))),
        };
        if let (Some(body), Some(object)) = (body, self.object.clone()) {
            let lines = Arc::new(std::mem::take(&mut self.lines));
            self.found.objects.push(Object { object, body, file: self.file.clone(), lines });
        }
    }

    /// The typed object, if every field is known and of the right type.
    fn typed<T: DeserializeOwned>(&mut self, json: Value) -> Option<T> {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let deserializer = serde_path_to_error::Deserializer::new(json, &mut track);
        let result = serde_ignored::deserialize(deserializer, |path| unknown.push(field_path(&path)));
        // The derived type does not look at these two, which are checked already.
        unknown.retain(|field| field != "apiVersion" && field != "kind");
        for field in &unknown {
            self.unknown_field(field);
        }
        match result {
            Ok(object) => unknown.is_empty().then_some(object),
            Err(error) => {
                let path = track.path().to_string();
                let path = if path == "." { String::new() } else { path };
                self.wrong_type(&path, &error.to_string());
                None
            }
        }
    }

    fn unknown_field(&mut self, field: &str) {
        let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
        let known = known_fields(self.kind, parent);
        let message = match closest(name, &known) {
            Some(meant) => format!("is not a known field: did you mean {meant}?"),
            None if known.is_empty() => "is not a known field: remove it".into(),
            None => format!("is not a known field: remove it, or write one of {}", known.join(", ")),
        };
        self.error(field, message);
    }

    fn wrong_type(&mut self, path: &str, error: &str) {
        if let Some(name) = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            let field = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let example = match name {
                "spec" if self.kind == isr_api::PURGE_KIND => "spec: {everything: true}".into(),
                "spec" => "spec: with hostnames, path and backendRef".into(),
                "hostnames" => "hostnames: [shop.example.com]".into(),
                "path" => "path: /blog-posts/[slug]".into(),
                "backendRef" => "backendRef: {name: web, port: 3000}".into(),
                "secretKeyRef" => "secretKeyRef: {name: blog-isr, key: token}".into(),
                "port" => "port: 3000".into(),
                other => format!("{other}: with a value"),
            };
            return self.error(&field, format!("is missing: write {example}"));
        }
        if let Some(rest) = error.strip_prefix("unknown variant `").filter(|_| self.kind != "Secret") {
            let (value, expected) = rest.split_once("`, expected ").unwrap_or((rest, ""));
            let known: Vec<String> = expected.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
            let meant = closest(value, &known).map_or_else(|| known.join(", "), ToOwned::to_owned);
            return self.error(path, format!("`{value}` is not known: write {meant}"));
        }
        let message =
            match error.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected ")) {
                Some((found, "a string")) if self.kind != "Secret" && !found.starts_with(['s', 'm']) => {
                    format!("holds {found} where text is expected: put it in quotes")
                }
                // What stands in a Secret, even in the wrong place, is not repeated.
                Some((_, expected)) if self.kind == "Secret" => format!("must hold {}", plain(expected)),
                Some((found, expected)) => {
                    format!("holds {} where {} is expected", plain(found), plain(expected))
                }
                None if self.kind == "Secret" => "cannot be read".into(),
                None => format!("cannot be read: {error}"),
            };
        self.error(path, message);
    }

    /// A Secret's values must never be shown, so what a parser says about them is not passed on.
    fn secret(&mut self, node: &Node, mut json: Value) -> Option<Secret> {
        let mut data = BTreeMap::new();
        let mut sound = true;
        for part in ["data", "stringData"] {
            // `stringData` is read last because it goes before `data`.
            if let Some(json) = json.as_object_mut() {
                json.remove(part);
            }
            let Some(fields) = node.get(part).filter(|fields| !fields.is_null()) else { continue };
            let Content::Mapping(fields) = &fields.content else {
                self.error(part, "must be a mapping from keys to values");
                sound = false;
                continue;
            };
            for (key, value) in fields {
                let field = format!("{part}.{key}");
                let decoded = match value.text() {
                    None => Err("must be text: put the value in quotes"),
                    Some(text) if part == "stringData" => Ok(text.as_bytes().to_vec()),
                    Some(text) => serde_json::from_value::<ByteString>(text.into())
                        .map(|bytes| bytes.0)
                        .map_err(|_| "is not base64: encode the value, or write it in stringData as it is"),
                };
                match decoded {
                    Ok(bytes) => {
                        data.insert(key.clone(), bytes);
                    }
                    Err(message) => {
                        self.error(&field, message);
                        sound = false;
                    }
                }
            }
        }
        self.typed::<k8s_openapi::api::core::v1::Secret>(json)?;
        sound.then_some(Secret { data })
    }

    fn service(&mut self, json: Value) -> Option<Service> {
        let service = self.typed::<k8s_openapi::api::core::v1::Service>(json)?;
        let spec = service.spec.unwrap_or_default();
        let is_external = spec.type_.as_deref() == Some("ExternalName");
        if is_external && spec.external_name.as_deref().unwrap_or_default().is_empty() {
            self.error(
                "spec.externalName",
                "is missing: write the host that the Service stands for, such as 127.0.0.1",
            );
            return None;
        }
        Some(Service {
            external_name: spec.external_name.filter(|_| is_external),
            ports: spec.ports.unwrap_or_default().iter().map(|port| port.port).collect(),
        })
    }
}

/// Rust's words for types, in YAML's.
fn plain(words: &str) -> String {
    let words = match words {
        "sequence" | "a sequence" => "a list",
        "map" | "a map" => "a mapping",
        "null" | "unit value" => "nothing",
        "i32" | "i64" | "u16" | "u32" => "a whole number",
        words if words.starts_with("struct ") => "a mapping",
        words if words.starts_with("integer ") => {
            return format!("the number {}", &words["integer ".len()..]);
        }
        words if words.starts_with("string ") => return format!("the text {}", &words["string ".len()..]),
        words => words,
    };
    words.to_owned()
}

/// The path in the form of `spec.hostnames[0]`, without the optional layers that the types have and YAML has not.
fn field_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => match field_path(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            field_path(parent)
        }
    }
}
