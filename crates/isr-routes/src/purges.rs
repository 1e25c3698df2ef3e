//! The list of purges that travels from the operator to the proxies.
//!
//! It is a log of bounded length. Each purge has a number, one more than the one before it; the oldest go when there are too
//! many. A proxy remembers how far it is, so that it neither misses one nor carries one out twice, and one that was away for so
//! long that some are gone knows that too ([`position::Position`]). The bytes are JSON for people who look into a cluster.

mod form;
pub mod position;

use isr_cache::{Mode, Pages, Realm, Selector};

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
    /// Who wants it, for people: `IsrPurge namespace/name`.
    pub cause: String,
    /// What tells it from every other one: the uid of the `IsrPurge`.
    pub uid: String,
    /// Stale or gone.
    pub mode: Mode,
    /// Whose pages. Groups are looked up when the purge is made, in these routes alone.
    pub realms: Vec<Realm>,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Kinds of pages, each within each realm.
    pub pages: Vec<Pages>,
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
}

impl Purge {
    /// What it covers besides its groups.
    pub fn selectors(&self) -> impl Iterator<Item = Selector> {
        let of_realm =
            |realm: &Realm| self.pages.iter().map(|pages| (realm.clone(), pages.clone())).collect::<Vec<_>>();
        self.realms.iter().flat_map(of_realm).map(|(realm, pages)| Selector { realm, pages })
    }
}

impl PurgeLog {
    /// An empty one, of this name.
    pub fn new(id: String) -> Self {
        Self { id, first: 1, purges: Vec::new(), bytes: 0 }
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
