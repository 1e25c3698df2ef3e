//! What `next build` leaves behind, of both routers: `prerender-manifest.json` lists the pages that were or may be
//! prerendered, `routes-manifest.json` where the application is mounted and its languages.

mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::guard::Other;
use super::{Build, Every, Page, json, pattern};
use site::{Mount, OF_NEXT, Site};

/// What a build calls the list of pages.
const PRERENDERED: &str = "prerender-manifest.json";

/// The files of a build.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) prerendered: Value,
    pub(super) routes: Value,
    /// Which files of the App Router make which routes; absent in a build without it.
    pub(super) app_paths: Value,
    /// Which files of the Pages Router make which pages.
    pub(super) page_paths: Value,
    /// The configuration that the server starts with; only for how paths end.
    pub(super) server: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prerendered {
    routes: BTreeMap<String, Static>,
    #[serde(default)]
    dynamic_routes: BTreeMap<String, Dynamic>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Static {
    initial_revalidate_seconds: Revalidate,
    src_route: Option<String>,
    #[serde(flatten)]
    mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dynamic {
    fallback_revalidate: Option<Revalidate>,
    #[serde(flatten)]
    mode: Mode,
}

/// How much of a page is the same for everybody: said by `compute` since Next.js 16.4, and by `renderingMode` before.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mode {
    compute: Option<String>,
    rendering_mode: Option<String>,
}

/// Seconds, or `false` for never; `true` is a second, as `getStaticProps` may say it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Revalidate {
    Seconds(u64),
    Flag(bool),
}

/// Reads the build of the application in `folder`.
pub(super) fn read(folder: &Path) -> anyhow::Result<Build> {
    let built = built(folder)?;
    let optional = |name: &str| {
        let path = built.join(name);
        if path.exists() { json(&path) } else { Ok(Value::Null) }
    };
    let files = Files {
        prerendered: json(&built.join(PRERENDERED))?,
        routes: json(&built.join("routes-manifest.json"))?,
        app_paths: optional("app-path-routes-manifest.json")?,
        page_paths: optional("server/pages-manifest.json")?,
        server: optional("required-server-files.json")?,
    };
    pages(&files).with_context(|| format!("the build in {} cannot be imported", built.display()))
}

/// The folder that the build has written: `.next` of the application, or the folder itself (`distDir`).
fn built(folder: &Path) -> anyhow::Result<PathBuf> {
    for candidate in [folder.join(".next"), folder.to_owned()] {
        if candidate.join(PRERENDERED).is_file() {
            return Ok(candidate);
        }
    }
    bail!(
        "{} holds no .next/{PRERENDERED}: run next build there first, or name the folder that the build writes (distDir)",
        folder.display()
    )
}

/// The pages of a build.
pub(super) fn pages(files: &Files) -> anyhow::Result<Build> {
    let read = Prerendered::deserialize(&files.prerendered);
    let prerendered =
        read.with_context(|| format!("{PRERENDERED} is not what Next.js 12 or later writes"))?;
    let mount = if files.routes.is_null() {
        Mount::default()
    } else {
        Mount::deserialize(&files.routes).context("routes-manifest.json is not what Next.js writes")?
    };
    let site = Site {
        mount: &mount,
        slash: files.server["config"]["trailingSlash"] == true,
        app_paths: &files.app_paths,
    };
    let mut reading =
        Reading { site, prerendered: &prerendered, build: Build::default(), holed: BTreeSet::new() };
    reading.listed();
    reading.dynamic();
    reading.others(&files.page_paths);
    reading.notes();
    let build = reading.build;
    ensure!(
        !build.pages.is_empty(),
        "{PRERENDERED} lists no page: give a page getStaticProps or a revalidate, or leave it without a route"
    );
    Ok(build)
}

/// A build being read.
struct Reading<'b> {
    site: Site<'b>,
    prerendered: &'b Prerendered,
    build: Build,
    /// What is the same for everybody in part only.
    holed: BTreeSet<&'b str>,
}

impl Reading<'_> {
    /// Pages that are listed by their own paths.
    fn listed(&mut self) {
        for (key, route) in &self.prerendered.routes {
            let source = self.site.localised(route.src_route.as_deref().unwrap_or(key)).1;
            let is_own = OF_NEXT.contains(&self.site.localised(key).1);
            if is_own || self.prerendered.dynamic_routes.contains_key(source) {
                continue;
            }
            if route.mode.has_holes() {
                self.holed.insert(key);
                continue;
            }
            let every = Every::from(route.initial_revalidate_seconds);
            let made = self.site.file(source);
            self.build.pages.push(Page {
                path: self.site.public(key, pattern::literal_path),
                interval: every,
                source: format!("{made}, {} (routes of .next/{PRERENDERED})", said(every)),
                default_locale: self.site.default_of(key),
                vary_by: self.site.vary_by(source),
                known: self.site.known(key).into_iter().collect(),
                ..Page::default()
            });
        }
    }

    /// Pages of one shape, and which of them are listed.
    fn dynamic(&mut self) {
        for (key, route) in &self.prerendered.dynamic_routes {
            if route.mode.has_holes() {
                self.holed.insert(key);
                continue;
            }
            let Some(shape) = shape(key) else {
                self.build.notes.push(format!("{key} is shown in place of another page by client-side navigation alone (an intercepting route): it has no route."));
                continue;
            };
            let listed =
                || self.prerendered.routes.iter().filter(|(_, page)| page.src_route.as_ref() == Some(key));
            let fallback = route.fallback_revalidate.map(Every::from);
            let all: BTreeSet<u64> = listed()
                .map(|(_, page)| Every::from(page.initial_revalidate_seconds))
                .chain(fallback)
                .map(order)
                .collect();
            let shortest = match all.first() {
                None => Every::Unsaid,
                Some(&u64::MAX) => Every::Never,
                Some(&seconds) => Every::Seconds(seconds),
            };
            let which = if all.len() > 1 { ", the shortest of its pages" } else { "" };
            let made = self.site.file(key);
            let source = format!("{made}, {}{which} (dynamicRoutes of .next/{PRERENDERED})", said(shortest));
            let locales = if self.site.app_file(key).is_some() { vec![None] } else { self.site.locales() };
            let mut pages = Vec::new();
            for locale in locales {
                let is_mine =
                    |path: &str| locale.is_none_or(|locale| self.site.localised(path).0 == Some(locale));
                let local = match locale {
                    Some(locale) if !self.site.is_default(locale) => format!("/{locale}{shape}"),
                    _ => shape.clone(),
                };
                pages.push(Page {
                    path: pattern::below(&self.site.mount.base_path, &local),
                    interval: shortest,
                    source: source.clone(),
                    default_locale: locale
                        .filter(|locale| self.site.is_default(locale))
                        .map(ToOwned::to_owned),
                    vary_by: self.site.vary_by(key),
                    known: listed()
                        .filter(|(path, _)| is_mine(path))
                        .filter_map(|(path, _)| self.site.known(path))
                        .collect(),
                    ..Page::default()
                });
            }
            self.build.pages.extend(pages);
        }
    }

    /// Everything else that the application has.
    fn others(&mut self, page_paths: &Value) {
        let is_whole = |route: &str| {
            let of_route = |key: &str| self.site.localised(key).1 == route && !self.holed.contains(key);
            let is_listed = self.prerendered.routes.keys().any(|key| of_route(key));
            is_listed || (self.prerendered.dynamic_routes.contains_key(route) && !self.holed.contains(route))
        };
        for route in self.site.all(page_paths) {
            if let (false, Some(shape)) = (is_whole(route), shape(route)) {
                let path = pattern::below(&self.site.mount.base_path, &shape);
                self.build.others.push(Other { path, source: self.site.file(route) });
            }
        }
    }

    fn notes(&mut self) {
        let notes = &mut self.build.notes;
        if !self.holed.is_empty() {
            let list = self.holed.iter().copied().collect::<Vec<_>>().join(", ");
            notes.push(format!(
                "Without a route, because each visitor's response is another one (partial prerendering): {list}."
            ));
        }
        let Some(i18n) = &self.site.mount.i18n else { return };
        if i18n.locale_detection != Some(false) {
            notes.push(format!(
                "Next.js sends visitors of the start page to their language unless i18n.localeDetection is false. From the cache everybody gets that of {}.",
                i18n.default_locale
            ));
        }
        if !i18n.domains.is_empty() {
            notes.push("i18n.domains have default languages of their own, which are not imported: these routes are for hosts without one.".to_owned());
        }
    }
}

impl Mode {
    /// Whether some of the page is rendered for each visitor (partial prerendering).
    fn has_holes(&self) -> bool {
        match &self.compute {
            Some(compute) => compute == "resuming",
            None => self.rendering_mode.as_deref() == Some("PARTIALLY_STATIC"),
        }
    }
}

/// A route's path as `spec.path` writes it; `None` for an intercepting one.
pub(super) fn shape(route: &str) -> Option<String> {
    let mut segments = Vec::new();
    for segment in route.split('/').filter(|segment| !segment.is_empty()) {
        let within = |open: &str, close: &str| segment.strip_prefix(open)?.strip_suffix(close);
        segments.push(if let Some(name) = within("[[...", "]]") {
            format!("[[...{}]]", pattern::name(name))
        } else if let Some(name) = within("[...", "]") {
            format!("[...{}]", pattern::name(name))
        } else if let Some(name) = within("[", "]") {
            format!("[{}]", pattern::name(name))
        } else if segment.starts_with("(.") {
            return None;
        } else {
            pattern::literal(segment)
        });
    }
    Some(pattern::join(&segments))
}

/// Never is the longest.
fn order(every: Every) -> u64 {
    match every {
        Every::Seconds(seconds) => seconds,
        Every::Never | Every::Unsaid => u64::MAX,
    }
}

fn said(every: Every) -> String {
    match every {
        Every::Unsaid => "no revalidate known before its first page".to_owned(),
        Every::Never => "revalidate: false".to_owned(),
        Every::Seconds(seconds) => format!("revalidate: {seconds}"),
    }
}

impl From<Revalidate> for Every {
    fn from(revalidate: Revalidate) -> Self {
        match revalidate {
            Revalidate::Seconds(seconds) => Self::Seconds(seconds),
            Revalidate::Flag(true) => Self::Seconds(1),
            Revalidate::Flag(false) => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests;
