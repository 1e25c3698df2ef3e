//! What `vite build` leaves behind of a SvelteKit application: its routes in `.svelte-kit/output/server/manifest-full.js`, and
//! for each of its nodes (pages and layouts) the modules with their `config` and `prerender`. No adapter but Vercel's takes
//! `config.isr` from there, so the modules are read as they are; nothing is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::guard::Other;
use super::literal::{self, Literal};
use super::{Build, Every, Page, pattern};

/// Where the build is.
const SERVER: &str = ".svelte-kit/output/server";

/// Reads the build of the application in `folder`.
pub(super) fn read(folder: &Path) -> anyhow::Result<Build> {
    let server = [folder.join(SERVER), folder.join("output/server"), folder.to_owned()]
        .into_iter()
        .find_map(|server| manifest(&server).map(|manifest| (server, manifest)));
    let Some((server, manifest)) = server else {
        bail!("{} holds no {SERVER}/manifest.js: run vite build there first", folder.display());
    };
    let text =
        std::fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let source = |file: &str| {
        let path = server.join(file);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    pages(&text, &source).with_context(|| format!("the build in {} cannot be imported", server.display()))
}

/// The manifest with all routes; the other one may lack those that were prerendered.
fn manifest(server: &Path) -> Option<PathBuf> {
    ["manifest-full.js", "manifest.js"].iter().map(|name| server.join(name)).find(|path| path.is_file())
}

/// The pages of a build: its manifest, and its modules by their paths below the manifest's folder.
pub(super) fn pages(
    manifest: &str,
    source: &impl Fn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<Build> {
    let of = |name: &str| literal::after(manifest, name).into_iter().next().unwrap_or(Literal::Nothing);
    let (Literal::List(routes), Literal::List(nodes)) = (of("routes:"), of("nodes:")) else {
        bail!("its manifest lists no routes: it is not what SvelteKit 2 or 3 writes");
    };
    let base = base(&of("app_dir:"), &of("app_path:"));
    let mut modules = Modules { source, nodes: &nodes, known: BTreeMap::new() };
    let mut build = Build::default();
    let mut has_config = false;
    for route in &routes {
        let Literal::Text(id) = route.get("id") else { continue };
        let options = match route.get("page") {
            Literal::Object(_) => modules.of_page(route.get("page"))?,
            _ => modules.of_endpoint(route.get("endpoint"))?,
        };
        // Files: no request for them needs rendering.
        if options.prerender == Some(true) {
            continue;
        }
        let Some(paths) = paths(id) else {
            build.notes.push(format!("{id} is no path that an IsrRoute can have, such as /blog/[slug] or /docs/[[...rest]]: it has no route."));
            continue;
        };
        let paths = paths.iter().map(|path| pattern::below(&base, path));
        let isr = options.config.get("isr");
        let is_isr = match isr {
            Literal::Object(_) => true,
            Literal::Unknown(written) => {
                build
                    .notes
                    .push(format!("The isr of {id} is not said literally ({written}): write its interval."));
                true
            }
            _ => false,
        };
        has_config |= is_isr;
        if !is_isr {
            build.others.extend(paths.map(|path| Other { path, source: format!("src/routes{id}") }));
            continue;
        }
        let expiration = isr.get("expiration");
        let (interval, why) = match (expiration, expiration.seconds()) {
            (Literal::Flag(false), _) => (Every::Never, "isr.expiration: false".to_owned()),
            (_, Some(seconds)) => (Every::Seconds(seconds), format!("isr.expiration: {seconds}")),
            (_, None) => {
                if matches!(isr, Literal::Object(_)) {
                    build.notes.push(format!(
                        "The isr.expiration of {id} is not said literally: write its interval."
                    ));
                }
                (Every::Unsaid, "isr.expiration is not said literally".to_owned())
            }
        };
        for path in paths {
            let known = if path.contains('[') { Vec::new() } else { vec![path.clone()] };
            let source = format!("src/routes{id}, {why} (config)");
            let query = isr.get("allowQuery").texts();
            build.pages.push(Page { path, interval, source, query, known, ..Page::default() });
        }
    }
    ensure!(
        has_config,
        "no page has config.isr: write export const config = {{ isr: {{ expiration: 60 }} }} in its +page.server.js, and build anew"
    );
    merge(&mut build);
    Ok(build)
}

/// Routes that differ by a matcher alone are one here: the shortest interval holds for all of them.
fn merge(build: &mut Build) {
    let order = |every: Every| match every {
        Every::Seconds(seconds) => seconds,
        Every::Never | Every::Unsaid => u64::MAX,
    };
    let shape = |path: &str| {
        let segments = path
            .split('/')
            .map(|text| if text.starts_with('[') && !text.contains("...") { "[]" } else { text });
        segments.collect::<Vec<_>>().join("/")
    };
    let mut merged: Vec<Page> = Vec::new();
    for page in std::mem::take(&mut build.pages) {
        match merged.iter_mut().find(|known| shape(&known.path) == shape(&page.path)) {
            None => merged.push(page),
            Some(known) => {
                if order(page.interval) < order(known.interval) {
                    known.interval = page.interval;
                }
                known.source = format!("{}; and {}", known.source, page.source);
            }
        }
    }
    build.pages = merged;
}

/// What a route says of itself.
#[derive(Debug)]
struct Options {
    config: Literal,
    prerender: Option<bool>,
}

/// The modules of a build.
struct Modules<'b, S> {
    source: &'b S,
    nodes: &'b [Literal],
    known: BTreeMap<String, String>,
}

impl<S: Fn(&str) -> anyhow::Result<String>> Modules<'_, S> {
    /// The options of a page: those of its layouts, from the outermost on, and its own.
    fn of_page(&mut self, page: &Literal) -> anyhow::Result<Options> {
        let Literal::List(layouts) = page.get("layouts") else {
            bail!("its manifest lists a page without layouts")
        };
        let mut options = Options { config: Literal::Object(BTreeMap::new()), prerender: None };
        for node in layouts.iter().chain([page.get("leaf")]) {
            // A hole where a layout was reset.
            let Some(number) = node.seconds() else { continue };
            let loader = usize::try_from(number).ok().and_then(|number| self.nodes.get(number));
            let Some(Literal::Unknown(loader)) = loader else { bail!("its manifest has no node {number}") };
            let Some(file) = imported(loader) else {
                bail!("its manifest does not say where node {number} is")
            };
            let node = self.module(&file)?;
            for kind in ["universal", "server"] {
                // `import * as server from '../entries/pages/_page.server.js';`, and of a page that is not rendered on
                // the server its options themselves.
                if let Some(Literal::Text(module)) = first_after(&node, &format!("import * as {kind} from "))
                {
                    options.take(&self.module(module.trim_start_matches("../"))?);
                } else if let Some(inline @ Literal::Object(_)) =
                    first_after(&node, &format!("export const {kind} ="))
                {
                    options.add(Some(inline.get("config").clone()), Some(inline.get("prerender")));
                }
            }
        }
        Ok(options)
    }

    fn of_endpoint(&mut self, endpoint: &Literal) -> anyhow::Result<Options> {
        let mut options = Options { config: Literal::Object(BTreeMap::new()), prerender: None };
        if let Literal::Unknown(loader) = endpoint
            && let Some(file) = imported(loader)
        {
            options.take(&self.module(&file)?);
        }
        Ok(options)
    }

    fn module(&mut self, file: &str) -> anyhow::Result<String> {
        if let Some(known) = self.known.get(file) {
            return Ok(known.clone());
        }
        let source = (self.source)(file)?;
        self.known.insert(file.to_owned(), source.clone());
        Ok(source)
    }
}

impl Options {
    /// Takes over what a module exports.
    fn take(&mut self, module: &str) {
        self.add(exported(module, "config"), exported(module, "prerender").as_ref());
    }

    /// Fields replace those before, as SvelteKit merges them.
    fn add(&mut self, config: Option<Literal>, prerender: Option<&Literal>) {
        match config {
            Some(Literal::Object(fields)) => {
                if let Literal::Object(all) = &mut self.config {
                    all.extend(fields);
                }
            }
            Some(Literal::Unknown(written)) => {
                let isr = [("isr".to_owned(), Literal::Unknown(written))];
                self.config = Literal::Object(isr.into());
            }
            _ => {}
        }
        match prerender {
            Some(Literal::Flag(flag)) => self.prerender = Some(*flag),
            None | Some(Literal::Nothing) => {}
            // `auto`: what was not prerendered is rendered.
            Some(_) => self.prerender = None,
        }
    }
}

/// The first value that follows this text.
fn first_after(source: &str, before: &str) -> Option<Literal> {
    source.find(before).and_then(|at| literal::read(&source[at + before.len()..]))
}

/// The value that a module exports by this name.
fn exported(module: &str, name: &str) -> Option<Literal> {
    // Bundlers rename what would be called alike: `export { config$1 as config }`.
    let exports = module.rfind("export {").map(|at| &module[at + "export {".len()..]);
    let exports = exports.and_then(|exports| exports.split_once('}')).map_or("", |(exports, _)| exports);
    let local = exports.split(',').map(str::trim).find_map(|export| match export.split_once(" as ") {
        Some((local, exported)) => (exported.trim() == name).then(|| local.trim()),
        None => (export == name).then_some(export),
    });
    let is_inline = |keyword: &&str| module.contains(&format!("export {keyword} {name} ="));
    let local = local.or_else(|| ["const", "let", "var"].iter().any(is_inline).then_some(name))?;
    let defined = ["const", "let", "var"]
        .iter()
        .find_map(|keyword| literal::after(module, &format!("{keyword} {local} =")).into_iter().next());
    Some(defined.unwrap_or_else(|| Literal::Unknown(local.to_owned())))
}

/// The file of `__memo(() => import('./nodes/0.js'))`, below the folder of the manifest.
fn imported(loader: &str) -> Option<String> {
    let at = loader.find("import(")?;
    match literal::read(&loader[at + "import(".len()..])? {
        Literal::Text(file) => Some(file.trim_start_matches("./").to_owned()),
        _ => None,
    }
}

/// Where the application is mounted (`paths.base`): the way to its files less their folder.
fn base(app_dir: &Literal, app_path: &Literal) -> String {
    match (app_dir, app_path) {
        (Literal::Text(folder), Literal::Text(path)) => {
            let base = path.strip_suffix(folder.as_str()).unwrap_or_default().trim_matches('/');
            if base.is_empty() { String::new() } else { format!("/{base}") }
        }
        _ => String::new(),
    }
}

/// The paths of a route's id: two for each optional parameter. `None` if `spec.path` cannot say them.
fn paths(id: &str) -> Option<Vec<String>> {
    let mut paths = vec![Vec::new()];
    let parts: Vec<&str> = id.split('/').filter(|part| !part.is_empty() && !is_group(part)).collect();
    for (place, part) in parts.iter().enumerate() {
        let part = unescaped(part);
        let name = |text: &str| pattern::name(text.split('=').next().unwrap_or_default());
        let within =
            |open: &str, close: &str| part.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let Some(optional) = within("[[", "]]").filter(|text| !text.contains(['[', ']'])) {
            let mut with = paths.clone();
            for path in &mut with {
                path.push(format!("[{}]", name(optional)));
            }
            paths.extend(with);
            continue;
        }
        let segment = if let Some(rest) = within("[...", "]").filter(|text| !text.contains(['[', ']'])) {
            if place + 1 < parts.len() {
                return None;
            }
            // SvelteKit's may be empty.
            format!("[[...{}]]", name(rest))
        } else if let Some(one) = within("[", "]").filter(|text| !text.contains(['[', ']'])) {
            format!("[{}]", name(one))
        } else if part.contains(['[', ']']) {
            return None;
        } else {
            pattern::literal(&part)
        };
        for path in &mut paths {
            path.push(segment.clone());
        }
    }
    Some(paths.iter().map(|segments| pattern::join(segments)).collect())
}

fn is_group(part: &str) -> bool {
    part.starts_with('(') && part.ends_with(')')
}

/// A part of an id with its escapes, `[x+2e]` and `[u+d83e]`, as what they stand for.
fn unescaped(part: &str) -> String {
    let mut out = String::new();
    let mut rest = part;
    while let Some(at) = rest.find("[x+").or_else(|| rest.find("[u+")) {
        let Some(end) = rest[at..].find(']') else { break };
        out.push_str(&rest[..at]);
        let code = u32::from_str_radix(&rest[at + 3..at + end], 16).ok().and_then(char::from_u32);
        out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
