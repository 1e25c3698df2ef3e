//! Sitemaps (sitemaps.org): what they list, and which of it are pages of a route.
//!
//! A sitemap is text from an application, perhaps a tenant's: it is read as events, no entity but XML's own five is
//! resolved, no document type is taken, and what is kept of it is bounded.

use std::collections::HashSet;
use std::sync::Arc;

use http::{HeaderMap, Uri};
use isr_routes::{Found, Route, RouteTable, Target};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

use super::page::Page;

/// URLs that are taken of one file: as many as the protocol allows it to list.
const URLS_MOST: usize = 50_000;

/// Characters of a URL; the protocol's limit.
const URL_MOST: usize = 2048;

/// Pages of one route and host, at most: a quarter of the backend's renders brings them in minutes, and their names take
/// a megabyte.
pub(super) const PAGES_MOST: usize = 10_000;

/// What a file lists.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Pages(Urls),
    /// It is an index of sitemaps.
    Sitemaps(Urls),
}

/// URLs as they are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Urls {
    pub(super) urls: Vec<String>,
    /// How many more there are.
    pub(super) beyond: usize,
}

/// Of what sitemaps list, what a route takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) pages: Vec<Arc<Page>>,
    /// URLs of other hosts.
    pub(super) foreign: usize,
    /// URLs that other routes answer, or none.
    pub(super) elsewhere: usize,
    /// What is no URL.
    pub(super) malformed: usize,
    /// URLs beyond what is taken of one route.
    pub(super) beyond: usize,
}

/// Reads a file. The error is a phrase whose subject is the sitemap.
pub(super) fn read(bytes: &[u8]) -> Result<Listed, String> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| match bytes {
        [0x1F, 0x8B, ..] => "is compressed: serve it as plain XML".to_owned(),
        _ => "is not UTF-8".to_owned(),
    })?;
    let mut reader = Reader::from_str(text);
    let mut is_index = None;
    let mut depth = 0_usize;
    let mut url: Option<String> = None;
    let mut found = Urls::default();
    loop {
        match reader.read_event().map_err(|error| format!("is not well-formed XML: {error}"))? {
            Event::Start(start) => {
                depth += 1;
                let name = start.local_name();
                match (depth, name.as_ref()) {
                    (1, "urlset") => is_index = Some(false),
                    (1, "sitemapindex") => is_index = Some(true),
                    (1, name) => return Err(no_sitemap(name)),
                    // Deeper ones are those of images and the like.
                    (3, "loc") => url = Some(String::new()),
                    _ => {}
                }
            }
            Event::End(_) => {
                if depth == 3
                    && let Some(url) = url.take()
                {
                    found.add(url.trim());
                }
                depth = depth.saturating_sub(1);
            }
            Event::Empty(empty) if depth == 0 => match empty.local_name().as_ref() {
                "urlset" => is_index = Some(false),
                "sitemapindex" => is_index = Some(true),
                name => return Err(no_sitemap(name)),
            },
            Event::Text(part) => append(&mut url, &part.into_inner()),
            Event::CData(part) => append(&mut url, &part.into_inner()),
            Event::GeneralRef(entity) => {
                let unknown = || format!("uses &{};, which means nothing in a sitemap", shortened(&entity));
                if entity.is_char_ref() {
                    let character = entity.resolve_char_ref().ok().flatten().ok_or_else(unknown)?;
                    append(&mut url, character.encode_utf8(&mut [0; 4]));
                } else {
                    append(&mut url, resolve_xml_entity(&entity).ok_or_else(unknown)?);
                }
            }
            Event::DocType(_) => return Err("has a document type, which a sitemap has not".to_owned()),
            Event::Eof if depth > 0 => return Err("ends in the middle".to_owned()),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match is_index {
        Some(false) => Ok(Listed::Pages(found)),
        Some(true) => Ok(Listed::Sitemaps(found)),
        None => Err("is no XML".to_owned()),
    }
}

fn no_sitemap(root: &str) -> String {
    format!("is no sitemap: it begins with <{}>, and not with <urlset> or <sitemapindex>", shortened(root))
}

fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}

fn append(url: &mut Option<String>, part: &str) {
    if let Some(url) = url
        // One character too many says that it is too long.
        && url.len() <= URL_MOST
    {
        url.extend(part.chars().take(URL_MOST + 1 - url.len()));
    }
}

impl Urls {
    fn add(&mut self, url: &str) {
        if self.urls.len() < URLS_MOST {
            self.urls.push(url.to_owned());
        } else {
            self.beyond += 1;
        }
    }
}

impl Taken {
    /// What there is to say when it names no page of the route: a phrase whose subject is the sitemap.
    pub(super) fn nothing(&self) -> String {
        let Self { foreign, elsewhere, malformed, .. } = self;
        format!(
            "names no page of this route: {foreign} of its URLs are of other hosts, {elsewhere} are answered by other routes or none, {malformed} are no URLs"
        )
    }

    /// Takes of these URLs the pages of a route on a host.
    pub(super) fn add(&mut self, urls: &Urls, host: &str, route: &Route, table: &RouteTable) {
        self.beyond += urls.beyond;
        let mut known: HashSet<Arc<Page>> = self.pages.iter().cloned().collect();
        for url in &urls.urls {
            let Some(uri) = absolute(url) else {
                self.malformed += 1;
                continue;
            };
            let Ok(target) = Target::parse("", &uri) else {
                self.malformed += 1;
                continue;
            };
            if target.host != host {
                self.foreign += 1;
                continue;
            }
            match table.find(&target.host, &target.path) {
                Found::Route { route: answers, .. } if answers.id == route.id => {}
                _ => {
                    self.elsewhere += 1;
                    continue;
                }
            }
            // Only the parameters that tell pages apart: all others are the same page.
            let path_and_query = route.path_and_query(&target, &HeaderMap::new());
            let (path, query) = path_and_query.split_once('?').unwrap_or((&path_and_query, ""));
            let page = Arc::new(Page { host: host.into(), path: path.into(), query: query.into() });
            if known.contains(&page) {
                continue;
            }
            if self.pages.len() >= PAGES_MOST {
                self.beyond += 1;
                continue;
            }
            known.insert(Arc::clone(&page));
            self.pages.push(page);
        }
    }
}

/// An absolute URL for HTTP.
pub(super) fn absolute(url: &str) -> Option<Uri> {
    let uri: Uri = if url.len() > URL_MOST { return None } else { url.parse().ok()? };
    (matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()).then_some(uri)
}

#[cfg(test)]
mod tests;
