//! `kubectl isr purge`: asking every proxy of a cluster by way of the API server, with the rights of the user.
//!
//! The API server connects to the admin port of a pod for who may `create pods/proxy` there, so nothing has to be
//! forwarded or exposed. The token is that of the route, for who may read the Secret that the route names.

mod proxies;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderName, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use isr_api::{IsrRoute, SecretKeyRef};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::config::{Config, KubeConfigOptions};
use kube::{Api, Client};
use serde::Deserialize;

use crate::purge::cluster::proxies::Proxy;
use crate::purge::direct::ANSWER_MOST;
use crate::purge::replica::{Answer, Done, NotDone, read};
use crate::purge::token::{self, Token};
use crate::purge::wanted::{Route, Wanted};
use crate::purge::{AT_ONCE, Manner, Order, PATH, TOKEN_HEADER, finish, runtime};

/// The labels that the chart gives the Services of the proxies, and Kubernetes their `EndpointSlice`s.
const LABELS: &str = "app.kubernetes.io/name=kube-isr,app.kubernetes.io/component=proxy";

/// What to look at when the API server does not get through to a pod.
const UNREACHABLE: &str =
    "If a NetworkPolicy guards the admin port, let the API server in: networkPolicy.monitoring of the chart";

#[derive(Debug, clap::Args)]
#[allow(clippy::doc_markdown, reason = "these are the help text, not Markdown")]
pub(crate) struct ClusterPurgeArgs {
    /// A route: its pages and no others are meant, all of them unless some are named. Its token is read from the Secret
    /// that spec.bypassToken names, unless one is handed over
    #[arg(value_name = "isrroute/NAME", value_parser = route_name)]
    route: Option<String>,
    /// The namespace of the route. Default: that of the kubeconfig's context
    #[arg(short, long, value_name = "NAME", requires = "route")]
    namespace: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// The namespace of the proxies
    #[arg(long, value_name = "NAME", default_value = "kube-isr-system")]
    system_namespace: String,
    /// The Service of the proxies that has a port named admin. Default: the one that is labelled as the chart labels it
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The context of the kubeconfig. Default: its current one, or the service account of a pod
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    manner: Manner,
}

/// What the API server says when it does not let a request through to a pod.
#[derive(Deserialize)]
struct Status {
    kind: String,
    message: String,
}

/// Asks every proxy of the cluster.
pub(crate) fn run(args: &ClusterPurgeArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let answers = runtime()?.block_on(purge(args))?;
    finish(&answers, args.manner.output, out)
}

async fn purge(args: &ClusterPurgeArgs) -> anyhow::Result<Vec<Answer>> {
    let Manner { token_file, timeout, .. } = &args.manner;
    let cluster = Cluster::of(args).await?;
    let typed = Token::typed(token_file.as_deref(), std::env::var_os(token::VARIABLE))?;
    let (body, token) = match &args.route {
        None => (args.wanted.request(None)?, typed.ok_or_else(token::missing)?),
        Some(name) => {
            let route = cluster.route(args.namespace.as_deref(), name).await?;
            let id = format!("{}/{name}", route.metadata.namespace.as_deref().unwrap_or_default());
            let meant = Route { id, hostnames: route.spec.hostnames.clone() };
            let body = args.wanted.request(Some(&meant))?;
            let token = match typed {
                Some(token) => token,
                None => cluster.token(&meant.id, &route).await?,
            };
            (body, token)
        }
    };
    let proxies = cluster.proxies(&args.system_namespace, args.service.as_deref()).await?;
    let order = Order { token, body: body.to_string().into(), timeout: *timeout };
    Ok(cluster.ask(&args.system_namespace, proxies, &order).await)
}

/// The cluster, as the user may see it.
struct Cluster {
    client: Client,
    /// The namespace of the kubeconfig's context.
    namespace: String,
    /// For each answer of the API server.
    timeout: Duration,
}

impl Cluster {
    /// Finds the API server, without asking it anything.
    async fn of(args: &ClusterPurgeArgs) -> anyhow::Result<Self> {
        let mut config = match &args.context {
            Some(context) => {
                let options =
                    KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
                Config::from_kubeconfig(&options).await.with_context(|| format!("--context {context}"))?
            }
            None => Config::infer().await.context("no API server is known: set KUBECONFIG")?,
        };
        // The client would hide each 503, those of the proxies as well, and try for minutes.
        config.default_retry = false;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).context("the API server cannot be spoken to")?;
        Ok(Self { client, namespace, timeout: args.manner.timeout })
    }

    async fn route(&self, namespace: Option<&str>, name: &str) -> anyhow::Result<IsrRoute> {
        let namespace = namespace.unwrap_or(&self.namespace);
        let routes: Api<IsrRoute> = Api::namespaced(self.client.clone(), namespace);
        self.answer(routes.get(name)).await.with_context(|| format!("IsrRoute {namespace}/{name}"))
    }

    /// The token in use of a route, for who may read it.
    async fn token(&self, id: &str, route: &IsrRoute) -> anyhow::Result<Token> {
        let Some(bypass_token) = &route.spec.bypass_token else {
            bail!(
                "IsrRoute {id} has no spec.bypassToken, so nobody may purge its pages: name a Secret there"
            );
        };
        let SecretKeyRef { name, key } = &bypass_token.secret_key_ref;
        let namespace = route.metadata.namespace.as_deref().unwrap_or(&self.namespace);
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = self.answer(secrets.get(name)).await.with_context(|| {
            format!(
                "Secret {namespace}/{name}, which IsrRoute {id} names, cannot be read (a token may also be handed over: --token-file, or {})",
                token::VARIABLE
            )
        })?;
        let value = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| {
            anyhow!(
                "Secret {namespace}/{name} has no key {key}, which spec.bypassToken of IsrRoute {id} names"
            )
        })?;
        Token::new(&value.0, format!("key {key} of Secret {namespace}/{name}"))
    }

    async fn proxies(&self, namespace: &str, service: Option<&str>) -> anyhow::Result<Vec<Proxy>> {
        let labels = match service {
            Some(service) => format!("{}={service}", proxies::SERVICE_LABEL),
            None => LABELS.to_owned(),
        };
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let selected = ListParams::default().labels(&labels);
        let slices = self.answer(slices.list(&selected)).await;
        let slices = slices.with_context(|| format!("the proxies cannot be found in {namespace}"))?;
        proxies::of(&slices.items)
            .map_err(|why| anyhow!("{why} (EndpointSlices of {namespace} with {labels})"))
    }

    /// Asks each of these, and waits for all answers.
    async fn ask(&self, namespace: &str, proxies: Vec<Proxy>, order: &Order) -> Vec<Answer> {
        let asked = futures::stream::iter(proxies).map(|proxy| async move {
            let outcome = tokio::time::timeout(order.timeout, self.ask_one(namespace, &proxy, order)).await;
            let silent =
                |_| Err(NotDone::silent(format_args!("No answer within {:?}. {UNREACHABLE}", order.timeout)));
            let mut outcome = outcome.unwrap_or_else(silent);
            if let (Err(not_done), false) = (&mut outcome, proxy.is_ready) {
                not_done.message.insert_str(0, "It is not ready. ");
            }
            Answer { replica: proxy.replica, outcome }
        });
        asked.buffered(AT_ONCE).collect().await
    }

    async fn ask_one(&self, namespace: &str, proxy: &Proxy, order: &Order) -> Result<Done, NotDone> {
        let Some(pod) = &proxy.replica.name else {
            let address = &proxy.replica.address;
            let why = format!(
                "Its EndpointSlice names no pod. Ask it with kube-isr purge --admin http://{address}"
            );
            return Err(NotDone::silent(why));
        };
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{}/proxy{PATH}", proxy.port);
        let request = Request::post(path)
            .header(HeaderName::from_static(TOKEN_HEADER), order.token.header())
            .body(kube::client::Body::from(order.body.clone()))
            .map_err(NotDone::silent)?;
        let response = self.client.send(request).await.map_err(|error| NotDone::silent(describe(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MOST).collect().await;
        let body = body.map_err(NotDone::silent)?.to_bytes();
        match refusal(status, &body) {
            Some(refused) => Err(refused),
            None => read(status, &body, order.token.source()),
        }
    }

    async fn answer<T>(&self, asked: impl Future<Output = kube::Result<T>>) -> anyhow::Result<T> {
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => answer.map_err(|error| anyhow!(describe(&error))),
            Err(_) => bail!("the API server does not answer within {:?}", self.timeout),
        }
    }
}

/// What the API server itself says, if the request did not get to the proxy.
fn refusal(status: StatusCode, body: &Bytes) -> Option<NotDone> {
    let Status { kind, message } = serde_json::from_slice(body).ok()?;
    if kind != "Status" {
        return None;
    }
    let hint = match status {
        StatusCode::FORBIDDEN => {
            "Ask for that right, or purge by HTTP: POST /.well-known/kube-isr/v1/invalidate to its host"
        }
        _ if status.is_server_error() => UNREACHABLE,
        _ => "Purge again",
    };
    let code = status.as_u16();
    let message =
        format!("The API server answers {code}: {message}. It may still serve the old pages. {hint}.");
    Some(NotDone { status: Some(status), message })
}

/// What the API server, or the way to it, says about a failed request, without a full stop.
fn describe(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("the API server answers {}: {}", status.code, status.message);
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    format!("the API server does not answer: {innermost}")
}

/// The name of a route, typed as kubectl's users type it.
fn route_name(text: &str) -> Result<String, String> {
    let (kind, name) = text.split_once('/').unwrap_or(("isrroute", text));
    let kind = kind.strip_suffix(".kube-isr.dev").unwrap_or(kind);
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if is_name && ["isrroute", "isrroutes", "isr"].contains(&kind) {
        Ok(name.to_owned())
    } else {
        Err("write isrroute/NAME, such as isrroute/blog-posts, and its namespace with -n".to_owned())
    }
}

#[cfg(test)]
mod tests;
