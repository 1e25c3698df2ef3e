//! The front-door test kit: an origin that does as it is told, the product's own binary in front of it, and clients
//! that say exactly which bytes they send.
//!
//! A test reads as three lines: an [`Origin`](origin::Origin) with a script, a [`Proxy`](proxy::Proxy) that serves
//! it by a few manifests, and requests. Nothing here knows how the proxy works inside; everything is seen through
//! sockets, standard output, standard error and the admin listener, as an operator sees it.
//!
//! Order is made by [`Gate`](origin::Gate)s and by [`eventually`](wait::eventually), never by sleeping; only where
//! time itself is the subject does [`wait::let_time_pass`] let it pass.

pub mod answer;
pub mod api_server;
pub mod client;
pub mod h2;
pub mod manifest;
pub mod message;
pub mod origin;
pub mod proxy;
pub mod tls;
pub mod wait;

pub use answer::{Answer, Gate};
pub use api_server::ApiServer;
pub use client::{Client, Request, Response, get, head, post};
pub use manifest::route;
pub use origin::Origin;
pub use proxy::{Folder, Proxy};
pub use wait::{PATIENCE, eventually, let_the_interval_end, let_time_pass};

/// A bypass token as a user would make one: 32 characters are the least the resource accepts.
pub const TOKEN: &str = "tok-5f0c9a7e41d84b6f9d2e8a3b7c610e55";
/// The host that routes and clients use unless a test says otherwise.
pub const HOST: &str = "shop.example.com";
