//! A history: visitors, people who purge, and trouble, all at once; and what must be true of every answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use isr_cache::{SharedStore, Timestamp};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep};

use super::link::{Link, Server, Way};
use super::site::{RENDER_MOST, Site};
use crate::clock::Clock;
use crate::config::{Config, Limits, Routes, Scheme};
use crate::pages::Pages;
use crate::respond::respond;
use crate::source::Source;
use crate::state::{Proxy, Visitor};
use crate::upstream::Upstream;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const HOST: &str = "shop.example.com";

/// Pages whose interval ends now and then, and pages that are fresh until they are invalidated.
const PATHS: [&str; 4] = ["/now/a", "/now/b", "/never/a", "/never/b"];

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

/// How long visitors, purges and trouble go on: some of the longest cuts.
const LASTS: Duration = Duration::from_secs(90);

/// Entries of the log that are kept, where it is long enough and where it is not.
const LOG_LENGTH: usize = 10_000;
const LOG_SHORT: usize = 4;

/// The longest that a visitor waits: for a lock whose holder died, for the render that is then begun, and for the one after it
/// when that began before a purge.
const PATIENCE: Duration = Duration::from_secs(4).saturating_add(RENDER_MOST.saturating_mul(3));

/// Within this long after the last trouble purges work again: a replica that is gone is not waited for any more.
const HEALS_WITHIN: Duration = Duration::from_secs(25);

/// After a purge, when nothing is wrong any more, all replicas soon serve one page. Their clocks differ, so that one may
/// render a page again that is fresh for another.
const AGREE_WITHIN: Duration = Duration::from_secs(20);

/// What may go wrong in a history.
#[allow(clippy::struct_excessive_bools, reason = "each kind of trouble is there or not")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    pub(super) loses_messages: bool,
    pub(super) cuts_off: bool,
    pub(super) is_restarted: bool,
    pub(super) loses_data: bool,
    /// The log keeps a few entries.
    pub(super) forgets: bool,
    pub(super) has_disks: bool,
}

/// A purge.
#[derive(Clone, Copy, Debug)]
struct Purge {
    body: Option<&'static str>,
    reaches: fn(&str) -> bool,
    is_hard: bool,
}

/// On demand, and by each kind of selector.
fn some_purge() -> (&'static str, Purge) {
    let path = PATHS[fastrand::usize(..PATHS.len())];
    let purge = |body, reaches, is_hard| Purge { body: Some(body), reaches, is_hard };
    let purges = [
        purge(r#"{"tags":["of-the-page"],"mode":"soft"}"#, |_| true, false),
        purge(r#"{"tags":["of-the-route"],"mode":"hard"}"#, |path| path.starts_with("/never"), true),
        purge(r#"{"prefixes":["/now"],"mode":"soft"}"#, |path| path.starts_with("/now"), false),
        purge(r#"{"everything":true,"mode":"hard"}"#, |_| true, true),
        purge(r#"{"paths":["/never/a"],"mode":"soft"}"#, |path| path == "/never/a", false),
        purge(r#"{"paths":["/never/b"],"mode":"hard"}"#, |path| path == "/never/b", true),
    ];
    let on_demand = Purge { body: None, reaches: |_| false, is_hard: true };
    (path, if fastrand::bool() { on_demand } else { purges[fastrand::usize(..purges.len())] })
}

/// A replica, or what is left of one.
struct Member {
    name: &'static str,
    proxy: Arc<Proxy>,
    way: Arc<Way>,
    folder: Option<tempfile::TempDir>,
    skew: Timestamp,
}

/// By page: every version up to these is from before a purge that was acknowledged, of any kind, and a hard one.
#[derive(Default)]
struct Acknowledged {
    any: HashMap<&'static str, u64>,
    hard: HashMap<&'static str, u64>,
}

/// Everything that there is.
pub(super) struct World {
    seed: u64,
    site: Arc<Site>,
    server: Arc<Server>,
    members: RefCell<Vec<Rc<Member>>>,
    acknowledged: RefCell<Acknowledged>,
    purges: RefCell<Vec<(&'static str, String)>>,
    is_over: AtomicBool,
    trouble: Trouble,
}

/// An answer.
struct Seen {
    status: StatusCode,
    cache: String,
    version: u64,
    text: String,
}

impl World {
    /// One history with this trouble.
    pub(super) async fn history(seed: u64, trouble: Trouble) {
        fastrand::seed(seed);
        let world = Rc::new(Self {
            seed,
            site: Arc::default(),
            server: Server::new(if trouble.forgets { LOG_SHORT } else { LOG_LENGTH }),
            members: RefCell::default(),
            acknowledged: RefCell::default(),
            purges: RefCell::default(),
            is_over: AtomicBool::default(),
            trouble,
        });
        LocalSet::new().run_until(world.run()).await;
    }

    async fn run(self: Rc<Self>) {
        for name in ["one", "two", "three"] {
            let folder = self.trouble.has_disks.then(|| tempfile::tempdir().expect("a folder"));
            // Clocks of machines differ.
            let skew = Timestamp(1_700_000_000_000 + fastrand::u64(..2_000));
            let member = self.start(name, folder, skew).await;
            self.members.borrow_mut().push(Rc::new(member));
        }
        let mut people = JoinSet::new();
        for _ in 0..3 {
            people.spawn_local(Rc::clone(&self).visitor());
        }
        for _ in 0..2 {
            people.spawn_local(Rc::clone(&self).purger());
        }
        people.spawn_local(Rc::clone(&self).trouble());
        sleep(LASTS).await;
        self.is_over.store(true, Ordering::Relaxed);
        people.join_all().await;
        self.heals().await;
    }

    async fn start(&self, name: &'static str, folder: Option<tempfile::TempDir>, skew: Timestamp) -> Member {
        let way = Arc::new(Way::default());
        if self.trouble.loses_messages {
            way.lost.store(fastrand::u64(..30), Ordering::Relaxed);
        }
        let link: Arc<dyn SharedStore> = Arc::new(Link::new(&self.server, &way));
        let manifests = tempfile::tempdir().expect("a folder");
        std::fs::write(manifests.path().join("all.yaml"), MANIFESTS).expect("the manifests");
        let config =
            config(manifests.path().to_owned(), folder.as_ref().map(|folder| folder.path().to_owned()));
        let clock = Clock::at(skew.after(self.server.age()));
        let pages = Pages::over(Some((link, name.to_owned())), &config, clock.now());
        let mut source = Source::find(&config).await.expect("the manifests are there");
        let upstream = Arc::new(Upstream::new(&config.limits));
        let site = Arc::clone(&self.site);
        let proxy = Proxy::of(config, clock, pages, upstream, site);
        source.begin(&proxy).expect("the manifests make sense");
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
        Member { name, proxy, way, folder, skew }
    }

    fn some_member(&self) -> Rc<Member> {
        let members = self.members.borrow();
        Rc::clone(&members[fastrand::usize(..members.len())])
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    async fn visitor(self: Rc<Self>) {
        while self.goes_on() {
            sleep(Duration::from_millis(fastrand::u64(..400))).await;
            let path = PATHS[fastrand::usize(..PATHS.len())];
            self.visit(&self.some_member(), path).await;
        }
    }

    /// A visit, of which everything is true that is promised.
    async fn visit(&self, member: &Member, path: &'static str) -> Seen {
        let (any, hard) = {
            let acknowledged = self.acknowledged.borrow();
            let of = |versions: &HashMap<_, u64>| versions.get(path).copied().unwrap_or_default();
            (of(&acknowledged.any), of(&acknowledged.hard))
        };
        let (began, was_sure) = (Instant::now(), is_sure(member));
        let seen = ask(&member.proxy, Request::get(path)).await;
        let took = began.elapsed();
        let is_outdated = |limit| seen.version <= limit;
        // Who has lost entries knows that there were some, and not that they were hard.
        let Trouble { forgets, loses_data, .. } = self.trouble;
        let knows_all = was_sure && is_sure(member) && !forgets && !loses_data;
        let wrong = if seen.status != StatusCode::OK {
            "a visitor sees an error".to_owned()
        } else if took > PATIENCE {
            format!("a visitor waited {took:?}")
        } else if seen.cache == "HIT" && is_outdated(any) {
            format!("it is fresh, and everything up to v{any} was purged")
        } else if knows_all && is_outdated(hard) {
            format!("everything up to v{hard} was purged hard")
        } else {
            return seen;
        };
        panic!(
            "seed {}, {:?}, {} at {:?}: {path} v{} is {}: {wrong}: {}\n{}",
            self.seed,
            self.trouble,
            member.name,
            self.server.age(),
            seen.version,
            seen.cache,
            seen.text,
            self.tell(member, path)
        );
    }

    /// What is known of a page, for who has to find out what went wrong.
    fn tell(&self, member: &Member, path: &str) -> String {
        let pages = &member.proxy.pages;
        let state = pages.shared_state(member.proxy.clock.now());
        let held = pages.iter().filter(|(_, page)| page.group.path() == path);
        let held: Vec<_> = held.map(|(_, page)| (page.render, page.group.watermark())).collect();
        let purges = self.purges.borrow();
        let reached: Vec<_> = purges.iter().filter(|(of, _)| *of == path).map(|(_, purge)| purge).collect();
        format!("{state:?}\nin memory: {held:?}\npurges: {:#?}", &reached[reached.len().saturating_sub(4)..])
    }

    async fn purger(self: Rc<Self>) {
        while self.goes_on() {
            sleep(Duration::from_millis(fastrand::u64(..3000))).await;
            let (path, purge) = some_purge();
            if self.purge(&self.some_member(), path, purge).await {
                // Whoever may have missed it is looked at first.
                let members = self.members.borrow().clone();
                for (member, path) in members.iter().flat_map(|member| PATHS.map(|path| (member, path))) {
                    // Nobody is sent to one that has left meanwhile.
                    if self.members.borrow().iter().any(|present| Rc::ptr_eq(present, member)) {
                        self.visit(member, path).await;
                    }
                }
            }
        }
    }

    /// A purge; whether it was acknowledged.
    async fn purge(&self, member: &Member, path: &'static str, purge: Purge) -> bool {
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
        let seen = ask_with(&member.proxy, request, purge.body.unwrap_or_default()).await;
        if seen.status != StatusCode::OK {
            assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE, "{}", seen.text);
            return false;
        }
        let mut acknowledged = self.acknowledged.borrow_mut();
        for (path, version) in reached {
            let what = format!(
                "up to v{version} by {} from {began:?} to {:?}: {purge:?}",
                member.name,
                self.server.age()
            );
            self.purges.borrow_mut().push((path, what));
            if purge.body.is_none() {
                assert!(seen.version > version, "seed {}: what was rendered on demand is new", self.seed);
            }
            let raise = |versions: &mut HashMap<_, u64>| {
                let known = versions.entry(path).or_default();
                *known = version.max(*known);
            };
            raise(&mut acknowledged.any);
            if purge.is_hard {
                raise(&mut acknowledged.hard);
            }
        }
        true
    }

    async fn trouble(self: Rc<Self>) {
        let Trouble { cuts_off, is_restarted, loses_data, .. } = self.trouble;
        while self.goes_on() {
            sleep(Duration::from_millis(fastrand::u64(..12_000))).await;
            let member = self.some_member();
            match fastrand::u8(..3) {
                0 if cuts_off => {
                    member.way.is_cut.store(true, Ordering::Relaxed);
                    sleep(Duration::from_millis(fastrand::u64(..40_000))).await;
                    member.way.is_cut.store(false, Ordering::Relaxed);
                }
                1 if is_restarted => self.restart(&member).await,
                2 if loses_data => {
                    self.server.is_down.store(true, Ordering::Relaxed);
                    sleep(Duration::from_millis(fastrand::u64(..20_000))).await;
                    self.server.lose_data();
                    self.server.is_down.store(false, Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }

    /// Ends a replica, in good order or not, and starts it again. Its tasks cannot be killed; nothing that they do reaches anybody.
    async fn restart(&self, member: &Member) {
        self.members.borrow_mut().retain(|other| other.name != member.name);
        if fastrand::bool() {
            // Nobody is served any more.
            member.proxy.pages.leave().await;
        }
        member.way.is_cut.store(true, Ordering::Relaxed);
        sleep(Duration::from_millis(fastrand::u64(..5_000))).await;
        // What was on its disk is read by the next, which has a copy: this one may still write.
        member.proxy.pages.close().await;
        let folder = member.folder.as_ref().map(|folder| {
            let copy = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(copy.path().join("pages")).expect("a folder");
            let file = "pages/pages.redb";
            std::fs::copy(folder.path().join(file), copy.path().join(file)).expect("the file");
            copy
        });
        let member = self.start(member.name, folder, member.skew).await;
        self.members.borrow_mut().push(Rc::new(member));
    }

    /// All is well again: purges work, and all replicas agree, without a restart.
    async fn heals(&self) {
        let members: Vec<_> = self.members.borrow().clone();
        for member in &members {
            member.way.is_cut.store(false, Ordering::Relaxed);
            member.way.lost.store(0, Ordering::Relaxed);
        }
        sleep(HEALS_WITHIN).await;
        for (number, path) in PATHS.into_iter().enumerate() {
            let purging = &members[number % members.len()];
            let purge = Purge { body: None, reaches: |_| false, is_hard: true };
            assert!(self.purge(purging, path, purge).await, "seed {}: purges work again", self.seed);
            let before = self.site.version(path);
            let at = format!("seed {}, {:?}: {path}, purged by {}", self.seed, self.trouble, purging.name);
            let agree = async {
                loop {
                    let mut seen = Vec::new();
                    for member in &members {
                        let page = self.visit(member, path).await;
                        assert!(page.version >= before, "{at}: {} has v{}", member.name, page.version);
                        seen.push((page.cache, page.version));
                    }
                    // What is fresh until it is purged was rendered after the last purge, by whomever.
                    let are_one = path.starts_with("/never") || seen.iter().all(|page| page.1 == seen[0].1);
                    if are_one && seen.iter().all(|page| page.0 == "HIT") {
                        return;
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let agreed = tokio::time::timeout(AGREE_WITHIN, agree).await;
            assert!(agreed.is_ok(), "{at}: the replicas do not agree within {AGREE_WITHIN:?}");
        }
    }
}

fn is_sure(member: &Member) -> bool {
    let now = member.proxy.clock.now();
    member.proxy.pages.shared_state(now).is_some_and(|state| state.is_sure)
}

async fn ask(proxy: &Arc<Proxy>, request: http::request::Builder) -> Seen {
    ask_with(proxy, request, "").await
}

async fn ask_with(proxy: &Arc<Proxy>, request: http::request::Builder, body: &'static str) -> Seen {
    let request = request.header("host", HOST).body(Full::new(Bytes::from_static(body.as_bytes())));
    let visitor = Visitor { peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), scheme: Scheme::Http };
    let response = respond(Arc::clone(proxy), visitor, request.expect("a request")).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let cache = head.headers.get("x-isr-cache").and_then(|cache| cache.to_str().ok()).unwrap_or_default();
    Seen { status: head.status, cache: cache.to_owned(), version: text.parse().unwrap_or_default(), text }
}

fn config(manifests: std::path::PathBuf, state_dir: Option<std::path::PathBuf>) -> Config {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let second = Duration::from_secs(1);
    Config {
        routes: Routes::Path(manifests),
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
            memory_bytes: 16 << 20,
            disk_bytes: 64 << 20,
            renders: 64,
            renders_per_backend: 32,
            drain_delay: Duration::ZERO,
            drain: second,
        },
    }
}
