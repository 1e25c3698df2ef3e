//! Our resources as the API server stores them, which an older or looser schema may have let in.

use std::borrow::Cow;

use isr_api::{BackendRef, IsrPurge, IsrPurgeSpec, IsrPurgeStatus, IsrRoute, IsrRouteSpec, IsrRouteStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An object whose spec may make no sense. One that does not parse keeps its metadata and status, so that it can be
/// told what is wrong with it; it never disturbs the others of a list.
#[derive(Clone, Debug)]
pub(crate) struct Stored<K> {
    /// The object; of one that does not parse the spec is empty.
    pub(crate) object: K,
    /// Why the spec does not parse.
    pub(crate) unreadable: Option<Unreadable>,
}

/// One of our resources.
pub(crate) trait Custom: Resource<DynamicType = ()> {
    type Spec: DeserializeOwned;
    type Status: DeserializeOwned;

    /// An object of these parts; the spec is empty if there is none.
    fn of(metadata: ObjectMeta, spec: Option<Self::Spec>, status: Option<Self::Status>) -> Self;
}

impl Custom for IsrRoute {
    type Spec = IsrRouteSpec;
    type Status = IsrRouteStatus;

    fn of(metadata: ObjectMeta, spec: Option<IsrRouteSpec>, status: Option<IsrRouteStatus>) -> Self {
        Self { metadata, spec: spec.unwrap_or_else(empty), status }
    }
}

impl Custom for IsrPurge {
    type Spec = IsrPurgeSpec;
    type Status = IsrPurgeStatus;

    fn of(metadata: ObjectMeta, spec: Option<IsrPurgeSpec>, status: Option<IsrPurgeStatus>) -> Self {
        Self { metadata, spec: spec.unwrap_or_default(), status }
    }
}

/// Why a spec does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// The field, as in `spec.backendRef.port`.
    pub(crate) field: String,
    /// A phrase that ends in what to do.
    pub(crate) message: String,
}

impl<'de, K: Custom> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            metadata: Metadata,
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Value,
        }
        let Parts { metadata, spec, status } = Parts::deserialize(deserializer)?;
        let (spec, unreadable) = match serde_path_to_error::deserialize(spec) {
            Ok(spec) => (Some(spec), None),
            Err(error) => (None, Some(Unreadable::of(&error, &K::kind(&()).to_ascii_lowercase()))),
        };
        // A status that does not parse is one that has to be written anew.
        let status = serde_json::from_value(status).unwrap_or_default();
        Ok(Self { object: K::of(metadata.into(), spec, status), unreadable })
    }
}

/// What is kept of an object's metadata. `managedFields` alone would be several times as big as the rest of a route.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
}

impl From<Metadata> for ObjectMeta {
    fn from(kept: Metadata) -> Self {
        Self {
            name: kept.name,
            namespace: kept.namespace,
            uid: kept.uid,
            resource_version: kept.resource_version,
            generation: kept.generation,
            creation_timestamp: kept.creation_timestamp,
            ..Self::default()
        }
    }
}

impl Unreadable {
    fn of(error: &serde_path_to_error::Error<serde_json::Error>, kind: &str) -> Self {
        let path = error.path().to_string();
        let field = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
        let message = format!(
            "cannot be read ({}): correct it; `kubectl explain {kind}.spec` says what it holds",
            error.inner()
        );
        Self { field, message }
    }
}

/// Stands for a spec that does not parse. It is never compiled.
fn empty() -> IsrRouteSpec {
    IsrRouteSpec {
        hostnames: Vec::new(),
        path: String::new(),
        interval: None,
        stale_for: None,
        bypass_token: None,
        backend_ref: BackendRef { name: String::new(), port: 0 },
        framework: None,
        default_locale: None,
        query: None,
        vary_by: None,
        tags: Vec::new(),
        bypass: Vec::new(),
        prerender: None,
        origin_token: None,
        invalidate_on: None,
        cache_control: None,
    }
}

impl<K: Custom> Resource for Stored<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(spec: &Value) -> Stored<IsrRoute> {
        serde_json::from_value(json!({
            "apiVersion": isr_api::API_VERSION,
            "kind": isr_api::KIND,
            "metadata": { "namespace": "shop", "name": "blog", "generation": 4 },
            "spec": spec,
            "status": { "observedGeneration": 3 },
        }))
        .expect("metadata is enough")
    }

    #[test]
    fn a_sound_route_is_read() {
        let object = stored(&json!({
            "hostnames": ["shop.example.com"], "path": "/blog", "backendRef": { "name": "web", "port": 80 },
        }));
        assert_eq!(object.unreadable, None);
        assert_eq!(object.object.spec.path, "/blog");
        assert_eq!(object.object.status.and_then(|status| status.observed_generation), Some(3));
    }

    #[test]
    fn a_route_that_does_not_parse_keeps_metadata_and_status_and_names_the_field() {
        let object = stored(&json!({
            "hostnames": ["shop.example.com"], "path": "/blog", "backendRef": { "name": "web", "port": "http" },
        }));
        let unreadable = object.unreadable.expect("a port is a number");
        assert_eq!(unreadable.field, "spec.backendRef.port");
        assert!(unreadable.message.contains("invalid type: string \"http\""), "{}", unreadable.message);
        assert_eq!(object.object.metadata.generation, Some(4));
        assert_eq!(object.object.status.and_then(|status| status.observed_generation), Some(3));
    }

    #[test]
    fn neither_does_one_without_a_spec() {
        assert_eq!(stored(&Value::Null).unreadable.expect("nothing to read").field, "spec");
    }
}
