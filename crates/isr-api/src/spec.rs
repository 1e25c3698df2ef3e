//! The fields of an `IsrRoute`.
//!
//! The doc comments here are what `kubectl explain` prints, so they speak to the person who writes a manifest. (Of an
//! optional enum it prints the type's doc comment, of everything else the field's.) The CEL
//! rules repeat, for the API server, what `compile` in `isr-routes` checks; their messages say what to write instead.
#![allow(unreachable_pub)] // KubeSchema repeats each struct, as public as it is, inside of a function
#![allow(clippy::duplicated_attributes)] // columns of one type repeat `type_`

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::IsrRouteStatus;
use crate::{BackendRef, Duration, SecretKeyRef};

/// One rendered page for every visitor of these hostnames and this path: served from the cache beside the ingress,
/// rendered again in the background after `interval`, at once when a request carries the bypass token, and kept when
/// the application fails.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "kube-isr.dev",
    version = "v1alpha1",
    kind = "IsrRoute",
    plural = "isrroutes",
    shortname = "isr",
    namespaced,
    status = "IsrRouteStatus",
    derive = "PartialEq",
    doc = "Incremental Static Regeneration for one path of an application: one rendered page for all visitors, renewed on an interval or on demand, kept when the application fails.",
    printcolumn(name = "Hostnames", type_ = "string", json_path = ".spec.hostnames"),
    printcolumn(name = "Path", type_ = "string", json_path = ".spec.path"),
    printcolumn(name = "Interval", type_ = "string", json_path = ".spec.interval"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        priority = "1"
    ),
    printcolumn(
        name = "Prerendered",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Prerendered')].status",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.interval) || !has(self.staleFor)")
        .message("staleFor limits the stale pages of an interval: set interval too, or remove staleFor and let the application's Cache-Control: stale-while-revalidate govern")
        .field_path(".staleFor"),
    validation = Rule::new("has(self.interval) || !has(self.cacheControl)")
        .message("cacheControl says what no-store means on a route with an interval: set interval too, or remove cacheControl")
        .field_path(".cacheControl"),
    validation = Rule::new("has(self.interval) || !has(self.prerender)")
        .message("prerender renders the pages of an interval: set interval too, or remove prerender")
        .field_path(".prerender"),
    validation = Rule::new("!has(self.prerender) || self.hostnames.exists(h, !h.startsWith('*'))")
        .message("prerender renders pages of exact hostnames, and *.example.com names none: add a hostname such as shop.example.com, or remove prerender")
        .field_path(".prerender"),
    validation = Rule::new("!has(self.defaultLocale) || (has(self.framework) && self.framework == 'NextJs')")
        .message("defaultLocale says how Next.js names the data of a page: set framework: NextJs too, or remove defaultLocale")
        .field_path(".defaultLocale")
)]
pub struct IsrRouteSpec {
    /// Hosts that this route answers for: `shop.example.com`, or `*.example.com` for every name under it. Lower case,
    /// no port, no IP address; the same syntax as in an `HTTPRoute`. A host belongs to the namespace that named it
    /// first.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new(r"self.all(h, h.matches('^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))")
            .message("a hostname is lower-case labels of letters, digits and hyphens joined by dots, without port or path: write shop.example.com, or *.example.com for every name under it"),
        validation = Rule::new(r"self.all(h, !h.matches('^[0-9.]+$'))")
            .message("an IP address is no hostname: write the DNS name that visitors use, such as shop.example.com")
    )]
    pub hostnames: Vec<String>,

    /// Path of the pages: literal segments; `[name]` for any one segment; as the last segment `[...rest]` or `**` for
    /// one or more segments, `[[...rest]]` for none or more. Example: `/blog-posts/[slug]`. A literal segment goes
    /// before `[name]`, that before a catch-all, from left to right. Case matters, a trailing slash does not.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = Rule::new("self.startsWith('/')")
            .message("path starts with a slash: write /blog/[slug]"),
        validation = Rule::new("!self.contains('//')")
            .message("path holds no empty segment: write /blog/[slug], with single slashes"),
        validation = Rule::new(r"!self.matches('/[.][.]?(/|$)')")
            .message("path holds no . or .. segment: write the path that the page really has"),
        validation = Rule::new(r"!self.matches('[?#]')")
            .message("path holds no ? and no #: name query parameters in query.allow"),
        validation = Rule::new(r"!self.matches('%(2[fFeE]|5[cC]|[01][0-9a-fA-F]|7[fF])')")
            .message("path holds no encoded slash, backslash, dot or control character: write the path as its segments, such as /blog/[slug]"),
        validation = Rule::new(r#"self.matches("^(/([-A-Za-z0-9._~!$&'()+,;=:@%]+|\\[[A-Za-z0-9_-]+\\]))*(/\\*\\*|/\\[\\.\\.\\.[A-Za-z0-9_-]+\\]|/\\[\\[\\.\\.\\.[A-Za-z0-9_-]+\\]\\])?/?$") && !self.matches('%([^0-9a-fA-F]|.[^0-9a-fA-F]|.?$)')"#)
            .message("each segment of path is literal text (other characters percent-encoded), [name], or, at the end only, ** or [...rest] or [[...rest]]: write /blog/[slug] or /docs/[[...rest]]")
    )]
    pub path: String,

    /// Age at which a page is rendered again in the background, such as `10s`, `5m` or `1h30m` (1s or more), or
    /// `Never` for pages that only change on demand. Without an interval the application's own `Cache-Control`
    /// decides, as in any HTTP cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("self == 'Never' || (self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('1s'))")
            .message("interval is a duration of 1s or more, such as 10s, 5m or 1h30m, or Never")
    )]
    pub interval: Option<Duration>,

    /// How long a page may still be served after it went stale, such as `24h` (1s or more); after that, visitors wait
    /// for a new render. Absent: without limit, so that a failing application never takes the page away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('1s')")
            .message("staleFor is a duration of 1s or more, such as 24h; leave it out for no limit")
    )]
    pub stale_for: Option<Duration>,

    /// The secret that renders a page at once: a GET or HEAD request to the page with the header
    /// `x-prerender-revalidate: <token>`. The same value in the cookie `__prerender_bypass` shows drafts. Absent: no
    /// revalidation on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass_token: Option<BypassToken>,

    /// The application: a Service in the same namespace as this route.
    pub backend_ref: BackendRef,

    /// What rendered the pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<Framework>,

    /// The language of the pages whose path names none, as `i18n.defaultLocale` in `next.config` says: Next.js asks for the
    /// data of `/blog` at `/_next/data/<build>/en/blog.json`. For routes of the pages router in an application with `i18n`;
    /// other languages have routes of their own (`/de/blog`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 35))]
    #[x_kube(
        validation = Rule::new("self.matches('^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$')")
            .message("defaultLocale is one of the languages of i18n.locales: write en, or en-US")
    )]
    pub default_locale: Option<String>,

    /// Query parameters that make a different page. All others are ignored and not passed to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,

    /// Request headers that make a different page, besides those of the framework.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary_by: Option<VaryBy>,

    /// Tags of every page of this route, for purging by tag, besides those that the application sends. No spaces and
    /// no commas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(t, t.matches('^[!-+.-~-]+$'))")
            .message("a tag is printable ASCII without spaces and commas: write blog or post-1")
    )]
    pub tags: Vec<String>,

    /// Requests that never touch the cache: those that carry this cookie or this header, whatever its value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub bypass: Vec<BypassRule>,

    /// Secret value sent to the application as `x-prerender-revalidate` on every render, so that an application with a
    /// page cache of its own renders anew instead of answering with its own stale copy. For Next.js: the build's
    /// `previewModeId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_token: Option<OriginToken>,

    /// What makes all pages of the route stale by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidate_on: Option<InvalidateOn>,

    /// What `no-store` means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,

    /// Pages that are rendered before anybody asks for them: after a proxy has started, after the route has changed, and
    /// after an invalidation, so that no visitor waits for them. What is stored and was not invalidated is left as it
    /// is, and visitors' renders go first. The condition Prerendered says whether all of them are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prerender: Option<Prerender>,
}

/// What makes pages stale by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.backendRollout)")
        .message("invalidateOn names nothing: write backendRollout: {}, or remove invalidateOn")
)]
pub struct InvalidateOn {
    /// The pods of the Service have all been replaced by those of another version, as when a Deployment is rolled out: pages that
    /// the former version rendered may name assets that are gone with it. `{}` for the usual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_rollout: Option<BackendRollout>,
}

/// How pages turn stale after a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct BackendRollout {
    /// Over how long the pages turn stale, each at a moment of its own, so that the new pods do not have to render all of them at
    /// once: `1m` (also when absent), `10m`, or `0s` for all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')")
            .message("over is a duration such as 1m, or 0s for all pages at once")
    )]
    pub over: Option<Duration>,
}

/// Where the bypass token is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BypassToken {
    /// The token in use: 32 characters or more, in a Secret of the same namespace.
    pub secret_key_ref: SecretKeyRef,
    /// The token before it, valid as well while clients change over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_key_ref: Option<SecretKeyRef>,
}

/// Where the origin token is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginToken {
    /// The value to send, in a Secret of the same namespace.
    pub secret_key_ref: SecretKeyRef,
}

/// What rendered the pages: `NextJs`, `SvelteKit` or `Nuxt`. The framework's data requests (`/_next/data/…`, RSC,
/// `__data.json`, `_payload.json`) are then kept apart from the HTML and renewed together with it. Absent: plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Framework {
    /// Next.js, pages and app router.
    NextJs,
    /// `SvelteKit` with adapter-node.
    SvelteKit,
    /// Nuxt 3 and 4 on a Node server.
    Nuxt,
}

/// Which query parameters count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Query {
    /// Names of the parameters that are part of the page's identity and are passed on. `[]` (also when absent): none.
    /// `["*"]`: all of them, each combination being a page of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("!('*' in self) || size(self) == 1")
            .message("* already allows every parameter: write [\"*\"] alone, or name the parameters without *"),
        validation = Rule::new("self.all(n, !n.matches('[&=?]'))")
            .message("a query parameter is named without & = and ?: write the name alone, such as page")
    )]
    pub allow: Vec<String>,
}

/// Which request headers count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct VaryBy {
    /// Names of the headers whose normalised values are part of the page's identity and are passed on, such as
    /// Accept-Language. Each value of each header is a page of its own. Cookie and Authorization are refused: a page
    /// that depends on the visitor is no shared page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new(r#"self.all(h, h.matches("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"))"#)
            .message("a header name is letters, digits and hyphens: write Accept-Language"),
        validation = Rule::new("self.all(h, !(h.lowerAscii() in ['authorization', 'cookie', 'proxy-authorization', 'accept-encoding', 'host', 'range', 'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'content-length', 'expect', 'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'forwarded', 'x-forwarded-for', 'via', 'x-prerender-revalidate']))")
            .message("this header cannot tell pages apart: a page that depends on Cookie or Authorization is not shared (name it in bypass), and kube-isr handles Accept-Encoding, Host, Range and connection headers itself")
    )]
    pub headers: Vec<String>,
}

/// One mark of a request that never touches the cache: either a cookie or a header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.cookie) != has(self.header)")
        .message("a bypass rule names either a cookie or a header: write - cookie: session, or - header: X-Preview")
)]
pub struct BypassRule {
    /// Name of the cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"))]
    pub cookie: Option<String>,
    /// Name of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"))]
    pub header: Option<String>,
}

/// Which pages are rendered before anybody asks for them, on each hostname without a wildcard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("(has(self.paths) && size(self.paths) > 0) || has(self.sitemap)")
        .message("prerender names no page: write paths: [/blog-posts/1], or sitemap: /sitemap.xml")
)]
pub struct Prerender {
    /// Paths of pages, such as `/blog-posts/1`: literal, without a query, and each matched by the route's own `path`.
    /// 100 at most; a longer list belongs in a sitemap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 512)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new(r#"self.all(p, p.matches("^(/[-A-Za-z0-9._~!$&'()+,;=:@%]*)+$") && !p.matches('%([^0-9a-fA-F]|.[^0-9a-fA-F]|.?$)'))"#)
            .message("a path to prerender is that of one page, from its slash on, without query and [parameters], other characters percent-encoded: write /blog-posts/1"),
        validation = Rule::new(r"self.all(p, !p.contains('//') && !p.matches('/[.][.]?(/|$)') && !p.matches('%(2[fFeE]|5[cC]|[01][0-9a-fA-F]|7[fF])'))")
            .message("a path to prerender holds no empty segment, no . or .. and no encoded slash, backslash, dot or control character: write the path that the page really has, such as /blog-posts/1")
    )]
    pub paths: Vec<String>,

    /// Path of a sitemap of the application (sitemaps.org), such as `/sitemap.xml`: of the pages that it lists, those of
    /// this route and host are rendered, 10,000 at most. An index of sitemaps is followed one level. Read anew on each
    /// occasion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(
        validation = Rule::new(r#"self.matches("^(/[-A-Za-z0-9._~!$&'()+,;=:@%]+)+[.]xml$") && !self.matches('%([^0-9a-fA-F]|.[^0-9a-fA-F]|.?$)') && !self.matches('/[.][.]?(/|$)') && !self.matches('%(2[fFeE]|5[cC]|[01][0-9a-fA-F]|7[fF])')"#)
            .message("sitemap is a path of the application itself that ends in .xml: write /sitemap.xml")
    )]
    pub sitemap: Option<String>,
}

/// What `Cache-Control: no-store` on a page means. `HonorNoStore` (also when absent): the page opts out and is not
/// stored. `Override`: it is stored all the same, for applications that send it everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CacheControl {
    /// The page opts out of being stored.
    HonorNoStore,
    /// The route's interval goes before what the application says.
    Override,
}
