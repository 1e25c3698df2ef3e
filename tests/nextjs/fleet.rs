//! Three replicas of the fixture behind two proxies that agree through a Redis or Valkey.

use std::net::SocketAddr;

use serde_json::json;

use crate::application::Application;
use crate::process::Process;
use crate::store::Store;
use crate::support::manifest::{SERVICE, service};
use crate::support::{
    Client, Folder, HOST, PATIENCE, Proxy, Request, Response, TOKEN, eventually, get, post, route,
};

/// The routes of the fixture, below its base path.
const ROUTES: [&str; 6] =
    ["/blog", "/blog/[slug]", "/remembered", "/unstable", "/posts/[slug]", "/de/posts/[slug]"];

/// A running fleet. Ends when dropped, the proxies first.
pub struct Fleet {
    /// Each renders at a replica of its own; the third replica is asked by the test alone.
    pub proxies: [Proxy; 2],
    replicas: Vec<Replica>,
    _data: Process,
    data: SocketAddr,
    _store: Store,
}

struct Replica {
    address: SocketAddr,
    _process: Process,
    application: Application,
}

impl Fleet {
    /// A fleet whose routes have this interval.
    pub async fn start(interval: &str) -> Self {
        let store = Store::start().await;
        let mut proxies = Vec::new();
        for name in ["one", "two"] {
            let proxy = Proxy::with(Folder::new()).option("--shared", store.url()).option("--replica", name);
            proxies.push(proxy.start_unready().await);
        }
        let proxies: [Proxy; 2] = proxies.try_into().ok().expect("two");
        let mut replicas: Vec<Replica> = Vec::new();
        let first = Application::fixture().await;
        let mut data_service = first.data_service();
        let data = data_service.listening("data service listening").await;
        for application in [first, Application::fixture().await, Application::fixture().await] {
            let mut process = application.server(&[
                ("DATA_URL", &format!("http://{data}")),
                ("KUBE_ISR_URL", &format!("http://{}", proxies[0].address())),
                ("KUBE_ISR_HOST", HOST),
                ("KUBE_ISR_TOKEN", TOKEN),
            ]);
            let address = process.listening("Ready").await;
            replicas.push(Replica { address, _process: process, application });
        }
        for (proxy, replica) in proxies.iter().zip(&replicas[1..]) {
            let folder = proxy.folder();
            folder.write("service.yaml", &service(SERVICE, replica.address));
            for (index, path) in ROUTES.iter().enumerate() {
                let route =
                    route(&format!("/docs{path}")).interval(interval).token(TOKEN).framework("NextJs");
                let is_english = *path == "/posts/[slug]";
                let route = if is_english { route.set("defaultLocale", json!("en")) } else { route };
                folder.write(&format!("route-{index}.yaml"), &route.yaml(replica.address.port()));
            }
        }
        let fleet = Self { proxies, replicas, _data: data_service, data, _store: store };
        for proxy in &fleet.proxies {
            eventually("the proxy serves all routes", PATIENCE, async || {
                let is_ready = proxy.admin("/readyz").await.status == 200;
                (is_ready && proxy.admin_json("/configz").await["routes"] == ROUTES.len()).then_some(())
            })
            .await;
        }
        fleet
    }

    /// The identifier of the build, which all replicas have.
    pub fn build(&self) -> &str {
        &self.replicas[0].application.build
    }

    /// The replica that no proxy asks.
    pub async fn ask(&self, request: &Request) -> Response {
        Client::connect(self.replicas[0].address).await.send(request).await
    }

    /// All replicas have the page, and the data that it is made of, in caches of their own.
    pub async fn warm(&self, path: &str) {
        for replica in &self.replicas {
            let answer = Client::connect(replica.address).await.get(path).await;
            assert!(matches!(answer.status, 200 | 404), "{path}: {}", answer.text());
        }
    }

    /// Calls what the body says in the route handler of the replica that no proxy asks. Next.js answers before it revalidates.
    pub async fn call(&self, body: serde_json::Value) {
        let request = post("/docs/api/revalidate", body.to_string());
        let answer = self.ask(&request.header("Content-Type", "application/json")).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    }

    /// Presses a button whose form is a Server Action, at the same replica.
    pub async fn press(&self, button: &str) {
        let page = self.ask(&get("/docs/edit")).await.text();
        let form = page.split("<form").find(|form| form.contains(&format!(">{button}</button>")));
        let (_, rest) =
            form.expect("a form with the button").split_once("name=\"$ACTION_ID_").expect("an action");
        let action = rest.split('"').next().expect("its name");
        let body = format!(
            "--part\r\nContent-Disposition: form-data; name=\"$ACTION_ID_{action}\"\r\n\r\n\r\n--part--\r\n"
        );
        let request = post("/docs/edit", body).header("Content-Type", "multipart/form-data; boundary=part");
        let answer = self.ask(&request).await;
        assert_eq!(answer.status, 200, "{button}: {}", answer.text());
    }

    /// Calls `res.revalidate(path)` at the same replica.
    pub async fn revalidate(&self, path: &str) {
        let answer = self.ask(&get(&format!("/docs/api/regenerate?path={path}"))).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    /// Gives a post a title. Returns the version of the data.
    pub async fn edit(&self, id: u32, title: &str) -> u64 {
        let body = json!({ "title": title }).to_string();
        let answer = Client::connect(self.data).await.send(&post(&format!("/blog/{id}"), body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("x-data-version").parse().expect("a version")
    }

    /// How often the data was read so far.
    pub async fn reads(&self) -> u64 {
        let answer = Client::connect(self.data).await.get("/").await;
        let state: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        state["reads"].as_u64().expect("a count")
    }
}
