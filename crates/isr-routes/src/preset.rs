//! What is known about frameworks, as data.
//!
//! A framework asks for a page in more ways than by its URL: data companions, marker headers, cache-busting query
//! parameters. A [`Preset`] lists them. Everything that looks at a preset treats all presets alike, so adding a
//! framework is adding a table here.

mod data;

use std::borrow::Cow;

pub use data::DataStatus;
use http::HeaderName;
use isr_api::Framework;

use crate::key_header::{KeyHeader, Normalise};
use crate::seal::Seal;

/// The ways in which one framework asks for a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// As written in `spec.framework`, or `Plain`.
    pub name: &'static str,
    /// URLs under which the data of a page is fetched; they belong to the page's group.
    pub companions: &'static [Companion],
    /// Request headers that make a different representation of a page.
    pub key_headers: &'static [PresetHeader],
    /// Query parameters that are neither keyed nor passed on, even where a route allows all: they bust caches or ask
    /// for partial answers.
    pub dropped_query: &'static [&'static str],
    /// The query parameter that a render must carry.
    pub seal: Option<Seal>,
    /// Header names that the origin lists in `Vary` although a page that is the same for all does not depend on them.
    pub ignorable_vary: &'static [&'static str],
    /// What paths contain that go to the backend and are never stored: build output with its own immutable caching, and
    /// endpoints that answer to more than their URL. An application with a base path has them behind it.
    pub untouched: &'static [&'static str],
    /// The page cache that the framework's own server has.
    pub own_cache: Option<OwnCache>,
    /// Whether `Cache-Control: no-store` on a data companion says nothing about the page: the framework sends it on
    /// every companion.
    pub companions_always_no_store: bool,
    /// How an answer with data tells the status that the page has.
    pub data_status: DataStatus,
}

/// A request header that makes a different representation of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct PresetHeader {
    /// The header, in lower case.
    pub name: &'static str,
    /// How its value is normalised.
    pub normalise: Normalise,
    /// The header and value without which the framework does not look at this one.
    pub only_with: Option<(&'static str, &'static str)>,
    /// Headers and values that a render carries beside this one.
    pub sent_with: &'static [(&'static str, &'static str)],
}

impl From<&PresetHeader> for KeyHeader {
    fn from(header: &PresetHeader) -> Self {
        Self {
            name: HeaderName::from_static(header.name),
            normalise: header.normalise,
            only_with: header.only_with,
            sent_with: header.sent_with,
        }
    }
}

/// How an origin with a page cache of its own admits that an answer was not rendered for the request.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnCache {
    /// The response header that says so.
    pub header: &'static str,
    /// Its value when the copy is older than the origin itself allows.
    pub stale: &'static str,
    /// Its value for any other copy. That is as good as a render where a page is refreshed on its interval, but not an
    /// answer to who asks for a render now.
    pub hit: &'static str,
}

/// How a data URL is made from a page's path: `prefix`, then `skip` segments, then the page's path, then `suffix`. What
/// stands before the prefix is the application's base path, and the page's too.
#[derive(Debug, PartialEq, Eq)]
pub struct Companion {
    /// What the data URL starts with behind a base path; empty, or ending before the slash of the skipped segments.
    pub prefix: &'static str,
    /// How many segments (a build identifier) stand between the prefix and the page's path.
    pub skip: usize,
    /// What the data URL ends with.
    pub suffix: &'static str,
    /// What the page's own path ends with, before the suffix; `suffix` may begin with any character then.
    pub page_suffix: &'static str,
    /// The name under which the root page is asked for where its own path would leave nothing.
    pub index: Option<&'static str>,
    /// Whether it names the language also of a page whose path names none, before the page's path.
    pub localised: bool,
}

impl Companion {
    /// The path of the page whose data `path` is, if it is such a data URL; with a `locale`, of the page whose path does not name
    /// that language, if the data URL does.
    pub fn page<'p>(&self, path: &'p str, locale: Option<&str>) -> Option<Cow<'p, str>> {
        let path = path.strip_suffix(self.suffix)?;
        if !path.ends_with(self.page_suffix) {
            return None;
        }
        let at = if self.prefix.is_empty() { 0 } else { path.find(self.prefix)? };
        let (base, page) = (&path[..at], &path[at + self.prefix.len()..]);
        let page = self.after_skipped(page)?;
        let page = match locale {
            Some(locale) => behind(page, locale)?,
            None => page,
        };
        Some(match (base, page) {
            ("", "") => Cow::Borrowed("/"),
            (base, "") => Cow::Borrowed(base),
            ("", page) => Cow::Borrowed(page),
            (base, page) => Cow::Owned(format!("{base}{page}")),
        })
    }

    /// What follows the skipped segments: empty for the root, or with a slash before it.
    fn after_skipped<'p>(&self, mut page: &'p str) -> Option<&'p str> {
        for _ in 0..self.skip {
            let skipped = page.strip_prefix('/')?;
            page = &page[1 + skipped.find('/').filter(|&end| end > 0)?..];
        }
        if let Some(index) = self.index
            && let Some(rest) = page.strip_prefix(index)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            page = rest;
        }
        (page.is_empty() || page.starts_with('/')).then_some(page)
    }
}

/// What follows a first segment: empty, or with a slash before it.
fn behind<'p>(page: &'p str, first: &str) -> Option<&'p str> {
    let rest = page.strip_prefix('/')?.strip_prefix(first)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

impl Preset {
    /// Every preset.
    pub const ALL: [&'static Self; 4] = [&PLAIN, &NEXT_JS, &SVELTE_KIT, &NUXT];

    /// The preset that `spec.framework` names; absent means plain HTTP.
    pub fn of(framework: Option<Framework>) -> &'static Self {
        match framework {
            None => &PLAIN,
            Some(Framework::NextJs) => &NEXT_JS,
            Some(Framework::SvelteKit) => &SVELTE_KIT,
            Some(Framework::Nuxt) => &NUXT,
        }
    }

    /// The preset of this name in `spec.framework`.
    pub(crate) fn named(framework: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|preset| preset.framework() == Some(framework))
    }

    /// As written in `spec.framework`; plain HTTP is not written.
    pub(crate) fn framework(&self) -> Option<&'static str> {
        (self.name != PLAIN.name).then_some(self.name)
    }

    /// The key headers of a route: these, and those that the route itself names, sorted by name.
    pub(crate) fn key_headers_and(&self, vary_by: Vec<HeaderName>) -> Vec<KeyHeader> {
        let named = vary_by.into_iter().map(|name| {
            let normalise = if name == "accept-language" { Normalise::Languages } else { Normalise::Text };
            KeyHeader::new(name, normalise)
        });
        let mut headers: Vec<KeyHeader> = self.key_headers.iter().map(KeyHeader::from).chain(named).collect();
        headers.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        headers
    }

    /// Whether `path` is never stored, whatever a route says.
    pub fn is_untouched(&self, path: &str) -> bool {
        // Each of them has an underscore, and few pages do.
        !self.untouched.is_empty()
            && path.contains('_')
            && self.untouched.iter().any(|part| path.contains(part))
    }

    /// Whether its pages are asked for as data, too.
    pub fn has_data(&self) -> bool {
        !self.companions.is_empty() || !self.key_headers.is_empty()
    }

    /// Whether `path` is data of one build of the application, which others do not know.
    pub fn is_of_a_build(&self, path: &str) -> bool {
        self.companions.iter().any(|companion| companion.skip > 0 && companion.page(path, None).is_some())
    }

    /// Whether `path` is a data companion of some page, for any framework.
    pub(crate) fn has_companion(path: &str) -> bool {
        // Nearly every request is for a page, and for that one byte is enough.
        path.bytes().next_back().is_some_and(|last| LAST_OF_COMPANIONS[usize::from(last)])
            && Self::ALL
                .iter()
                .flat_map(|preset| preset.companions)
                .any(|companion| companion.page(path, None).is_some())
    }
}

/// The bytes with which data companions end.
static LAST_OF_COMPANIONS: [bool; 256] = {
    let mut last = [false; 256];
    let mut presets: &[&Preset] = &Preset::ALL;
    while let [preset, others @ ..] = presets {
        let mut companions = preset.companions;
        while let [companion, further @ ..] = companions {
            if let [.., byte] = companion.suffix.as_bytes() {
                last[*byte as usize] = true;
            }
            companions = further;
        }
        presets = others;
    }
    last
};

static PLAIN: Preset = Preset {
    name: "Plain",
    companions: &[],
    key_headers: &[],
    dropped_query: &[],
    seal: None,
    ignorable_vary: &[],
    untouched: &[],
    own_cache: None,
    companions_always_no_store: false,
    data_status: DataStatus::OfResponse,
};

/// Next.js, pages and app router.
///
/// The pages router fetches `/_next/data/<build>/<page>.json`, where the page begins with its language if there are any,
/// also that of the default language, whose pages do not. The app router asks the page's own URL with `RSC: 1`,
/// and for one segment of it with `Next-Router-Segment-Prefetch`, which is only read beside `Next-Router-Prefetch: 1`.
/// The answer for a page that is the same for all does not depend on the router's other headers, except that
/// interception routes look at `Next-Url`: Next.js then lists it in `Vary`, and such payloads are stored where a route
/// has it in `varyBy`. `_rsc` is a digest of all these headers; without the right one the answer is a redirect to it.
/// Data of another build is answered with 404 and a page, data of a page that is not there with 404 and JSON.
static NEXT_JS: Preset = Preset {
    name: "NextJs",
    companions: &[Companion {
        prefix: "/_next/data",
        skip: 1,
        suffix: ".json",
        page_suffix: "",
        index: Some("/index"),
        localised: true,
    }],
    key_headers: &[
        PresetHeader { name: "rsc", normalise: Normalise::Flag("1"), only_with: None, sent_with: &[] },
        PresetHeader {
            name: "next-router-segment-prefetch",
            normalise: Normalise::Token { max_bytes: 512 },
            only_with: Some(("rsc", "1")),
            sent_with: &[("next-router-prefetch", "1")],
        },
    ],
    dropped_query: &["_rsc"],
    seal: Some(Seal {
        parameter: "_rsc",
        when: ("rsc", "1"),
        over: &[
            ("next-router-prefetch", &["1", "2", "3"]),
            ("next-router-segment-prefetch", &[]),
            ("next-router-state-tree", &[]),
            ("next-url", &[]),
        ],
    }),
    ignorable_vary: &["next-router-state-tree", "next-router-prefetch"],
    untouched: &["/_next/static/", "/_next/image"],
    own_cache: Some(OwnCache { header: "x-nextjs-cache", stale: "STALE", hit: "HIT" }),
    companions_always_no_store: false,
    data_status: DataStatus::OfResponse,
};

/// `SvelteKit` with adapter-node: `<page>/__data.json` (`page.html__data.json` for `page.html`), always sent with
/// `no-store`, and with status 200 for a page that failed. Its parameters ask for a part of the data, which must not be
/// stored as the whole. Under `/_app/` are build output, its version, and remote functions.
static SVELTE_KIT: Preset = Preset {
    name: "SvelteKit",
    companions: &[
        Companion {
            prefix: "",
            skip: 0,
            suffix: "/__data.json",
            page_suffix: "",
            index: None,
            localised: false,
        },
        Companion {
            prefix: "",
            skip: 0,
            suffix: "__data.json",
            page_suffix: ".html",
            index: None,
            localised: false,
        },
    ],
    key_headers: &[],
    dropped_query: &["x-sveltekit-invalidated", "x-sveltekit-trailing-slash"],
    seal: None,
    ignorable_vary: &[],
    untouched: &["/_app/"],
    own_cache: None,
    companions_always_no_store: true,
    data_status: DataStatus::OfSvelteKitNodes,
};

/// Nuxt 3 and 4: `<page>/_payload.json?_b=<build>` (`_payload.js` where JSON payloads are turned off). Islands render
/// from their own query and never share.
static NUXT: Preset = Preset {
    name: "Nuxt",
    companions: &[
        Companion {
            prefix: "",
            skip: 0,
            suffix: "/_payload.json",
            page_suffix: "",
            index: None,
            localised: false,
        },
        Companion {
            prefix: "",
            skip: 0,
            suffix: "/_payload.js",
            page_suffix: "",
            index: None,
            localised: false,
        },
    ],
    key_headers: &[],
    dropped_query: &["_b"],
    seal: None,
    ignorable_vary: &[],
    untouched: &["/_nuxt/", "/__nuxt_island/"],
    own_cache: None,
    companions_always_no_store: false,
    data_status: DataStatus::OfResponse,
};
