//! An `IsrPurge`, compiled: which pages it means, or why it means none.

use isr_api::{IsrPurge, IsrPurgeSpec, PURGE_KIND, PurgeMode};
use isr_cache::{Mode, Realm};

use super::{duration, rules};
use crate::purges::Purge;
use crate::report::{ObjectRef, Report, Severity};
use crate::route::Route;
use crate::selection::{Asker, Selected, Selection};
use crate::table::RouteTable;

/// The bounds of the definition: field, most items, longest item in characters.
const BOUNDS: [(&str, usize, usize); 5] = [
    ("paths", 100, 1024),
    ("prefixes", 64, 1024),
    ("tags", 64, 256),
    ("hosts", 16, 253),
    ("routes", 16, 253),
];

/// Compiles a purge against the routes in force. `unmatched` is how bad it is that no route answers what it names: an error
/// where all routes are known.
///
/// It reaches pages of its own namespace's routes and no others, whatever it names.
pub fn compile_purge(
    resource: &IsrPurge,
    table: &RouteTable,
    unmatched: Severity,
) -> (Report, Option<Purge>) {
    let metadata = &resource.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    let name = metadata.name.as_deref().unwrap_or_default();
    let mut report = Report::about(ObjectRef::new(PURGE_KIND, namespace, name));
    let spec = &resource.spec;
    bounds(spec, &mut report);
    if let Err(wrong) = time_to_live(spec) {
        report.invalid("spec.ttlAfterFinished", wrong);
    }

    let ids: Vec<String> = spec.routes.iter().map(|route| format!("{namespace}/{route}")).collect();
    for (place, id) in ids.iter().enumerate() {
        if !table.routes().any(|route| *route.id == **id) {
            let message = format!(
                "`{}` is no IsrRoute in force in namespace {namespace}: write the name of one, such as blog-posts",
                spec.routes[place]
            );
            report.missing(unmatched, format!("spec.routes[{place}]"), message);
        }
    }
    let may_name = |route: &Route| {
        let is_own = route.id.split('/').next() == Some(namespace);
        let is_named = ids.is_empty() || ids.iter().any(|id| **id == *route.id);
        match (is_own, is_named) {
            (true, true) => Ok(()),
            (false, _) => Err("is a route of another namespace: create the IsrPurge there"),
            (true, false) => Err("is not among routes: add it there"),
        }
    };
    let IsrPurgeSpec { paths, prefixes, tags, hosts, everything, .. } = spec;
    let selection = Selection { paths, prefixes, tags, hosts, everything: *everything };
    let (Selected { groups, pages }, wrong) =
        selection.select(table, &Asker { site: None, may_name: &may_name });
    for wrong in wrong {
        let field = if wrong.field.is_empty() { "spec".to_owned() } else { format!("spec.{}", wrong.field) };
        let severity = if wrong.lacks_route { unmatched } else { Severity::Error };
        report.missing(severity, field, wrong.message);
    }
    report.accepted = !report.has_errors();
    let realms = if ids.is_empty() {
        vec![Realm::Namespace(namespace.into())]
    } else {
        ids.iter().map(|id| Realm::Route(id.as_str().into())).collect()
    };
    let purge = Purge {
        cause: report.object.to_string(),
        uid: metadata.uid.clone().unwrap_or_default(),
        mode: match spec.mode {
            PurgeMode::Soft => Mode::Soft,
            PurgeMode::Hard => Mode::Hard,
        },
        realms,
        groups: groups.into_iter().collect(),
        pages: pages.into_iter().collect(),
        spread: None,
    };
    let purge = report.accepted.then_some(purge);
    (report, purge)
}

/// How long a finished purge stays, in time; `None` for ever. The error is a phrase that ends in what to write.
pub fn time_to_live(spec: &IsrPurgeSpec) -> Result<Option<std::time::Duration>, String> {
    /// Long enough to look into a purge of yesterday; 10,000 of a minute's worth each are no burden.
    const USUAL: std::time::Duration = std::time::Duration::from_hours(24);
    match &spec.ttl_after_finished {
        None => Ok(Some(USUAL)),
        Some(text) if text.0 == "Never" => Ok(None),
        Some(text) => duration::gep_2257(&text.0)
            .map(Some)
            .ok_or_else(|| format!("`{}` is no duration: write 24h, 90s or Never", text.0)),
    }
}

fn bounds(spec: &IsrPurgeSpec, report: &mut Report) {
    let lists = [&spec.paths, &spec.prefixes, &spec.tags, &spec.hosts, &spec.routes];
    for ((name, most, longest), items) in BOUNDS.iter().zip(lists) {
        rules::limit(items, *most, &format!("spec.{name}"), name, report);
        for (place, item) in items.iter().enumerate() {
            let field = format!("spec.{name}[{place}]");
            if items[..place].contains(item) {
                report.invalid(field, format!("names `{item}` a second time: remove it"));
            } else if let Some(wrong) = rules::too_long(item, *longest) {
                report.invalid(field, wrong);
            } else if let Some(fix) = misspelt(name, item) {
                report.invalid(field, format!("`{item}` {fix}"));
            }
        }
    }
}

/// What is wrong with the spelling of an item of a list, if it is wrong in a way that has nothing to do with the routes.
fn misspelt(list: &str, item: &str) -> Option<&'static str> {
    let is_lower = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "-.".contains(char);
    let is_name = !item.is_empty() && item.chars().all(is_lower) && !item.starts_with(['-', '.']);
    let is_url = item.starts_with("http://") || item.starts_with("https://");
    let has_query = item.contains(['?', '#']);
    match list {
        "paths" if !is_url => Some("is no URL: write https://shop.example.com/blog-posts/1"),
        "prefixes" if !is_url && !item.starts_with('/') => {
            Some("is neither a path nor a URL: write /blog, or https://shop.example.com/blog")
        }
        "paths" | "prefixes" if has_query => Some("holds a query: write the path alone"),
        "tags" if !item.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Some("is not printable ASCII without spaces: write blog or post-1")
        }
        "hosts" if !is_name => Some("is no host in lower case without port: write shop.example.com"),
        "routes" if !is_name => Some("is no name of this namespace's: write blog-posts"),
        _ => None,
    }
}
