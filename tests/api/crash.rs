//! An operator that is killed before or after any of its writes: whoever follows it finishes what it began, and the
//! proxies never see half of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use isr_routes::snapshot::shard_name;
use kube::Client as Kube;
use serde_json::{Value, json};

use crate::chaos::{Chaos, Fate, is_write};
use crate::control_plane::signal;
use crate::installation::{Cluster, Operator, SHOP, SYSTEM, condition_of, text};
use crate::support::{Client, PATIENCE, Proxy, TOKEN, eventually, get, let_time_pass, route};

/// Operators that are started for each kind of world, at most. The test ends when none of the writes is left to be killed at, which
/// is long before this.
const RUNS_MOST: usize = 40;
/// The same write is one to be killed at so often: two shards are written alike, and the Lease again and again.
const ALIKE_MOST: usize = 2;
/// Routes of 16 KiB each, so that the table does not fit into one shard of 256 KiB.
const FILLERS: usize = 20;
/// By then an event is written after the status that it tells of.
const EVENT: Duration = Duration::from_secs(1);

/// Names of two routes that stand in different shards as soon as there is more than one.
fn pair() -> [String; 2] {
    [["0", "8"], ["8", "g"]].map(|[from, to]| {
        let mut names = (0..).map(|number| format!("page-{number}"));
        let is_between = |name: &String| {
            let place = shard_name(format!("{SHOP}/{name}").as_bytes());
            (from..to).contains(&&place[..1])
        };
        names.find(is_between).expect("a name in each half")
    })
}

/// The worlds are of two kinds, in turn, so that what one makes the next removes.
fn is_second(number: usize) -> bool {
    number % 2 == 1
}

/// A world. Between it and the next one everything differs that the operator writes: both shards, the index, the origin
/// tokens, both statuses, an event, and the ingress Service.
fn world(number: usize) -> Vec<Value> {
    let is_second = is_second(number);
    let [left, right] = pair();
    // What was ever published stays there for a while, so that only what is new is written.
    let (interval, origin) = (format!("{}s", 20 + number), format!("example-origin-token-{number}"));
    let mut objects =
        route(&format!("/{left}")).named(&left).interval(&interval).origin_token(&origin).objects(3000);
    // Too short a token: the route is served, and is not ready.
    let token = if is_second { "short" } else { TOKEN };
    objects.extend(route(&format!("/{right}")).named(&right).interval(&interval).token(token).objects(3000));
    let labels = if is_second { json!({ "kube-isr.dev/ingress-service": "true" }) } else { json!({}) };
    objects.push(
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": SHOP, "labels": labels } }),
    );
    objects
}

fn fillers() -> Vec<Value> {
    let filler = |number: usize| {
        let tags: Vec<String> = (0..64).map(|tag| format!("{tag:-<250}")).collect();
        route(&format!("/filler-{number}")).interval("10s").set("tags", json!(tags)).objects(3000)
    };
    (0..FILLERS).flat_map(filler).collect()
}

async fn read(client: &Kube, path: &str) -> Option<Value> {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    client.request(request).await.ok()
}

async fn index(client: &Kube) -> Value {
    let path = format!("/api/v1/namespaces/{SYSTEM}/configmaps/kube-isr-routes");
    let map = read(client, &path).await.expect("the index");
    serde_json::from_str(&text(&map["data"]["index.json"])).expect("JSON")
}

/// Whether everything is as this world should be.
async fn is_settled(client: &Kube, proxy: &Proxy, is_second: bool) -> Option<()> {
    let [left, right] = pair();
    let expected = if is_second { "False InvalidToken" } else { "True Ready" };
    for (name, expected) in [(left, "True Ready"), (right, expected)] {
        let route =
            read(client, &format!("/apis/kube-isr.dev/v1alpha1/namespaces/{SHOP}/isrroutes/{name}")).await?;
        let ready = condition_of(&route, "Ready");
        let is_present = ready["observedGeneration"] == route["metadata"]["generation"];
        if !is_present || format!("{} {}", text(&ready["status"]), text(&ready["reason"])) != expected {
            return None;
        }
    }
    for path in [
        format!("/api/v1/namespaces/{SHOP}/services/kube-isr"),
        format!("/apis/discovery.k8s.io/v1/namespaces/{SHOP}/endpointslices/kube-isr-ipv4"),
    ] {
        if read(client, &path).await.is_some() != is_second {
            return None;
        }
    }
    let (index, serves) = (index(client).await, proxy.admin_json("/configz").await);
    let tokens = read(client, &format!("/api/v1/namespaces/{SYSTEM}/secrets/kube-isr-origin-tokens")).await?;
    let name = index["originTokens"][0].as_str()?;
    (serves["digest"] == index["digest"] && tokens["data"][name].is_string()).then_some(())
}

/// Looks at the proxy all the time until it is told to stop: at every moment it has all routes, and either both
/// routes of the pair as they were or both as they shall be.
fn watch(proxy: &Proxy) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let over = Arc::new(AtomicBool::new(false));
    let (until, address, admin) = (Arc::clone(&over), proxy.address(), proxy.admin_address());
    let watching = tokio::spawn(async move {
        let ids = pair().map(|name| format!("{SHOP}/{name}"));
        let (mut visitor, mut observer) = (Client::connect(address).await, Client::connect(admin).await);
        let mut looks = 0;
        while !until.load(Ordering::Relaxed) {
            // Nobody renders here: 502 and 503 come from the route, anything else from its absence.
            let page = visitor.get("/filler-0").await;
            assert!([502, 503].contains(&page.status), "the route is known: {}", page.status);
            let table = observer.send(&get("/routes").host("localhost")).await;
            let table: Vec<Value> = serde_json::from_slice(&table.body).expect("a list of routes");
            assert_eq!(table.len(), FILLERS + 2, "the table is whole");
            let interval = |id: &String| {
                let route = table.iter().find(|route| route["route"] == **id);
                route.expect("the route is in the table")["interval"].clone()
            };
            assert_eq!(interval(&ids[0]), interval(&ids[1]), "both are of one world");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        looks
    });
    (over, watching)
}

/// Which write of a run it is: its method and path, and how many like it came before.
type Write = (String, usize);

/// The operator is killed at each of its writes in turn, which then meets this fate. Its tasks write in no certain order, so each
/// run ends at the first write at which none has ended yet.
async fn killed_at_every_write(fate: Fate) {
    let cluster = Cluster::new().await;
    let client = cluster.plane.client("admin").await;
    cluster.plane.apply(&fillers());
    cluster.plane.apply(&world(0));
    let chaos = Chaos::before(&cluster.plane, "operator").await;
    let start = || Operator::start(chaos.kubeconfig(), "operator-1", &[]);
    let first = start();
    let proxy = cluster.proxy("proxy-1").await;
    eventually("the first world", PATIENCE * 3, async || is_settled(&client, &proxy, false).await).await;
    drop(first);
    let before = index(&client).await;
    assert_eq!(before["shards"].as_array().map(Vec::len), Some(2), "the table has two shards");

    let (over, watching) = watch(&proxy);
    let deaths: [Arc<Mutex<BTreeSet<Write>>>; 2] = Default::default();
    let mut is_finished = [false; 2];
    for number in 1..2 * RUNS_MOST {
        let is_second = is_second(number);
        let before = index(&client).await;
        cluster.plane.apply(&world(number));
        let (victim, mut writes) = (Arc::new(Mutex::new(0)), BTreeMap::<String, usize>::new());
        let (target, death) = (Arc::clone(&victim), Arc::new(Mutex::new(None)));
        let (noted, died_at) = (Arc::clone(&death), Arc::clone(&deaths[usize::from(is_second)]));
        chaos.decide(move |method, path| {
            let mut noted = noted.lock().expect("the note");
            if !is_write(method) || noted.is_some() {
                return Fate::Passed;
            }
            let write = format!("{method} {path}");
            let alike = writes.entry(write.clone()).or_default();
            *alike += 1;
            if *alike > ALIKE_MOST || !died_at.lock().expect("the deaths").insert((write.clone(), *alike)) {
                return Fate::Passed;
            }
            *noted = Some(write);
            signal(*target.lock().expect("the victim"), "KILL");
            fate
        });
        // Its writes wait for its process id to be known.
        let mut operator = {
            let mut id = victim.lock().expect("the victim");
            let operator = start();
            *id = operator.child.id();
            operator
        };
        let mut has_died = || operator.child.try_wait().expect("its state").is_some();
        eventually("it is killed or done", PATIENCE * 3, async || {
            (has_died() || is_settled(&client, &proxy, is_second).await.is_some()).then_some(())
        })
        .await;
        // The event follows the status; nobody can wait for one that its writer died of.
        if !has_died() {
            let_time_pass(EVENT).await;
        }
        let died = has_died();
        chaos.decide(|_, _| Fate::Passed);
        if died {
            // Of the same name, as a container that is started again: it need not wait for its own Lease.
            operator = start();
        } else {
            is_finished[usize::from(is_second)] = true;
        }
        let what = format!("the world after {:?}", death.lock().expect("the note"));
        eventually(&what, PATIENCE * 3, async || is_settled(&client, &proxy, is_second).await).await;
        drop(operator);
        let after = index(&client).await;
        let generation = |index: &Value| index["generation"].as_u64().expect("a number");
        assert_eq!(generation(&after), generation(&before) + 1, "one world, one generation: {what}");
        let shards = |index: &Value| index["shards"].as_array().cloned().expect("a list");
        assert!(shards(&after).iter().all(|shard| !shards(&before).contains(shard)), "both shards are new");
        if is_finished == [true; 2] {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    let looks = watching.await.expect("the proxy served whole tables all the time");
    let deaths = deaths.map(|deaths| deaths.lock().expect("the deaths").clone());
    println!("{looks} looks while it was killed at {deaths:#?}");
    assert_eq!(is_finished, [true; 2], "it has died of everything");
    for resource in [
        "/leases/",
        "/secrets/",
        "POST /api/v1/namespaces/kube-isr-system/configmaps",
        "/configmaps/kube-isr-routes",
        "/status",
        "/events",
        "/services/",
        "/endpointslices/",
    ] {
        let is_one = |(write, _): &Write| write.contains(resource);
        assert!(deaths.iter().flatten().any(is_one), "it died at {resource}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_an_operator_killed_before_any_write_is_followed_by_the_truth() {
    killed_at_every_write(Fate::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_an_operator_killed_after_any_write_is_followed_by_the_truth() {
    killed_at_every_write(Fate::Unanswered).await;
}
