//! What a route's pages are to be looked at again for, from whoever hears of it to the task of the route.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Groups that are kept apart; with more of them, looking at everything is as well. As many as one request may name.
const GROUPS_MOST: usize = 1000;

/// What to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Nothing,
    /// The pages of these groups.
    Groups(BTreeSet<Arc<str>>),
    /// All pages, and whatever lists them.
    Everything,
}

impl Order {
    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, order) | (order, Self::Nothing) => order,
            (Self::Groups(mut some), Self::Groups(others)) if some.len() + others.len() <= GROUPS_MOST => {
                some.extend(others);
                Self::Groups(some)
            }
            _ => Self::Everything,
        }
    }
}

/// Orders on their way to one route.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: Mutex<Order>,
    came: Notify,
}

impl Orders {
    /// Adds one.
    pub(super) fn add(&self, order: Order) {
        let mut waiting = self.lock();
        *waiting = std::mem::take(&mut *waiting).and(order);
        drop(waiting);
        self.came.notify_one();
    }

    /// Takes what has come.
    pub(super) fn take(&self) -> Order {
        std::mem::take(&mut self.lock())
    }

    /// Whether something has come and was not taken.
    pub(super) fn are_waiting(&self) -> bool {
        *self.lock() != Order::Nothing
    }

    /// Waits until something has come, and leaves it there.
    pub(super) async fn come(&self) {
        while !self.are_waiting() {
            self.came.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        // One assignment.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: impl IntoIterator<Item = usize>) -> Order {
        Order::Groups(names.into_iter().map(|name| name.to_string().into()).collect())
    }

    #[test]
    fn orders_add_up() {
        assert_eq!(Order::Nothing.and(groups([1])), groups([1]));
        assert_eq!(groups([1]).and(groups([1, 2])), groups([1, 2]));
        assert_eq!(groups([1]).and(Order::Everything), Order::Everything);
        assert_eq!(groups(0..GROUPS_MOST).and(groups([GROUPS_MOST])), Order::Everything);
    }

    #[tokio::test]
    async fn none_is_missed() {
        let orders = Orders::default();
        orders.add(groups([1]));
        orders.come().await;
        orders.add(groups([2]));
        assert_eq!(orders.take(), groups([1, 2]));
        assert_eq!(orders.take(), Order::Nothing);
        let coming = tokio::time::timeout(std::time::Duration::from_millis(20), orders.come());
        assert!(coming.await.is_err(), "an old notice is no order");
    }
}
