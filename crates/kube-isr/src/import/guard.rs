//! Pages that are for one visitor must not be reached by the route of pages that are for all.
//!
//! An application with `/blog/[slug]` for everybody and `/blog/drafts` for its authors has two pages of its own, and one
//! route: `/blog/drafts` matches it. A second route without an interval, which goes before it, keeps them apart.

use super::pattern::{Overlap, overlap};
use super::{Build, Every, Page};

/// A page that is not for everybody, as far as the build knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Other {
    /// As `spec.path` would say it.
    pub(super) path: String,
    /// What makes it, for people.
    pub(super) source: String,
}

/// Adds a route for each other page that one of the pages would reach, and takes those out that cannot be told apart from
/// another page.
pub(super) fn guarded(build: Build) -> Build {
    let Build { pages, others, mut notes } = build;
    let is_shared = |page: &&Page| page.interval != Every::Unsaid;
    let mut kept = Vec::new();
    for page in &pages {
        let same = others.iter().find(|other| overlap(&other.path, &page.path) == Overlap::Same);
        match same.filter(|_| is_shared(&page)) {
            None => kept.push(page.clone()),
            Some(other) => notes.push(format!(
                "{} ({}) has no route, because {} has the same path.",
                page.path, page.source, other.source
            )),
        }
    }
    let mut guards: Vec<Page> = Vec::new();
    for other in &others {
        let is_known = kept.iter().chain(&guards).any(|page| page.path == other.path);
        let reaching =
            kept.iter().filter(is_shared).find(|page| overlap(&other.path, &page.path) == Overlap::Before);
        if let (false, Some(page)) = (is_known, reaching) {
            guards.push(Page {
                path: other.path.clone(),
                source: format!(
                    "{}, a page of its own: without this route {} would answer for it",
                    other.source, page.path
                ),
                ..Page::default()
            });
        }
    }
    kept.extend(guards);
    Build { pages: kept, others, notes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded_paths(pages: &[&str], others: &[&str]) -> (Vec<String>, String) {
        let page =
            |path: &&str| Page { path: (*path).to_owned(), interval: Every::Seconds(10), ..Page::default() };
        let other = |path: &&str| Other { path: (*path).to_owned(), source: format!("file of {path}") };
        let build = Build {
            pages: pages.iter().map(page).collect(),
            others: others.iter().map(other).collect(),
            notes: Vec::new(),
        };
        let build = guarded(build);
        let shown = |page: &Page| {
            if page.interval == Every::Unsaid { format!("{} guarded", page.path) } else { page.path.clone() }
        };
        (build.pages.iter().map(shown).collect(), build.notes.join("\n"))
    }

    #[test]
    fn what_would_be_reached_is_guarded_and_nothing_else() {
        for (pages, others, expected) in [
            (
                &["/blog/[slug]"][..],
                &["/blog/drafts", "/account"][..],
                &["/blog/[slug]", "/blog/drafts guarded"][..],
            ),
            (&["/blog/[slug]"], &["/[[...all]]", "/blog/[slug]/edit", "/blog"], &["/blog/[slug]"]),
            (&["/[[...all]]"], &["/cart", "/u/[id]"], &["/[[...all]]", "/cart guarded", "/u/[id] guarded"]),
            (&["/docs/[...rest]"], &["/docs", "/docs/a/[b]"], &["/docs/[...rest]", "/docs/a/[b] guarded"]),
            (&["/docs/[[...rest]]"], &["/docs"], &["/docs/[[...rest]]", "/docs guarded"]),
            (&["/a/[b]"], &["/[a]/b"], &["/a/[b]"]),
            (&["/[a]/b"], &["/a/[b]"], &["/[a]/b", "/a/[b] guarded"]),
            (&["/about"], &["/[page]"], &["/about"]),
        ] {
            assert_eq!(
                guarded_paths(pages, others),
                (expected.iter().map(ToString::to_string).collect(), String::new())
            );
        }
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_route() {
        let (paths, notes) = guarded_paths(&["/[id]", "/b"], &["/[name]"]);
        assert_eq!(paths, ["/b"]);
        assert!(notes.contains("because file of /[name] has the same path"), "{notes}");
    }
}
