//! A replica's way to the store: messages are late, are lost on their way there or back, or do not go through at all.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use isr_cache::{
    BoxFuture, Claim, Epoch, Group, Invalidation, News, Roll, SharedStore, SharedUsage, StoredResponse,
    Terms, Tier, TierError,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::store::Store;

/// As the adapter of a real server has them.
const WITHIN: Duration = Duration::from_secs(2);
const FETCH_WITHIN: Duration = Duration::from_millis(50);
const REST: Duration = Duration::from_secs(1);

/// Where the time of the store begins, in units of 100 us.
const BEGINNING: u64 = 17_000_000_000_000;

/// The store, and what all who use it share.
pub(super) struct Server {
    pub(super) store: Mutex<Store>,
    appended: Notify,
    pub(super) is_down: AtomicBool,
    began: Instant,
    /// Where its clock began, in units of 100 us.
    clock: AtomicU64,
    /// Entries of the log that are kept.
    kept: usize,
}

impl Server {
    pub(super) fn new(kept: usize) -> Arc<Self> {
        Arc::new(Self {
            store: Mutex::default(),
            appended: Notify::new(),
            is_down: AtomicBool::default(),
            began: Instant::now(),
            clock: AtomicU64::new(BEGINNING),
            kept,
        })
    }

    /// Another comes in its place, with nothing in it, whose clock differs from the first one's by this many units of 100 us.
    pub(super) fn lose_data(&self, clock: i64) {
        *self.store.lock().expect("the store") = Store::in_place_of_another();
        self.clock.store(BEGINNING.saturating_add_signed(clock), Ordering::Relaxed);
        self.appended.notify_waiters();
    }

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    fn time(&self) -> u64 {
        let clock = self.clock.load(Ordering::Relaxed);
        clock + u64::try_from(self.began.elapsed().as_micros() / 100).unwrap_or(u64::MAX)
    }
}

/// What becomes of messages.
#[derive(Default)]
pub(super) struct Way {
    pub(super) is_cut: AtomicBool,
    /// Of a thousand messages so many are lost.
    pub(super) lost: AtomicU64,
    /// Milliseconds that every message takes; by chance if there are none.
    pub(super) takes: AtomicU64,
    /// Milliseconds that pages take more on their way back.
    pub(super) pages_late: AtomicU64,
}

/// A way to the store, as the port that replicas know.
#[derive(Clone)]
pub(super) struct Link(Arc<Ends>);

struct Ends {
    server: Arc<Server>,
    way: Arc<Way>,
    queue: mpsc::UnboundedSender<Change>,
    /// The data set that the replica has joined; 0 before any.
    data_set: AtomicU64,
    resting: Mutex<Option<Instant>>,
}

enum Change {
    /// In the data set that had been joined by then.
    Put(u64, Box<[u8]>, Arc<StoredResponse>),
    Remove(Box<[u8]>, Arc<str>),
    Release(Box<[u8]>, Epoch),
    Invalidate(Invalidation, oneshot::Sender<Result<Epoch, TierError>>),
}

impl Link {
    pub(super) fn new(server: &Arc<Server>, way: &Arc<Way>) -> Self {
        let (queue, changes) = mpsc::unbounded_channel();
        let link = Self(Arc::new(Ends {
            server: Arc::clone(server),
            way: Arc::clone(way),
            queue,
            data_set: AtomicU64::default(),
            resting: Mutex::default(),
        }));
        tokio::spawn(make(link.clone(), changes));
        link
    }

    fn own(&self) -> u64 {
        self.0.data_set.load(Ordering::Relaxed)
    }

    /// One message and the answer to it.
    async fn ask<T>(
        &self,
        within: Duration,
        step: impl FnOnce(&mut Store, u64) -> T,
    ) -> Result<T, TierError> {
        let asking = async {
            self.travel().await;
            let answer = step(&mut self.0.server.store.lock().expect("the store"), self.0.server.time());
            self.travel().await;
            answer
        };
        let answer = tokio::time::timeout(within, asking).await;
        answer.map_err(|_| {
            *self.0.resting.lock().expect("the rest") = Some(Instant::now() + REST);
            TierError("the store does not answer".into())
        })
    }

    /// One message about the data set that the replica has joined; nothing is done in another one.
    async fn ask_own<T>(
        &self,
        within: Duration,
        step: impl FnOnce(&mut Store, u64) -> T,
    ) -> Result<Option<T>, TierError> {
        let own = self.own();
        self.ask(within, |store, time| store.is(own).then(|| step(store, time))).await
    }

    /// The same, for who has to know that it is another one.
    async fn ask_or_lose<T>(
        &self,
        within: Duration,
        step: impl FnOnce(&mut Store, u64) -> T,
    ) -> Result<T, TierError> {
        self.ask_own(within, step).await?.ok_or_else(|| TierError("the store has lost its data".into()))
    }

    /// Ends when a message has arrived, or never.
    async fn travel(&self) {
        let way = &self.0.way;
        let late = match (way.takes.load(Ordering::Relaxed), fastrand::u8(..50)) {
            (0, 0) => Duration::from_millis(fastrand::u64(..80)),
            (0, 1..=20) => Duration::ZERO,
            (0, _) => Duration::from_micros(fastrand::u64(..3000)),
            (takes, _) => Duration::from_millis(takes),
        };
        tokio::time::sleep(late).await;
        let is_lost = way.is_cut.load(Ordering::Relaxed)
            || self.0.server.is_down.load(Ordering::Relaxed)
            || fastrand::u64(..1000) < way.lost.load(Ordering::Relaxed);
        if is_lost {
            std::future::pending::<()>().await;
        }
    }
}

/// Makes changes one after the other.
async fn make(link: Link, mut changes: mpsc::UnboundedReceiver<Change>) {
    while let Some(change) = changes.recv().await {
        match change {
            Change::Put(data_set, key, response) => {
                let put = |store: &mut Store, _| store.is(data_set).then(|| store.put(&key, &response));
                let _ = link.ask(WITHIN, put).await;
            }
            Change::Remove(key, group) => {
                let _ = link.ask_own(WITHIN, |store, _| store.remove(&key, &group)).await;
            }
            Change::Release(key, fence) => {
                let _ = link.ask_own(WITHIN, |store, _| store.release(&key, fence)).await;
            }
            Change::Invalidate(invalidation, receipt) => {
                // Two steps, and anything may happen between them.
                let told = async {
                    link.ask_own(WITHIN, |store, _| store.mark(&invalidation)).await?;
                    let kept = link.0.server.kept;
                    let append = |store: &mut Store, time| store.append(invalidation.clone(), time, kept);
                    link.ask_or_lose(WITHIN, append).await?
                };
                let told = told.await;
                link.0.server.appended.notify_waiters();
                let _ = receipt.send(told);
            }
        }
    }
}

impl Tier for Link {
    fn fetch<'t>(
        &'t self,
        key: &'t [u8],
        group: &'t Arc<Group>,
    ) -> BoxFuture<'t, Result<Option<Arc<StoredResponse>>, TierError>> {
        Box::pin(async move {
            if self.is_resting() {
                return Ok(None);
            }
            let late = Duration::from_millis(self.0.way.pages_late.load(Ordering::Relaxed));
            let found = self.ask_own(FETCH_WITHIN, |store, _| store.fetch(key, group)).await;
            tokio::time::sleep(late).await;
            found.map(Option::flatten)
        })
    }

    fn put(&self, key: &[u8], response: &Arc<StoredResponse>) {
        let _ = self.0.queue.send(Change::Put(self.own(), key.into(), Arc::clone(response)));
    }

    fn remove(&self, key: &[u8], group: &Arc<Group>) {
        let _ = self.0.queue.send(Change::Remove(key.into(), group.name().into()));
    }

    fn invalidate(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<(), TierError>> {
        let appended = self.append(invalidation);
        Box::pin(async move { appended.await.map(|_| ()) })
    }
}

impl SharedStore for Link {
    fn is_resting(&self) -> bool {
        self.own() == 0
            || self.0.resting.lock().expect("the rest").is_some_and(|until| Instant::now() < until)
    }

    fn usage(&self) -> SharedUsage {
        SharedUsage::default()
    }

    fn join(
        &self,
        own: Epoch,
        new: u64,
        knew: Option<u64>,
    ) -> BoxFuture<'_, Result<(Epoch, u64), TierError>> {
        Box::pin(async move {
            let joined = self.ask(WITHIN, move |store, _| store.join(own, new, knew, Instant::now())).await?;
            self.0.data_set.store(joined.1, Ordering::Relaxed);
            Ok(joined)
        })
    }

    fn next_epoch(&self, within: Duration) -> BoxFuture<'_, Result<Epoch, TierError>> {
        Box::pin(async move { self.ask_or_lose(within, Store::next_epoch).await? })
    }

    fn purge_epoch<'s>(&'s self, _list: &'s str, _number: u64) -> BoxFuture<'s, Result<Epoch, TierError>> {
        // Without Kubernetes no purges are published.
        self.next_epoch(WITHIN)
    }

    fn append(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<Epoch, TierError>> {
        let (receipt, received) = oneshot::channel();
        let _ = self.0.queue.send(Change::Invalidate(invalidation, receipt));
        Box::pin(
            async move { received.await.unwrap_or_else(|_| Err(TierError("the replica has ended".into()))) },
        )
    }

    fn news(&self, data_set: u64, after: Epoch, wait: Duration) -> BoxFuture<'_, Result<News, TierError>> {
        Box::pin(async move {
            let until = Instant::now() + wait;
            loop {
                let mut appended: Pin<Box<_>> = Box::pin(self.0.server.appended.notified());
                appended.as_mut().enable();
                let news = self.ask(WITHIN, |store, _| store.news(data_set, after)).await??;
                if !news.entries.is_empty() || news.gap.is_some() || Instant::now() >= until {
                    return Ok(news);
                }
                let _ = tokio::time::timeout_at(until, appended).await;
            }
        })
    }

    fn report<'s>(&'s self, replica: &'s str, position: Epoch) -> BoxFuture<'s, Result<(), TierError>> {
        Box::pin(self.ask_or_lose(WITHIN, move |store, _| store.report(replica, position, Instant::now())))
    }

    fn leave<'s>(&'s self, replica: &'s str) -> BoxFuture<'s, Result<(), TierError>> {
        Box::pin(self.ask(WITHIN, move |store, _| store.leave(replica)))
    }

    fn replicas(&self) -> BoxFuture<'_, Result<Roll, TierError>> {
        Box::pin(self.ask_or_lose(WITHIN, |store, _| store.replicas(Instant::now())))
    }

    fn claim<'s>(
        &'s self,
        key: &'s [u8],
        group: &'s Arc<Group>,
        terms: Terms,
        within: Duration,
    ) -> BoxFuture<'s, Result<Claim, TierError>> {
        Box::pin(async move {
            let claim =
                self.ask_own(within, |store, _| store.claim(key, group, terms, Instant::now())).await?;
            // A lock that nobody else sees.
            Ok(claim.unwrap_or(Claim { is_ours: true, found: None }))
        })
    }

    fn renew<'s>(
        &'s self,
        key: &'s [u8],
        _group: &'s Group,
        fence: Epoch,
    ) -> BoxFuture<'s, Result<bool, TierError>> {
        Box::pin(async move {
            let renewed = self.ask_own(WITHIN, |store, _| store.renew(key, fence, Instant::now())).await?;
            Ok(renewed.unwrap_or_default())
        })
    }

    fn release(&self, key: &[u8], _group: &Group, fence: Epoch) {
        let _ = self.0.queue.send(Change::Release(key.into(), fence));
    }
}
