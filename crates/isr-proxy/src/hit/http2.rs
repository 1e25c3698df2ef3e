//! Hits over HTTP/2, from requests that hyper has read: answered while it hands them over, without a task or a future of
//! their own.

use std::sync::Arc;

use http::header::{CONNECTION, HOST, HeaderMap, HeaderName};
use http::{Method, Request, Response, Version};
use isr_cache::{RequestFields, XIsrCache};

use super::{MEAN_MORE, Marks, Plain, fresh};
use crate::answer::{Label, answer_with};
use crate::body::Body;
use crate::state::Proxy;

/// Answers a request, if it is plain and its page is stored and fresh.
pub(crate) fn answer<B: http_body::Body>(proxy: &Arc<Proxy>, request: &Request<B>) -> Option<Response<Body>> {
    let request = plain(request)?;
    fresh(proxy, &request, |page| {
        let label = Label { short: XIsrCache::Hit, status: page.status };
        let (stored, representation) = (page.stored, page.representation);
        Some(answer_with(&Method::GET, &request.fields, stored, representation, page.age, &label))
    })
}

/// The request, if it may be answered here.
pub(super) fn plain<B: http_body::Body>(request: &Request<B>) -> Option<Plain<'_, Fields<'_>>> {
    let is_get = request.method() == Method::GET && request.version() == Version::HTTP_2;
    if !is_get || !request.body().is_end_stream() {
        return None;
    }
    let headers = request.headers();
    let marks = headers.keys().fold(Marks::default(), |marks, name| marks.with(name.as_str()));
    let fields = Fields { headers, marks };
    // `:authority` says which host, and there is nothing that could say otherwise.
    let mut others = [HOST, CONNECTION].into_iter();
    let means_more = marks.may_mean_more() && MEAN_MORE.iter().any(|name| headers.contains_key(*name));
    if means_more || others.any(|name| fields.first(&name).is_some()) {
        return None;
    }
    let uri = request.uri();
    let host = uri.authority()?.as_str().as_bytes();
    Some(Plain { host, target: uri.path_and_query()?.as_str(), fields })
}

/// The fields of a request.
pub(super) struct Fields<'r> {
    headers: &'r HeaderMap,
    marks: Marks,
}

impl RequestFields for Fields<'_> {
    fn values<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]> {
        let may_be_there = self.marks.may_have(name.as_str());
        may_be_there.then(|| RequestFields::values(self.headers, name)).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests;
