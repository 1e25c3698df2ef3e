//! An application whose pages count their own renders.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use isr_cache::BoxFuture;

use crate::config::Limits;
use crate::origin::{Answer, Renderer};
use crate::upstream::OriginError;

/// What a page must be longer than to be worth compressing.
const PADDING: usize = 2000;

/// The application. The content of a page changes with each render of it.
pub(super) struct Site {
    versions: Mutex<HashMap<String, u64>>,
    slowest: Duration,
    padding: String,
    /// How long an answer takes more than that, in milliseconds, once the page is read.
    pub(super) late: AtomicU64,
}

impl Site {
    /// One whose slowest step takes so long.
    pub(super) fn new(slowest: Duration, is_long: bool) -> Self {
        let padding = " ".repeat(if is_long { PADDING } else { 0 });
        Self { versions: Mutex::default(), slowest, padding, late: AtomicU64::default() }
    }

    /// The version of a page that was read last. What was read so far is from before whatever happens now.
    pub(super) fn version(&self, path: &str) -> u64 {
        self.versions.lock().expect("the versions").get(path).copied().unwrap_or_default()
    }

    pub(super) fn late(&self) -> Duration {
        Duration::from_millis(self.late.load(Ordering::Relaxed))
    }

    fn read(&self, path: &str) -> u64 {
        let mut versions = self.versions.lock().expect("the versions");
        let version = versions.entry(path.to_owned()).or_default();
        *version += 1;
        *version
    }

    /// How long a step takes: most are quick, some are slow.
    fn some_time(&self) -> Duration {
        let most = u64::try_from(self.slowest.as_millis()).unwrap_or(u64::MAX);
        match fastrand::u8(..20) {
            0 => Duration::from_millis(fastrand::u64(..most.max(1))),
            1..=5 => Duration::ZERO,
            _ => Duration::from_millis(fastrand::u64(..most.clamp(1, 30))),
        }
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
            tokio::time::sleep(self.some_time()).await;
            // The moment at which the page is what it is; a change after that is not in it.
            let version = self.read(request.uri.path());
            tokio::time::sleep(self.some_time() + self.late()).await;
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static("text/html"));
            headers.insert("cache-tag", HeaderValue::from_static("of-the-page"));
            headers.insert("x-version", HeaderValue::from(version));
            let body = Bytes::from(version.to_string() + &self.padding);
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
