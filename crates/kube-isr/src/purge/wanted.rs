//! What is out of date: from arguments to the body of one request.

use http::Uri;
use serde_json::{Map, Value, json};

use crate::usage::Usage;

/// What is out of date, as it is typed.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Wanted {
    /// A page with all its variants: a URL, or a path of --host. May be given several times, as may the next three
    #[arg(long = "path", value_name = "URL_OR_PATH", value_parser = place)]
    pub(crate) paths: Vec<String>,
    /// Everything at or below a URL, or a path of --host; without --host, of all hosts
    #[arg(long = "prefix", value_name = "URL_OR_PATH", value_parser = place)]
    pub(crate) prefixes: Vec<String>,
    /// All pages that carry this tag
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// The host of each --path and --prefix that names none; alone: all pages of this host
    #[arg(long = "host", value_name = "HOST", value_parser = host)]
    pub(crate) hosts: Vec<String>,
    /// All pages of the routes that have the token
    #[arg(long, conflicts_with_all = ["paths", "prefixes", "tags", "hosts"])]
    pub(crate) everything: bool,
    /// Serve what is out of date once more, and render it behind the visitor's back; this is what happens without --hard
    #[arg(long)]
    pub(crate) soft: bool,
    /// Serve it no more: the next visitor waits for a render
    #[arg(long, conflicts_with = "soft")]
    pub(crate) hard: bool,
}

/// A route whose pages are meant, and no others.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// As `namespace/name`.
    pub(crate) id: String,
    /// As in its spec.
    pub(crate) hostnames: Vec<String>,
}

impl Wanted {
    /// What is asked of a proxy's admin listener, about all routes of the token or about one of them.
    pub(crate) fn request(&self, route: Option<&Route>) -> Result<Value, Usage> {
        let names_places = !self.paths.is_empty() || !self.prefixes.is_empty();
        let names_nothing = !names_places && self.tags.is_empty() && self.hosts.is_empty();
        if names_nothing && !self.everything && route.is_none() {
            return Err(Usage::new(
                "nothing is named: write --path, --prefix, --tag, --host, or --everything for all pages of the routes that have the token",
            ));
        }
        let is_path = |place: &String| place.starts_with('/');
        if !self.hosts.is_empty() && !self.tags.is_empty() {
            return Err(Usage::new(
                "--tag reaches the pages of all hosts, and --host would not narrow it: leave --host out, or purge twice",
            ));
        }
        if !self.hosts.is_empty() && names_places && !self.paths.iter().chain(&self.prefixes).any(is_path) {
            return Err(Usage::new(
                "--host is the host of paths, and the URLs name their hosts already: leave --host out, or purge twice",
            ));
        }
        let hosts = match self.paths.iter().find(|place| is_path(place)) {
            Some(path) if self.hosts.is_empty() => hosts_of(route, path)?,
            _ => &self.hosts,
        };
        let paths: Vec<String> = self.paths.iter().flat_map(|path| on_each(hosts, path)).collect();
        let prefixes: Vec<String> =
            self.prefixes.iter().flat_map(|prefix| on_each(&self.hosts, prefix)).collect();

        let mut request = Map::new();
        request.insert("mode".to_owned(), json!(if self.hard { "hard" } else { "soft" }));
        let whole_hosts = if names_places { &[] } else { &*self.hosts };
        for (field, items) in
            [("paths", &*paths), ("prefixes", &*prefixes), ("tags", &*self.tags), ("hosts", whole_hosts)]
        {
            if !items.is_empty() {
                request.insert(field.to_owned(), json!(items));
            }
        }
        if self.everything || names_nothing {
            request.insert("everything".to_owned(), json!(true));
        }
        if let Some(route) = route {
            request.insert("routes".to_owned(), json!([route.id]));
        }
        Ok(request.into())
    }
}

/// The hosts of a path when none is typed: those of the route, if they can all be named.
fn hosts_of<'r>(route: Option<&'r Route>, path: &str) -> Result<&'r [String], Usage> {
    let Some(Route { id, hostnames }) = route else {
        return Err(Usage::new(format!(
            "{path} is a page of which host? Write --host shop.example.com, or the URL: https://shop.example.com{path}"
        )));
    };
    match hostnames.iter().find(|host| host.starts_with('*')) {
        Some(wildcard) => Err(Usage::new(format!(
            "IsrRoute {id} answers {wildcard}, which is more hosts than can be named: write the --host of {path}, or --prefix {path} for all of them"
        ))),
        None => Ok(hostnames),
    }
}

/// A place on each of these hosts, unless it names its own or there are none.
fn on_each(hosts: &[String], place: &str) -> Vec<String> {
    if hosts.is_empty() || !place.starts_with('/') {
        return vec![place.to_owned()];
    }
    // The scheme tells no pages apart.
    hosts.iter().map(|host| format!("https://{host}{place}")).collect()
}

fn place(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>();
    let is_url =
        uri.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if is_url || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("write a path, such as /blog, or a URL, such as https://shop.example.com/blog".to_owned())
    }
}

fn host(text: &str) -> Result<String, String> {
    let is_host = !text.is_empty() && !text.contains(['/', '?', '#', '@', '*', ' ']);
    if is_host {
        Ok(text.to_owned())
    } else {
        Err("write one host as visitors do, without a scheme: shop.example.com".to_owned())
    }
}
