//! The whole site: data service, Next.js, and the proxy in front of it.

use std::net::SocketAddr;

use crate::application::{Application, Manifest, manifests};
use crate::page::{APP, PAGES, Router};
use crate::process::Process;
use crate::support::manifest::{Route, SERVICE, service};
use crate::support::{Client, Folder, HOST, PATIENCE, Proxy, Request, Response, TOKEN, eventually};
use crate::support::{get, head, post, route};
use crate::tap::Tap;
use serde_json::json;

/// What the quickstart's API routes want to hear.
pub const SECRET: &str = "the-api-routes-secret";
/// The port that the example's manifests name.
const EXAMPLE_PORT: &str = "3001";
/// The interval that the example's manifests name.
const EXAMPLE_INTERVAL: &str = "interval: 10s";
/// The host that the example's manifests name beside `localhost`.
const EXAMPLE_HOST: &str = "blog.example.com";

/// A running site. Ends when dropped, the proxy first.
pub struct Site {
    /// The proxy.
    pub proxy: Proxy,
    /// The wire between the proxy and Next.js, if it was asked for.
    tap: Option<Tap>,
    next: Process,
    _data: Process,
    data_address: SocketAddr,
    application: Application,
}

/// The manifests for this `previewModeId` and a Next.js on this port.
type Routes = dyn FnOnce(&str, u16) -> Vec<Manifest> + Send;

/// A site in the making.
pub struct Plan {
    routes: Box<Routes>,
    tapped: bool,
    packaged: bool,
}

impl Site {
    /// The manifests of the example, with this interval.
    pub fn of_example(interval: &str) -> Plan {
        let interval = format!("interval: {interval}");
        let routes = move |_: &str, port: u16| {
            let files = manifests().into_iter().map(|(name, text)| {
                let text = text.replace(EXAMPLE_PORT, &port.to_string()).replace(EXAMPLE_HOST, HOST);
                (name, text.replace(EXAMPLE_INTERVAL, &interval).replace(&example_token(), TOKEN))
            });
            files.collect()
        };
        Plan { routes: Box::new(routes), tapped: false, packaged: true }
    }

    /// Routes of the test's own for both routers: the list and the posts, each made complete by `finish`, which also
    /// gets the `previewModeId`.
    pub fn of_routes(finish: impl Fn(Route, &str) -> Route + Send + 'static) -> Plan {
        let routes = move |preview: &str, port: u16| {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let paths = [PAGES, APP].map(|router| [router.list.to_owned(), router.post("[slug]")]);
            let files = paths.into_iter().flatten().enumerate().map(|(index, path)| {
                let route = finish(route(&path).framework("NextJs").token(TOKEN), preview);
                (format!("route-{index}.yaml"), route.yaml(port))
            });
            files.chain([("service.yaml".to_owned(), service(SERVICE, address))]).collect()
        };
        Plan { routes: Box::new(routes), tapped: false, packaged: true }
    }

    /// A visit.
    pub async fn get(&self, path: &str) -> Response {
        self.send(&get(path)).await
    }

    /// A request on a connection of its own.
    pub async fn send(&self, request: &Request) -> Response {
        self.proxy.send(request).await
    }

    /// What a router's client asks for when a visitor follows a link to `path`.
    pub async fn data(&self, router: &Router, path: &str) -> Response {
        self.send(&router.data(&self.application.build, path)).await
    }

    /// Regenerates a page by GET with the token.
    pub async fn revalidate(&self, path: &str) -> Response {
        self.send(&get(path).revalidate(TOKEN)).await
    }

    /// Regenerates a page by HEAD with the token.
    pub async fn revalidate_by_head(&self, path: &str) -> Response {
        self.send(&head(path).revalidate(TOKEN)).await
    }

    /// Gives a post a title: an old one another, a new one its first. Returns the version of the data.
    pub async fn edit(&self, id: u32, title: &str) -> u64 {
        let body = json!({ "title": title }).to_string();
        self.tell(&post(&format!("/blog/{id}"), body)).await
    }

    /// Takes a post away. Returns the version of the data.
    pub async fn delete(&self, id: u32) -> u64 {
        self.tell(&Request::new("DELETE", &format!("/blog/{id}"))).await
    }

    /// Lets the data service answer 500 to everything.
    pub async fn data_fails(&self) {
        self.tell(&post("/fail", "")).await;
    }

    /// Lets the data service answer again.
    pub async fn data_works(&self) {
        self.tell(&post("/ok", "")).await;
    }

    /// Kills Next.js.
    pub fn kill_next(&mut self) {
        self.next.kill();
    }

    /// The identifier of the build.
    pub fn build(&self) -> &str {
        &self.application.build
    }

    /// The token that makes Next.js render anew.
    pub fn preview_mode_id(&self) -> &str {
        &self.application.preview_mode_id
    }

    /// The wire between the proxy and Next.js.
    pub fn tap(&self) -> &Tap {
        self.tap.as_ref().expect("a site that was planned with a tap")
    }

    /// Waits, without a visit, until the stored page of `path` is fresh.
    pub async fn stored_fresh(&self, path: &str) {
        let what = format!("the page of {path} is stored fresh without another visit");
        eventually(&what, PATIENCE, async || {
            let stored = self.proxy.admin_json(&format!("/cache?url=http://{HOST}{path}")).await;
            let fresh = |page: &serde_json::Value| page["freshness"]["state"] == "fresh";
            stored["stored"].as_array().is_some_and(|all| all.iter().any(fresh)).then_some(())
        })
        .await;
    }

    async fn tell(&self, request: &Request) -> u64 {
        let answer = Client::connect(self.data_address).await.send(request).await;
        assert_eq!(answer.status, 200, "the data service does as it is told: {}", answer.text());
        answer.header("x-data-version").parse().expect("the version of the data")
    }
}

impl Plan {
    /// With a tap on the wire between the proxy and Next.js.
    pub fn tapped(self) -> Self {
        Self { tapped: true, ..self }
    }

    /// With a Next.js that has never heard of `@kube-isr/next`.
    pub fn without_package(self) -> Self {
        Self { packaged: false, ..self }
    }

    /// Starts everything. The routes come last, when it is known which ports the system has chosen.
    pub async fn start(self) -> Site {
        let application =
            if self.packaged { Application::copy().await } else { Application::copy_without_package().await };
        let mut data = application.data_service();
        let data_address = data.listening("data service listening").await;
        let proxy = Proxy::with(Folder::new()).start_unready().await;
        let environment = [
            ("DATA_URL", format!("http://{data_address}")),
            ("MY_SECRET_TOKEN", SECRET.to_owned()),
            ("KUBE_ISR_URL", format!("http://{}", proxy.address())),
            ("KUBE_ISR_HOST", HOST.to_owned()),
            ("KUBE_ISR_TOKEN", TOKEN.to_owned()),
        ];
        let mut next =
            application.server(&environment.each_ref().map(|(name, value)| (*name, value.as_str())));
        let mut address = next.listening("Ready").await;
        let mut tap = None;
        if self.tapped {
            address = tap.insert(Tap::before(address).await).address();
        }

        let routes = (self.routes)(&application.preview_mode_id, address.port());
        for (name, text) in &routes {
            proxy.folder().write(name, text);
        }
        eventually("the proxy serves the four routes", PATIENCE, async || {
            let table = proxy.admin_json("/configz").await;
            let errors = table["problems"]
                .as_array()
                .is_none_or(|problems| problems.iter().any(|problem| problem["severity"] == "error"));
            (table["routes"] == 4 && !errors).then_some(())
        })
        .await;
        Site { proxy, tap, next, _data: data, data_address, application }
    }
}

/// The token in the example's Secret.
fn example_token() -> String {
    let (_, text) = manifests().into_iter().find(|(name, _)| name == "token.yaml").expect("token.yaml");
    let token = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).expect("a token");
    token.to_owned()
}
