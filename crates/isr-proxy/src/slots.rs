//! How many renders may be under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// Renders at a time, per backend and in all.
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    per_backend: usize,
    backends: Mutex<HashMap<String, Arc<BackendSlots>>>,
}

struct BackendSlots {
    any: Arc<Semaphore>,
    background: Arc<Semaphore>,
}

/// The right to render. Dropped when the render has ended.
pub(crate) struct Slot {
    _permits: [Option<OwnedSemaphorePermit>; 3],
}

impl Slots {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.renders.max(1))),
            per_backend: limits.renders_per_backend.max(1),
            backends: Mutex::default(),
        }
    }

    /// Waits for a slot to render a page of `backend`; first come, first served.
    pub(crate) async fn acquire(&self, backend: &str, background: bool) -> Slot {
        let slots = self.of(backend);
        let waits = if background { Some(slots.background.clone().acquire_owned().await.ok()) } else { None };
        let any = slots.any.clone().acquire_owned().await.ok();
        let all = self.all.clone().acquire_owned().await.ok();
        Slot { _permits: [waits.flatten(), any, all] }
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
        });
        backends.insert(backend.to_owned(), Arc::clone(&slots));
        slots
    }
}
