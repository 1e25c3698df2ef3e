//! The application that visitors are at while something is done to the cluster.

use serde_json::Value;

use crate::cluster::{
    PATIENCE, SYSTEM, admin, answered, application, apply, condition, kubectl, manifest, proxy_pods, route,
    says, settled,
};
use crate::load::Page;
use crate::support::{eventually, get};

const PATHS: [&str; 4] = ["/blog-posts", "/blog-posts/1", "/blog-posts/2", "/blog-posts/3"];

/// The example application in a namespace of its own, at two hosts: an Ingress leads to one of them, an `HTTPRoute` to
/// the other. All of its pages have an interval of a second.
pub struct Site {
    pub namespace: &'static str,
    pub hosts: [String; 2],
}

impl Site {
    /// Makes it, and waits until every proxy has its pages.
    pub async fn new(namespace: &'static str) -> Self {
        let hosts = [format!("{namespace}.example.com"), format!("gateway.{namespace}.example.com")];
        let site = Self { namespace, hosts };
        application(namespace, &site.hosts[0]);
        let http_route = manifest("httproute").replace("shop.example.com", &site.hosts[1]);
        let own = http_route.replace(" shop\n", &format!(" {namespace}\n"));
        apply(&own);
        let hosts = site.hosts.join(", ");
        apply(&route(namespace, "list", &hosts, "/blog-posts", "interval: 1s"));
        apply(&route(namespace, "post", &hosts, "/blog-posts/[slug]", "interval: 1s"));
        for name in ["list", "post"] {
            says(namespace, name, "Ready", "True", "Ready").await;
        }
        site.is_stored_everywhere().await;
        site
    }

    /// Every page of it, at both hosts.
    pub fn pages(&self) -> Vec<Page> {
        let of_host = |host: &String| PATHS.map(|path| Page::of_the_example(host, path));
        self.hosts.iter().flat_map(of_host).collect()
    }

    /// Waits until each proxy has each page, so that no visit is the first one.
    pub async fn is_stored_everywhere(&self) {
        settled(SYSTEM).await;
        for host in &self.hosts {
            for path in PATHS {
                let page = get(path).host(host);
                eventually(&format!("every proxy has {host}{path}"), PATIENCE, async || {
                    answered("the page is there", &page, |response| response.status == 200).await;
                    let has = |(pod, _): &(String, u64)| {
                        let known = admin(pod, &format!("/cache?url=http://{host}{path}"));
                        // Until its node knows of the application's Service, a proxy may have got a 404 from elsewhere.
                        let is_good = |page: &Value| page["status"] == 200;
                        known["stored"]
                            .as_array()
                            .is_some_and(|all| !all.is_empty() && all.iter().all(is_good))
                    };
                    proxy_pods().iter().all(has).then_some(())
                })
                .await;
            }
        }
    }

    /// Changes the interval of the list, and waits until all proxies say that it is in force.
    pub async fn changes(&self, seconds: u64) {
        let patch = format!(r#"{{"spec":{{"interval":"{seconds}s"}}}}"#);
        let namespace = self.namespace;
        kubectl(&["patch", "isrroute", "list", "-n", namespace, "--type=merge", "--patch", &patch]);
        eventually("the change is in force", PATIENCE, async || {
            let [status, ..] = condition(namespace, "list", "Programmed")?;
            (status == "True").then_some(())
        })
        .await;
    }
}
