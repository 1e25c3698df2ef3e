//! Compiles `IsrRoute`s into a route table, and matches requests against it.
//!
//! Two questions are answered here, both by pure functions without I/O, clock or randomness:
//!
//! * **Which routes are in force?** [`compile()`] takes every `IsrRoute` with the Secrets and Services around them and
//!   returns a [`RouteTable`] and one [`Report`] per route. It is total: a bad route is left out and reported, all
//!   others stand. Operator, proxy and command line share it, so what `kube-isr check` says is what happens.
//! * **Which page does a request mean?** [`Target::parse`] brings a request's target into one normal form,
//!   [`RouteTable::find`] names the route that answers it, [`Route::write_key`] names the page. These three run on every
//!   request: they borrow, and allocate nothing for a page whose spelling is already normal.
//!
//! A third one is answered beside them: which pages does a purge mean ([`compile_purge()`], [`Selection`])? [`snapshot`] and
//! [`purges`] are the forms in which tables and purges travel to the proxies.
//!
//! Start reading at [`Target`], then `table` (hosts, wildcards, pass-through), `matching` (the trie of one host), `key`
//! (the identity of a page), `preset` (what is known about frameworks, as data), and `compile` (who wins, what is
//! reported). `manifest` reads the same objects from YAML text with line numbers; `explain` says in words why a URL is
//! answered the way it is.

mod bad_target;
mod compile;
mod explain;
mod host;
mod index;
mod key;
mod key_header;
pub mod manifest;
mod matching;
mod path;
mod preset;
pub mod purges;
mod references;
mod report;
mod route;
mod seal;
mod selection;
pub mod snapshot;
mod table;
mod target;
#[cfg(test)]
mod testing;
mod token;
mod unhurried;

pub use bad_target::BadTarget;
pub use compile::{
    Backends, Compiled, Options, compile, compile_after, compile_purge, parse_duration, rollout_over,
    time_to_live,
};
pub use explain::{Answer, BadRequest, Explanation, Other, Page, describe_policy, explain};
pub use key::{RenderTarget, describe_key, write_bare_key};
pub use key_header::{KeyHeader, Normalise};
pub use path::PathPattern;
pub use preset::{Companion, DataStatus, OwnCache, Preset, PresetHeader};
pub use references::{References, Secret, Service};
pub use report::{Condition, ObjectRef, Problem, Report, Severity};
pub use route::{Backend, BypassRule, DRAFT_COOKIE, Prerender, QueryRule, Route};
pub use seal::Seal;
pub use selection::{Asker, Meaningless, Selected, Selection};
pub use table::{Found, HostRoutes, RouteTable};
pub use target::Target;
pub use token::{OriginToken, Tokens};
pub use unhurried::unhurried;
