//! Which pages an invalidation names: what people write, as groups of pages and as kinds of pages.
//!
//! Over HTTP and in an `IsrPurge` the same words mean the same. Whose pages they may mean is decided by who asks.

use std::collections::BTreeSet;

use http::Uri;
use isr_cache::{PREFIX_DEPTH, Pages, tags};

use crate::key::group_path;
use crate::route::Route;
use crate::table::{Found, RouteTable};
use crate::target::Target;

/// What is out of date, as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'s> {
    /// Pages, with all their variants and companions: URLs, or paths where it is clear which host is meant.
    pub paths: &'s [String],
    /// Everything at or below these paths: URLs for one host, paths for all hosts.
    pub prefixes: &'s [String],
    /// Pages that carry one of these tags.
    pub tags: &'s [String],
    /// All pages of these hosts.
    pub hosts: &'s [String],
    /// All pages.
    pub everything: bool,
}

/// What is out of date, as the cache knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Names of groups: pages that were named one by one.
    pub groups: BTreeSet<String>,
    /// Kinds of pages, of whose routes is not said here.
    pub pages: BTreeSet<Pages>,
}

/// Something that is written and means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaningless {
    /// Where it is written, as in `paths[0]`; empty if it is about the whole.
    pub field: String,
    /// A phrase that ends in what to write.
    pub message: String,
    /// It would mean something if there were a route for it.
    pub lacks_route: bool,
}

/// Who asks.
pub struct Asker<'a> {
    /// The one host that may be spoken of, if it is only one.
    pub site: Option<&'a str>,
    /// Whether a route's pages may be named, or in a clause what is wrong with it.
    pub may_name: &'a dyn Fn(&Route) -> Result<(), &'static str>,
}

impl Selection<'_> {
    /// How many things are named, everything aside.
    pub fn len(&self) -> usize {
        self.paths.len() + self.prefixes.len() + self.tags.len() + self.hosts.len()
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !self.everything
    }

    /// What is meant, and everything that means nothing.
    pub fn select(&self, table: &RouteTable, asker: &Asker<'_>) -> (Selected, Vec<Meaningless>) {
        let (mut selected, mut wrong) = (Selected::default(), Vec::new());
        if self.is_empty() {
            wrong.push(Meaningless {
                field: String::new(),
                message: "nothing is named: write paths, prefixes, tags, hosts, or everything: true"
                    .to_owned(),
                lacks_route: false,
            });
        }
        for (place, path) in self.paths.iter().enumerate() {
            match group(table, asker, path) {
                Ok(group) => {
                    selected.groups.insert(group);
                }
                Err((message, lacks_route)) => {
                    wrong.push(Meaningless { field: format!("paths[{place}]"), message, lacks_route });
                }
            }
        }
        let lists: [(&str, &[String], &Read); 3] =
            [("prefixes", self.prefixes, &prefix), ("tags", self.tags, &tag), ("hosts", self.hosts, &host)];
        for (name, items, read) in lists {
            for (place, item) in items.iter().enumerate() {
                match read(asker.site, item) {
                    Ok(pages) => {
                        selected.pages.insert(pages);
                    }
                    Err(message) => {
                        let field = format!("{name}[{place}]");
                        wrong.push(Meaningless { field, message, lacks_route: false });
                    }
                }
            }
        }
        if self.everything {
            selected.pages.insert(asker.site.map_or(Pages::All, |host| Pages::Host(host.into())));
        }
        (selected, wrong)
    }
}

/// Reads one item of a list, for a site.
type Read = dyn Fn(Option<&str>, &str) -> Result<Pages, String>;

/// The group of one page; or what is wrong, and whether a route is all that it lacks.
fn group(table: &RouteTable, asker: &Asker<'_>, path: &str) -> Result<String, (String, bool)> {
    let bad = |message: String| (message, false);
    let uri: Uri = path.parse().map_err(|error| bad(format!("`{path}` is no URL: {error}")))?;
    if uri.host().is_none() && asker.site.is_none() {
        return Err(bad(format!(
            "`{path}` names no host: write the URL, as in https://shop.example.com{path}"
        )));
    }
    let target = Target::parse(asker.site.unwrap_or_default(), &uri)
        .map_err(|error| bad(format!("`{path}`: {error}")))?;
    of_this_site(asker.site, &target.host).map_err(bad)?;
    match table.find(&target.host, &target.path) {
        Found::Route { route, page } => match (asker.may_name)(route) {
            Ok(()) => Ok(route.group(&target.host, &page)),
            Err(why) => Err((format!("`{path}` is a page of {}, which {why}", route.id), true)),
        },
        _ => Err((format!("`{path}` is no page of an IsrRoute"), true)),
    }
}

fn prefix(site: Option<&str>, prefix: &str) -> Result<Pages, String> {
    let uri: Uri = prefix.parse().map_err(|error| format!("`{prefix}` is no URL and no path: {error}"))?;
    // A path alone has no host, and any will do to read it.
    let target = Target::parse("any.example.com", &uri).map_err(|error| format!("`{prefix}`: {error}"))?;
    let host = match (uri.host(), site) {
        (Some(_), _) => Some(of_this_site(site, &target.host)?),
        (None, site) => site,
    };
    let path = group_path(&target.path);
    let path = path.trim_end_matches('/');
    if path.matches('/').count() > PREFIX_DEPTH {
        return Err(format!(
            "`{prefix}` has more than {PREFIX_DEPTH} segments: name the pages, or a shorter prefix"
        ));
    }
    Ok(Pages::Prefix { host: host.map(Into::into), path: path.into() })
}

fn tag(_: Option<&str>, tag: &str) -> Result<Pages, String> {
    if tags::is_tag(tag) {
        Ok(Pages::Tag(tag.into()))
    } else {
        Err(format!("a tag has 1 to {} bytes and no control characters", tags::TAG_LENGTH))
    }
}

fn host(site: Option<&str>, host: &str) -> Result<Pages, String> {
    let uri = Uri::default();
    let target = Target::parse(host, &uri).map_err(|error| format!("`{host}` is no host: {error}"))?;
    Ok(Pages::Host(of_this_site(site, &target.host)?.into()))
}

/// A site speaks of itself alone.
fn of_this_site<'h>(site: Option<&str>, host: &'h str) -> Result<&'h str, String> {
    match site {
        Some(own) if own != host => {
            Err(format!("{host} is another host than {own}, where the request was sent"))
        }
        _ => Ok(host),
    }
}

#[cfg(test)]
mod tests;
