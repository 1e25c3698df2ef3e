//! The whole site: data service, the application's server, and the proxy in front of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::json;

use crate::application::Application;
use crate::build::{built, repository, second};
use crate::framework::{Data, Framework};
use crate::process::Process;
use crate::support::manifest::{SERVICE, service};
use crate::support::{Client, Folder, HOST, PATIENCE, Proxy, Request, Response, TOKEN, eventually};
use crate::support::{get, post, route};
use crate::tap::Tap;

/// What the quickstart's API routes want to hear.
pub const SECRET: &str = "the-api-routes-secret";

/// Where the application listens, on an address of its own.
const PORT: u16 = 3000;

/// A running site. Ends when dropped, the proxy first.
pub struct Site<'f> {
    /// The framework.
    pub framework: &'f Framework,
    /// The proxy.
    pub proxy: Proxy,
    /// The wire between the proxy and the application.
    pub tap: Tap,
    application: Process,
    build: Build,
    /// Where the application listens.
    host: String,
    _data: Process,
    data_address: SocketAddr,
    /// For what the programs write.
    logs: tempfile::TempDir,
}

/// A build of the application, as it runs.
enum Build {
    Next(Box<Application>),
    Folder(PathBuf),
}

impl<'f> Site<'f> {
    /// Starts everything; pages are refreshed after `interval`. The routes are the example's: the list and the posts.
    pub async fn start(framework: &'f Framework, interval: &str) -> Self {
        let build = if framework.is_next() {
            Build::Next(Box::new(Application::copy().await))
        } else {
            Build::Folder(built(framework).await)
        };
        let logs = tempfile::tempdir().expect("a folder for what the programs write");
        let mut command = Command::new("node");
        command.arg(repository().join("examples/nextjs/data-service.mjs"));
        command.env("PORT", "0").env_remove("HOST");
        let mut data = Process::start("data-service", &mut command, logs.path());
        let data_address = data.listening("data service listening").await;

        let proxy = Proxy::with(Folder::new()).start_unready().await;
        let host = own_address();
        let mut application = build.start(framework, &host, data_address, &proxy, logs.path());
        let tap = Tap::before(application.listening(framework.ready()).await).await;
        let site = Self { framework, proxy, tap, application, build, host, _data: data, data_address, logs };
        site.serve(interval).await;
        site
    }

    async fn serve(&self, interval: &str) {
        let folder = self.proxy.folder();
        folder.write("service.yaml", &service(SERVICE, self.tap.address()));
        for (index, path) in
            [self.framework.list.to_owned(), self.framework.post("[slug]")].iter().enumerate()
        {
            let route = route(path).interval(interval).framework(self.framework.preset).token(TOKEN);
            let route = if self.framework.is_next() { route.origin_token(self.draft()) } else { route };
            folder.write(&format!("route-{index}.yaml"), &route.yaml(self.tap.address().port()));
        }
        eventually("the proxy serves both routes", PATIENCE, async || {
            let table = self.proxy.admin_json("/configz").await;
            (table["routes"] == 2 && table["problems"] == json!([])).then_some(())
        })
        .await;
    }

    /// A visit.
    pub async fn get(&self, path: &str) -> Response {
        self.send(&get(path)).await
    }

    /// A request on a connection of its own.
    pub async fn send(&self, request: &Request) -> Response {
        self.proxy.send(request).await
    }

    /// What the framework's client asks for when a visitor follows a link to `path`.
    pub fn data_request(&self, path: &str) -> Request {
        let build = match &self.build {
            Build::Next(application) => &application.build,
            Build::Folder(_) => "a-build",
        };
        self.framework.data(build, path)
    }

    /// The answer to that.
    pub async fn data(&self, path: &str) -> Response {
        self.send(&self.data_request(path)).await
    }

    /// The same, when it is of the page's generation: on a busy machine a render takes longer than the proxy lets anybody wait for
    /// it, and then it says that it gives older data.
    pub async fn data_of_generation(&self, path: &str) -> Response {
        eventually("data that is as new as its page", PATIENCE, async || {
            let data = self.data(path).await;
            (!data.header("cache-status").contains("older-than-its-page")).then_some(data)
        })
        .await
    }

    /// What opens drafts: for Next.js the `previewModeId` to which it sets its own cookie.
    fn draft(&self) -> &str {
        match &self.build {
            Build::Next(application) => &application.preview_mode_id,
            Build::Folder(_) => TOKEN,
        }
    }

    /// The cookie that opens drafts.
    pub fn draft_cookie(&self) -> String {
        format!("theme=dark; __prerender_bypass={}", self.draft())
    }

    /// The same cookie, but for its last character.
    pub fn wrong_draft_cookie(&self) -> String {
        let draft = self.draft();
        format!("__prerender_bypass={}", &draft[..draft.len() - 1])
    }

    /// Gives a post a title: an old one another, a new one its first. Returns the version of the data.
    pub async fn edit(&self, id: u32, title: &str) -> u64 {
        self.tell(&post(&format!("/blog/{id}"), json!({ "title": title }).to_string())).await
    }

    /// Lets the data service answer 500 to everything.
    pub async fn data_fails(&self) {
        self.tell(&post("/fail", "")).await;
    }

    /// Lets the data service answer again.
    pub async fn data_works(&self) {
        self.tell(&post("/ok", "")).await;
    }

    /// Puts the second build of the application in the place of the first.
    pub async fn deploy_second(&mut self) {
        let build = if self.framework.is_next() {
            Build::Next(Box::new(Application::second().await))
        } else {
            Build::Folder(second(self.framework).await)
        };
        self.application.kill();
        self.build = build;
        self.application =
            self.build.start(self.framework, &self.host, self.data_address, &self.proxy, self.logs.path());
        self.application.listening(self.framework.ready()).await;
    }

    /// Kills the application.
    pub fn kill_application(&mut self) {
        self.application.kill();
    }

    async fn tell(&self, request: &Request) -> u64 {
        let answer = Client::connect(self.data_address).await.send(request).await;
        assert_eq!(answer.status, 200, "the data service does as it is told: {}", answer.text());
        answer.header("x-data-version").parse().expect("the version of the data")
    }
}

impl Build {
    /// The server of the application, at an address of its own.
    fn start(
        &self,
        framework: &Framework,
        host: &str,
        data: SocketAddr,
        proxy: &Proxy,
        logs: &Path,
    ) -> Process {
        let data_url = format!("http://{data}");
        let built = match self {
            Self::Next(application) => {
                let proxy_url = format!("http://{}", proxy.address());
                let environment = [
                    ("DATA_URL", &*data_url),
                    ("MY_SECRET_TOKEN", SECRET),
                    ("KUBE_ISR_URL", &*proxy_url),
                    ("KUBE_ISR_HOST", HOST),
                    ("KUBE_ISR_TOKEN", TOKEN),
                ];
                return application.server_at(host, PORT, &environment);
            }
            Self::Folder(built) => built,
        };
        let mut command = Command::new("node");
        match framework.data {
            Data::SvelteKit => command.arg("build").env("DATA_URL", data_url),
            _ => command.arg(".output/server/index.mjs").env("NUXT_DATA_URL", data_url),
        };
        command.env("HOST", host).env("PORT", PORT.to_string()).current_dir(built);
        Process::start("application", &mut command, logs)
    }
}

/// A loopback address of this test's own: nobody else can have its ports, also while the application is replaced.
fn own_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // 127.0 is everybody's.
    format!("127.{}.{low}.{number}", high.max(1))
}
