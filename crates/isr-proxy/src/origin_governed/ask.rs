//! Asking the origin with a visitor's request, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    HeaderMap, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
    SET_COOKIE,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use isr_cache::{
    CacheStatus, Forward, Handling, NotStored, Outcome, StoredResponse, Timestamp, XIsrCache, validation,
};
use isr_routes::Target;

use super::filing::{Filing, Kept, headers_of};
use super::{Answered, Context, age_of, stale_on_error, ttl_of};
use crate::answer::{Label, answer};
use crate::body::Body;
use crate::pass::{pass, problem};
use crate::problem::Problem;
use crate::upstream::OriginError;

/// A response that others wait for is read whole before its first visitor gets it, so that nobody waits for a slow
/// reader. One that takes longer than this is streamed, and the others ask for themselves.
pub(super) const WHOLE_WITHIN: Duration = Duration::from_secs(5);

/// A stored response that the origin is asked about.
pub(super) struct Candidate {
    /// Where it is stored.
    pub(super) key: Vec<u8>,
    pub(super) stored: Arc<StoredResponse>,
    /// It may be served when the origin fails.
    pub(super) stale_if_error: bool,
}

/// What the origin said.
pub(super) enum Said {
    /// What is stored is good, looks like this now, and stays stored if `kept` is `Ok`.
    Confirmed {
        stored: Arc<StoredResponse>,
        /// For this visitor alone.
        cookies: Vec<HeaderValue>,
        kept: Result<(), NotStored>,
    },
    /// Something to pass on, stored or being stored if `kept` is `Ok`.
    Response { response: Response<Body>, kept: Result<(), NotStored> },
    /// Nothing, or a server error where what is stored may be served instead.
    Failure(Result<Response<Body>, Problem>),
}

impl Context<'_> {
    /// Asks the origin, about `candidate` if there is one. With `whole`, a response that may be stored is read and
    /// stored before this returns, if it comes within that time.
    pub(super) async fn ask(
        &self,
        head: &Parts,
        candidate: Option<&Candidate>,
        whole: Option<Duration>,
    ) -> Said {
        let filing =
            Filing::begin(self.proxy, self.route, self.target, self.primary_key(&head.headers), head);
        let mut outgoing = head.clone();
        if let Some(candidate) = candidate {
            strip_conditions(&mut outgoing.headers);
            outgoing.headers.extend(validation::conditional_request(&headers_of(&candidate.stored)));
        }
        let sent = self.send(outgoing).await;
        if let (Ok(response), Some(candidate)) = (&sent, candidate)
            && response.status() == StatusCode::NOT_MODIFIED
        {
            let now = self.proxy.clock.now();
            let cookies = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
            let (stored, kept) = if validation::confirms(&headers_of(&candidate.stored), response.headers()) {
                filing.refresh(&candidate.key, &candidate.stored, response.headers(), now)
            } else {
                // It answers our question and names another response. This visitor gets what we asked about, and the
                // next one asks for all of it.
                self.proxy.pages.remove(&candidate.key, &candidate.stored.group);
                (Arc::clone(&candidate.stored), Err(NotStored::OtherValidator))
            };
            return Said::Confirmed { stored, cookies, kept };
        }
        let response = match sent {
            Ok(response) => response,
            Err(problem) => return Said::Failure(Err(problem)),
        };
        if response.status().is_server_error() && candidate.is_some_and(|candidate| candidate.stale_if_error)
        {
            return Said::Failure(Ok(response));
        }
        if let Some(candidate) = candidate
            && head.method == Method::HEAD
            && response.status() == StatusCode::OK
        {
            let length = candidate.stored.body.len() as u64;
            let stored = headers_of(&candidate.stored);
            if validation::head_contradicts(&stored, length, response.headers()) {
                self.proxy.pages.remove(&candidate.key, &candidate.stored.group);
            }
        }
        let now = self.proxy.clock.now();
        match (filing.may_keep(&response, now), whole) {
            (Err(why), _) => Said::Response { response, kept: Err(why) },
            (Ok(()), None) => {
                Said::Response { response: filing.keep_while_sent(response, now), kept: Ok(()) }
            }
            (Ok(()), Some(within)) => match filing.keep(response, now, within).await {
                Kept::Whole(response) | Kept::Coming(response) => Said::Response { response, kept: Ok(()) },
                Kept::TooLong(response) => Said::Response { response, kept: Err(NotStored::TooLong) },
                Kept::Broken(cause) => {
                    let address = self.route.backend.name.clone();
                    Said::Failure(Err(problem(&OriginError::Broken { address, cause })))
                }
            },
        }
    }

    /// Sends the visitor's request on, with the query that the route allows.
    async fn send(&self, mut head: Parts) -> Result<Response<Body>, Problem> {
        let allowed = self.route.path_and_query(self.target, &head.headers);
        let query = allowed.split_once('?').map_or("", |(_, query)| query);
        let target = Target { host: self.target.host.clone(), path: self.target.path.clone(), query };
        head.extensions.clear();
        let request = Request::from_parts(head, Body::Empty);
        pass(self.proxy, self.visitor, &self.route.backend, &target, request).await
    }
}

impl Said {
    /// What it means for the next validation of the same key.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Confirmed { kept: Ok(()), .. } | Self::Response { kept: Ok(()), .. } => Outcome::Rendered,
            Self::Response { response, .. } if is_temporary(response.status()) => Outcome::Failed,
            Self::Confirmed { .. } | Self::Response { .. } => Outcome::OptedOut,
            Self::Failure(_) => Outcome::Failed,
        }
    }

    /// Whether the origin, asked for nobody in particular, no longer gives anything that may be shared.
    pub(super) fn forbids_sharing(&self) -> bool {
        matches!(self, Self::Response { response, kept: Err(_) } if !is_temporary(response.status()))
    }

    /// The answer to the visitor who asked.
    pub(super) fn tell(
        self,
        head: &Parts,
        reason: Forward,
        candidate: Option<&Candidate>,
        now: Timestamp,
    ) -> Answered {
        let stale = candidate.filter(|candidate| candidate.stale_if_error);
        match (self, stale) {
            (Self::Confirmed { stored, cookies, kept }, _) => {
                let label = label(reason, StatusCode::NOT_MODIFIED, kept, ttl_of(&stored, now));
                let age = age_of(&stored, now).as_secs();
                let mut response = answer(&head.method, &head.headers, &stored, age, &label);
                for cookie in cookies {
                    response.headers_mut().append(SET_COOKIE, cookie);
                }
                (Ok(response), XIsrCache::Miss)
            }
            (Self::Response { mut response, kept }, _) => {
                label(reason, response.status(), kept, None).write(response.headers_mut());
                (Ok(response), XIsrCache::Miss)
            }
            (Self::Failure(answer), Some(candidate)) => {
                let status = answer.as_ref().map_or_else(|problem| problem.status, Response::status);
                stale_on_error(head, &candidate.stored, now, Some(status))
            }
            (Self::Failure(Ok(mut response)), None) => {
                label(reason, response.status(), Err(NotStored::Status), None).write(response.headers_mut());
                (Ok(response), XIsrCache::Miss)
            }
            (Self::Failure(Err(problem)), None) => (Err(problem), XIsrCache::Error),
        }
    }
}

/// An answer that says something about the origin's day, and nothing about the page.
fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn label(
    reason: Forward,
    status: StatusCode,
    kept: Result<(), NotStored>,
    ttl: Option<i64>,
) -> Label<'static> {
    let handling = Handling::Forward { reason, status: Some(status) };
    let detail = kept.err().map(NotStored::detail);
    let status = CacheStatus { handling, ttl, stored: kept.is_ok(), collapsed: false, detail };
    Label { short: XIsrCache::Miss, status }
}

/// The visitor's own conditions are answered by us, from what comes back.
fn strip_conditions(headers: &mut HeaderMap) {
    for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE] {
        headers.remove(name);
    }
}
