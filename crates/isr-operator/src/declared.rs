//! What `reconcile` hands to `settle` and `purges`: the routes that the cluster asks for, and the table that holds them.

use std::sync::Arc;

use isr_api::IsrRoute;
use isr_routes::{Report, RouteTable};

/// What the cluster asks for, compiled, and the index that holds it.
#[derive(Debug)]
pub(crate) struct Declared {
    /// Generation of the index that holds these routes.
    pub(crate) generation: u64,
    /// Digest of that index.
    pub(crate) digest: String,
    /// The table that it stands for.
    pub(crate) table: Arc<RouteTable>,
    /// Every `IsrRoute`, accepted or not.
    pub(crate) routes: Vec<DeclaredRoute>,
}

/// One `IsrRoute` and what became of it.
#[derive(Debug)]
pub(crate) struct DeclaredRoute {
    /// Metadata, spec and status as last seen. Of a route that cannot be read the spec is empty.
    pub(crate) object: Arc<IsrRoute>,
    /// What compiling it said.
    pub(crate) report: Report,
    /// The generation of the index in which the route's published form last changed.
    pub(crate) since: u64,
}
