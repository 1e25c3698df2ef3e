//! What should be in a namespace that asks for the ingress Service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use crate::config::FIELD_MANAGER;

/// The name of the Service.
pub(super) const SERVICE: &str = "kube-isr";
/// The port of the Service, the one that Ingresses name without thinking.
const PORT: i32 = 80;
/// The name of the proxies' port, here and in their own Service.
const PORT_NAME: &str = "http";
/// The label that says whose it is; its value is the installation.
pub(super) const INSTALLATION_LABEL: &str = "kube-isr.dev/installation";
/// Endpoints of one slice, the most that the API takes. With one slice for each family their names are known
/// beforehand, so that our role need not allow any other.
const ENDPOINTS_MOST: usize = 1000;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// As the API calls it.
    fn address_type(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The name of its slice.
    pub(super) fn slice(self) -> &'static str {
        match self {
            Self::V4 => "kube-isr-ipv4",
            Self::V6 => "kube-isr-ipv6",
        }
    }
}

/// Whether an object with these labels belongs to this installation.
pub(super) fn is_ours(labels: &BTreeMap<String, String>, installation: &str) -> bool {
    labels.get(INSTALLATION_LABEL).is_some_and(|value| value == installation)
}

/// The Service.
pub(super) fn service(namespace: &str, installation: &str, owner: Option<OwnerReference>) -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(SERVICE.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels(installation)),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: PORT,
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The slice of one family that mirrors the proxies; `None` if they have no address of it.
pub(super) fn slice(
    family: Family,
    proxies: &[EndpointSlice],
    service: &Service,
    installation: &str,
) -> Option<EndpointSlice> {
    let mut endpoints = Vec::new();
    let mut port = None;
    for slice in proxies.iter().filter(|slice| slice.address_type == family.address_type()) {
        let mut named = slice.ports.iter().flatten().filter(|port| port.name.as_deref() == Some(PORT_NAME));
        let Some(found) = named.find_map(|port| port.port) else { continue };
        // All slices of one Service have the ports of its pods; a slice has one list of ports for all its endpoints.
        if *port.get_or_insert(found) == found {
            endpoints.extend(slice.endpoints.iter().filter(|endpoint| is_served(endpoint)).map(mirrored));
        }
    }
    endpoints.sort_by(|one, other| one.addresses.cmp(&other.addresses));
    endpoints.truncate(ENDPOINTS_MOST);
    let mut labels = labels(installation);
    labels.insert("kubernetes.io/service-name".to_owned(), SERVICE.to_owned());
    // By this, Kubernetes' own controllers leave them alone.
    labels.insert("endpointslice.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned());
    let owner = service.uid().map(|uid| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: SERVICE.to_owned(),
        uid,
        ..OwnerReference::default()
    });
    Some(EndpointSlice {
        metadata: ObjectMeta {
            name: Some(family.slice().to_owned()),
            namespace: service.namespace(),
            labels: Some(labels),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        address_type: family.address_type().to_owned(),
        endpoints,
        ports: Some(vec![EndpointPort {
            name: Some(PORT_NAME.to_owned()),
            port: Some(port?),
            protocol: Some("TCP".to_owned()),
            ..EndpointPort::default()
        }]),
    })
}

/// Whether the Service that is there does what is wanted of it.
pub(super) fn is_service_kept(present: &Service, wanted: &Service) -> bool {
    let port = |service: &Service| {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
        ports.into_iter().map(|port| (port.name, port.port, port.protocol)).collect::<Vec<_>>()
    };
    let selects =
        present.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|by| !by.is_empty());
    let is_owned = wanted.owner_references().iter().all(|owner| present.owner_references().contains(owner));
    !selects && is_owned && port(present) == port(wanted) && holds(present.labels(), wanted.labels())
}

/// Whether the slice that is there is the one that is wanted.
pub(super) fn is_slice_kept(present: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    present.endpoints == wanted.endpoints
        && present.ports == wanted.ports
        && present.address_type == wanted.address_type
        && present.owner_references() == wanted.owner_references()
        && holds(present.labels(), wanted.labels())
}

/// Ready, or on its way out and still answering: what a load balancer may use when nothing else is left.
fn is_served(endpoint: &Endpoint) -> bool {
    let known = endpoint.conditions.clone().unwrap_or_default();
    let is_ready = known.ready.unwrap_or(true);
    is_ready || (known.serving.unwrap_or(false) && known.terminating.unwrap_or(false))
}

/// The endpoint without its pod, which is in another namespace.
fn mirrored(endpoint: &Endpoint) -> Endpoint {
    let known = endpoint.conditions.clone().unwrap_or_default();
    let is_ready = known.ready.unwrap_or(true);
    Endpoint {
        addresses: endpoint.addresses.clone(),
        conditions: Some(EndpointConditions {
            ready: Some(is_ready),
            serving: Some(known.serving.unwrap_or(is_ready)),
            terminating: Some(known.terminating.unwrap_or(false)),
        }),
        hints: endpoint.hints.clone(),
        node_name: endpoint.node_name.clone(),
        zone: endpoint.zone.clone(),
        ..Endpoint::default()
    }
}

fn labels(installation: &str) -> BTreeMap<String, String> {
    let labels = [("app.kubernetes.io/managed-by", FIELD_MANAGER), (INSTALLATION_LABEL, installation)];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn holds(present: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| present.get(name) == Some(value))
}

#[cfg(test)]
mod tests;
