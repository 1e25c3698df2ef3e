//! The definitions of our resources as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{IsrPurge, IsrRoute, condition, reason};

/// The CRDs of [`IsrRoute`] and [`IsrPurge`]: derived from their types, with the status of a newborn object as schema default.
///
/// Tools that wait for a resource take one without conditions for ready. The default makes an object unready from its
/// first instant: its status speaks of no generation (-1) and every condition is Unknown.
pub fn crds() -> [CustomResourceDefinition; 2] {
    let of_route = [condition::ACCEPTED, condition::RESOLVED_REFS, condition::PROGRAMMED, condition::READY];
    let of_purge = [condition::ACCEPTED, condition::COMPLETE, condition::READY];
    [born_unready(IsrRoute::crd(), &of_route), born_unready(IsrPurge::crd(), &of_purge)]
}

fn born_unready(mut crd: CustomResourceDefinition, conditions: &[&str]) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let properties = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
            .and_then(|schema| schema.properties.as_mut());
        if let Some(status) = properties.and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(newborn(conditions)));
        }
    }
    crd
}

fn newborn(conditions: &[&str]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
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
