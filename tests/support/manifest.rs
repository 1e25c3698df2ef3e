//! Manifests as users write them, from a few words.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::HOST;

/// The namespace that manifests live in unless a test says otherwise.
pub const NAMESPACE: &str = "shop";
/// The Service that routes name unless a test says otherwise.
pub const SERVICE: &str = "web";

/// An `IsrRoute` in the making, with the Secrets it refers to.
#[derive(Clone, Debug)]
pub struct Route {
    name: String,
    namespace: String,
    hostnames: Vec<String>,
    spec: Map<String, Value>,
    secrets: Vec<(String, String)>,
}

/// A route for `path` on the usual host; its name is made of the path's letters and digits.
pub fn route(path: &str) -> Route {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let mut spec = Map::new();
    spec.insert("path".to_owned(), json!(path));
    Route {
        name: if name.is_empty() { "root".to_owned() } else { name },
        namespace: NAMESPACE.to_owned(),
        hostnames: Vec::new(),
        spec,
        secrets: Vec::new(),
    }
}

impl Route {
    /// Another name.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Another namespace.
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// One more hostname; the usual host counts only when none is given.
    pub fn host(mut self, host: &str) -> Self {
        self.hostnames.push(host.to_owned());
        self
    }

    /// The interval (GEP-2257, or `Never`).
    pub fn interval(self, interval: &str) -> Self {
        self.set("interval", json!(interval))
    }

    /// The hard limit on serving stale.
    pub fn stale_for(self, limit: &str) -> Self {
        self.set("staleFor", json!(limit))
    }

    /// On-demand revalidation with this token.
    pub fn token(self, token: &str) -> Self {
        let name = format!("{}-token", self.name);
        self.merge("bypassToken", "secretKeyRef", &json!({ "name": name, "key": "token" }))
            .secret(&name, token)
    }

    /// The token that was valid before and still is.
    pub fn previous_token(self, token: &str) -> Self {
        let name = format!("{}-previous", self.name);
        let reference = json!({ "name": name, "key": "token" });
        self.merge("bypassToken", "previousSecretKeyRef", &reference).secret(&name, token)
    }

    /// The token that goes to the origin with every render.
    pub fn origin_token(self, token: &str) -> Self {
        let name = format!("{}-origin", self.name);
        let reference = json!({ "name": name, "key": "token" });
        self.merge("originToken", "secretKeyRef", &reference).secret(&name, token)
    }

    /// The preset.
    pub fn framework(self, framework: &str) -> Self {
        self.set("framework", json!(framework))
    }

    /// The query parameters that count.
    pub fn allow_query(self, names: &[&str]) -> Self {
        self.set("query", json!({ "allow": names }))
    }

    /// The request headers that count.
    pub fn vary_by(self, names: &[&str]) -> Self {
        self.set("varyBy", json!({ "headers": names }))
    }

    /// Any field of the spec.
    pub fn set(mut self, field: &str, value: Value) -> Self {
        self.spec.insert(field.to_owned(), value);
        self
    }

    /// The route's label in metrics and logs: `namespace/name`.
    pub fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The manifests of this route for a backend on this port, as one YAML file.
    pub fn yaml(&self, port: u16) -> String {
        self.objects(port).iter().map(yaml).collect::<Vec<_>>().join("---\n")
    }

    /// The manifests of this route for a backend on this port.
    pub fn objects(&self, port: u16) -> Vec<Value> {
        let mut spec = self.spec.clone();
        let hostnames =
            if self.hostnames.is_empty() { vec![HOST.to_owned()] } else { self.hostnames.clone() };
        spec.insert("hostnames".to_owned(), json!(hostnames));
        spec.entry("backendRef").or_insert_with(|| json!({ "name": SERVICE, "port": port }));
        let mut documents = vec![json!({
            "apiVersion": "kube-isr.dev/v1alpha1",
            "kind": "IsrRoute",
            "metadata": { "name": self.name, "namespace": self.namespace },
            "spec": spec,
        })];
        let secrets = self.secrets.iter().map(|(name, value)| {
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": name, "namespace": self.namespace },
                "stringData": { "token": value },
            })
        });
        documents.extend(secrets);
        documents
    }

    fn merge(mut self, field: &str, key: &str, reference: &Value) -> Self {
        let entry = self.spec.entry(field).or_insert_with(|| json!({}));
        entry[key] = reference.clone();
        self
    }

    fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The manifest of a Service outside the cluster: how a folder of manifests says an address.
pub fn service(name: &str, address: SocketAddr) -> String {
    yaml(&json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "type": "ExternalName",
            "externalName": address.ip().to_string(),
            "ports": [{ "port": address.port() }],
        },
    }))
}

fn yaml(document: &Value) -> String {
    let mut text = serde_saphyr::to_string(document).expect("a manifest as YAML");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
