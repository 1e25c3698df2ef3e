//! The CustomResourceDefinition as it is installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{IsrRoute, condition, reason};

/// The CRD of [`IsrRoute`]: derived from its types, with the status of a newborn route as schema default.
///
/// Tools that wait for a resource take one without conditions for ready. The default makes a route unready from its
/// first instant: its status speaks of no generation (-1) and every condition is Unknown.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = IsrRoute::crd();
    for version in &mut crd.spec.versions {
        let properties = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
            .and_then(|schema| schema.properties.as_mut());
        if let Some(status) = properties.and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(newborn()));
        }
    }
    crd
}

fn newborn() -> Value {
    let conditions: Vec<Value> =
        [condition::ACCEPTED, condition::RESOLVED_REFS, condition::PROGRAMMED, condition::READY]
            .into_iter()
            .map(|name| {
                json!({
                    "type": name,
                    "status": "Unknown",
                    "reason": reason::PENDING,
                    "message": "Waiting for the operator",
                    "lastTransitionTime": "1970-01-01T00:00:00Z",
                })
            })
            .collect();
    json!({ "observedGeneration": -1, "conditions": conditions })
}
