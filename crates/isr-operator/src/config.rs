//! What the operator is told at its start. Parsed elsewhere; nothing here has a default, so that every start says it all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::owner::Owner;

/// Everything an operator needs to know, besides how to reach the API server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The namespace of the installation: of the proxies, the published table and the Lease. `None` is the namespace of
    /// the service account, or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// The name of the installation: every object of ours in [`Self::namespace`] begins with it.
    pub installation: String,
    /// The Service of the proxies. Its `EndpointSlice`s carry ports named `http` and `admin`.
    pub proxy_service: String,
    /// The namespaces whose routes are compiled; all if empty.
    pub watch_namespaces: Vec<String>,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// Whether routes of several namespaces may share a host.
    pub shared_hosts: bool,
    /// Where the admin endpoints listen.
    pub admin: SocketAddr,
    /// Who holds the Lease: unique among the replicas.
    pub identity: String,
    /// How long a Lease is held without being renewed.
    pub lease_duration: Duration,
    /// What owns the objects that are made in [`Self::namespace`]; nothing if `None`.
    pub owner: Option<Owner>,
    /// What owns the ingress Services, in their namespaces; nothing if `None`.
    pub ingress_owner: Option<Owner>,
    /// How often a Secret is read that nothing points at having changed, where Secrets are not watched.
    pub secret_period: Duration,
}

/// Where the objects of the installation are, and what they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The namespace of the installation.
    pub(crate) namespace: String,
    /// The name of the installation.
    pub(crate) installation: String,
}

impl Names {
    /// The ConfigMap of the index.
    pub(crate) fn index(&self) -> String {
        format!("{}-routes", self.installation)
    }

    /// The ConfigMap of the shard with this digest.
    pub(crate) fn shard(&self, digest: &str) -> String {
        format!("{}-routes-{}", self.installation, digest.get(..16).unwrap_or(digest))
    }

    /// The ConfigMap of the list of purges.
    pub(crate) fn purges(&self) -> String {
        format!("{}-purges", self.installation)
    }

    /// The Secret of the origin tokens.
    pub(crate) fn origin_tokens(&self) -> String {
        format!("{}-origin-tokens", self.installation)
    }

    /// The labels of everything that holds a part of the table.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let labels = [(ROUTES_LABEL, &*self.installation), ("app.kubernetes.io/managed-by", FIELD_MANAGER)];
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The Lease of the one operator that writes.
    pub(crate) fn lease(&self) -> String {
        format!("{}-operator", self.installation)
    }
}

/// The label of the ConfigMaps that hold a table; its value is the installation.
pub(crate) const ROUTES_LABEL: &str = "kube-isr.dev/routes";

/// The label that asks for the ingress Service, on a namespace.
pub(crate) const INGRESS_LABEL: &str = "kube-isr.dev/ingress-service";

/// The server-side apply field manager of everything that the operator writes, and who it says it is in labels.
pub(crate) const FIELD_MANAGER: &str = "kube-isr-operator";
