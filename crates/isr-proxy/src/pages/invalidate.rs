//! What invalidations do to the pages, and in which order they stand to renders.

use std::sync::Arc;
use std::time::Duration;

use isr_cache::{
    Epoch, Flight, Gradual, Group, Interval, Invalidation, Mode, Pages as Covered, Reach, Realm, Selector,
    Standing, StoredResponse, Tier as _, TierError, Timestamp, Watermark,
};
use isr_routes::Route;
use tokio::sync::broadcast;

use super::{Certain, EPOCH_WITHIN, Pages};

impl Pages {
    /// How a page of a route with an interval stands.
    #[inline]
    pub(crate) fn standing(
        &self,
        stored: &StoredResponse,
        route: &Route,
        policy: &Interval,
        now: Timestamp,
    ) -> Standing {
        let standing = stored.render.standing(now, policy, self.covers(&stored.group, route, now));
        match &self.replicas {
            None => standing,
            Some(replicas) => standing.if_sure_until(replicas.sure_until(), &stored.render, now),
        }
    }

    /// The invalidations that cover a stored response of a route that the origin governs.
    #[inline]
    pub(crate) fn watermark(&self, stored: &StoredResponse, route: &Route, now: Timestamp) -> Watermark {
        let mut watermark = self.covers(&stored.group, route, now);
        if let Some(replicas) = &self.replicas
            && stored.render.is_doubtful(replicas.sure_until(), now)
        {
            watermark.soft = watermark.soft.max(stored.render.began.next());
        }
        watermark
    }

    /// The invalidations that cover a group of a route's pages.
    #[inline]
    pub(crate) fn covers(&self, group: &Group, route: &Route, now: Timestamp) -> Watermark {
        self.invalidations.watermark(group, &route.id, &route.tags, now)
    }

    /// Begins an invalidation that takes effect over a time. Whoever begins it sees to it that it outlives the process, and ends
    /// it by [`Self::end_gradual`].
    pub(crate) fn begin_gradual(&self, gradual: Gradual) {
        self.epochs.raise(gradual.epoch);
        self.invalidations.begin(gradual);
    }

    /// Takes back an invalidation that was to take effect over a time, as far as it has not.
    pub(crate) fn forget_gradual(&self, epoch: Epoch) {
        self.invalidations.end(epoch);
    }

    /// Has an invalidation that took effect over a time be one like any other, which the future says is certain.
    pub(crate) async fn end_gradual(&self, gradual: &Gradual) -> Result<(), TierError> {
        let selectors = gradual
            .routes
            .iter()
            .map(|route| Selector { realm: Realm::Route(route.clone()), pages: Covered::All });
        let certain: Vec<Certain> =
            selectors.map(|selector| self.invalidate(&selector, Mode::Soft, gradual.epoch)).collect();
        for certain in certain {
            certain.await?;
        }
        self.invalidations.end(gradual.epoch);
        Ok(())
    }

    /// The last invalidation that may concern the data of which a render of this group is made.
    pub(crate) fn concerning(&self, flight: &Flight, group: &Group, route: &Route) -> Epoch {
        self.latest.concerning(flight, group, &route.id)
    }

    /// The epoch in which a render that begins now begins.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epochs.current()
    }

    /// A new epoch that orders what happens on this replica alone.
    pub(crate) fn own_epoch(&self) -> Epoch {
        self.epochs.advance()
    }

    /// An epoch for a render that follows another. Of several replicas each asks for its own when the render begins.
    pub(crate) fn following_epoch(&self) -> Epoch {
        if self.replicas.is_some() { self.epochs.current() } else { self.epochs.advance() }
    }

    /// A new epoch, later than all that any replica knows.
    ///
    /// # Errors
    ///
    /// When there are others and they cannot be asked.
    pub(crate) async fn next_epoch(&self) -> Result<Epoch, TierError> {
        self.epoch_within(EPOCH_WITHIN).await
    }

    pub(super) async fn epoch_within(&self, within: Duration) -> Result<Epoch, TierError> {
        match &self.replicas {
            None => Ok(self.epochs.advance()),
            Some(replicas) => {
                let epoch = replicas.shared.next_epoch(within).await?;
                self.epochs.raise(epoch);
                Ok(epoch)
            }
        }
    }

    /// The epoch of a published purge: `begun` if it was begun before, else a new one that all replicas share.
    ///
    /// # Errors
    ///
    /// When there are others and they cannot be asked.
    pub(crate) async fn purge_epoch(
        &self,
        begun: Option<Epoch>,
        list: &str,
        number: u64,
    ) -> Result<Epoch, TierError> {
        let epoch = match (begun, &self.replicas) {
            (Some(begun), _) => begun,
            (None, None) => return Ok(self.epochs.advance()),
            (None, Some(replicas)) => replicas.shared.purge_epoch(list, number).await?,
        };
        self.epochs.raise(epoch);
        Ok(epoch)
    }

    /// Invalidates what began before `epoch` of a group. Everybody here knows of it when this returns; everybody else, and
    /// whoever starts anew, when the future has ended.
    pub(crate) fn invalidate_group(&self, name: &str, mode: Mode, epoch: Epoch) -> Certain {
        let group = self.groups.get(name);
        group.invalidate(mode, epoch);
        let reach = Reach::Group(group.name().into());
        self.latest.note(&reach, epoch);
        self.tell(Invalidation { reach, mode, epoch })
    }

    /// Invalidates what a selector covers, in the same way.
    pub(crate) fn invalidate(&self, selector: &Selector, mode: Mode, epoch: Epoch) -> Certain {
        let bytes = selector.to_bytes();
        self.invalidations.note(&bytes, mode, epoch);
        let reach = Reach::Selected(bytes.into());
        self.latest.note(&reach, epoch);
        self.tell(Invalidation { reach, mode, epoch })
    }

    /// Tells of all that is invalidated from now on, by whomever, once it is in force here.
    pub(crate) fn invalidated(&self) -> broadcast::Receiver<Reach> {
        self.news.subscribe()
    }

    /// Invalidates a group of which a visitor has changed something, who does not wait until everybody knows.
    pub(crate) fn invalidate_behind(self: &Arc<Self>, name: &str) {
        // For this replica, at once, and before anything that the log tells next.
        let (reach, epoch) = (Reach::Group(name.into()), self.epochs.advance());
        drop(self.take_note(Invalidation { reach, mode: Mode::Hard, epoch }, false));
        if self.replicas.is_none() {
            return;
        }
        let name = name.to_owned();
        let pages = Arc::clone(self);
        tokio::spawn(async move {
            let told = async { pages.invalidate_group(&name, Mode::Hard, pages.next_epoch().await?).await };
            if let Err(error) = told.await {
                tracing::warn!(group = name, %error, "not everybody knows of a change");
            }
        });
    }

    /// Every invalidation that is made here comes this way; every one that the log tells, by
    /// [`take_note`](Self::take_note).
    fn tell(&self, invalidation: Invalidation) -> Certain {
        self.announce(&invalidation);
        let on_disk = self.disk.as_ref().map(|disk| disk.invalidate(invalidation.clone()));
        match (&self.replicas, on_disk) {
            // What the disk has not written is read from the log again.
            (Some(replicas), _) => replicas.tell(invalidation),
            (None, Some(on_disk)) => Box::pin(async {
                let unknown =
                    |error| TierError(format!("a restart may bring back the old one: {error}").into());
                on_disk.await.map_err(unknown)
            }),
            (None, None) => Box::pin(async { Ok(()) }),
        }
    }

    pub(super) fn announce(&self, invalidation: &Invalidation) {
        // Nobody listens: nobody wants to know.
        let _ = self.news.send(invalidation.reach.clone());
    }

    /// Takes everything for stale that began before `epoch`, wherever it comes from: invalidations of it may have been missed.
    pub(crate) fn doubt_all(&self, epoch: Epoch) -> Certain {
        self.epochs.raise(epoch);
        self.latest.note_all(epoch);
        let everything = Selector { realm: Realm::Installation, pages: Covered::All }.to_bytes();
        let reach = Reach::Selected(everything.into());
        // Also where nothing is held: what comes from the shared tier may be as old.
        let on_disk = self.take_note(Invalidation { reach, mode: Mode::Soft, epoch }, false);
        on_disk.unwrap_or_else(|| Box::pin(async { Ok(()) }))
    }
}
