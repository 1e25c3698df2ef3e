//! A measurement, not a test: 10,000 and 100,000 routes, 1,000 Secrets, 500 namespaces. `make bench-control-plane` runs and
//! prints it.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, TypeMeta};
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::installation::{Cluster, condition_of};
use crate::support::{PATIENCE, eventually, let_time_pass};

const SECRETS: usize = 1_000;
const NAMESPACES: usize = 500;
/// How long the operator is watched at rest.
const REST: Duration = Duration::from_mins(1);
/// Requests under way at a time while the objects are made.
const AT_ONCE: usize = 32;

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version,
        kind: kind.into(),
        plural: plural.into(),
    }
}

fn api(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

async fn create(client: &Client, resource: &ApiResource, objects: Vec<(Option<String>, String, Value)>) {
    let making = futures::stream::iter(objects).map(|(namespace, name, data)| async move {
        let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
        let types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
        let object = DynamicObject { types, metadata, data };
        let api = api(client, resource, namespace.as_deref());
        api.create(&PostParams::default(), &object).await.expect("it is created");
    });
    making.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

fn namespace(number: usize) -> String {
    format!("tenant-{}", number % NAMESPACES)
}

/// Megabytes of memory that a process had at most (`VmHWM`), and has.
fn memory(id: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process");
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or_default()
            / 1024
    };
    (of("VmHWM"), of("VmRSS"))
}

#[tokio::test]
#[ignore = "a measurement: make bench-control-plane"]
async fn api_ten_thousand_routes() {
    measure(10_000, 100).await;
}

#[tokio::test]
#[ignore = "a measurement: make bench-control-plane"]
async fn api_hundred_thousand_routes() {
    measure(100_000, 20).await;
}

/// Measures so many routes, and changes of one route each, one after the other.
async fn measure(routes: usize, changes: usize) {
    let cluster = Cluster::new().await;
    let client = cluster.plane.client("admin").await;
    let namespaces = (0..NAMESPACES).map(|number| (None, namespace(number), json!({})));
    create(&client, &resource("", "v1", "Namespace", "namespaces"), namespaces.collect()).await;
    let services = (0..NAMESPACES).map(|number| {
        (Some(namespace(number)), "web".to_owned(), json!({ "spec": { "ports": [{ "port": 3000 }] } }))
    });
    create(&client, &resource("", "v1", "Service", "services"), services.collect()).await;
    let secrets = (0..SECRETS).map(|number| {
        let value = format!("example-token-of-32-characters-{number}");
        (
            Some(namespace(number)),
            format!("isr-{}", number / NAMESPACES),
            json!({ "stringData": { "token": value } }),
        )
    });
    create(&client, &resource("", "v1", "Secret", "secrets"), secrets.collect()).await;
    let kind = resource("kube-isr.dev", "v1alpha1", "IsrRoute", "isrroutes");
    let objects = (0..routes).map(|number| {
        let secret = format!("isr-{}", number / NAMESPACES % (SECRETS / NAMESPACES));
        let spec = json!({ "spec": { "hostnames": [format!("{}.example.com", namespace(number))],
            "path": format!("/page-{number}/[slug]"), "interval": "10s", "backendRef": { "name": "web", "port": 3000 },
            "bypassToken": { "secretKeyRef": { "name": secret, "key": "token" } } } });
        (Some(namespace(number)), format!("page-{number}"), spec)
    });
    let begun = Instant::now();
    create(&client, &kind, objects.collect()).await;
    println!("{routes} routes made in {:.0?}", begun.elapsed());

    let begun = Instant::now();
    let operator = cluster.operator("operator-1");
    let proxies =
        [cluster.launch("proxy-1").start_unready().await, cluster.launch("proxy-2").start_unready().await];
    for (proxy, name) in proxies.iter().zip(["proxy-1", "proxy-2"]) {
        cluster.endpoint(name, proxy.address().port(), proxy.admin_address().port(), true);
    }
    let is_ready = async |number: usize, generation: i64| {
        let route =
            api(&client, &kind, Some(&namespace(number))).get(&format!("page-{number}")).await.ok()?;
        let ready = condition_of(&route.data, "Ready");
        (ready["status"] == "True" && ready["observedGeneration"] == generation).then_some(())
    };
    let long = PATIENCE * 60;
    for proxy in &proxies {
        eventually("the proxies serve all", long, async || {
            (proxy.admin_json("/configz").await["routes"] == routes).then_some(())
        })
        .await;
    }
    println!("a start with {routes} routes: served by both proxies after {:.1?}", begun.elapsed());
    for number in (0..routes).step_by(97) {
        eventually("every status is written", long, async || is_ready(number, 1).await).await;
    }
    println!("every status written after {:.1?}", begun.elapsed());

    let mut times = Vec::with_capacity(changes);
    for change in 0..changes {
        let number = change * 89 % routes;
        let patch = json!({ "spec": { "interval": format!("{}s", 20 + change) } });
        let begun = Instant::now();
        api(&client, &kind, Some(&namespace(number)))
            .patch(&format!("page-{number}"), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("a change");
        eventually("it is served by both and says so", long, async || is_ready(number, 2).await).await;
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "apply → served by both proxies and Programmed=True, {changes} changes: p50 {:.2?}, p99 {:.2?}, most {:.2?}",
        times[changes / 2],
        times[(changes * 99).div_ceil(100) - 1],
        times[changes - 1]
    );

    let before =
        cluster.plane.audit_log().lines().filter(|line| line.contains(r#""username":"operator""#)).count();
    let_time_pass(REST).await;
    let after =
        cluster.plane.audit_log().lines().filter(|line| line.contains(r#""username":"operator""#)).count();
    let (most, now) = memory(operator.child.id());
    println!("requests of the operator in a minute at rest: {}", after - before);
    println!("memory of the operator: {now} MiB, {most} MiB at most");
    assert!(after - before <= SECRETS + 60, "a Secret a minute, and one request a second");
}
