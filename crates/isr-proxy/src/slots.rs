//! How many renders may be under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// Renders at a time, per backend and in all.
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    per_backend: usize,
    backends: Mutex<HashMap<String, Arc<BackendSlots>>>,
    /// Told whenever one is given back, for those who stand behind everybody else.
    freed: Arc<Notify>,
}

struct BackendSlots {
    any: Arc<Semaphore>,
    background: Arc<Semaphore>,
    prerender: Arc<Semaphore>,
}

/// The right to render. Dropped when the render has ended.
pub(crate) struct Slot {
    permits: [Option<OwnedSemaphorePermit>; 4],
    freed: Arc<Notify>,
}

impl Slots {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.renders.max(1))),
            per_backend: limits.renders_per_backend.max(1),
            backends: Mutex::default(),
            freed: Arc::default(),
        }
    }

    /// Waits for a slot to render a page of `backend`; first come, first served.
    pub(crate) async fn acquire(&self, backend: &str, background: bool) -> Slot {
        let slots = self.of(backend);
        let waits = if background { Some(slots.background.clone().acquire_owned().await.ok()) } else { None };
        let any = slots.any.clone().acquire_owned().await.ok();
        let all = self.all.clone().acquire_owned().await.ok();
        self.slot([waits.flatten(), any, all, None])
    }

    /// Waits for a slot to render a page of `backend` that nobody has asked for: one that is free while nobody waits for
    /// one, of a quarter of the backend's at most.
    pub(crate) async fn acquire_behind(&self, backend: &str) -> Slot {
        let slots = self.of(backend);
        let prerender = slots.prerender.clone().acquire_owned().await.ok();
        loop {
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // From here on nothing that is given back is missed.
            freed.as_mut().enable();
            // A semaphore gives to those who wait before it has any for those who try.
            let background = slots.background.clone().try_acquire_owned().ok();
            let any = slots.any.clone().try_acquire_owned().ok();
            let all = self.all.clone().try_acquire_owned().ok();
            if background.is_some() && any.is_some() && all.is_some() {
                return self.slot([background, any, all, prerender]);
            }
            drop((background, any, all));
            freed.await;
        }
    }

    fn slot(&self, permits: [Option<OwnedSemaphorePermit>; 4]) -> Slot {
        Slot { permits, freed: Arc::clone(&self.freed) }
    }

    /// Forgets the backends that no route names any more.
    pub(crate) fn keep_only(&self, known: impl Fn(&str) -> bool) {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| known(name));
    }

    fn of(&self, backend: &str) -> Arc<BackendSlots> {
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slots) = backends.get(backend) {
            return Arc::clone(slots);
        }
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.max(1)));
        let slots = Arc::new(BackendSlots {
            any: semaphore(self.per_backend),
            background: semaphore(self.per_backend / 2),
            prerender: semaphore(self.per_backend / 4),
        });
        backends.insert(backend.to_owned(), Arc::clone(&slots));
        slots
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.permits));
        self.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn slots(renders: usize, per_backend: usize) -> Slots {
        Slots {
            all: Arc::new(Semaphore::new(renders)),
            per_backend,
            backends: Mutex::default(),
            freed: Arc::default(),
        }
    }

    /// Whether it has ended after everything that can run has run.
    async fn ends<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        tokio::time::timeout(Duration::from_millis(20), future).await.ok()
    }

    #[tokio::test]
    async fn who_waits_for_a_page_goes_before_who_prerenders() {
        let slots = slots(8, 1);
        let held = slots.acquire("web", false).await;
        let mut behind = Box::pin(slots.acquire_behind("web"));
        assert!(ends(&mut behind).await.is_none(), "the one slot is taken");
        let mut visitor = Box::pin(slots.acquire("web", false));
        assert!(ends(&mut visitor).await.is_none());
        drop(held);
        let held = ends(&mut visitor).await.expect("the visitor's turn, who came last");
        assert!(ends(&mut behind).await.is_none());
        drop(held);
        assert!(ends(&mut behind).await.is_some(), "nobody else waits");
    }

    #[tokio::test]
    async fn prerenders_take_a_quarter_of_a_backend_and_what_they_could_not_use_they_give_back() {
        let slots = slots(100, 8);
        let one = slots.acquire_behind("web").await;
        let _two = slots.acquire_behind("web").await;
        assert!(ends(&mut Box::pin(slots.acquire_behind("web"))).await.is_none(), "two of eight");
        let _other = slots.acquire_behind("api").await;
        drop(one);
        let mut refreshes = Vec::new();
        for _ in 0..3 {
            refreshes.push(slots.acquire("web", true).await);
        }
        let mut third = Box::pin(slots.acquire_behind("web"));
        assert!(ends(&mut third).await.is_none(), "the background has no more");
        let mut visitors = Vec::new();
        for _ in 0..4 {
            visitors.push(slots.acquire("web", false).await);
        }
        drop(refreshes);
        assert!(ends(&mut third).await.is_some(), "what was tried in vain is not lost");
    }
}
