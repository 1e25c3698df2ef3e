//! References to other objects, always in the route's own namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One key of a Secret in the route's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret, in the same namespace as this route.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret whose value is the token.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// One port of a Service in the route's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendRef {
    /// Name of the Service, in the same namespace as this route.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Port of the Service (`spec.ports[].port`, not the target port), 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}
