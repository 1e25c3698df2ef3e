//! URI references against a base (RFC 3986 §5), as far as one origin needs them.

use http::Uri;
use http::uri::{Authority, PathAndQuery};

/// The longest reference that is resolved, in bytes: what servers accept as a request target.
const REFERENCE_MAX: usize = 8 * 1024;

/// The path and query that a reference names when it is on the origin of `base`, without its fragment.
pub(super) fn resolve(base: &Uri, reference: &str) -> Option<PathAndQuery> {
    if reference.len() > REFERENCE_MAX {
        return None;
    }
    let reference = reference.split('#').next().unwrap_or_default();
    if let Some(rest) = reference.strip_prefix("//") {
        return on_authority(base, rest);
    }
    let head = reference.split(['/', '?']).next().unwrap_or_default();
    if let Some((scheme, _)) = head.split_once(':') {
        // Behind TLS termination the request arrives as `http` while the page names itself `https`: one origin with us.
        let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let rest = reference.get(scheme.len() + 1..)?.strip_prefix("//")?;
        return if web { on_authority(base, rest) } else { None };
    }
    let (path, query) = split_query(reference);
    let resolved = match path {
        "" => return if query.is_some() { join(base.path(), query) } else { base.path_and_query().cloned() },
        absolute if absolute.starts_with('/') => without_dots(absolute),
        relative => {
            let folder = base.path().rfind('/').map_or("/", |slash| &base.path()[..=slash]);
            without_dots(&format!("{folder}{relative}"))
        }
    };
    join(&resolved, query)
}

fn on_authority(base: &Uri, rest: &str) -> Option<PathAndQuery> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority: Authority = authority.parse().ok()?;
    let known = base.authority()?;
    let same = authority.host().eq_ignore_ascii_case(known.host()) && port(&authority) == port(known);
    if !same {
        return None;
    }
    let (path, query) = split_query(path);
    join(&without_dots(path), query)
}

/// The port, where it is not the default one of its scheme.
fn port(authority: &Authority) -> Option<u16> {
    authority.port_u16().filter(|port| !matches!(port, 80 | 443))
}

fn split_query(reference: &str) -> (&str, Option<&str>) {
    reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)))
}

fn join(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    match query {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}

/// Removes `.` and `..` segments (RFC 3986 §5.2.4) from an absolute path.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A dot segment at the end leaves a folder.
                if last {
                    kept.push("");
                }
            }
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}
