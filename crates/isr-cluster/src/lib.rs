//! How operator and proxy reach the API server of their cluster, and watch it.
//!
//! An API server may be away for any time, and nobody is to wait for long once it is back. kube's own settings are made for programs
//! that can: pauses that grow to a minute, requests that are tried again in silence. Whoever speaks to an API server through here
//! hears of each failure at once, says so, and tries again within seconds. What a failure means is the caller's to say.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::config::InferConfigError;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, DefaultBackoff, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// The longest pause after a watch has failed: one small request of each watch in five seconds hurts no API server.
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// How long a connection may take. A host that is away answers nothing at all, and the kernel would ask it at ever longer intervals
/// for half a minute, while it may be back.
const CONNECT: Duration = Duration::from_secs(5);

/// The way to the API server of the pod's service account, or of the kubeconfig. Nothing is asked yet.
pub async fn infer() -> Result<kube::Config, InferConfigError> {
    let mut cluster = kube::Config::infer().await?;
    // The client would hide each 429 and 503, and try again after ever longer pauses, up to minutes.
    cluster.default_retry = false;
    cluster.connect_timeout = Some(CONNECT);
    Ok(cluster)
}

/// Watches objects for ever. After each failure comes a pause, and then what has changed meanwhile, or all that there is.
pub fn watch<K>(api: Api<K>, config: Config) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(api, config).backoff(Pauses::default()).boxed()
}

/// kube's pauses, which begin at 0.8 s and double, as far as [`PAUSE_MOST`].
#[derive(Default)]
struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(PAUSE_MOST))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_begin_anew() {
        let mut pauses = Pauses::default();
        let first = pauses.next().expect("a pause");
        assert!(first < PAUSE_MOST, "{first:?}");
        let all: Vec<Duration> = pauses.by_ref().take(100).collect();
        assert!(all.iter().all(|pause| *pause <= PAUSE_MOST), "{all:?}");
        assert!(
            all.windows(2).skip(10).all(|pair| pair[0] == PAUSE_MOST && pair[1] == PAUSE_MOST),
            "{all:?}"
        );
        pauses.reset();
        assert!(pauses.next().is_some_and(|pause| pause < PAUSE_MOST), "it works again");
    }
}
