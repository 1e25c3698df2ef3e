//! An `IsrRoute` as the API server stores it, which an older or looser schema may have let in.

use std::borrow::Cow;

use isr_api::{BackendRef, IsrRoute, IsrRouteSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An `IsrRoute` whose spec may make no sense. One that does not parse keeps its metadata and status, so that it can be
/// told what is wrong with it; it never disturbs the others of a list.
#[derive(Clone, Debug)]
pub(crate) struct RouteObject {
    /// The route; of one that does not parse the spec is empty.
    pub(crate) route: IsrRoute,
    /// Why the spec does not parse.
    pub(crate) unreadable: Option<Unreadable>,
}

/// Why a spec does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// The field, as in `spec.backendRef.port`.
    pub(crate) field: String,
    /// A phrase that ends in what to do.
    pub(crate) message: String,
}

impl<'de> Deserialize<'de> for RouteObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Stored {
            metadata: Metadata,
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Value,
        }
        let Stored { metadata, spec, status } = Stored::deserialize(deserializer)?;
        let (spec, unreadable) = match serde_path_to_error::deserialize(spec) {
            Ok(spec) => (spec, None),
            Err(error) => (empty(), Some(Unreadable::of(&error))),
        };
        let mut route = IsrRoute { metadata: metadata.into(), spec, status: None };
        // A status that does not parse is one that has to be written anew.
        route.status = serde_json::from_value(status).unwrap_or_default();
        Ok(Self { route, unreadable })
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
    fn of(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let field = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
        let message = format!(
            "cannot be read ({}): correct it; `kubectl explain isrroute.spec` says what it holds",
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
        query: None,
        vary_by: None,
        tags: Vec::new(),
        bypass: Vec::new(),
        origin_token: None,
        cache_control: None,
    }
}

impl Resource for RouteObject {
    type DynamicType = ();
    type Scope = <IsrRoute as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        IsrRoute::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        IsrRoute::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        IsrRoute::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        IsrRoute::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.route.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.route.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(spec: &Value) -> RouteObject {
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
        assert_eq!(object.route.spec.path, "/blog");
        assert_eq!(object.route.status.and_then(|status| status.observed_generation), Some(3));
    }

    #[test]
    fn a_route_that_does_not_parse_keeps_metadata_and_status_and_names_the_field() {
        let object = stored(&json!({
            "hostnames": ["shop.example.com"], "path": "/blog", "backendRef": { "name": "web", "port": "http" },
        }));
        let unreadable = object.unreadable.expect("a port is a number");
        assert_eq!(unreadable.field, "spec.backendRef.port");
        assert!(unreadable.message.contains("invalid type: string \"http\""), "{}", unreadable.message);
        assert_eq!(object.route.metadata.generation, Some(4));
        assert_eq!(object.route.status.and_then(|status| status.observed_generation), Some(3));
    }

    #[test]
    fn neither_does_one_without_a_spec() {
        assert_eq!(stored(&Value::Null).unreadable.expect("nothing to read").field, "spec");
    }
}
