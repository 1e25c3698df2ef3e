use std::process::{Child, Command, Stdio};

use super::*;
use crate::contract::{found, fresh, group, invalidation, keeps, settled};
use crate::testing::page;

/// A server of one's own on a port of loopback. Killed by its process id when dropped.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = ["valkey-server", "redis-server"].into_iter().find(|program| {
            Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok()
        });
        let program = program.expect("redis-server or valkey-server: make test installs one");
        let process = Command::new(program)
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a server");
        Self { process, port, _folder: folder }
    }

    /// A port that was free a moment ago, and a server on it that answers.
    async fn new() -> Self {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("its address").port()
        };
        let server = Self::start(port);
        server.answers().await;
        server
    }

    async fn answers(&self) {
        let shared = self.shared("probe");
        let asking = async {
            while shared.next_epoch().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), asking).await.expect("the server answers");
    }

    fn shared(&self, installation: &str) -> Shared {
        let url = format!("redis://127.0.0.1:{}", self.port);
        Shared::new(&SharedOptions { url, password: None, installation: installation.into() }).expect("a URL")
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().expect("kill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn shared_keeps_what_every_tier_keeps() {
    let server = Server::new().await;
    keeps(server.shared("a"), async |_| server.shared("a")).await;
    assert_eq!(found(&server.shared("b"), "a/blog", b"page").await, None, "another installation's");
}

#[tokio::test]
async fn shared_a_late_render_never_replaces_a_newer_page() {
    let server = Server::new().await;
    let (one, other) = (server.shared("a"), server.shared("a"));
    let blog = group("a/blog");
    one.put(b"page", &page(&blog, "newer", 9));
    settled(&one).await;
    other.put(b"page", &page(&blog, "older", 8));
    settled(&other).await;
    assert_eq!(found(&one, "a/blog", b"page").await, fresh("newer"));
}

#[tokio::test]
async fn shared_the_log_tells_every_replica_in_one_order() {
    let server = Server::new().await;
    let (one, other) = (server.shared("a"), server.shared("a"));
    let blog = group("a/blog");
    assert_eq!(
        other.news(Epoch(0), Duration::from_millis(1)).await,
        Ok(News { entries: vec![], has_gap: false })
    );
    let first = one.append(invalidation(&blog, Mode::Hard, 1)).await.expect("a position");
    let epoch = other.next_epoch().await.expect("an epoch");
    assert!(epoch > first, "epochs and positions are of one order");
    let selected = Invalidation { reach: Reach::Selected((*b"selector").into()), mode: Mode::Soft, epoch };
    let second = other.append(selected.clone()).await.expect("a position");
    let news = other.news(Epoch(0), Duration::from_secs(1)).await.expect("news");
    let expected = vec![
        Entry { position: first, invalidation: invalidation(&blog, Mode::Hard, 1) },
        Entry { position: second, invalidation: selected },
    ];
    assert_eq!(news, News { entries: expected.clone(), has_gap: false });
    let rest = other.news(first, Duration::from_secs(1)).await.expect("news");
    assert_eq!(rest.entries, expected[1..]);

    // Who waits is told at once.
    let waiting = tokio::spawn(async move { one.news(second, Duration::from_secs(20)).await });
    let third = other.append(invalidation(&blog, Mode::Soft, 3)).await.expect("a position");
    let told = waiting.await.expect("no panic").expect("news");
    assert_eq!(told.entries.first().map(|entry| entry.position), Some(third));
}

#[tokio::test]
async fn shared_a_replica_that_was_away_for_too_long_is_told_of_the_gap() {
    let server = Server::new().await;
    let shared = server.shared("a");
    let blog = group("a/blog");
    let first = shared.append(invalidation(&blog, Mode::Soft, 1)).await.expect("a position");
    shared.append(invalidation(&blog, Mode::Soft, 1)).await.expect("a position");
    let third = shared.append(invalidation(&blog, Mode::Soft, 1)).await.expect("a position");
    let log = shared.inner.log_key("log");
    let _: u64 = redis::cmd("XTRIM")
        .arg(&log)
        .arg("MAXLEN")
        .arg(1)
        .query_async(&mut shared.inner.connection.clone())
        .await
        .expect("trimmed");
    let news = async |after| shared.news(after, Duration::from_millis(1)).await.expect("news");
    assert!(news(first).await.has_gap, "the second is gone");
    assert!(!news(third).await.has_gap, "who has seen all of it misses nothing");
}

#[tokio::test]
async fn shared_replicas_say_how_far_they_are_until_they_leave() {
    let server = Server::new().await;
    let shared = server.shared("a");
    shared.report("one", Epoch(7)).await.expect("noted");
    shared.report("two", Epoch(5)).await.expect("noted");
    shared.report("one", Epoch(8)).await.expect("noted");
    let mut replicas = shared.replicas().await.expect("a list");
    replicas.sort_by(|one, other| one.name.cmp(&other.name));
    let replica = |name: &str, position| Replica { name: name.into(), position: Epoch(position) };
    assert_eq!(replicas, [replica("one", 8), replica("two", 5)]);
    shared.leave("one").await.expect("noted");
    assert_eq!(shared.replicas().await.expect("a list"), [replica("two", 5)]);
}

#[tokio::test]
async fn shared_a_server_that_lost_everything_is_recognised_and_epochs_go_on() {
    let server = Server::new().await;
    let port = server.port;
    let shared = server.shared("a");
    let (epoch, name) = shared.join(Epoch(0), "first").await.expect("joined");
    assert_eq!((epoch, &*name), (Epoch(0), "first"));
    assert_eq!(shared.join(Epoch(40), "second").await, Ok((Epoch(40), "first".into())), "the same data set");
    drop(server);
    let server = Server::start(port);
    server.answers().await;
    let joined = async {
        loop {
            if let Ok(joined) = shared.join(Epoch(40), "third").await {
                return joined;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let joined = tokio::time::timeout(Duration::from_mins(1), joined).await.expect("it reconnects");
    assert_eq!(joined, (Epoch(40), "third".into()), "another one, and no epoch comes twice");
    assert_eq!(shared.next_epoch().await, Ok(Epoch(41)));
}

#[tokio::test]
async fn shared_a_server_that_is_paused_or_away_holds_nobody_for_long() {
    let server = Server::new().await;
    let shared = server.shared("a");
    let blog = group("a/blog");
    // Of a later epoch than the invalidation below, which the server may still get to know.
    shared.put(b"page", &page(&blog, "kept", 9));
    settled(&shared).await;
    server.signal("STOP");
    let asked = Instant::now();
    assert!(shared.fetch(b"page", &blog).await.is_err(), "no answer");
    for _ in 0..1000 {
        assert_eq!(
            shared.fetch(b"page", &blog).await.map(|found| found.is_none()),
            Ok(true),
            "nobody waits again"
        );
    }
    assert!(asked.elapsed() < REST, "{:?}", asked.elapsed());
    let refused = shared.invalidate(invalidation(&blog, Mode::Hard, 5)).await.expect_err("nobody knows");
    assert!(refused.to_string().contains("the shared tier does not answer"), "{refused}");
    server.signal("CONT");
    let back = async {
        while found(&shared, "a/blog", b"page").await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), back).await.expect("it is asked again");
    assert!(shared.usage().errors > 0);
}

#[tokio::test]
async fn shared_what_somebody_else_wrote_is_a_miss() {
    let server = Server::new().await;
    let shared = server.shared("a");
    let blog = group("a/blog");
    shared.put(b"page", &page(&blog, "ours", 1));
    settled(&shared).await;
    let _: u64 = shared
        .inner
        .connection
        .clone()
        .hset(shared.inner.group_key(&blog), field("r:", b"page"), "<h1>not a record</h1>")
        .await
        .expect("written");
    assert_eq!(found(&shared, "a/blog", b"page").await, None);
    assert_eq!(shared.usage().damaged, 1);
}
