//! Which proxies there are: what the `EndpointSlice`s of their Service say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::purge::replica::Replica;

/// The name of the admin port.
const ADMIN_PORT: &str = "admin";

/// The label of a slice that names its Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A proxy in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) replica: Replica,
    /// Of its admin listener.
    pub(super) port: u16,
    pub(super) is_ready: bool,
}

/// All proxies, each once although a pod with two address families stands in two slices.
///
/// Those that are not ready count: they have pages from before, or will get some from their disk, and serve them as soon
/// as they are. One that is going away and serves no more never will.
pub(super) fn of(slices: &[EndpointSlice]) -> Result<Vec<Proxy>, String> {
    let mut services = BTreeSet::new();
    let mut proxies: BTreeMap<String, Proxy> = BTreeMap::new();
    for slice in slices {
        let mut ports = slice.ports.iter().flatten();
        let port = ports.find(|port| port.name.as_deref() == Some(ADMIN_PORT));
        let Some(port) = port.and_then(|port| u16::try_from(port.port?).ok()) else { continue };
        services.extend(slice.metadata.labels.iter().flatten().filter(|(name, _)| *name == SERVICE_LABEL));
        for endpoint in &slice.endpoints {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let is_gone = conditions.terminating == Some(true) && conditions.serving != Some(true);
            // All addresses of an endpoint are the same pod's.
            let address = endpoint.addresses.first().and_then(|address| address.parse::<IpAddr>().ok());
            let Some(address) = address.filter(|_| !is_gone) else { continue };
            let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
            let name = pod.and_then(|pod| pod.name.clone());
            let address = SocketAddr::new(address, port).to_string();
            let identity = name.clone().unwrap_or_else(|| address.clone());
            // Absent means ready (the API's own words).
            let is_ready = conditions.ready.unwrap_or(true);
            let proxy = Proxy { replica: Replica { name, address }, port, is_ready };
            proxies.entry(identity).or_insert(proxy);
        }
    }
    if services.len() > 1 {
        let names: Vec<&str> = services.into_iter().map(|(_, name)| name.as_str()).collect();
        return Err(format!(
            "there are several Services of proxies, {}: name one with --service",
            names.join(" and ")
        ));
    }
    if proxies.is_empty() {
        return Err("no proxy was found: name their namespace with --system-namespace, and their Service, which has a port named admin, with --service".to_owned());
    }
    Ok(proxies.into_values().collect())
}
