//! One render of a page at a time among all replicas: whoever begins one asks for the lock, and who does not get it waits
//! for the page of the one who has it.

use std::sync::Arc;
use std::time::Duration;

use isr_cache::{
    Epoch, Group, RENEW_EVERY, SharedStore, StoredResponse, Terms, TierError, Timestamp, Trigger,
};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{EPOCH_WITHIN, Pages, from_elsewhere};

/// How often somebody who waits looks whether the page is there: at first, and at last.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LAST: Duration = Duration::from_millis(100);

/// How long a render that a visitor waits for waits for each answer of the server. Who gets none renders alone.
const SOON: Duration = Duration::from_millis(50);

/// How long an answer of the server is waited for before a render.
fn patience(trigger: Trigger) -> Duration {
    if trigger == Trigger::Miss { SOON } else { EPOCH_WITHIN }
}

/// What a replica that wants to render a page is to do.
pub(crate) enum Claimed {
    /// Render it.
    Render {
        /// Later than all that any replica knows, or than all that this one knows while the shared tier is away; `None`
        /// without one.
        epoch: Option<Epoch>,
        /// Until this is dropped the others wait for the page.
        hold: Option<Hold>,
    },
    /// Take this: another replica has rendered it.
    Found(Arc<StoredResponse>),
}

/// The lock of a page, kept until it is dropped.
pub(crate) struct Hold {
    shared: Arc<dyn SharedStore>,
    key: Box<[u8]>,
    group: Arc<Group>,
    fence: Epoch,
    renewing: AbortHandle,
}

impl Hold {
    fn new(shared: &Arc<dyn SharedStore>, key: &[u8], group: &Arc<Group>, fence: Epoch) -> Self {
        let (held, place, of) = (Arc::clone(shared), Box::<[u8]>::from(key), Arc::clone(group));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                // Somebody who renders on demand may have taken it; this render ends for those who wait here.
                if held.renew(&place, &of, fence).await == Ok(false) {
                    return;
                }
            }
        });
        Self {
            shared: Arc::clone(shared),
            key: key.into(),
            group: Arc::clone(group),
            fence,
            renewing: renewing.abort_handle(),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.renewing.abort();
        self.shared.release(&self.key, &self.group, self.fence);
    }
}

impl Pages {
    /// An epoch for a render to begin in, later than all that any replica knows; an error soon where a visitor waits for it.
    pub(crate) async fn epoch_of_render(&self, trigger: Trigger) -> Result<Epoch, TierError> {
        self.epoch_within(patience(trigger)).await
    }

    /// Asks whether to render a page, and waits for another replica that does, for at most `within`. What that one stored
    /// is taken if it `is_good`; who renders on demand takes nothing and waits for nobody.
    ///
    /// Never an error: who cannot ask renders.
    pub(crate) async fn claim(
        &self,
        key: &[u8],
        group: &Arc<Group>,
        trigger: Trigger,
        within: Duration,
        now: impl Fn() -> Timestamp,
        is_good: impl Fn(&StoredResponse) -> bool,
    ) -> Claimed {
        let alone = |epoch| Claimed::Render { epoch, hold: None };
        let Some(replicas) = &self.replicas else { return alone(None) };
        let shared = &replicas.shared;
        let until = Instant::now() + within;
        let on_demand = trigger == Trigger::OnDemand;
        let patience = patience(trigger);
        let mut pause = LOOK_FIRST;
        let mut known = self.memory.peek(key).map(|stored| stored.render.began);
        loop {
            if shared.is_resting() {
                return alone(Some(self.epochs.current()));
            }
            // A new one each time: what others stored while this one waited is older than what it renders.
            let Ok(fence) = self.epoch_within(patience).await else {
                return alone(Some(self.epochs.current()));
            };
            let terms = Terms { fence, known, steal: on_demand };
            let Ok(claim) = shared.claim(key, group, terms, patience).await else {
                return alone(Some(fence));
            };
            self.take_note_of_marks(group);
            let hold = claim.is_ours.then(|| Hold::new(shared, key, group, fence));
            if let Some(found) = claim.found.filter(|_| !on_demand) {
                let found = from_elsewhere(&self.epochs, now(), found);
                // What its tags say counts from now on.
                group.tag(found.tags());
                if is_good(&found) {
                    return Claimed::Found(found);
                }
                known = known.max(Some(found.render.began));
            }
            if hold.is_some() || Instant::now() + pause > until {
                return Claimed::Render { epoch: Some(fence), hold };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_LAST);
        }
    }
}
