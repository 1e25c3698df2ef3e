//! Where the pages of a build are: below which path, in which languages, and from which files.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::pattern::{self, Overlap, overlap};
use super::shape;

/// Pages of the framework itself, which no visitor asks for by these paths.
pub(super) const OF_NEXT: [&str; 5] = ["/404", "/500", "/_error", "/_not-found", "/_global-error"];

/// The longest path that a route may name for prerendering, in bytes.
const KNOWN_BYTES: usize = 512;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Mount {
    pub(super) base_path: String,
    pub(super) i18n: Option<I18n>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct I18n {
    pub(super) locales: Vec<String>,
    pub(super) default_locale: String,
    pub(super) locale_detection: Option<bool>,
    #[serde(default)]
    pub(super) domains: Vec<Value>,
}

/// The route in whose place an intercepting one is shown: `/photo/[id]` for `/feed/(..)photo/[id]`. `(.)` is beside what stands
/// before it, each `(..)` one level above that, and `(...)` the root.
fn intercepted(route: &str) -> Option<String> {
    let (before, marked) = route.split_once("/(.")?;
    let mut levels: Vec<&str> = before.split('/').filter(|level| !level.is_empty()).collect();
    let mut rest = &route[before.len() + 1..];
    loop {
        rest = if let Some(rest) = rest.strip_prefix("(...)") {
            levels.clear();
            rest
        } else if let Some(rest) = rest.strip_prefix("(..)") {
            levels.pop();
            rest
        } else if let Some(rest) = rest.strip_prefix("(.)") {
            rest
        } else {
            break;
        };
    }
    levels.push(rest);
    (marked.len() > rest.len()).then(|| format!("/{}", levels.join("/")))
}

/// How the application is mounted.
pub(super) struct Site<'b> {
    pub(super) mount: &'b Mount,
    /// Whether its paths end with a slash.
    pub(super) slash: bool,
    pub(super) app_paths: &'b Value,
}

impl<'b> Site<'b> {
    /// The language at the beginning of a listed path, and the rest.
    pub(super) fn localised<'p>(&self, path: &'p str) -> (Option<&'b str>, &'p str) {
        let i18n = self.mount.i18n.as_ref();
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let locale = i18n.and_then(|i18n| i18n.locales.iter().find(|locale| locale.as_str() == first));
        match locale {
            None => (None, path),
            Some(locale) => {
                let rest = &path[1 + locale.len()..];
                (Some(locale), if rest.is_empty() { "/" } else { rest })
            }
        }
    }

    pub(super) fn is_default(&self, locale: &str) -> bool {
        self.mount.i18n.as_ref().is_some_and(|i18n| i18n.default_locale == locale)
    }

    /// The language of a listed path, if visitors ask for it without.
    pub(super) fn default_of(&self, path: &str) -> Option<String> {
        self.localised(path).0.filter(|locale| self.is_default(locale)).map(ToOwned::to_owned)
    }

    /// The header fields by which a route's pages differ: whoever comes from the page that an intercepting route is for gets
    /// another payload.
    pub(super) fn vary_by(&self, route: &str) -> Vec<String> {
        let Some(path) = shape(route) else { return Vec::new() };
        let is_it = |intercepted: &String| {
            overlap(intercepted, &path) != Overlap::No || overlap(&path, intercepted) != Overlap::No
        };
        let made = self.app_paths.as_object().into_iter().flatten().filter_map(|(_, made)| made.as_str());
        let intercepted = made.filter_map(intercepted).filter_map(|intercepted| shape(&intercepted));
        intercepted.filter(is_it).take(1).map(|_| "Next-Url".to_owned()).collect()
    }

    /// Each language, or none once.
    pub(super) fn locales(&self) -> Vec<Option<&'b str>> {
        match &self.mount.i18n {
            None => vec![None],
            Some(i18n) => i18n.locales.iter().map(|locale| Some(locale.as_str())).collect(),
        }
    }

    /// The path by which visitors ask for a listed one.
    pub(super) fn public(&self, path: &str, write: impl Fn(&str) -> String) -> String {
        let path = match self.localised(path) {
            (Some(locale), rest) if self.is_default(locale) => rest,
            _ => path,
        };
        pattern::below(&self.mount.base_path, &write(path))
    }

    /// The same as `spec.prerender.paths` takes it.
    pub(super) fn known(&self, path: &str) -> Option<String> {
        let mut path = self.public(path, pattern::literal_path);
        if self.slash && !path.ends_with('/') {
            path.push('/');
        }
        (path.len() <= KNOWN_BYTES).then_some(path)
    }

    /// The file of the App Router that makes a route.
    pub(super) fn app_file(&self, route: &str) -> Option<&'b str> {
        let paths = self.app_paths.as_object()?;
        paths.iter().find(|(_, made)| *made == route).map(|(file, _)| file.as_str())
    }

    /// Every route of the application, of both routers, but those of the framework itself.
    pub(super) fn all<'m>(&self, page_paths: &'m Value) -> BTreeSet<&'m str>
    where
        'b: 'm,
    {
        let of_app = self.app_paths.as_object().into_iter().flatten().filter_map(|(_, route)| route.as_str());
        let of_pages = page_paths.as_object().into_iter().flatten().map(|(route, _)| self.localised(route).1);
        let is_own = |route: &&str| !OF_NEXT.contains(route) && !matches!(*route, "/_app" | "/_document");
        of_app.chain(of_pages).filter(is_own).collect()
    }

    /// What makes a route, for people.
    pub(super) fn file(&self, route: &str) -> String {
        match self.app_file(route) {
            Some(file) => format!("app{file}"),
            None => format!("pages{route}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_intercepted_is_found() {
        for (route, expected) in [
            ("/feed/(..)photo/[id]", Some("/photo/[id]")),
            ("/(.)photo/[id]", Some("/photo/[id]")),
            ("/feed/(.)photo", Some("/feed/photo")),
            ("/a/b/c/(..)(..)photo", Some("/a/photo")),
            ("/a/b/(...)photo/[id]", Some("/photo/[id]")),
            ("/photo/[id]", None),
            ("/docs/[...rest]", None),
            ("/docs/[[...rest]]", None),
        ] {
            assert_eq!(intercepted(route).as_deref(), expected, "{route}");
        }
    }
}
