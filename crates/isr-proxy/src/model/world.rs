//! The replicas with their store and their application, and what must be true of every answer.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use isr_cache::{REPLICA_GONE_AFTER, SharedStore, Timestamp};
use isr_routes::compile;
use isr_routes::manifest::{self, Manifests};
use tokio::time::{Instant, sleep};

use super::link::{Link, Server, Way};
use super::site::Site;
use crate::active::{Active, Origin, STANDALONE};
use crate::clock::Clock;
use crate::config::{Config, Limits, Routes, Scheme};
use crate::hit::{http1, http2};
use crate::pages::Pages;
use crate::respond::respond;
use crate::state::{Proxy, Visitor};
use crate::upstream::Upstream;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const HOST: &str = "shop.example.com";

/// Pages whose interval ends now and then, and pages that are fresh until they are invalidated.
pub(super) const PATHS: [&str; 4] = ["/now/a", "/now/b", "/never/a", "/never/b"];

const MANIFESTS: &str = r"
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: now, namespace: shop }
spec:
  hostnames: [shop.example.com]
  path: /now/[page]
  interval: 4s
  backendRef: { name: web, port: 80 }
  bypassToken: { secretKeyRef: { name: isr, key: token } }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: never, namespace: shop }
spec:
  hostnames: [shop.example.com]
  path: /never/[page]
  interval: Never
  tags: [of-the-route]
  backendRef: { name: web, port: 80 }
  bypassToken: { secretKeyRef: { name: isr, key: token } }
---
apiVersion: v1
kind: Secret
metadata: { name: isr, namespace: shop }
stringData: { token: 0123456789abcdef0123456789abcdef }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { type: ExternalName, externalName: 127.0.0.1, ports: [{ port: 80 }] }
";

/// The longest that a visitor waits beside renders: for a lock whose holder died.
const PATIENCE: Duration = Duration::from_secs(4);

/// Renders that a visitor waits for, at most, of two steps each: the one under way, and the one after it when that began before
/// a purge; and of another replica perhaps one.
const STEPS_WAITED: u32 = 6;

/// A purge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purge {
    /// The list of what is purged. `None`: one page, on demand.
    pub(super) body: Option<&'static str>,
    pub(super) reaches: fn(&str) -> bool,
    pub(super) is_hard: bool,
}

/// The render of a page on demand.
pub(super) const ON_DEMAND: Purge = Purge { body: None, reaches: |_| false, is_hard: true };

/// Everything at once.
pub(super) const ALL_HARD: Purge =
    Purge { body: Some(r#"{"everything":true,"mode":"hard"}"#), reaches: |_| true, is_hard: true };

/// What is the same throughout a history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// Entries of the log that are kept.
    pub(super) log: usize,
    /// Whether who is sure knows of every purge whether it was hard.
    pub(super) knows_all: bool,
    /// Bytes of memory of each replica.
    pub(super) memory: u64,
    /// Whether pages are worth compressing and visitors read what is compressed.
    pub(super) compresses: bool,
    /// The slowest step of a render. There are two.
    pub(super) slowest: Duration,
}

/// A replica, or what is left of one.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) proxy: Arc<Proxy>,
    pub(super) way: Arc<Way>,
    pub(super) folder: Option<tempfile::TempDir>,
    /// Where its clock began.
    pub(super) skew: Timestamp,
}

/// Every version of a page up to this one is from before a purge that was acknowledged.
struct Acknowledged {
    path: &'static str,
    version: u64,
    is_hard: bool,
    /// From when on everybody must know of it.
    from: Instant,
    /// What happened, for who has to find out what went wrong.
    what: String,
}

/// Whoever is first in a store without data, and has none either, cannot know who else is there. Within this long those others are
/// back, or no longer sure.
const BACK_WITHIN: Duration = REPLICA_GONE_AFTER;

/// Everything that there is.
pub(super) struct World {
    /// What tells this history from others.
    pub(super) title: String,
    pub(super) setting: Setting,
    pub(super) site: Arc<Site>,
    pub(super) server: Arc<Server>,
    members: RefCell<Vec<Rc<Member>>>,
    acknowledged: RefCell<Vec<Acknowledged>>,
}

/// An answer.
pub(super) struct Seen {
    status: StatusCode,
    pub(super) cache: String,
    pub(super) version: u64,
    text: String,
}

impl World {
    pub(super) fn new(title: String, setting: Setting) -> Self {
        Self {
            title,
            setting,
            site: Arc::new(Site::new(setting.slowest, setting.compresses)),
            server: Server::new(setting.log),
            members: RefCell::default(),
            acknowledged: RefCell::default(),
        }
    }

    /// Starts a replica, and waits until it is ready.
    pub(super) async fn start(
        &self,
        name: &'static str,
        way: Arc<Way>,
        folder: Option<tempfile::TempDir>,
        skew: Timestamp,
    ) -> Rc<Member> {
        let link: Arc<dyn SharedStore> = Arc::new(Link::new(&self.server, &way));
        let state_dir = folder.as_ref().map(|folder| folder.path().to_owned());
        let config = config(state_dir, self.setting.memory);
        let clock = Clock::at(skew.after(self.server.age()));
        let pages = Pages::over(Some((link, name.to_owned())), &config, clock.now());
        let upstream = Arc::new(Upstream::new(&config.limits));
        let site = Arc::clone(&self.site);
        let proxy = Proxy::of(config, clock, pages, upstream, site);
        let origin = Origin { source: "model", generation: 1, digest: String::new() };
        let manifests = manifests();
        let table = compile(&manifests.routes, &manifests.references, &STANDALONE).table;
        proxy.active.store(Arc::new(Active::new(origin, table, Vec::new(), &proxy.metrics)));
        let following = Arc::clone(&proxy);
        tokio::spawn(async move { following.pages.follow(&following.clock).await });
        let ready = async {
            while !proxy.is_ready() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ready)
            .await
            .expect("it is ready soon, whatever is wrong");
        let member = Rc::new(Member { name, proxy, way, folder, skew });
        self.members.borrow_mut().push(Rc::clone(&member));
        member
    }

    /// The replicas that visitors are sent to.
    pub(super) fn members(&self) -> Vec<Rc<Member>> {
        self.members.borrow().clone()
    }

    pub(super) fn is_present(&self, member: &Rc<Member>) -> bool {
        self.members.borrow().iter().any(|present| Rc::ptr_eq(present, member))
    }

    /// Sends nobody there any more.
    pub(super) fn forget(&self, member: &Rc<Member>) {
        self.members.borrow_mut().retain(|present| !Rc::ptr_eq(present, member));
    }

    /// A visit, of which everything is true that is promised.
    pub(super) async fn visit(&self, member: &Member, path: &'static str) -> Seen {
        let [any, hard] = [false, true].map(|hard_alone| self.purged_up_to(path, hard_alone));
        let (began, was_sure) = (Instant::now(), is_sure(member));
        let coding = if self.setting.compresses && fastrand::bool() { "gzip" } else { "identity" };
        let seen = if let Some(seen) = on_the_short_way(&member.proxy, path, coding) {
            seen
        } else {
            ask(&member.proxy, Request::get(path).header("accept-encoding", coding), "").await
        };
        let took = began.elapsed();
        let is_outdated = |limit| seen.version <= limit;
        let knows_all = self.setting.knows_all && was_sure && is_sure(member);
        let wrong = if seen.status != StatusCode::OK {
            "a visitor sees an error".to_owned()
        } else if took > PATIENCE + self.setting.slowest * STEPS_WAITED + self.site.late() {
            format!("a visitor waited {took:?}")
        } else if seen.cache == "HIT" && is_outdated(any) {
            format!("it is fresh, and everything up to v{any} was purged")
        } else if knows_all && is_outdated(hard) {
            format!("everything up to v{hard} was purged hard")
        } else {
            return seen;
        };
        panic!(
            "{}, {:?}, {} at {:?}: {path} v{} is {}: {wrong}: {}\n{}",
            self.title,
            self.setting,
            member.name,
            self.server.age(),
            seen.version,
            seen.cache,
            seen.text,
            self.tell(member, path)
        );
    }

    /// The last version of a page that an acknowledged purge has reached, of any kind or a hard one.
    fn purged_up_to(&self, path: &str, hard_alone: bool) -> u64 {
        let now = Instant::now();
        let acknowledged = self.acknowledged.borrow();
        let reached = acknowledged
            .iter()
            .filter(|purge| purge.path == path && purge.from <= now && (purge.is_hard || !hard_alone));
        reached.map(|purge| purge.version).max().unwrap_or_default()
    }

    /// What is known of a page, for who has to find out what went wrong.
    fn tell(&self, member: &Member, path: &str) -> String {
        let pages = &member.proxy.pages;
        let state = pages.shared_state(member.proxy.clock.now());
        let held = pages.iter().filter(|(_, page)| page.group.path() == path);
        let held: Vec<_> = held.map(|(_, page)| (page.render, page.group.watermark())).collect();
        let purges = self.acknowledged.borrow();
        let reached: Vec<_> =
            purges.iter().filter(|purge| purge.path == path).map(|purge| &purge.what).collect();
        format!("{state:?}\nin memory: {held:?}\npurges: {:#?}", &reached[reached.len().saturating_sub(4)..])
    }

    /// A purge; whether it was acknowledged.
    pub(super) async fn purge(&self, member: &Member, path: &'static str, purge: Purge) -> bool {
        let reached: Vec<_> = PATHS
            .into_iter()
            .filter(|other| if purge.body.is_none() { *other == path } else { (purge.reaches)(other) })
            .map(|path| (path, self.site.version(path)))
            .collect();
        let request = match purge.body {
            None => Request::get(path),
            Some(_) => Request::post("/.well-known/kube-isr/v1/invalidate"),
        };
        let request = request.header("x-prerender-revalidate", TOKEN);
        let began = self.server.age();
        let seen = ask(&member.proxy, request, purge.body.unwrap_or_default()).await;
        if seen.status != StatusCode::OK {
            assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE, "{}", seen.text);
            return false;
        }
        let now = Instant::now();
        let is_blind = self.server.store.lock().expect("the store").is_blind(now);
        let from = if is_blind { now + BACK_WITHIN } else { now };
        for (path, version) in reached {
            let what = format!(
                "up to v{version} by {} from {began:?} to {:?}: {purge:?}",
                member.name,
                self.server.age()
            );
            if purge.body.is_none() {
                assert!(seen.version > version, "{}: what was rendered on demand is new", self.title);
            }
            let is_hard = purge.is_hard;
            self.acknowledged.borrow_mut().push(Acknowledged { path, version, is_hard, from, what });
        }
        true
    }
}

fn is_sure(member: &Member) -> bool {
    let now = member.proxy.clock.now();
    member.proxy.pages.shared_state(now).is_some_and(|state| state.is_sure)
}

async fn ask(proxy: &Arc<Proxy>, request: http::request::Builder, body: &'static str) -> Seen {
    let request = request.header("host", HOST).body(Full::new(Bytes::from_static(body.as_bytes())));
    let visitor = Visitor { peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), scheme: Scheme::Http };
    let response = respond(Arc::clone(proxy), visitor, request.expect("a request")).await;
    let (status, cache, version) = (response.status(), field(&response, "x-isr-cache"), version(&response));
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    Seen { status, cache, version, text: String::from_utf8_lossy(&body).into_owned() }
}

/// The short way, which a request goes first; the same over both versions.
fn on_the_short_way(proxy: &Arc<Proxy>, path: &str, coding: &str) -> Option<Seen> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\naccept-encoding: {coding}\r\n\r\n");
    let mut head = Vec::new();
    let over_http1 = http1::answer(proxy, request.as_bytes(), false, &mut head).map(|_| {
        let text = String::from_utf8_lossy(&head).into_owned();
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let (cache, version) =
            (field("x-isr-cache:").to_owned(), field("x-version:").parse().unwrap_or_default());
        Seen { status: StatusCode::OK, cache, version, text }
    });
    let request = Request::get(format!("http://{HOST}{path}")).version(Version::HTTP_2);
    let request = request.header("accept-encoding", coding).body(Empty::<Bytes>::new());
    let over_http2 = http2::answer(proxy, &request.expect("a request"));
    let both = [
        over_http1.as_ref().map(|seen| (seen.status, seen.cache.clone(), seen.version)),
        over_http2.map(|response| (response.status(), field(&response, "x-isr-cache"), version(&response))),
    ];
    assert_eq!(both[0], both[1], "{path}");
    over_http1
}

fn field<B>(response: &http::Response<B>, name: &str) -> String {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn version<B>(response: &http::Response<B>) -> u64 {
    field(response, "x-version").parse().unwrap_or_default()
}

/// The manifests, read once for all.
fn manifests() -> &'static Manifests {
    static READ: OnceLock<Manifests> = OnceLock::new();
    READ.get_or_init(|| Manifests::from_files([manifest::read("all.yaml", MANIFESTS)]))
}

fn config(state_dir: Option<std::path::PathBuf>, memory_bytes: u64) -> Config {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let second = Duration::from_secs(1);
    Config {
        routes: Routes::Path(std::path::PathBuf::new()),
        state_dir,
        shared: None,
        listen: nowhere,
        tls: None,
        admin: nowhere,
        public_scheme: Scheme::Http,
        trusted: Vec::new(),
        access_log: false,
        limits: Limits {
            connect: second,
            first_byte: 30 * second,
            idle: 30 * second,
            render: 60 * second,
            stream_idle: 60 * second,
            page_bytes: 1 << 20,
            memory_bytes,
            disk_bytes: 64 << 20,
            renders: 64,
            renders_per_backend: 32,
            drain_delay: Duration::ZERO,
            drain: second,
        },
    }
}
