//! An application whose pages count their own renders.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use isr_cache::BoxFuture;

use crate::config::Limits;
use crate::origin::{Answer, Renderer};
use crate::upstream::OriginError;

/// The longest that a render takes.
pub(super) const RENDER_MOST: Duration = Duration::from_millis(1500);

/// The application. The content of a page changes with each render of it.
#[derive(Default)]
pub(super) struct Site {
    versions: Mutex<HashMap<String, u64>>,
}

impl Site {
    /// The version of a page that was read last. What was read so far is from before whatever happens now.
    pub(super) fn version(&self, path: &str) -> u64 {
        self.versions.lock().expect("the versions").get(path).copied().unwrap_or_default()
    }

    fn read(&self, path: &str) -> u64 {
        let mut versions = self.versions.lock().expect("the versions");
        let version = versions.entry(path.to_owned()).or_default();
        *version += 1;
        *version
    }
}

/// Most are quick, some are slow.
fn some_time() -> Duration {
    match fastrand::u8(..20) {
        0 => Duration::from_millis(fastrand::u64(..700)),
        1..=5 => Duration::ZERO,
        _ => Duration::from_millis(fastrand::u64(..30)),
    }
}

impl Renderer for Site {
    fn ask<'a>(
        &'a self,
        _address: &'a str,
        request: Parts,
        _limits: &'a Limits,
    ) -> BoxFuture<'a, Result<Answer, OriginError>> {
        Box::pin(async move {
            tokio::time::sleep(some_time()).await;
            // The moment at which the page is what it is; a change after that is not in it.
            let version = self.read(request.uri.path());
            tokio::time::sleep(some_time()).await;
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static("text/html"));
            headers.insert("cache-tag", HeaderValue::from_static("of-the-page"));
            let body = Bytes::from(version.to_string());
            Ok(Answer::Whole {
                status: StatusCode::OK,
                headers,
                version: Version::HTTP_11,
                body,
                framed: true,
            })
        })
    }
}
