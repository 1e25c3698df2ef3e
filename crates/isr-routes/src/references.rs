//! The objects that routes refer to, as far as routes need them.

use std::collections::BTreeMap;
use std::fmt;

/// Secrets and Services by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The Secrets.
    pub secrets: BTreeMap<(String, String), Secret>,
    /// Why a Secret that is not among them could not be read, in a phrase that ends in what to do. A Secret
    /// that is in neither does not exist.
    pub unreadable: BTreeMap<(String, String), String>,
    /// The Services.
    pub services: BTreeMap<(String, String), Service>,
}

/// The data of a Secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// Decoded values by key.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// What a Service says about where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The name that a Service of type `ExternalName` stands for; `None` for every other type.
    pub external_name: Option<String>,
    /// Its ports (`spec.ports[].port`).
    pub ports: Vec<i32>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, values redacted)", self.data.keys())
    }
}
