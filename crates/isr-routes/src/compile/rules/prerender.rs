//! The rules about what is rendered before anybody asks for it.

use isr_api::IsrRouteSpec;

use super::limit;
use crate::path::{PathPattern, Segment, Tail, normalise};
use crate::report::Report;
use crate::route::{Prerender, Route};
use crate::table::{Found, RouteTable};

/// The most paths of a route: they travel with it to every proxy. A longer list belongs in a sitemap.
const MAX_PATHS: usize = 100;
/// The longest such path in bytes.
const MAX_PATH_BYTES: usize = 512;

pub(super) fn prerender(
    spec: &IsrRouteSpec,
    path: Option<&PathPattern>,
    report: &mut Report,
) -> Option<Prerender> {
    let wanted = spec.prerender.as_ref()?;
    if spec.interval.is_none() {
        report.invalid(
            "spec.prerender",
            "renders the pages of an interval, but there is none: write an interval such as 10s, or remove prerender",
        );
    }
    if !spec.hostnames.is_empty() && spec.hostnames.iter().all(|hostname| hostname.starts_with('*')) {
        report.invalid(
            "spec.prerender",
            "renders pages of exact hostnames, and there are only wildcards: add a hostname such as shop.example.com, or remove prerender",
        );
    }
    if wanted.paths.is_empty() && wanted.sitemap.is_none() {
        report.invalid(
            "spec.prerender",
            "names no page: write paths: [/blog-posts/1], or sitemap: /sitemap.xml",
        );
    }
    limit(&wanted.paths, MAX_PATHS, "spec.prerender.paths", "paths (list more in a sitemap)", report);
    let mut paths = Vec::with_capacity(wanted.paths.len());
    for (place, text) in wanted.paths.iter().enumerate() {
        let field = format!("spec.prerender.paths[{place}]");
        if wanted.paths[..place].contains(text) {
            report.invalid(field, format!("names `{text}` a second time: remove it"));
            continue;
        }
        match (literal(text), path) {
            (Err(wrong), _) => report.invalid(field, wrong),
            (Ok(literal), Some(pattern)) if !pattern.matches(&literal) => report.invalid(
                field,
                format!("`{text}` is no page of this route, whose path is {pattern}: write a path that it matches, or name the page in its own route"),
            ),
            (Ok(literal), _) => paths.push(literal),
        }
    }
    let sitemap = wanted.sitemap.as_ref().and_then(|text| {
        let read = match literal(text) {
            Ok(path) if is_xml(&path) => return Some(path),
            Ok(_) => format!("`{text}` does not end in .xml: write the path of the sitemap, such as /sitemap.xml"),
            Err(_) if text.contains("://") => {
                format!("`{text}` is a URL: write its path alone, such as /sitemap.xml; it is asked of the application itself")
            }
            Err(wrong) => wrong,
        };
        report.invalid("spec.prerender.sitemap", read);
        None
    });
    Some(Prerender { paths, sitemap })
}

/// Warns of paths that another route answers, which is the one that would have to name them.
pub(in crate::compile) fn elsewhere(route: &Route, table: &RouteTable, report: &mut Report) {
    let hosts = || route.hostnames.iter().filter(|hostname| !hostname.starts_with('*'));
    for (place, path) in route.prerender.iter().flat_map(|prerender| &prerender.paths).enumerate() {
        let answers = |host: &String| match table.find(host, path) {
            Found::Route { route: other, .. } if other.id != route.id => Some(other),
            _ => None,
        };
        if let Some(other) = hosts().find_map(answers) {
            report.warn(
                format!("spec.prerender.paths[{place}]"),
                format!(
                    "`{path}` is not rendered for this route, because IsrRoute {} answers it: name it there if it is for everybody, and remove it here",
                    other.id
                ),
            );
        }
    }
}

fn is_xml(path: &str) -> bool {
    let name = path.rsplit('/').next().and_then(|file| file.strip_suffix(".xml"));
    name.is_some_and(|name| !name.is_empty())
}

/// The path of one page, in normal form. What a pattern may hold literally, it may hold.
fn literal(text: &str) -> Result<String, String> {
    if text.len() > MAX_PATH_BYTES {
        return Err(format!("is longer than {MAX_PATH_BYTES} bytes: write the path of a page"));
    }
    let pattern = PathPattern::parse(text)?;
    let is_literal = pattern.tail == Tail::End
        && pattern.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)));
    if !is_literal {
        return Err(format!(
            "`{text}` is a pattern, and no page by itself: write the path of one page, such as /blog-posts/1"
        ));
    }
    match normalise(text) {
        Ok(path) => Ok(path.into_owned()),
        Err(refused) => Err(format!("`{text}`: {refused}")),
    }
}
