//! A digest over what a table means.

use std::fmt::Write as _;

use isr_cache::{NoStore, Policy};
use sha2::{Digest, Sha256};

use crate::key_header::Normalise;
use crate::route::{BypassRule, QueryRule, Route};

/// SHA-256 over what a route means.
pub(super) type RouteDigest = [u8; 32];

/// The digest of a route. Every field is written with its length before it, so no two routes write the same bytes; of secrets
/// only digests are written.
pub(super) fn of_route(route: &Route) -> RouteDigest {
    let mut meaning = Meaning(Sha256::new());
    meaning.route(route);
    meaning.0.finalize().into()
}

/// Hexadecimal SHA-256 over the digests of routes in order of their names.
pub(super) fn of<'r>(routes: impl ExactSizeIterator<Item = &'r RouteDigest>, shared_hosts: bool) -> String {
    let mut meaning = Meaning(Sha256::new());
    meaning.number(u64::from(shared_hosts));
    meaning.number(routes.len() as u64);
    for route in routes {
        meaning.0.update(route);
    }
    meaning.0.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

struct Meaning(Sha256);

impl Meaning {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    fn route(&mut self, route: &Route) {
        self.text(&route.id);
        let mut hostnames: Vec<&String> = route.hostnames.iter().collect();
        hostnames.sort();
        self.list(&hostnames, |meaning, hostname| meaning.text(hostname));
        self.text(&route.path.shape());
        self.policy(&route.policy);
        self.text(&route.backend.name);
        match &route.backend.address {
            Ok(address) => self.text(&format!("at {address}")),
            Err(reason) => self.text(&format!("nowhere: {reason}")),
        }
        self.list(route.tokens.digests(), |meaning, digest| meaning.bytes(digest));
        self.list(&Vec::from_iter(&route.origin_token), |meaning, token| meaning.bytes(&token.digest()));
        match &route.query {
            QueryRule::All => self.text("all"),
            QueryRule::Names(names) => self.list(names, |meaning, name| meaning.text(name)),
        }
        self.list(&route.key_headers, |meaning, header| {
            meaning.text(header.name.as_str());
            meaning.text(&match header.normalise {
                Normalise::Flag(value) => format!("flag {value}"),
                Normalise::Token { max_bytes } => format!("token {max_bytes}"),
                Normalise::Languages => "languages".into(),
                Normalise::Text => "text".into(),
            });
        });
        self.text(route.preset.name);
        self.list(&Vec::from_iter(&route.default_locale), |meaning, locale| meaning.text(locale));
        self.list(&route.tags, |meaning, tag| meaning.text(tag));
        self.list(&route.bypass, |meaning, rule| match rule {
            BypassRule::Cookie(name) => meaning.text(&format!("cookie {name}")),
            BypassRule::Header(name) => meaning.text(&format!("header {name}")),
        });
        self.list(&Vec::from_iter(&route.prerender), |meaning, prerender| {
            meaning.list(&prerender.paths, |meaning, path| meaning.text(path));
            meaning.list(&Vec::from_iter(&prerender.sitemap), |meaning, sitemap| meaning.text(sitemap));
        });
    }

    fn policy(&mut self, policy: &Policy) {
        let Policy::Interval(interval) = policy else { return self.text("origin") };
        self.text("interval");
        for duration in [interval.every, interval.stale_for] {
            self.text(
                &duration.map_or_else(|| "without end".into(), |duration| duration.as_millis().to_string()),
            );
        }
        self.text(match interval.no_store {
            NoStore::Honor => "honor no-store",
            NoStore::Override => "override no-store",
        });
    }
}
