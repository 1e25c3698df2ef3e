//! Rendering pages before anybody asks for them: `spec.prerender` of a route.
//!
//! [`run`] hears of three things: a table that came into force, an invalidation, wherever it came from, and the end of the
//! process. It tells the tasks of the routes concerned ([`follow`], one for each route that names pages) what to look at
//! again. Looking is idempotent: a page that the memory, the disk or the shared tier has and that nothing has invalidated
//! is left alone ([`page`]), so that nothing here need be remembered. What to look at next, and when after failures, is
//! decided by [`agenda`]; a [`sitemap`] adds pages.
//!
//! A render that nobody waits for stands behind all others: it begins when a slot is free that nobody else wants, and
//! there it is like any other render, so that a visitor may join it.
//!
//! That time has passed is no occasion: what grows old is renewed by its visitors.

mod agenda;
mod fetch;
mod follow;
pub(crate) mod known;
mod names;
mod orders;
mod page;
pub(crate) mod progress;
mod sitemap;
mod unfinished;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use isr_cache::{Reach, Realm};
use isr_routes::Route;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::active::Active;
use crate::state::{Draining, Proxy};
use orders::{Order, Orders};

/// How often a proxy that begins looks whether it knows the routes and what was invalidated.
const BEGIN_LOOK: Duration = Duration::from_millis(50);

/// A route whose pages are looked after. The task ends with this.
struct Followed {
    route: Arc<Route>,
    orders: Arc<Orders>,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks after the pages to prerender until the process drains. Renders under way go on.
pub(crate) async fn run(proxy: Arc<Proxy>) {
    let mut draining = proxy.draining.subscribe();
    tokio::select! {
        () = look_after(&proxy) => {}
        _ = draining.wait_for(|draining| *draining != Draining::No) => {}
    }
}

async fn look_after(proxy: &Arc<Proxy>) {
    // From before the first look on, so that nothing falls between the two.
    let mut invalidated = proxy.pages.invalidated();
    // What others have invalidated must be known, or their old pages would be taken for good.
    while proxy.active.load().generation == 0 || !proxy.has_caught_up() {
        tokio::time::sleep(BEGIN_LOOK).await;
    }
    let mut followed = HashMap::new();
    renew(proxy, &mut followed);
    loop {
        tokio::select! {
            () = proxy.prerendering.has_reloaded() => renew(proxy, &mut followed),
            heard = invalidated.recv() => match heard {
                Ok(reach) => order(&followed, &reach),
                Err(RecvError::Lagged(_)) => order_all(followed.values()),
                // The pages are where the proxy is.
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Follows the routes of the table in force that name pages, and no others. Who is new or was changed begins anew.
fn renew(proxy: &Arc<Proxy>, followed: &mut HashMap<Arc<str>, Followed>) {
    let active: Arc<Active> = proxy.active.load_full();
    let routes: HashMap<&str, &Arc<Route>> = active
        .table
        .routes()
        .filter(|route| route.prerender.is_some())
        .map(|route| (&*route.id, route))
        .collect();
    followed.retain(|id, known| routes.get(&**id).is_some_and(|route| ***route == *known.route));
    proxy.prerendering.retain(|id| followed.contains_key(id));
    for (id, route) in routes {
        if followed.contains_key(id) {
            continue;
        }
        proxy.prerendering.begin(&route.id);
        let orders = Arc::new(Orders::default());
        orders.add(Order::Everything);
        let task = tokio::spawn(follow::follow(Arc::clone(proxy), Arc::clone(route), Arc::clone(&orders)));
        followed.insert(Arc::clone(&route.id), Followed { route: Arc::clone(route), orders, task });
    }
    proxy.prerendering.are_of(&active.digest);
}

/// Tells those whose pages an invalidation may reach.
fn order(followed: &HashMap<Arc<str>, Followed>, reach: &Reach) {
    match reach {
        Reach::Group(name) => {
            let host = name.split('/').next().unwrap_or_default();
            let is_here = |known: &&Followed| known.route.hostnames.iter().any(|hostname| hostname == host);
            for known in followed.values().filter(is_here) {
                known.orders.add(Order::Groups([Arc::clone(name)].into()));
            }
        }
        Reach::Selected(selector) => match Realm::of(selector) {
            Some(Realm::Route(id)) => order_all(followed.get(&*id)),
            Some(Realm::Namespace(namespace)) => {
                let is_in = |known: &&Followed| known.route.id.split('/').next() == Some(&*namespace);
                order_all(followed.values().filter(is_in));
            }
            Some(Realm::Installation) | None => order_all(followed.values()),
        },
    }
}

fn order_all<'f>(followed: impl IntoIterator<Item = &'f Followed>) {
    for known in followed {
        known.orders.add(Order::Everything);
    }
}
