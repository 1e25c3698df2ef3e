//! A way to the API server that misbehaves when it is told to.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control_plane::ControlPlane;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on, and its answer back.
    Passed,
    /// It gets this status and does not reach the API server.
    Refused(u16),
    /// It reaches the API server, and its answer nobody.
    Unanswered,
    /// The connection is closed.
    Cut,
}

type Policy = Box<dyn FnMut(&str, &str) -> Fate + Send>;

/// A proxy before the API server that speaks for one user. Ends with its owner.
pub struct Chaos {
    policy: Arc<Mutex<Policy>>,
    /// Whether what watches tell is held back.
    is_stale: watch::Sender<bool>,
    /// How often all connections were closed.
    cuts: watch::Sender<u64>,
    kubeconfig: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Chaos {
    /// One that passes everything on as this user.
    pub async fn before(plane: &ControlPlane, user: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let client = plane.client(user).await;
        let policy: Arc<Mutex<Policy>> = Arc::new(Mutex::new(Box::new(|_, _| Fate::Passed)));
        let deciding = Arc::clone(&policy);
        let (is_stale, stale) = watch::channel(false);
        let (cuts, cut) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let way = Way { client: client.clone(), policy: Arc::clone(&deciding), stale: stale.clone() };
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let service = service_fn(|request| way.clone().pass(request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    tokio::select! {
                        _ = connection.serve_connection(TokioIo::new(stream), service) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        let kubeconfig = plane.path(&format!("{user}-chaos-{}.kubeconfig", address.port()));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        std::fs::write(&kubeconfig, config.to_string()).expect("the kubeconfig");
        Self { policy, is_stale, cuts, kubeconfig, task }
    }

    /// The kubeconfig that leads through it.
    pub fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// From now on, this decides by method and path.
    pub fn decide(&self, policy: impl FnMut(&str, &str) -> Fate + Send + 'static) {
        *self.policy.lock().expect("the policy") = Box::new(policy);
    }

    /// Holds back what watches tell, or lets all of it go on.
    pub fn hold_watches(&self, held: bool) {
        self.is_stale.send_replace(held);
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether a request changes something.
pub fn is_write(method: &str) -> bool {
    ["POST", "PUT", "PATCH", "DELETE"].contains(&method)
}

type Answer = http::Response<UnsyncBoxBody<Bytes, kube::Error>>;

/// What each connection is given.
#[derive(Clone)]
struct Way {
    client: Client,
    policy: Arc<Mutex<Policy>>,
    stale: watch::Receiver<bool>,
}

impl Way {
    async fn pass(self, request: http::Request<Incoming>) -> Result<Answer, std::io::Error> {
        let cut = || Err(std::io::Error::other("cut"));
        let (mut head, body) = request.into_parts();
        // All of it, because who sent it may be gone once the policy has decided.
        let Ok(body) = body.collect().await else { return cut() };
        let fate = (self.policy.lock().expect("the policy"))(head.method.as_str(), head.uri.path());
        match fate {
            Fate::Cut => return cut(),
            Fate::Refused(code) => return Ok(refusal(code)),
            Fate::Passed | Fate::Unanswered => {}
        }
        let is_watch = head.uri.query().is_some_and(|query| query.contains("watch=true"));
        head.headers.remove(http::header::HOST);
        head.headers.remove(http::header::CONNECTION);
        let request = http::Request::from_parts(head, kube::client::Body::from(body.to_bytes().to_vec()));
        // A task of its own, which ends in good order when the connection does not.
        let answer = tokio::spawn(async move { self.client.send(request).await }).await;
        match answer {
            Ok(Ok(_)) if fate == Fate::Unanswered => cut(),
            Ok(Ok(response)) if is_watch => Ok(response.map(|body| delayed(body, self.stale))),
            Ok(Ok(response)) => Ok(response.map(http_body_util::BodyExt::boxed_unsync)),
            _ => cut(),
        }
    }
}

/// A body whose pieces wait while watches are held back.
fn delayed(body: kube::client::Body, stale: watch::Receiver<bool>) -> UnsyncBoxBody<Bytes, kube::Error> {
    let frames = futures::stream::unfold((body, stale), |(mut body, mut stale)| async {
        let frame = body.frame().await?;
        stale.wait_for(|held| !held).await.ok()?;
        Some((frame, (body, stale)))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn refusal(code: u16) -> Answer {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": "refused by the test", "metadata": {} });
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never: Infallible| match never {});
    let response = http::Response::builder().status(code).header("content-type", "application/json");
    response.body(body.boxed_unsync()).expect("a response")
}
