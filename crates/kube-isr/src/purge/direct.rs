//! Asking admin listeners directly.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::uri::Authority;
use http::{HeaderName, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::purge::replica::{Answer, Done, NotDone, Replica, read};
use crate::purge::{AT_ONCE, Order, PATH, TOKEN_HEADER};

/// Bytes of an answer, at most: the names of some ten thousand routes.
pub(super) const ANSWER_MOST: usize = 1 << 20;

/// An admin listener, or a name for several.
#[derive(Clone, Debug)]
pub(crate) struct Admin(Authority);

/// One as it is typed.
pub(super) fn admin(url: &str) -> Result<Admin, String> {
    let wrong = || "write http://HOST:PORT, such as http://127.0.0.1:9090".to_owned();
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let is_bare =
        matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
    if uri.scheme_str() != Some("http") || authority.port_u16().is_none() || !is_bare {
        return Err(wrong());
    }
    Ok(Admin(authority.clone()))
}

/// Asks all of them, each address once, and waits for all answers.
pub(super) async fn ask(admins: &[Admin], order: &Order) -> Vec<Answer> {
    let mut replicas: Vec<Replica> = Vec::new();
    let mut answers: Vec<Answer> = Vec::new();
    for Admin(authority) in admins {
        match addresses(authority, order.timeout).await {
            Ok(addresses) => {
                for address in addresses {
                    let replica = Replica { name: None, address };
                    if !replicas.contains(&replica) {
                        replicas.push(replica);
                    }
                }
            }
            Err(error) => answers.push(Answer {
                replica: Replica { name: None, address: authority.to_string() },
                outcome: Err(NotDone::silent(format_args!("The name leads nowhere: {error}"))),
            }),
        }
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let asked = futures::stream::iter(replicas).map(|replica| {
        let client = client.clone();
        async move {
            let outcome =
                tokio::time::timeout(order.timeout, ask_one(&client, &replica.address, order)).await;
            let silent = |_| Err(NotDone::silent(format_args!("No answer within {:?}", order.timeout)));
            Answer { replica, outcome: outcome.unwrap_or_else(silent) }
        }
    });
    answers.extend(asked.buffered(AT_ONCE).collect::<Vec<_>>().await);
    answers
}

/// The addresses of a name, of which each is a replica.
async fn addresses(authority: &Authority, timeout: Duration) -> io::Result<Vec<String>> {
    // One machine with an address in either family, on one of which a proxy listens.
    if authority.host() == "localhost" {
        return Ok(vec![authority.to_string()]);
    }
    let found = tokio::time::timeout(timeout, tokio::net::lookup_host(authority.as_str())).await??;
    let found: Vec<String> = found.map(|address| address.to_string()).collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    }
    Ok(found)
}

async fn ask_one(
    client: &Client<HttpConnector, Full<Bytes>>,
    address: &str,
    order: &Order,
) -> Result<Done, NotDone> {
    let request = Request::post(format!("http://{address}{PATH}"))
        .header(HeaderName::from_static(TOKEN_HEADER), order.token.header())
        .body(Full::new(order.body.clone()))
        .map_err(NotDone::silent)?;
    let response = client.request(request).await.map_err(|error| NotDone::silent(innermost(&error)))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MOST).collect().await;
    let body = body.map_err(|error| NotDone::silent(innermost(&*error)))?.to_bytes();
    read(status, &body, order.token.source())
}

/// The cause of all others, which says what is the matter.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
