//! As much of an API server as a proxy speaks to: ConfigMaps to list and watch, one Secret to get. Plain HTTP, and
//! able to misbehave as real ones do.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// The namespace of its objects.
const NAMESPACE: &str = "kube-isr-system";

/// A scripted API server. Ends with its owner.
pub struct ApiServer {
    state: Arc<State>,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    objects: Mutex<Objects>,
    /// Counts changes; watches wait for it.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Objects {
    version: u64,
    config_maps: BTreeMap<String, Value>,
    secret: BTreeMap<String, String>,
    /// Version, type and object of each change.
    events: Vec<(u64, &'static str, Value)>,
    /// Watches from before this version get 410 Gone.
    forgotten: u64,
    /// How often the watches were cut.
    cuts: u64,
    away: bool,
    requests: Vec<String>,
}

impl ApiServer {
    /// An empty one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if serving.lock(|objects| objects.away) {
                    continue;
                }
                let state = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service =
                        service_fn(|request| std::future::ready(answer(Arc::clone(&state), &request)));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { state, address, task }
    }

    /// Writes a kubeconfig that leads here.
    pub fn write_kubeconfig(&self, path: &Path) {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": NAMESPACE } }],
        });
        std::fs::write(path, config.to_string()).expect("the kubeconfig");
    }

    /// Creates or changes a ConfigMap with one data key.
    pub fn put(&self, name: &str, key: &str, data: &str) {
        self.change(|objects| {
            let known = objects.config_maps.contains_key(name);
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": name, "namespace": NAMESPACE, "resourceVersion": objects.version.to_string(),
                    "labels": { "kube-isr.dev/routes": "kube-isr" } },
                "data": { key: data },
            });
            objects.config_maps.insert(name.to_owned(), object.clone());
            objects.events.push((objects.version, if known { "MODIFIED" } else { "ADDED" }, object));
        });
    }

    /// Deletes a ConfigMap.
    pub fn delete(&self, name: &str) {
        self.change(|objects| {
            let object = objects.config_maps.remove(name).expect("the ConfigMap was there");
            objects.events.push((objects.version, "DELETED", object));
        });
    }

    /// Sets the data of the Secret.
    pub fn set_secret(&self, data: impl IntoIterator<Item = (String, String)>) {
        self.change(|objects| objects.secret = data.into_iter().collect());
    }

    /// Ends every watch; with `forget`, they cannot go on from where they were.
    pub fn cut(&self, forget: bool) {
        self.change(|objects| {
            objects.cuts += 1;
            if forget {
                objects.forgotten = objects.version;
            }
        });
    }

    /// Closes every connection at once, or serves again.
    pub fn away(&self, away: bool) {
        self.change(|objects| {
            objects.cuts += 1;
            objects.away = away;
        });
    }

    /// The paths and queries of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock(|objects| objects.requests.clone())
    }

    fn change(&self, change: impl FnOnce(&mut Objects)) {
        self.state.lock(|objects| {
            objects.version += 1;
            change(objects);
        });
        self.state.changed.send_modify(|count| *count += 1);
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn lock<T>(&self, look: impl FnOnce(&mut Objects) -> T) -> T {
        look(&mut self.objects.lock().expect("the objects"))
    }
}

type Answer = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

fn answer(state: Arc<State>, request: &http::Request<Incoming>) -> Result<Answer, std::io::Error> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    if state.lock(|objects| {
        objects.requests.push(format!("{path}?{query}"));
        objects.away
    }) {
        return Err(std::io::Error::other("away"));
    }
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    let collection = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/kube-isr-origin-tokens");
    if path == collection && parameter("labelSelector") == "kube-isr.dev%2Froutes%3Dkube-isr" {
        if parameter("watch") == "true" {
            let from = parameter("resourceVersion").parse().unwrap_or(0);
            return Ok(follow(state, from));
        }
        let list = state.lock(|objects| {
            json!({ "apiVersion": "v1", "kind": "ConfigMapList",
                "metadata": { "resourceVersion": objects.version.to_string() },
                "items": objects.config_maps.values().collect::<Vec<_>>() })
        });
        return Ok(document(200, &list));
    }
    if path == secret {
        let data = state.lock(|objects| objects.secret.clone());
        if !data.is_empty() {
            let object = json!({ "apiVersion": "v1", "kind": "Secret",
                "metadata": { "name": "kube-isr-origin-tokens", "namespace": NAMESPACE },
                "data": data.iter().map(|(name, value)| (name, base64(value))).collect::<BTreeMap<_, _>>() });
            return Ok(document(200, &object));
        }
    }
    let reason = if path == secret { "NotFound" } else { "Forbidden" };
    let code = if path == secret { 404 } else { 403 };
    Ok(document(code, &status(code, reason)))
}

fn follow(state: Arc<State>, from: u64) -> Answer {
    let (sender, receiver) = mpsc::channel::<Bytes>(64);
    tokio::spawn(async move {
        let mut changed = state.changed.subscribe();
        let (mut seen, cuts) = (from, state.lock(|objects| objects.cuts));
        loop {
            let (lines, over) = state.lock(|objects| {
                if seen < objects.forgotten {
                    let gone = json!({ "type": "ERROR", "object": status(410, "Expired") });
                    return (vec![format!("{gone}\n")], true);
                }
                let new = objects.events.iter().filter(|(version, ..)| *version > seen);
                let lines =
                    new.map(|(_, kind, object)| format!("{}\n", json!({ "type": kind, "object": object })));
                let lines = lines.collect();
                seen = objects.version;
                (lines, objects.cuts != cuts)
            });
            for line in lines {
                if sender.send(line.into()).await.is_err() {
                    return;
                }
            }
            if over || changed.changed().await.is_err() {
                return;
            }
        }
    });
    let frames = futures::stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), receiver))
    });
    http::Response::new(StreamBody::new(frames).boxed_unsync())
}

fn document(status: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    let builder = http::Response::builder().status(status).header("content-type", "application/json");
    builder.body(body).expect("a response")
}

fn status(code: u16, reason: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
        "message": format!("the API server says {reason}"), "metadata": {} })
}

fn base64(text: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, place| bits << 8 | u32::from(*chunk.get(place).unwrap_or(&0)));
        for place in 0..4 {
            let digit = alphabet[(bits >> (18 - 6 * place)) as usize & 63];
            encoded.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    encoded
}
