//! A connection to a server, a cluster, or the server that Sentinels name at the moment: made when it is first used, and made
//! anew after it broke.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo as _, Pipeline, RedisError,
    RedisFuture, RedisResult, ServerErrorKind, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

use super::WITHIN;
use super::address::{Address, Kind};

/// Where connections go, and who may.
pub(super) struct Login<'a> {
    pub(super) address: &'a Address,
    pub(super) password: Option<&'a str>,
    /// Certificates (PEM) of who is trusted to sign the server's; the system's if there are none.
    pub(super) trusted: Option<&'a [u8]>,
}

/// A connection that many use at a time.
#[derive(Clone)]
pub(super) struct Connection(Arc<Inner>);

struct Inner {
    source: Source,
    config: AsyncConnectionConfig,
    made: AtomicU64,
    live: Mutex<Option<Live>>,
}

enum Source {
    Server(Client),
    Cluster(ClusterClient),
    Sentinel(Mutex<SentinelClient>),
}

#[derive(Clone)]
struct Live {
    /// Counts the connections made, so that only the broken one is given up.
    number: u64,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Server(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

impl Connection {
    /// A connection whose answers take so long at most. Nobody is connected to yet.
    pub(super) fn new(login: &Login<'_>, answer_within: Duration) -> RedisResult<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(WITHIN))
            .set_response_timeout(Some(answer_within));
        Ok(Self(Arc::new(Inner {
            source: source(login, answer_within)?,
            config,
            made: AtomicU64::default(),
            live: Mutex::default(),
        })))
    }

    async fn live(&self) -> RedisResult<Live> {
        let Inner { source, config, made, live } = &*self.0;
        let mut live = live.lock().await;
        if let Some(live) = &*live {
            return Ok(live.clone());
        }
        let way = match source {
            Source::Server(client) => {
                Way::Server(client.get_multiplexed_async_connection_with_config(config).await?)
            }
            Source::Sentinel(client) => {
                Way::Server(client.lock().await.get_async_connection_with_config(config).await?)
            }
            Source::Cluster(client) => Way::Cluster(Box::new(client.get_async_connection().await?)),
        };
        let fresh = Live { number: made.fetch_add(1, Ordering::Relaxed), way };
        *live = Some(fresh.clone());
        Ok(fresh)
    }

    /// Gives a connection up that is of no use any more.
    async fn note<T>(&self, used: &Live, answer: &RedisResult<T>) {
        let Err(error) = answer else { return };
        if is_over(error) {
            let mut live = self.0.live.lock().await;
            if live.as_ref().is_some_and(|live| live.number == used.number) {
                *live = None;
            }
        }
    }
}

/// Whether a connection leads nowhere, or to a server that is no longer the one that may be written.
fn is_over(error: &RedisError) -> bool {
    let has_moved = match error.kind() {
        redis::ErrorKind::Server(kind) => {
            matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        }
        _ => false,
    };
    has_moved || error.is_unrecoverable_error() || (error.is_io_error() && !error.is_timeout())
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut live = self.live().await?;
            let answer = match &mut live.way {
                Way::Server(connection) => connection.req_packed_command(command).await,
                Way::Cluster(connection) => connection.req_packed_command(command).await,
            };
            self.note(&live, &answer).await;
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut live = self.live().await?;
            let answer = match &mut live.way {
                Way::Server(connection) => connection.req_packed_commands(pipeline, offset, count).await,
                Way::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count).await,
            };
            self.note(&live, &answer).await;
            answer
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

fn source(login: &Login<'_>, answer_within: Duration) -> RedisResult<Source> {
    let Login { address, password, trusted } = login;
    let password = password.or(address.password.as_deref());
    let certificates = TlsCertificates { client_tls: None, root_cert: trusted.map(<[u8]>::to_vec) };
    let place = |(host, port): &(String, u16)| {
        let (host, port) = (host.clone(), *port);
        if address.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    };
    let places = address.hosts.iter().map(place);
    Ok(match &address.kind {
        Kind::Server { database } => {
            let Some(place) = { places }.next() else { return Err(no_host()) };
            let info = place.into_connection_info()?;
            let mut settings = info.redis_settings().clone().set_db(*database);
            if let Some(user) = &address.user {
                settings = settings.set_username(user);
            }
            if let Some(password) = password {
                settings = settings.set_password(password);
            }
            let info = info.set_redis_settings(settings);
            Source::Server(if address.tls {
                Client::build_with_tls(info, certificates)?
            } else {
                Client::open(info)?
            })
        }
        Kind::Cluster => {
            let nodes: RedisResult<Vec<_>> =
                places.map(redis::IntoConnectionInfo::into_connection_info).collect();
            let mut builder = ClusterClientBuilder::new(nodes?)
                .connection_timeout(WITHIN)
                .response_timeout(answer_within)
                // For moved slots; whoever waits has a shorter deadline than more would take.
                .retries(3);
            if address.tls {
                builder = builder.tls(TlsMode::Secure).certs(certificates);
            }
            if let Some(user) = &address.user {
                builder = builder.username(user);
            }
            if let Some(password) = password {
                builder = builder.password(password);
            }
            Source::Cluster(builder.build()?)
        }
        Kind::Sentinel { name, database } => {
            let mut builder = SentinelClientBuilder::new(places, name, SentinelServerType::Master)?
                .set_client_to_redis_db(*database);
            if address.tls {
                builder = builder
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                    .set_client_to_sentinel_certificates(certificates);
            }
            // Sentinels are asked without: they hold no pages, and have users of their own.
            if let Some(user) = &address.user {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = password {
                builder = builder.set_client_to_redis_password(password);
            }
            Source::Sentinel(Mutex::new(builder.build()?))
        }
    })
}

fn no_host() -> RedisError {
    (redis::ErrorKind::InvalidClientConfig, "it names no host").into()
}
