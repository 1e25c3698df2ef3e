//! A way to the API server that misbehaves when it is told to.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;

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
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, policy) = (client.clone(), Arc::clone(&deciding));
                tokio::spawn(async move {
                    let service = service_fn(|request| pass(client.clone(), Arc::clone(&policy), request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
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
        Self { policy, kubeconfig, task }
    }

    /// The kubeconfig that leads through it.
    pub fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// From now on, this decides by method and path.
    pub fn decide(&self, policy: impl FnMut(&str, &str) -> Fate + Send + 'static) {
        *self.policy.lock().expect("the policy") = Box::new(policy);
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

async fn pass(
    client: Client,
    policy: Arc<Mutex<Policy>>,
    request: http::Request<Incoming>,
) -> Result<Answer, std::io::Error> {
    let fate = (policy.lock().expect("the policy"))(request.method().as_str(), request.uri().path());
    let cut = || Err(std::io::Error::other("cut"));
    match fate {
        Fate::Cut => return cut(),
        Fate::Refused(code) => return Ok(refusal(code)),
        Fate::Passed | Fate::Unanswered => {}
    }
    let (mut head, body) = request.into_parts();
    head.headers.remove(http::header::HOST);
    head.headers.remove(http::header::CONNECTION);
    let Ok(body) = body.collect().await else { return cut() };
    let request = http::Request::from_parts(head, kube::client::Body::from(body.to_bytes().to_vec()));
    match client.send(request).await {
        Ok(_) if fate == Fate::Unanswered => cut(),
        Ok(response) => Ok(response.map(http_body_util::BodyExt::boxed_unsync)),
        Err(_) => cut(),
    }
}

fn refusal(code: u16) -> Answer {
    let status = json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": "InternalError", "message": "refused by the test", "metadata": {} });
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never: Infallible| match never {});
    let response = http::Response::builder().status(code).header("content-type", "application/json");
    response.body(body.boxed_unsync()).expect("a response")
}
