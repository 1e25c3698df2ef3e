//! What the proxies say they serve.
//!
//! Each ready proxy is asked at its admin port which table it serves and what it left out of it. Ready is what the
//! `EndpointSlice`s of the proxy Service say: a proxy that is starting, or crashing, serves nobody and holds up nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Deserialize;

/// The name of the admin port in the `EndpointSlice`s.
const ADMIN_PORT: &str = "admin";
/// For one answer: a proxy that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of one answer, at most: a few thousand rejected routes.
const ANSWER_MOST: usize = 1024 * 1024;
/// Proxies asked at a time.
const AT_ONCE: usize = 16;

/// A ready proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pod {
    /// Where its admin endpoints are.
    pub(crate) address: SocketAddr,
    /// Its name, if the slice tells it.
    pub(crate) name: Option<String>,
}

/// What a proxy says about itself (`/configz`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Answer {
    pub(crate) generation: u64,
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) rejected: Vec<Rejected>,
    #[serde(default)]
    pub(crate) purges: Purged,
    /// Nothing while its table is too new for it to know, and from proxies of older versions.
    #[serde(default)]
    pub(crate) prerendering: Option<Unfinished>,
}

/// How far a proxy has carried out the published purges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Purged {
    /// Which list of them.
    pub(crate) log: String,
    /// The number of the last one that is done.
    pub(crate) position: u64,
    /// Why it goes no further, in a clause.
    pub(crate) problem: Option<String>,
}

/// The routes of which a proxy has not rendered all pages that they want to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Unfinished {
    /// By `namespace/name`: all that fail and all that are still rendering, as far as there was room.
    pub(crate) routes: BTreeMap<String, UnfinishedRoute>,
    /// How many more fail.
    pub(crate) more_failing: usize,
    /// How many more are still rendering.
    pub(crate) more_rendering: usize,
}

/// How far one of them is. How many pages are still to be looked at changes with each, and is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnfinishedRoute {
    /// Pages that the route names.
    pub(crate) pages: usize,
    /// What failed when it was last looked at.
    pub(crate) failing: usize,
    /// The first of it.
    pub(crate) such_as: Option<FailingPage>,
}

/// A page that could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct FailingPage {
    /// Host and path.
    pub(crate) page: String,
    pub(crate) why: String,
}

/// A route that a proxy left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Rejected {
    /// As `IsrRoute namespace/name`.
    pub(crate) object: String,
    pub(crate) message: String,
}

/// What all ready proxies say, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers(pub(crate) Vec<(Pod, Result<Answer, String>)>);

/// The published table, as far as proxies can be compared with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    pub(crate) generation: u64,
    pub(crate) digest: &'a str,
}

/// What the proxies say about one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledgement {
    /// There is none that could.
    NoReadyProxies,
    /// All of them serve it.
    Served { ready: usize },
    /// Some do not serve it yet.
    Pending {
        ready: usize,
        serving: usize,
        /// What one of them says, in a clause.
        example: String,
    },
    /// One of them cannot.
    Rejected {
        /// Which one.
        pod: String,
        /// Why, in a sentence.
        message: String,
    },
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.address.ip()),
            None => write!(f, "{}", self.address),
        }
    }
}

impl Answers {
    /// Whether every ready proxy serves exactly this table.
    pub(crate) fn agree(&self, table: Table<'_>) -> bool {
        self.0.iter().all(|(_, answer)| answer.as_ref().is_ok_and(|answer| answer.digest == table.digest))
    }

    /// Whether pages that routes want rendered are not there yet, as far as the proxies say.
    pub(crate) fn have_unfinished(&self) -> bool {
        self.0.iter().any(|(_, answer)| answer.as_ref().is_ok_and(Answer::has_unfinished))
    }

    /// What they say about the route of this name, which is in `table` as it is since the generation `since`.
    pub(crate) fn about(&self, object: &str, table: Table<'_>, since: u64) -> Acknowledgement {
        let ready = self.0.len();
        let mut serving = 0;
        let mut example = None;
        for (pod, answer) in &self.0 {
            let says = match answer {
                Err(error) => format!("{pod} does not say what it serves: {error}"),
                Ok(answer) if !answer.serves(table, since) => {
                    format!("{pod} still serves generation {}", answer.generation)
                }
                Ok(answer) => {
                    if let Some(rejected) = answer.rejected.iter().find(|rejected| rejected.object == object)
                    {
                        return Acknowledgement::Rejected {
                            pod: pod.to_string(),
                            message: rejected.message.clone(),
                        };
                    }
                    serving += 1;
                    continue;
                }
            };
            example.get_or_insert(says);
        }
        match example {
            _ if ready == 0 => Acknowledgement::NoReadyProxies,
            None => Acknowledgement::Served { ready },
            Some(example) => Acknowledgement::Pending { ready, serving, example },
        }
    }
}

impl Answer {
    /// Whether the proxy serves this table, or an earlier one in which a route is as it is in this one, where it is `since` that
    /// generation. A generation greater than the published one was published before a backup was restored.
    pub(crate) fn serves(&self, table: Table<'_>, since: u64) -> bool {
        self.digest == table.digest || (since..=table.generation).contains(&self.generation)
    }

    /// Whether some route waits for its pages, or may.
    fn has_unfinished(&self) -> bool {
        self.prerendering.as_ref().is_none_or(|unfinished| {
            !unfinished.routes.is_empty() || unfinished.more_failing + unfinished.more_rendering > 0
        })
    }
}

/// The ready proxies, each once although a pod with two address families stands in two slices.
pub(crate) fn pods(slices: &[EndpointSlice]) -> Vec<Pod> {
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten();
        let mut named = ports.filter(|port| port.name.as_deref() == Some(ADMIN_PORT));
        let Some(port) = named.find_map(|port| u16::try_from(port.port?).ok()) else { continue };
        for endpoint in &slice.endpoints {
            // Absent means ready (the API's own words).
            let is_ready = endpoint.conditions.as_ref().and_then(|known| known.ready).unwrap_or(true);
            // All addresses of an endpoint are the same pod's.
            let address = endpoint.addresses.first().and_then(|address| address.parse::<IpAddr>().ok());
            let Some(address) = address.filter(|_| is_ready) else { continue };
            let name = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
            let pod = Pod { address: SocketAddr::new(address, port), name };
            let identity = pod.name.clone().unwrap_or_else(|| pod.address.to_string());
            let known = pods.entry(identity).or_insert_with(|| pod.clone());
            // The same one whatever the order of the slices.
            if pod < *known {
                *known = pod;
            }
        }
    }
    pods.into_values().collect()
}

/// Asks proxies. Connections are kept for the next time.
#[derive(Clone)]
pub(crate) struct Asker(Client<HttpConnector, Empty<Bytes>>);

impl Asker {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Asks all of these, some at a time.
    pub(crate) async fn ask(&self, pods: &[Pod]) -> Answers {
        let asked = futures::stream::iter(pods.to_vec()).map(|pod| async {
            let answer = tokio::time::timeout(PATIENCE, self.ask_one(&pod)).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
            (pod, answer)
        });
        let mut answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        answers.sort_by(|(one, _), (other, _)| one.cmp(other));
        Answers(answers)
    }

    async fn ask_one(&self, pod: &Pod) -> Result<Answer, String> {
        let url = format!("http://{}/configz", pod.address);
        let url = url.parse().map_err(|error| format!("{url} is no URL: {error}"))?;
        let response = self.0.get(url).await.map_err(|error| with_cause(&error))?;
        if !response.status().is_success() {
            return Err(format!("its admin port answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), ANSWER_MOST).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| format!("its answer makes no sense: {error}"))
    }
}

fn with_cause(error: &hyper_util::client::legacy::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests;
