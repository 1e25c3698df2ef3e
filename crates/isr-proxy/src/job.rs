//! What is to be rendered.

use std::sync::Arc;

use http::header::HeaderValue;
use isr_cache::{Group, Interval};
use isr_routes::{RenderTarget, Route};

/// Everything a render needs to know; what follows from the key alone.
pub(crate) struct Job {
    pub(crate) route: Arc<Route>,
    pub(crate) policy: Interval,
    pub(crate) key: Box<[u8]>,
    pub(crate) host: String,
    pub(crate) path: String,
    /// The path of the page that this one belongs to: its own, or for a data companion the page's.
    pub(crate) page: String,
    pub(crate) target: RenderTarget,
    pub(crate) group: Arc<Group>,
    pub(crate) trace: Option<HeaderValue>,
}

impl Job {
    /// Whether this is data of a page.
    pub(crate) fn is_data(&self) -> bool {
        self.route.is_data(&self.path, &self.page, &self.target.headers)
    }
}
