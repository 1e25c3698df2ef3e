//! Asking the application for its sitemap, as a render is asked for: for nobody, in a slot, within the same times.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use isr_cache::{Flight, Trigger};
use isr_routes::{RenderTarget, Route, Target};

use super::sitemap::{self, Listed, PAGES_MOST, Taken, Urls, absolute};
use crate::config::Limits;
use crate::origin::{self, Answer};
use crate::state::Proxy;

/// Bytes of one file, at most: 50,000 URLs of 160 bytes. The protocol allows 50 MB, which nobody's memory should hold for
/// this.
const FILE_MOST: usize = 8 << 20;

/// Files of an index that are read, at most.
const FILES_MOST: usize = 50;

/// What came of reading a sitemap.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) taken: Taken,
    /// Files that were read.
    pub(super) files: usize,
    /// Why it is not all of it. A sentence without a full stop that names the path.
    pub(super) problem: Option<String>,
}

/// Reads the sitemap at `path` of a host, and the files that it lists if it is an index.
pub(super) async fn read(proxy: &Proxy, route: &Arc<Route>, host: &str, path: &str) -> Reading {
    let mut reading = Reading::default();
    let files = match file(proxy, route, host, path, Taken::default()).await {
        (taken, Ok(None)) => return Reading { taken, files: 1, problem: None },
        (taken, Ok(Some(files))) => {
            reading.taken = taken;
            files
        }
        (taken, Err(why)) => return Reading { taken, files: 0, problem: Some(format!("{path} {why}")) },
    };
    reading.files = 1;
    reading.taken.beyond += files.beyond + files.urls.len().saturating_sub(FILES_MOST);
    for url in files.urls.iter().take(FILES_MOST) {
        if reading.taken.pages.len() >= PAGES_MOST {
            break;
        }
        let Some(uri) = absolute(url) else {
            reading.taken.malformed += 1;
            continue;
        };
        let Ok(target) =
            Target::parse("", &uri).map(|target| (target.host == host, target.path.into_owned()))
        else {
            reading.taken.malformed += 1;
            continue;
        };
        let (true, path) = target else {
            reading.taken.foreign += 1;
            continue;
        };
        let path_and_query = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let (taken, result) =
            file(proxy, route, host, &path_and_query, std::mem::take(&mut reading.taken)).await;
        reading.taken = taken;
        match result {
            Ok(None) => reading.files += 1,
            Ok(Some(_)) => {
                reading.problem =
                    Some(format!("{path} is an index within an index: list its sitemaps in the first one"));
            }
            // The others may be well.
            Err(why) => reading.problem = Some(format!("{path} {why}")),
        }
    }
    reading
}

/// Reads one file and adds to `taken` what it lists of the route; if it is an index, gives what that lists.
async fn file(
    proxy: &Proxy,
    route: &Arc<Route>,
    host: &str,
    path_and_query: &str,
    mut taken: Taken,
) -> (Taken, Result<Option<Urls>, String>) {
    let bytes = match fetch(proxy, route, host, path_and_query).await {
        Ok(bytes) => bytes,
        Err(why) => return (taken, Err(why)),
    };
    let (active, route, host) = (proxy.active.load_full(), Arc::clone(route), host.to_owned());
    // Megabytes of text: long enough to hold up visitors' requests on this thread.
    let reading = tokio::task::spawn_blocking(move || match sitemap::read(&bytes) {
        Ok(Listed::Pages(urls)) => {
            taken.add(&urls, &host, &route, &active.table);
            (taken, Ok(None))
        }
        Ok(Listed::Sitemaps(files)) => (taken, Ok(Some(files))),
        Err(why) => (taken, Err(why)),
    });
    reading.await.unwrap_or_else(|_| (Taken::default(), Err("could not be read".to_owned())))
}

/// The body, or why there is none: a phrase whose subject is the file.
async fn fetch(proxy: &Proxy, route: &Route, host: &str, path_and_query: &str) -> Result<Bytes, String> {
    let limits = Limits { page_bytes: FILE_MOST, ..proxy.config.limits.clone() };
    let asking = async {
        let unasked = |why: &str| format!("cannot be asked for: {why}");
        let address = route.backend.address.as_ref().map_err(|why| unasked(why))?;
        let target = RenderTarget { path_and_query: path_and_query.to_owned(), headers: HeaderMap::new() };
        // What was invalidated may be listed in it.
        let flight = Flight { number: 0, trigger: Trigger::Prerender, began: proxy.pages.epoch() };
        let group = proxy.pages.group(&route.group(host, path_and_query));
        let since = proxy.since(&flight, &group, route);
        let request = origin::request(route, host, &target, proxy.config.public_scheme, &since, None)
            .ok_or_else(|| unasked("it makes no request"))?;
        let _slot = proxy.slots.acquire_behind(&route.backend.name).await;
        let answer = proxy.renderer.ask(address, request, &limits);
        let Ok(answer) = tokio::time::timeout(limits.render, answer).await else {
            return Err(format!("did not arrive within {:?}", limits.render));
        };
        answer.map_err(|error| unasked(&error.to_string()))
    };
    match asking.await? {
        Answer::TooLong { .. } => {
            Err(format!("is longer than {FILE_MOST} bytes: split it by an index of sitemaps"))
        }
        Answer::Whole { status: StatusCode::OK, body, .. } => Ok(body),
        Answer::Whole { status, headers, .. } if status.is_redirection() => {
            let location = headers.get(http::header::LOCATION).and_then(|location| location.to_str().ok());
            let leads = location.and_then(|location| location.parse::<Uri>().ok());
            let path = leads.as_ref().map_or("another path", Uri::path);
            Err(format!("answers {}: write the path that it leads to, {path}", status.as_u16()))
        }
        Answer::Whole { status, .. } => Err(format!("answers {}", status.as_u16())),
    }
}
