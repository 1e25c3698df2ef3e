//! What `nuxt build` leaves behind: the server's code holds the configuration that it starts with, and in it `routeRules`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::literal::{self, Literal};
use super::{Build, Every, Page, pattern};

/// Where Nitro's server is.
const SERVER: &str = ".output/server";

/// Files of the server that are read for its configuration, at most, and the size of each.
const FILES_MOST: usize = 2000;
const FILE_MOST: u64 = 16 << 20;

/// Reads the build of the application in `folder`.
pub(super) fn read(folder: &Path) -> anyhow::Result<Build> {
    let server = [folder.join(SERVER), folder.join("server"), folder.to_owned()]
        .into_iter()
        .find(|candidate| candidate.join("index.mjs").is_file());
    let Some(server) = server else {
        bail!(
            "{} holds no {SERVER}/index.mjs: run nuxt build there first (preset node-server)",
            folder.display()
        );
    };
    let mut files = Vec::new();
    list(&server, &mut files)?;
    files.sort();
    for file in files {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if let Some(configuration) = configuration(&text) {
            return pages(&configuration)
                .with_context(|| format!("the build in {} cannot be imported", server.display()));
        }
    }
    bail!(
        "no file in {} holds the routeRules of the build: it is not what Nuxt 3 or 4 builds for the preset node-server",
        server.display()
    )
}

/// The server's own modules.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let path = entry.path();
        let kind = entry.file_type().with_context(unreadable)?;
        if kind.is_dir() {
            if entry.file_name() != "node_modules" {
                list(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "mjs")
            && entry.metadata().with_context(unreadable)?.len() <= FILE_MOST
            && files.len() < FILES_MOST
        {
            files.push(path);
        }
    }
    Ok(())
}

/// What of the configuration matters here.
#[derive(Debug, PartialEq)]
pub(super) struct Configuration {
    rules: BTreeMap<String, Literal>,
    base: String,
}

/// The configuration in the code of a server, if it is there.
pub(super) fn configuration(code: &str) -> Option<Configuration> {
    let named = |name: &str| {
        let found = [format!("\"{name}\":"), format!("{name}:")];
        found.iter().flat_map(|before| literal::after(code, before)).collect::<Vec<_>>()
    };
    let rules = named("routeRules").into_iter().find_map(|found| match found {
        Literal::Object(rules) if rules.keys().all(|rule| rule.starts_with('/')) && !rules.is_empty() => {
            Some(rules)
        }
        _ => None,
    })?;
    let base = named("baseURL").into_iter().find_map(|found| match found {
        Literal::Text(base) if base.starts_with('/') => Some(base),
        _ => None,
    });
    Some(Configuration { rules, base: base.unwrap_or_default() })
}

/// The pages of a build.
pub(super) fn pages(configuration: &Configuration) -> anyhow::Result<Build> {
    let Configuration { rules, base } = configuration;
    let mut build = Build::default();
    let is_isr = |rule: &Literal| {
        matches!(
            rule.get("isr"),
            Literal::Number(_) | Literal::Text(_) | Literal::Object(_) | Literal::Flag(true)
        )
    };
    // `/blog/**` covers what begins so, also where another rule says otherwise.
    let wide: Vec<&str> = rules
        .iter()
        .filter(|(_, rule)| is_isr(rule))
        .filter_map(|(path, _)| path.strip_suffix("/**"))
        .collect();
    for (path, rule) in rules {
        // The data of a page goes with the page.
        if path.ends_with("/_payload.json") {
            continue;
        }
        let Some(shape) = shape(path) else {
            build.notes.push(format!("{path} is no path that an IsrRoute can have, such as /blog/[slug] or /docs/[[...rest]]: it has no route."));
            continue;
        };
        let is_covered =
            || wide.iter().any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')));
        let (interval, why) = match rule.get("isr") {
            Literal::Flag(false) if is_covered() => {
                (Every::Unsaid, "isr: false, which keeps a wider rule from it".to_owned())
            }
            Literal::Nothing | Literal::Flag(false) if rule.get("swr") != &Literal::Nothing => {
                build.notes.push(format!("{path} has swr, by which Nitro caches it itself: it has no route. With isr in its place it is cached here."));
                continue;
            }
            Literal::Nothing | Literal::Flag(false) => continue,
            Literal::Flag(true) => (Every::Never, "isr: true".to_owned()),
            Literal::Object(_) => match rule.get("isr").get("expiration") {
                Literal::Flag(false) | Literal::Nothing => {
                    (Every::Never, "isr without expiration".to_owned())
                }
                expiration => seconds(expiration, path, &mut build.notes),
            },
            value => seconds(value, path, &mut build.notes),
        };
        let public = pattern::below(base, &shape);
        build.pages.push(Page {
            known: if shape.contains('[') { Vec::new() } else { vec![public.clone()] },
            path: public,
            interval,
            source: format!("routeRules['{path}'], {why} ({SERVER})"),
            query: rule.get("isr").get("allowQuery").texts(),
            ..Page::default()
        });
    }
    ensure!(
        !build.pages.is_empty(),
        "no rule of routeRules has isr: write routeRules: {{ '/blog/**': {{ isr: 60 }} }} in nuxt.config, and build anew"
    );
    Ok(build)
}

fn seconds(value: &Literal, path: &str, notes: &mut Vec<String>) -> (Every, String) {
    if let Some(seconds) = value.seconds() {
        return (Every::Seconds(seconds), format!("isr: {seconds}"));
    }
    notes.push(format!("How long {path} is fresh is not said literally: write its interval."));
    (Every::Unsaid, "isr, for a time that is not said literally".to_owned())
}

/// The path of a rule as `spec.path` writes it; `None` if that cannot be said.
fn shape(rule: &str) -> Option<String> {
    let mut segments = Vec::new();
    let parts: Vec<&str> = rule.split('/').filter(|part| !part.is_empty()).collect();
    for (place, part) in parts.iter().enumerate() {
        let is_last = place + 1 == parts.len();
        segments.push(match *part {
            // What begins so, and the beginning itself.
            part if part.starts_with("**") && is_last => "[[...rest]]".to_owned(),
            "*" => format!("[param{}]", place + 1),
            part if part.starts_with(':') => format!("[{}]", pattern::name(&part[1..])),
            part if part.contains(['*', ':']) => return None,
            part => pattern::literal(part),
        });
    }
    Some(pattern::join(&segments))
}

#[cfg(test)]
mod tests;
