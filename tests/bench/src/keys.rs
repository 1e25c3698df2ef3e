//! Which pages a cache keeps when it has no room for all: hit ratios over one trace, by the product's own memory tier and by
//! policies that are known.
//!
//! A million pages of one size and memory for a tenth of them. What is asked is drawn independently: by Zipf's law, as visitors do,
//! or each page as often as any other, as crawlers do. *Without foresight* is the best that a policy can reach that does not know
//! what will be asked, because draws do not depend on each other: it keeps the pages that are asked for most. *Belady* knows the whole
//! trace, and keeps what will be asked for soonest; nothing can be better.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use isr_cache::{Asked, Epoch, Group, Head, Render, Routed, StoredResponse, Timestamp};
use isr_store::Memory;
use serde::{Deserialize, Serialize};

const PAGES: usize = 1_000_000;
/// Pages that there is memory for.
const ROOM: usize = PAGES / 10;
const REQUESTS: usize = 5_000_000;
const REQUESTS_QUICK: usize = 1_000_000;
/// What the cache holds at first is chance, so this part of the requests, the first, does not count.
const WARM: usize = 5;
/// Web traffic is found between 0.6 and 1.
const ZIPF: f64 = 0.9;
const SIZE: usize = 16 << 10;
/// The greatest page by default (`--max-page-bytes`), by which the tier is divided into shards.
const LARGEST: u64 = 10 << 20;

/// The part of requests that found their page.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HitRatio {
    pub(crate) trace: String,
    pub(crate) policy: String,
    pub(crate) ratio: f64,
}

/// All policies over all traces.
pub(crate) fn all(quick: bool) -> Vec<HitRatio> {
    let requests = if quick { REQUESTS_QUICK } else { REQUESTS };
    let uniform = vec![1.0; PAGES];
    #[allow(clippy::cast_precision_loss, reason = "pages are far below 2^52")]
    let zipf: Vec<f64> = (1..=PAGES).map(|rank| (rank as f64).powf(-ZIPF)).collect();
    let mut ratios = Vec::new();
    for (name, weights) in [(format!("Zipf {ZIPF}"), zipf), ("uniform".to_owned(), uniform)] {
        let trace = trace(&weights, requests);
        let mut note = |policy: &str, ratio| {
            eprintln!("{name}: {policy}");
            ratios.push(HitRatio { trace: name.clone(), policy: policy.to_owned(), ratio });
        };
        note("kube-isr", replay(&trace, &mut Own::new()));
        note("LRU", replay(&trace, &mut Lru::new()));
        note("S3-FIFO", replay(&trace, &mut S3Fifo::new()));
        // Ranks are in order of weight.
        note("without foresight", replay(&trace, &mut |page: u32| (page as usize) < ROOM));
        note("Belady", replay(&trace, &mut Belady::new(&trace)));
    }
    ratios
}

/// Pages, by their rank, drawn by these weights.
fn trace(weights: &[f64], requests: usize) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulative: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight;
            sum
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(11);
    let draw = |_| {
        let at = random.f64() * sum;
        let page = cumulative.partition_point(|upto| *upto <= at);
        u32::try_from(page.min(PAGES - 1)).unwrap_or_default()
    };
    (0..requests).map(draw).collect()
}

trait Policy {
    /// Asks for a page, which is stored if the policy likes to; whether it was there.
    fn ask(&mut self, page: u32) -> bool;
}

impl<F: FnMut(u32) -> bool> Policy for F {
    fn ask(&mut self, page: u32) -> bool {
        self(page)
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn replay(trace: &[u32], policy: &mut impl Policy) -> f64 {
    let warm = trace.len() / WARM;
    let hits = trace.iter().enumerate().filter(|(at, page)| policy.ask(**page) && *at >= warm).count();
    hits as f64 / (trace.len() - warm) as f64
}

/// The product's own tier.
struct Own {
    memory: Memory,
    body: bytes::Bytes,
}

impl Own {
    fn new() -> Self {
        let body = bytes::Bytes::from(vec![b'x'; SIZE]);
        let weight = key(0).len() + response(&body).weight();
        Self { memory: Memory::new((weight * ROOM) as u64, LARGEST), body }
    }
}

impl Policy for Own {
    fn ask(&mut self, page: u32) -> bool {
        let key = key(page);
        let hit = self.memory.get(&key).is_some();
        if !hit {
            self.memory.put(&key, response(&self.body));
        }
        hit
    }
}

fn key(page: u32) -> Vec<u8> {
    format!("shop.example.com/page/{page:07}").into_bytes()
}

/// All pages share one body, so that a gigabyte of them fits anywhere.
fn response(body: &bytes::Bytes) -> Arc<StoredResponse> {
    Arc::new(StoredResponse {
        head: Head::new(http::StatusCode::OK, &"".into(), None, std::iter::empty()),
        body: body.clone(),
        asked: Asked::never(),
        modified: None,
        render: Render { finished: Timestamp(0).into(), began: Epoch(0), born_stale: false, spread: 0 },
        routed: Routed::default(),
        group: Arc::new(Group::new("/".into())),
        extra: None,
    })
}

/// Least recently used: the policy of nginx, Varnish and HAProxy. A use is the place in a queue; older places of a page are void.
struct Lru {
    queue: VecDeque<(u32, usize)>,
    last: HashMap<u32, usize>,
    now: usize,
}

impl Lru {
    fn new() -> Self {
        Self { queue: VecDeque::new(), last: HashMap::with_capacity(ROOM), now: 0 }
    }
}

impl Policy for Lru {
    fn ask(&mut self, page: u32) -> bool {
        self.now += 1;
        let hit = self.last.insert(page, self.now).is_some();
        self.queue.push_back((page, self.now));
        while self.last.len() > ROOM
            && let Some((page, at)) = self.queue.pop_front()
        {
            if self.last.get(&page) == Some(&at) {
                self.last.remove(&page);
            }
        }
        hit
    }
}

/// S3-FIFO as its authors describe it (SOSP 2023): a small queue through which pages must come that are to stay, a main queue, and the
/// names of those that did not.
struct S3Fifo {
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghosts: VecDeque<u32>,
    /// Where each page is, and how often it was asked for since it came there.
    pages: Vec<(Place, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Stored,
    Ghost,
}

impl S3Fifo {
    const SMALL: usize = ROOM / 10;
    const MAIN: usize = ROOM - Self::SMALL;
    const USES_MOST: u8 = 3;

    fn new() -> Self {
        Self {
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: VecDeque::new(),
            pages: vec![(Place::Nowhere, 0); PAGES],
        }
    }

    fn evict(&mut self) {
        while self.small.len() + self.main.len() >= ROOM {
            if self.small.len() >= Self::SMALL
                && let Some(page) = self.small.pop_front()
            {
                let (place, uses) = &mut self.pages[page as usize];
                if *uses > 1 {
                    *uses = 0;
                    self.main.push_back(page);
                    continue;
                }
                *place = Place::Ghost;
                self.ghosts.push_back(page);
                if self.ghosts.len() > Self::MAIN
                    && let Some(oldest) = self.ghosts.pop_front()
                    && self.pages[oldest as usize].0 == Place::Ghost
                {
                    self.pages[oldest as usize].0 = Place::Nowhere;
                }
            } else if let Some(page) = self.main.pop_front() {
                let (place, uses) = &mut self.pages[page as usize];
                if *uses > 0 {
                    *uses -= 1;
                    self.main.push_back(page);
                } else {
                    *place = Place::Nowhere;
                }
            }
        }
    }
}

impl Policy for S3Fifo {
    fn ask(&mut self, page: u32) -> bool {
        let (place, uses) = &mut self.pages[page as usize];
        if *place == Place::Stored {
            *uses = (*uses + 1).min(Self::USES_MOST);
            return true;
        }
        let known = *place == Place::Ghost;
        self.evict();
        self.pages[page as usize] = (Place::Stored, 0);
        if known {
            self.main.push_back(page);
        } else {
            self.small.push_back(page);
        }
        false
    }
}

/// Keeps what will be asked for soonest.
struct Belady {
    /// For each request, when its page is asked for next.
    next: Vec<usize>,
    at: usize,
    stored: BTreeSet<(usize, u32)>,
}

impl Belady {
    fn new(trace: &[u32]) -> Self {
        let mut later = vec![usize::MAX; PAGES];
        let mut next = vec![0; trace.len()];
        for (at, page) in trace.iter().enumerate().rev() {
            next[at] = std::mem::replace(&mut later[*page as usize], at);
        }
        Self { next, at: 0, stored: BTreeSet::new() }
    }
}

impl Policy for Belady {
    fn ask(&mut self, page: u32) -> bool {
        let hit = self.stored.remove(&(self.at, page));
        self.stored.insert((self.next[self.at], page));
        if self.stored.len() > ROOM {
            self.stored.pop_last();
        }
        self.at += 1;
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lru_forgets_the_page_that_was_asked_for_longest_ago() {
        let mut lru = Lru::new();
        let room = u32::try_from(ROOM).unwrap();
        for page in 0..room {
            assert!(!lru.ask(page));
        }
        assert!(lru.ask(0), "all fit");
        assert!(!lru.ask(room), "one more");
        assert!(lru.ask(0), "asked for just now");
        assert!(!lru.ask(1), "asked for longest ago");
    }

    #[test]
    fn s3_fifo_keeps_what_is_asked_for_again_over_a_walk_through_everything() {
        let mut policy = S3Fifo::new();
        for _ in 0..3 {
            for page in 0..100 {
                policy.ask(page);
            }
        }
        for page in 1000..u32::try_from(PAGES).unwrap() {
            policy.ask(page);
        }
        assert!((0..100).all(|page| policy.ask(page)));
    }

    #[test]
    fn belady_is_at_least_as_good_as_any() {
        let trace = trace(&vec![1.0; PAGES], 300_000);
        let best = replay(&trace, &mut Belady::new(&trace));
        assert!(best > replay(&trace, &mut Lru::new()), "{best}");
    }
}
