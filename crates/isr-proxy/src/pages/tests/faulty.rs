//! A shared store that does not do one of the things that it is asked to do.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use isr_cache::{Claim, Invalidation, News, Roll, SharedUsage, Terms};
use tokio::time::{Instant, sleep};

use super::*;
use crate::model::store::Store;

/// What is wrong with an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It is not done, as by a store that is away or full.
    NotDone,
    /// It is done, and the answer is lost.
    NoAnswer,
    /// It takes long.
    Slow,
}

/// As long as a visitor waits for a shared store, and some more.
const LONG: Duration = Duration::from_millis(60);

/// A way to a store, on which one operation goes wrong.
pub(super) struct Faulty {
    store: Arc<Mutex<Store>>,
    fault: Fault,
    /// Which operation it is, counted from 0.
    at: usize,
    operations: Arc<AtomicUsize>,
}

impl Faulty {
    pub(super) fn new(store: &Arc<Mutex<Store>>, fault: Fault, at: usize) -> Self {
        Self { store: Arc::clone(store), fault, at, operations: Arc::default() }
    }

    /// One on which nothing goes wrong, and what counts its operations.
    pub(super) fn sound(store: &Arc<Mutex<Store>>) -> (Self, Arc<AtomicUsize>) {
        let way = Self::new(store, Fault::Slow, usize::MAX);
        let operations = Arc::clone(&way.operations);
        (way, operations)
    }

    /// What becomes of the next operation.
    fn turn(&self) -> Option<Fault> {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        (number == self.at).then_some(self.fault)
    }

    /// Does it now, for somebody who does not wait for the answer.
    fn tell<T>(&self, step: impl FnOnce(&mut Store) -> T) -> (Result<T, TierError>, Option<Fault>) {
        let fault = self.turn();
        let away = || TierError("the store is away".into());
        let answer = match fault {
            Some(Fault::NotDone) => Err(away()),
            _ => Ok(step(&mut self.store.lock().expect("the store"))),
        };
        let answer = if matches!(fault, Some(Fault::NoAnswer)) { Err(away()) } else { answer };
        (answer, fault)
    }

    /// Does it now; gives the answer when it is there.
    fn ask<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Store) -> Result<T, TierError>,
    ) -> BoxFuture<'static, Result<T, TierError>> {
        let (answer, fault) = self.tell(step);
        Box::pin(async move {
            if matches!(fault, Some(Fault::Slow)) {
                sleep(LONG).await;
            }
            answer?
        })
    }
}

impl Tier for Faulty {
    fn fetch<'t>(
        &'t self,
        key: &'t [u8],
        group: &'t Arc<Group>,
    ) -> BoxFuture<'t, Result<Option<Arc<StoredResponse>>, TierError>> {
        self.ask(|store| Ok(store.fetch(key, group)))
    }

    fn put(&self, key: &[u8], response: &Arc<StoredResponse>) {
        let _ = self.tell(|store| store.put(key, response));
    }

    fn remove(&self, key: &[u8], group: &Arc<Group>) {
        let _ = self.tell(|store| store.remove(key, group.name()));
    }

    fn invalidate(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<(), TierError>> {
        let appended = self.append(invalidation);
        Box::pin(async move { appended.await.map(|_| ()) })
    }
}

impl SharedStore for Faulty {
    fn is_resting(&self) -> bool {
        false
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
        self.ask(|store| Ok(store.join(own, new, knew, Instant::now())))
    }

    fn next_epoch(&self, _within: Duration) -> BoxFuture<'_, Result<Epoch, TierError>> {
        self.ask(|store| store.next_epoch(0))
    }

    fn purge_epoch<'s>(&'s self, _list: &'s str, _number: u64) -> BoxFuture<'s, Result<Epoch, TierError>> {
        self.ask(|store| store.next_epoch(0))
    }

    fn append(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<Epoch, TierError>> {
        self.ask(|store| {
            store.mark(&invalidation);
            store.append(invalidation, 0, usize::MAX)
        })
    }

    fn news(&self, data_set: u64, after: Epoch, wait: Duration) -> BoxFuture<'_, Result<News, TierError>> {
        let first = self.ask(|store| store.news(data_set, after));
        Box::pin(async move {
            let until = Instant::now() + wait;
            let mut news = first.await?;
            while news.entries.is_empty() && Instant::now() < until {
                sleep(Duration::from_millis(1)).await;
                news = self.store.lock().expect("the store").news(data_set, after)?;
            }
            Ok(news)
        })
    }

    fn report<'s>(&'s self, replica: &'s str, position: Epoch) -> BoxFuture<'s, Result<(), TierError>> {
        self.ask(|store| {
            store.report(replica, position, Instant::now());
            Ok(())
        })
    }

    fn leave<'s>(&'s self, replica: &'s str) -> BoxFuture<'s, Result<(), TierError>> {
        self.ask(|store| {
            store.leave(replica);
            Ok(())
        })
    }

    fn replicas(&self) -> BoxFuture<'_, Result<Roll, TierError>> {
        self.ask(|store| Ok(store.replicas(Instant::now())))
    }

    fn claim<'s>(
        &'s self,
        key: &'s [u8],
        group: &'s Arc<Group>,
        terms: Terms,
        _within: Duration,
    ) -> BoxFuture<'s, Result<Claim, TierError>> {
        self.ask(|store| Ok(store.claim(key, group, terms, Instant::now())))
    }

    fn renew<'s>(
        &'s self,
        key: &'s [u8],
        _group: &'s Group,
        fence: Epoch,
    ) -> BoxFuture<'s, Result<bool, TierError>> {
        self.ask(|store| Ok(store.renew(key, fence, Instant::now())))
    }

    fn release(&self, key: &[u8], _group: &Group, fence: Epoch) {
        let _ = self.tell(|store| store.release(key, fence));
    }
}
