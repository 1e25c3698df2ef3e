//! What differs between the frameworks.

use serde_json::Value;

use crate::page::{APP, Generation, PAGES, generation as next_generation};
use crate::support::{Request, Response, get};

/// A framework, as the tests look at it.
pub struct Framework {
    /// In words, for messages.
    pub name: &'static str,
    /// The folder of its example.
    pub example: &'static str,
    /// As written in `spec.framework`.
    pub preset: &'static str,
    /// The list of posts; a post is one segment further.
    pub list: &'static str,
    /// The quickstart's API route, where the quickstart revalidates by one; the others do by the header.
    pub api: Option<&'static str>,
    /// What its client asks for when a visitor follows a link.
    pub data: Data,
    /// The content type of that.
    pub data_type: &'static str,
    /// What the paths of files that a build makes begin with.
    pub assets: &'static str,
    /// Whether an open page goes on with the code that it has, if that was loaded ahead; the others look of which build data is,
    /// or load code as late as it is needed.
    pub goes_on: bool,
}

/// The URLs of data.
pub enum Data {
    /// `<page>/__data.json`.
    SvelteKit,
    /// `<page>/_payload.json`.
    Nuxt,
    /// `/_next/data/<build>/<page>.json`.
    NextPages,
    /// The page's own URL with `RSC: 1`.
    NextApp,
}

/// SvelteKit with adapter-node.
pub const SVELTE_KIT: Framework = Framework {
    name: "SvelteKit",
    example: "sveltekit",
    preset: "SvelteKit",
    list: "/blog-posts",
    api: None,
    data: Data::SvelteKit,
    data_type: "application/json",
    assets: "/_app/immutable/",
    goes_on: false,
};
/// Nuxt with the preset node-server.
pub const NUXT: Framework = Framework {
    name: "Nuxt",
    example: "nuxt",
    preset: "Nuxt",
    list: "/blog-posts",
    api: None,
    data: Data::Nuxt,
    data_type: "application/json",
    assets: "/_nuxt/",
    goes_on: true,
};
/// The pages router of Next.js.
pub const NEXT_PAGES: Framework = Framework {
    name: "Next.js, pages router",
    example: "nextjs",
    preset: "NextJs",
    list: PAGES.list,
    api: Some(PAGES.api),
    data: Data::NextPages,
    data_type: "application/json",
    assets: "/_next/static/",
    goes_on: false,
};
/// The app router of Next.js.
pub const NEXT_APP: Framework = Framework {
    name: "Next.js, app router",
    example: "nextjs",
    preset: "NextJs",
    list: APP.list,
    api: Some(APP.api),
    data: Data::NextApp,
    data_type: "text/x-component",
    assets: "/_next/static/",
    goes_on: false,
};

impl Framework {
    /// Whether it is one of the routers of Next.js.
    pub fn is_next(&self) -> bool {
        self.example == "nextjs"
    }

    /// What its server says when it can be reached.
    pub fn ready(&self) -> &'static str {
        if self.is_next() { "Ready" } else { "Listening on" }
    }

    /// The path of a post, or of what stands in its place.
    pub fn post(&self, slug: &str) -> String {
        format!("{}/{slug}", self.list)
    }

    /// What its client asks for when a visitor follows a link to `path`.
    pub fn data(&self, build: &str, path: &str) -> Request {
        match self.data {
            // The root layout has no data, and is not asked for it again.
            Data::SvelteKit => get(&format!("{path}/__data.json?x-sveltekit-invalidated=01")),
            Data::Nuxt => get(&format!("{path}/_payload.json?_b={build}")),
            Data::NextPages => PAGES.data(build, path),
            Data::NextApp => APP.data(build, path),
        }
    }

    /// The generation that a page or its data says it is of.
    #[track_caller]
    pub fn generation(&self, response: &Response) -> Generation {
        let is_flat = matches!(self.data, Data::SvelteKit | Data::Nuxt)
            && response.header("content-type").starts_with("application/json");
        if !is_flat {
            return next_generation(response);
        }
        flat_generation(&response.body)
            .unwrap_or_else(|| panic!("no generation in {:?}: {:?}", response.headers, response.text()))
    }
}

/// Of data in devalue's form: a list of values, in which objects name their members' places.
fn flat_generation(body: &[u8]) -> Option<Generation> {
    let data: Value = serde_json::from_slice(body).ok()?;
    let list = data["nodes"][1]["data"].as_array().or(data.as_array())?;
    let object = list.iter().find(|value| value["renderedAt"].is_u64())?;
    let member = |name: &str| list.get(usize::try_from(object[name].as_u64()?).ok()?);
    Some(Generation {
        version: member("version")?.as_u64()?,
        rendered: member("renderedAt")?.as_str()?.to_owned(),
    })
}
