//! Whose the objects are that the operator makes: deleted with their owner, by Kubernetes' garbage collector.
//!
//! The owner of an object is the role that lets the operator make it, because whoever takes the installation away takes
//! its roles away, and because an owner must be in the namespace of what it owns or in none. It is read for each write and
//! not remembered: a role that was deleted and made again is another owner, and what refers to the former is collected.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Api, Client, Resource, ResourceExt as _};

use crate::Context;
use crate::failure::describe;

/// Longer than an API server that works takes to read one object.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The owner of objects that the operator makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A `ClusterRole`, which can own objects of every namespace.
    ClusterRole(String),
    /// The `Role` of this name in the namespace of what it owns.
    Role(String),
}

/// A text that names no owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no owner; write role/NAME or clusterrole/NAME")]
pub struct NoOwner(String);

impl FromStr for Owner {
    type Err = NoOwner;

    fn from_str(text: &str) -> Result<Self, NoOwner> {
        match text.split_once('/') {
            Some((_, name)) if name.is_empty() || name.contains('/') => Err(NoOwner(text.to_owned())),
            Some(("clusterrole", name)) => Ok(Self::ClusterRole(name.to_owned())),
            Some(("role", name)) => Ok(Self::Role(name.to_owned())),
            _ => Err(NoOwner(text.to_owned())),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterRole(name) => write!(formatter, "clusterrole/{name}"),
            Self::Role(name) => write!(formatter, "role/{name}"),
        }
    }
}

impl Owner {
    /// What an object of this namespace says of its owner, as the owner is now. It holds nobody's deletion up.
    async fn reference(&self, client: Client, namespace: &str) -> kube::Result<OwnerReference> {
        match self {
            Self::ClusterRole(name) => Ok(to(&Api::<ClusterRole>::all(client).get(name).await?)),
            Self::Role(name) => Ok(to(&Api::<Role>::namespaced(client, namespace).get(name).await?)),
        }
    }
}

/// Why nothing can be made for an owner.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {owner}, which {option} names: {}", describe(cause))]
pub(crate) struct OwnerError {
    owner: Owner,
    /// Where it is named.
    option: &'static str,
    /// What came of reading it.
    pub(crate) cause: kube::Error,
}

/// Whether an object says whose it is.
pub(crate) fn is_owned(metadata: &ObjectMeta) -> bool {
    metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
}

impl Context {
    /// Whether an object of the installation's namespace is to be written again because it does not say whose it is: an operator
    /// made it that was told of no owner, and it would outlive the release.
    pub(crate) fn must_own(&self, is_owned: bool) -> bool {
        self.config.owner.is_some() && !is_owned
    }

    /// The owner of what is made in the namespace of the installation; `None` if nothing owns it.
    pub(crate) async fn owner(&self) -> Result<Option<OwnerReference>, OwnerError> {
        self.reference("--owner", self.config.owner.as_ref(), &self.names.namespace).await
    }

    /// The owner of the ingress Service of a namespace; `None` if nothing owns it.
    pub(crate) async fn ingress_owner(&self, namespace: &str) -> Result<Option<OwnerReference>, OwnerError> {
        self.reference("--ingress-owner", self.config.ingress_owner.as_ref(), namespace).await
    }

    async fn reference(
        &self,
        option: &'static str,
        owner: Option<&Owner>,
        namespace: &str,
    ) -> Result<Option<OwnerReference>, OwnerError> {
        let Some(owner) = owner else { return Ok(None) };
        let reference = tokio::time::timeout(TIMEOUT, owner.reference(self.client.clone(), namespace)).await;
        let reference = reference.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())));
        reference.map(Some).map_err(|cause| OwnerError { owner: owner.clone(), option, cause })
    }
}

fn to<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_kind_and_a_name() {
        for text in ["role/kube-isr-operator", "clusterrole/kube-isr-system:kube-isr-operator"] {
            assert_eq!(text.parse::<Owner>().map(|owner| owner.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["kube-isr-operator", "role/", "role/shop/kube-isr", "Role/kube-isr", "deployment/kube-isr", ""]
        {
            let error = text.parse::<Owner>().expect_err(text);
            assert_eq!(
                error.to_string(),
                format!("{text:?} names no owner; write role/NAME or clusterrole/NAME")
            );
        }
    }
}
