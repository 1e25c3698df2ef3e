//! The list of purges that travels from the operator to the proxies.
//!
//! It is a log of bounded length. Each purge has a number, one more than the one before it; the oldest go when there are too
//! many. A proxy remembers how far it is, so that it neither misses one nor carries one out twice, and one that was away for so
//! long that some are gone knows that too ([`position::Position`]). The bytes are JSON for people who look into a cluster.

mod form;
pub mod position;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use isr_cache::{Epoch, Gradual, Mode, Pages, Realm, Selector, Spread, Timestamp};

pub use form::BadLog;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Purges that are kept, at most. A proxy that was away during more of them takes what it holds for stale.
pub const PURGES_MOST: usize = 200;

/// Bytes of the list, at most: a quarter of what a ConfigMap holds, because each purge sends all of it to every proxy.
/// A single purge has less than 240 KiB by the limits of its fields.
pub const BYTES_MOST: usize = 256 * 1024;

/// What is to be invalidated, once, on every proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Why, for people: `IsrPurge namespace/name`, or the rollout of a Service.
    pub cause: String,
    /// What tells it from every other one: the uid of the `IsrPurge`, or that of nothing else.
    pub uid: String,
    /// Stale or gone.
    pub mode: Mode,
    /// Whose pages. Groups are looked up when the purge is made, in these routes alone.
    pub realms: Vec<Realm>,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Kinds of pages, each within each realm.
    pub pages: Vec<Pages>,
    /// The time over which all pages of the realms, which then are routes, turn stale; at once if there is none.
    pub spread: Option<Spread>,
}

/// The published purges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeLog {
    /// Which log: another one has other numbers.
    pub id: String,
    /// The number of the first purge that is still here.
    first: u64,
    purges: Vec<Purge>,
    /// Bytes that the purges take in the list.
    bytes: usize,
    /// The versions of a backend, as `namespace/service`, that have served since all its pods were of one version last. Here, so
    /// that it changes together with the purge that a rollout leads to.
    pub served: BTreeMap<String, BTreeSet<String>>,
}

impl Purge {
    /// What it covers besides its groups.
    pub fn selectors(&self) -> impl Iterator<Item = Selector> {
        let of_realm =
            |realm: &Realm| self.pages.iter().map(|pages| (realm.clone(), pages.clone())).collect::<Vec<_>>();
        self.realms.iter().flat_map(of_realm).map(|(realm, pages)| Selector { realm, pages })
    }

    /// All pages of these routes, softly and over a time, after a rollout of their Service: the purge that gets this number.
    /// `begins_ms` is in milliseconds since the Unix epoch.
    pub fn after_rollout(
        service: &str,
        number: u64,
        routes: &[Box<str>],
        begins_ms: u64,
        over: Duration,
    ) -> Self {
        Self {
            cause: format!("rollout of Service {service}"),
            uid: format!("rollout/{service}/{number}"),
            mode: Mode::Soft,
            realms: routes.iter().cloned().map(Realm::Route).collect(),
            groups: Vec::new(),
            pages: Vec::new(),
            spread: Some(Spread { begins: Timestamp(begins_ms), over }),
        }
    }

    /// The routes that are named one by one.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.realms.iter().filter_map(|realm| match realm {
            Realm::Route(route) => Some(&**route),
            Realm::Installation | Realm::Namespace(_) => None,
        })
    }

    /// What takes effect over a time, as of this epoch, if it does.
    pub fn gradual(&self, epoch: Epoch) -> Option<Gradual> {
        let spread = self.spread?;
        Some(Gradual { routes: self.routes().map(Into::into).collect(), epoch, spread })
    }
}

impl PurgeLog {
    /// An empty one, of this name.
    pub fn new(id: String) -> Self {
        Self { id, first: 1, purges: Vec::new(), bytes: 0, served: BTreeMap::new() }
    }

    /// The number of the first purge that is here, or would be.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the last purge; one less than the first if there is none.
    pub fn last(&self) -> u64 {
        self.first + self.purges.len() as u64 - 1
    }

    /// The purge with this number, if it is here.
    pub fn get(&self, number: u64) -> Option<&Purge> {
        let place = number.checked_sub(self.first)?;
        self.purges.get(usize::try_from(place).ok()?)
    }

    /// The number of the purge with this uid, if it is here.
    pub fn number_of(&self, uid: &str) -> Option<u64> {
        let place = self.purges.iter().position(|purge| purge.uid == uid)?;
        Some(self.first + place as u64)
    }

    /// Appends a purge; the oldest go as far as there is no room for them.
    pub fn append(&mut self, purge: Purge) {
        self.bytes += form::size(&purge);
        self.purges.push(purge);
        let mut gone = 0;
        while gone + 1 < self.purges.len()
            && (self.bytes > BYTES_MOST || self.purges.len() - gone > PURGES_MOST)
        {
            self.bytes -= form::size(&self.purges[gone]);
            gone += 1;
        }
        self.purges.drain(..gone);
        self.first += gone as u64;
    }

    /// Reads one and checks that it is whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadLog> {
        form::parse(bytes)
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        form::write(self)
    }
}

#[cfg(test)]
mod tests;
