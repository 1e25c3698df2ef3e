//! An `EndpointSlice`, reduced to the pods that stand behind a Service.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};

/// The label by which a slice names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The pods of one slice of a Service. A pod with two address families stands in two slices.
#[derive(Clone, Debug)]
pub(crate) struct BackendSlice {
    metadata: ObjectMeta,
    /// The name of the Service; empty of a slice that has none.
    pub(crate) service: String,
    pub(crate) pods: Vec<PodRef>,
}

/// A pod behind a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodRef {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) is_ready: bool,
}

impl<'de> Deserialize<'de> for BackendSlice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            name: Option<String>,
            namespace: Option<String>,
            resource_version: Option<String>,
            #[serde(default)]
            labels: BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        struct Conditions {
            ready: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Target {
            kind: Option<String>,
            name: Option<String>,
            uid: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Endpoint {
            conditions: Option<Conditions>,
            target_ref: Option<Target>,
        }
        #[derive(Deserialize)]
        struct Slice {
            metadata: Metadata,
            endpoints: Option<Vec<Endpoint>>,
        }
        let Slice { metadata, endpoints } = Slice::deserialize(deserializer)?;
        let Metadata { name, namespace, resource_version, mut labels } = metadata;
        let pod = |endpoint: Endpoint| {
            let target = endpoint.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"))?;
            // Absent means ready (the API's own words).
            let is_ready = endpoint.conditions.and_then(|known| known.ready).unwrap_or(true);
            Some(PodRef { uid: target.uid?, name: target.name?, is_ready })
        };
        Ok(Self {
            metadata: ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() },
            service: labels.remove(SERVICE_LABEL).unwrap_or_default(),
            pods: endpoints.unwrap_or_default().into_iter().filter_map(pod).collect(),
        })
    }
}

impl Resource for BackendSlice {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        EndpointSlice::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        EndpointSlice::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        EndpointSlice::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        EndpointSlice::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
