//! Storing what passes by.

mod capture;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, DATE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use isr_cache::freshness::{initial_age, lifetime, modified_at};
use isr_cache::{
    Asked, CacheControl, Epoch, Extra, Governed, Group, NotStored, Render, Routed, StoredResponse, Timestamp,
    Vary, storing, tags, validation, vary,
};
use isr_routes::{Route, Target};

use crate::body::{Body, BoxError, Resumed};
use crate::page::{self, http_date};
use crate::pass::EndsWithConnection;
use crate::state::Proxy;
use crate::upstream::innermost;
use capture::{Capture, Reading};

/// Everything that is known when a request goes out and needed when its response is stored.
pub(super) struct Filing {
    proxy: Arc<Proxy>,
    route: Arc<str>,
    group: Arc<Group>,
    key: Vec<u8>,
    method: Method,
    request_headers: HeaderMap,
    requested: Timestamp,
    /// Before the request: what is invalidated while it is under way is invalidated for its response too.
    began: Epoch,
}

/// How far a response came that was to be read whole.
pub(super) enum Kept {
    /// It is stored.
    Whole(Response<Body>),
    /// It takes its time, and is stored once all of it has passed.
    Coming(Response<Body>),
    /// It is not stored.
    TooLong(Response<Body>),
    /// It broke off, and nobody has seen a byte of it.
    Broken(String),
}

impl Filing {
    pub(super) fn begin(
        proxy: &Arc<Proxy>,
        route: &Route,
        target: &Target<'_>,
        key: Vec<u8>,
        head: &Parts,
    ) -> Self {
        let group = proxy.pages.group(&route.group(&target.host, &target.path));
        Self {
            proxy: Arc::clone(proxy),
            route: Arc::clone(&route.id),
            group,
            key,
            method: head.method.clone(),
            request_headers: head.headers.clone(),
            requested: proxy.clock.now(),
            began: proxy.pages.epoch(),
        }
    }

    /// Whether a response to the request may be stored.
    pub(super) fn may_keep(&self, response: &Response<Body>, now: Timestamp) -> Result<(), NotStored> {
        let headers = response.headers();
        storing::may_store(&self.method, &self.request_headers, response.status(), headers, now)?;
        if response.extensions().get::<EndsWithConnection>().is_some() {
            return Err(NotStored::Unframed);
        }
        let most = self.proxy.config.limits.page_bytes as u64;
        if response.body().size_hint().lower() > most { Err(NotStored::TooLong) } else { Ok(()) }
    }

    /// Passes a response on and stores it once all of it has passed.
    pub(super) fn keep_while_sent(self, mut response: Response<Body>, now: Timestamp) -> Response<Body> {
        let (status, headers) = (response.status(), response.headers().clone());
        let reading = Reading::begin(&self.proxy);
        strip_tags(response.headers_mut());
        response.map(|body| {
            Body::stream(Capture::new(body, reading, move |body| self.store(status, headers, body, now)))
        })
    }

    /// Reads a response for as long as `within`, and stores it.
    pub(super) async fn keep(self, response: Response<Body>, now: Timestamp, within: Duration) -> Kept {
        let (mut head, mut body) = response.into_parts();
        let mut reading = Reading::begin(&self.proxy);
        let read = tokio::time::timeout(within, async {
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame?.into_data() else { continue };
                if !reading.add(&data) {
                    return Ok(false);
                }
            }
            Ok::<_, BoxError>(true)
        });
        match read.await {
            Ok(Ok(true)) => {
                let whole = reading.into_bytes();
                self.store(head.status, head.headers.clone(), whole.clone(), now);
                strip_tags(&mut head.headers);
                Kept::Whole(Response::from_parts(head, Body::whole(whole)))
            }
            Ok(Err(error)) => Kept::Broken(innermost(&*error)),
            Ok(Ok(false)) => Kept::TooLong(resumed(head, reading, body)),
            Err(_) => Kept::Coming(self.keep_while_sent(resumed(head, reading, body), now)),
        }
    }

    /// Makes a stored response good again by a 304, and gives it. `Err` if the 304 says that it may not stay stored. It
    /// does not come back if something newer took its place meanwhile.
    pub(super) fn refresh(
        self,
        key: &[u8],
        stored: &Arc<StoredResponse>,
        not_modified: &HeaderMap,
        now: Timestamp,
    ) -> (Arc<StoredResponse>, Result<(), NotStored>) {
        let mut headers = headers_of(stored);
        validation::merge_not_modified(&mut headers, not_modified);
        // What is good for everybody was stored for everybody: who happens to ask says nothing about it.
        let kept = storing::may_store(&Method::GET, &HeaderMap::new(), stored.status(), &headers, now);
        let refreshed = Arc::new(self.response(stored.status(), headers, stored.body.clone(), now));
        if kept.is_err() {
            self.proxy.pages.remove(key, &self.group);
        } else if CacheControl::from_request(&self.request_headers).no_store {
            return (refreshed, Err(NotStored::RequestNoStore));
        } else {
            self.proxy.pages.replace(key, stored, &refreshed);
        }
        (refreshed, kept)
    }

    fn store(&self, status: StatusCode, headers: HeaderMap, body: Bytes, received: Timestamp) {
        let mut key = self.key.clone();
        if let Vary::Names(names) = vary::vary_names(&headers) {
            let mut note = self.response(status, HeaderMap::new(), Bytes::new(), received);
            if let Some(governed) = note.extra.as_mut().and_then(|extra| extra.governed.as_mut()) {
                governed.vary = names.clone().into_boxed_slice();
            }
            self.put(&key, note);
            vary::secondary_key(&names, &self.request_headers, &mut key);
        }
        self.put(&key, self.response(status, headers, body, received));
    }

    /// Stores a response unless a newer one is there: of two requests under way the later one may come back first.
    fn put(&self, key: &[u8], response: StoredResponse) {
        let newer = self.proxy.pages.peek(key).is_some_and(|present| {
            let comparable = present.governed().is_some() && **present.head.route() == *self.route;
            comparable
                && present.render.began >= self.began
                && present.render.finished > response.render.finished
        });
        if !newer {
            self.proxy.pages.put(key, Arc::new(response));
        }
    }

    fn response(
        &self,
        status: StatusCode,
        mut headers: HeaderMap,
        body: Bytes,
        received: Timestamp,
    ) -> StoredResponse {
        if !headers.contains_key(DATE) {
            headers.insert(DATE, http_date(received));
        }
        let governed = Governed {
            lifetime: lifetime(&headers, status, received),
            initial_age: initial_age(&headers, self.requested, received),
            vary: Box::default(),
        };
        let modified = headers.contains_key(LAST_MODIFIED).then(|| modified_at(&headers, received).seconds());
        storing::strip_unstorable(&mut headers);
        headers.remove(AGE);
        headers.remove(CONTENT_LENGTH);
        let etag = headers.remove(ETAG);
        let tags = tags::of(&headers).into_boxed_slice();
        strip_tags(&mut headers);
        StoredResponse {
            head: page::head(status, &self.route, etag.as_ref(), headers),
            body,
            // The origin chooses the coding, by the visitor's own field.
            asked: Asked::never(),
            modified,
            render: Render { finished: received.into(), began: self.began, born_stale: false, spread: 0 },
            routed: Routed::default(),
            group: Arc::clone(&self.group),
            extra: Extra { governed: Some(Box::new(governed)), tags, ..Extra::default() }.if_any(),
        }
    }
}

/// Tags are between the origin and its caches.
fn strip_tags(headers: &mut HeaderMap) {
    for name in &tags::FIELDS {
        headers.remove(name);
    }
}

fn resumed(head: http::response::Parts, reading: Reading, rest: Body) -> Response<Body> {
    let read = Some(reading.into_bytes()).filter(|read| !read.is_empty());
    Response::from_parts(head, Body::stream(Resumed { read, rest }))
}

/// The fields that a stored response came with.
pub(super) fn headers_of(stored: &StoredResponse) -> HeaderMap {
    let mut headers = stored.head.to_map();
    // The bytes of a value make a value.
    if let Some(Ok(etag)) = stored.head.etag().map(HeaderValue::from_bytes) {
        headers.insert(ETAG, etag);
    }
    headers
}
