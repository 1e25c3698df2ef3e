//! The example's pages as a visitor asks for them and as a test reads them.

use crate::support::{Request, Response, get};

/// A router of Next.js, and where the example uses it.
pub struct Router {
    /// In words, for messages.
    pub name: &'static str,
    /// The list of posts; a post is one segment further.
    pub list: &'static str,
    /// The quickstart's API route.
    pub api: &'static str,
}

/// `getStaticProps`.
pub const PAGES: Router = Router { name: "pages router", list: "/blog-posts", api: "/api/revalidate" };
/// Server components.
pub const APP: Router =
    Router { name: "app router", list: "/app-router/blog-posts", api: "/api/app-router/revalidate" };
/// Both.
pub const ROUTERS: [Router; 2] = [PAGES, APP];

impl Router {
    /// The path of a post, or of what stands in its place.
    pub fn post(&self, slug: &str) -> String {
        format!("{}/{slug}", self.list)
    }

    /// What the router's client asks for when a visitor follows a link to `path`.
    pub fn data(&self, build: &str, path: &str) -> Request {
        if self.list == PAGES.list {
            get(&format!("/_next/data/{build}{path}.json")).header("x-nextjs-data", "1")
        } else {
            rsc(path)
        }
    }

    /// The content type of that.
    pub fn data_type(&self) -> &'static str {
        if self.list == PAGES.list { "application/json" } else { "text/x-component" }
    }
}

/// The RSC payload of a page, as the client asks for it without any state of its own.
pub fn rsc(path: &str) -> Request {
    get(&format!("{path}?_rsc")).header("RSC", "1")
}

/// The part of a page that is prefetched for its layout, as the client asks for it.
pub fn rsc_tree(path: &str) -> Request {
    get(&format!("{path}?_rsc=1r34m"))
        .header("RSC", "1")
        .header("Next-Router-Prefetch", "1")
        .header("Next-Router-Segment-Prefetch", "/_tree")
}

/// When a page was rendered, and from what. Greater is newer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation {
    /// The version of the data service.
    pub version: u64,
    /// The time of the render, as the page prints it (ISO 8601, so that order is the text's).
    pub rendered: String,
}

/// The generation that a page, its data or its RSC payload says it is of.
#[track_caller]
pub fn generation(response: &Response) -> Generation {
    let text = response.text();
    try_generation(&text).unwrap_or_else(|| panic!("no generation in {:?}: {text:?}", response.headers))
}

fn try_generation(text: &str) -> Option<Generation> {
    // The footer of a page, as HTML or as an RSC payload; else the properties that the pages router sends.
    let (rendered, version) = if let Some((_, rest)) = text.split_once("Rendered ") {
        rest.split_once(" from data version ")?
    } else {
        let (_, rest) = text.split_once("\"renderedAt\":\"")?;
        let (_, version) = text.split_once("\"version\":")?;
        (rest.split_once('"')?.0, version)
    };
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    Some(Generation { version: version[..digits].parse().ok()?, rendered: rendered.to_owned() })
}

/// Asserts what every answer of a kind has in common: that its body is what its content type says.
#[track_caller]
pub fn assert_kind(response: &Response, content_type: &str, why: &str) {
    let kind = response.header("content-type");
    assert!(kind.starts_with(content_type), "{why}: {content_type}, not {kind:?}, {:?}", response.headers);
    let text = response.text();
    let html = text.to_ascii_lowercase().starts_with("<!doctype html>");
    assert_eq!(html, content_type == "text/html", "{why}: the body is {content_type}: {text:?}");
    if content_type == "application/json" {
        let parsed = serde_json::from_slice::<serde_json::Value>(&response.body);
        assert!(parsed.is_ok(), "{why}: the body is JSON: {text:?}");
    }
}
