mod faults;

use std::process::{Child, Command, Stdio};

use isr_cache::{LogEntry, Mode, News, Reach, Replica, Roll, SharedStore as _, Terms};
use std::time::Instant;

use super::entry::sum;
use super::server::{REST, field, mark};
use super::*;
use crate::contract::{self, found, fresh, group, invalidation, keeps, settled};
use crate::testing::page;

/// A server of one's own on a port of loopback. Killed by its process id when dropped.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

/// The adapter of what listens on a port, which has a part in the data set that a new server gets here.
fn adapter(port: u16, installation: &str) -> Shared {
    let url = format!("redis://127.0.0.1:{port}");
    let options = SharedOptions { url, password: None, trusted: None, installation: installation.into() };
    let shared = Shared::new(&options).expect("a URL");
    shared.server.joined(1);
    shared
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

    /// A port that was free a moment ago, and a server on it that answers. Its data set for `a` has the number 1.
    async fn new() -> Self {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("its address").port()
        };
        let server = Self::start(port);
        server.answers().await;
        assert_eq!(server.shared("a").join(Epoch(0), 1, None).await.expect("joined").1, 1);
        server
    }

    async fn answers(&self) {
        let shared = self.shared("probe");
        let asking = async {
            while shared.join(Epoch(0), 1, None).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), asking).await.expect("the server answers");
    }

    fn shared(&self, installation: &str) -> Shared {
        adapter(self.port, installation)
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
        other.news(1, Epoch(0), Duration::from_millis(1)).await,
        Ok(News { entries: vec![], is_part: false, gap: None })
    );
    let first = one.append(invalidation(&blog, Mode::Hard, 1)).await.expect("a position");
    let epoch = other.next_epoch(WITHIN).await.expect("an epoch");
    assert!(epoch > first, "epochs and positions are of one order");
    let selected = Invalidation { reach: Reach::Selected((*b"selector").into()), mode: Mode::Soft, epoch };
    let second = other.append(selected.clone()).await.expect("a position");
    let news = other.news(1, Epoch(0), Duration::from_secs(1)).await.expect("news");
    let expected = vec![
        LogEntry { position: first, invalidation: invalidation(&blog, Mode::Hard, 1) },
        LogEntry { position: second, invalidation: selected },
    ];
    assert_eq!(news, News { entries: expected.clone(), is_part: false, gap: None });
    let rest = other.news(1, first, Duration::from_secs(1)).await.expect("news");
    assert_eq!(rest.entries, expected[1..]);

    // Who waits is told at once.
    let waiting = tokio::spawn(async move { one.news(1, second, Duration::from_secs(20)).await });
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
    let log = shared.server.log_key("log");
    let _: u64 = redis::cmd("XTRIM")
        .arg(&log)
        .arg("MAXLEN")
        .arg(1)
        .query_async(&mut shared.server.reads.clone())
        .await
        .expect("trimmed");
    let news = async |after| shared.news(1, after, Duration::from_millis(1)).await.expect("news");
    assert_eq!(news(first).await.gap, Some(third), "the second is gone");
    assert_eq!(news(third).await.gap, None, "who has seen all of it misses nothing");
}

#[tokio::test]
async fn shared_replicas_say_how_far_they_are_until_they_leave() {
    let server = Server::new().await;
    let shared = server.shared("a");
    shared.report("one", Epoch::at(7)).await.expect("noted");
    shared.report("two", Epoch::at(5)).await.expect("noted");
    shared.report("one", Epoch::at(8)).await.expect("noted");
    let replica = |name: &str, position| Replica { name: name.into(), position: Epoch::at(position) };
    let listed = async || shared.replicas().await.expect("a list");
    let roll = |replicas| Roll { replicas, may_lack: false };
    assert_eq!(listed().await, roll(vec![replica("one", 8), replica("two", 5)]));
    shared.leave("one").await.expect("noted");
    assert_eq!(listed().await, roll(vec![replica("two", 5)]));
}

#[tokio::test]
async fn shared_a_server_that_lost_everything_is_recognised_and_epochs_go_on() {
    let server = Server::new().await;
    let port = server.port;
    let shared = server.shared("a");
    let epoch = shared.next_epoch(WITHIN).await.expect("an epoch");
    // A minute ahead of the time.
    let own = Epoch::at(epoch.position() + 600_000).next();
    let joined = shared.join(own, 2, None).await;
    assert_eq!(
        joined,
        Ok((Epoch::at(epoch.position() + 600_001), 1)),
        "the same data set, after what a replica knows"
    );
    drop(server);
    let server = Server::start(port);
    server.answers().await;
    let lost = async {
        loop {
            match shared.news(1, epoch, Duration::from_millis(1)).await {
                Err(error) if error.to_string().contains("lost its data") => return,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), lost).await.expect("who reads the log is told");
    assert!(shared.next_epoch(WITHIN).await.is_err(), "and nobody counts from the beginning");
    let joined = async {
        loop {
            if let Ok(joined) = shared.join(Epoch(0), 3, Some(1)).await {
                return joined;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (_, data_set) = tokio::time::timeout(Duration::from_mins(1), joined).await.expect("it reconnects");
    assert_eq!(data_set, 3, "another one");
    let after = shared.next_epoch(WITHIN).await.expect("an epoch");
    assert!(after > epoch, "no epoch comes twice, whoever comes back first");
    let roll = shared.replicas().await.expect("a list");
    assert!(roll.may_lack, "nobody knows who was there before");
}

#[tokio::test]
async fn shared_one_replica_at_a_time_renders_a_page() {
    let server = Server::new().await;
    let (one, other) = (server.shared("a"), server.shared("a"));
    let blog = group("a/blog");
    let (first, second, third) = (Epoch::at(1), Epoch::at(2), Epoch::at(3));
    let is_ours = async |shared: &Shared, fence, steal| {
        let claim = shared
            .claim(b"page", &blog, Terms { fence, known: None, steal }, WITHIN)
            .await
            .expect("an answer");
        (claim.is_ours, claim.found.is_some())
    };
    assert_eq!(is_ours(&one, first, false).await, (true, false));
    assert_eq!(is_ours(&other, second, false).await, (false, false), "somebody is at it");
    assert_eq!(one.renew(b"page", &blog, first).await, Ok(true));
    one.put(b"page", &page(&blog, "rendered", first.0));
    one.release(b"page", &blog, first);
    settled(&one).await;
    assert_eq!(
        is_ours(&other, second, false).await,
        (true, true),
        "and has put it there before giving the lock back"
    );
    let known = other
        .claim(b"page", &blog, Terms { fence: second, known: Some(first), steal: false }, WITHIN)
        .await
        .expect("an answer");
    assert!(known.found.is_none(), "what is known is not sent again");

    // Who renders on demand does not wait, and the other's end does not end the new holder's lock.
    assert_eq!(is_ours(&one, third, true).await, (true, true));
    assert_eq!(other.renew(b"page", &blog, second).await, Ok(false));
    other.release(b"page", &blog, second);
    settled(&other).await;
    assert_eq!(one.renew(b"page", &blog, third).await, Ok(true));

    // A holder that says nothing more is not waited for.
    let free = async {
        while !is_ours(&other, Epoch::at(4), false).await.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), free).await.expect("the lock ends by itself");
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
        .server
        .reads
        .clone()
        .hset(shared.server.group_key(blog.name()), field("r:", b"page"), "<h1>not a record</h1>")
        .await
        .expect("written");
    assert_eq!(found(&shared, "a/blog", b"page").await, None);
    assert_eq!(shared.usage().damaged, 1);

    // A mark that is not what was written: nobody knows whether the page may be served.
    shared.put(b"page", &page(&blog, "ours", 1));
    shared.invalidate(invalidation(&blog, Mode::Soft, 2)).await.expect("it works");
    assert_eq!(found(&shared, "a/blog", b"page").await, contract::stale("ours"));
    let connection = &mut shared.server.reads.clone();
    let _: u64 = connection
        .hset(shared.server.group_key(blog.name()), "soft", format!("{:020}00000000", 1))
        .await
        .expect("written");
    assert_eq!(found(&shared, "a/blog", b"page").await, None);

    // A record that came back, as from a backup, under a mark that it should have gone by.
    let other = group("a/other");
    shared.put(b"other", &page(&other, "ours", 1));
    settled(&shared).await;
    assert_eq!(found(&shared, "a/other", b"other").await, fresh("ours"));
    let _: u64 = connection
        .hset(shared.server.group_key(other.name()), "hard", mark(other.name(), "hard", Epoch(2)))
        .await
        .expect("written");
    assert_eq!(found(&shared, "a/other", b"other").await, None);
}

#[tokio::test]
async fn shared_an_entry_of_the_log_that_cannot_be_read_may_have_meant_anything() {
    let server = Server::new().await;
    let shared = server.shared("a");
    let log = shared.server.log_key("log");
    let whole = |kind, mode, reach, mark| {
        let sum = sum(kind, mode, reach, mark);
        [("kind", kind), ("mode", mode), ("reach", reach), ("mark", mark)]
            .map(|(name, value): (_, &[u8])| (name.to_owned(), value.to_vec()))
            .into_iter()
            .chain([("sum".to_owned(), sum.into_bytes())])
            .collect::<Vec<_>>()
    };
    let good = whole(b"group", b"hard", b"a/blog", b"7");
    let mut altered = good.clone();
    altered[2].1 = b"a/other".to_vec();
    let entries = [
        altered,
        good[..4].to_vec(),
        good[1..].to_vec(),
        vec![("what".into(), b"else".to_vec())],
        whole(b"galaxy", b"hard", b"a/blog", b"7"),
        whole(b"group", b"gently", b"a/blog", b"7"),
        whole(b"group", b"hard", b"a/\xff", b"7"),
        whole(b"group", b"hard", b"a/blog", b"seven"),
    ];
    let connection = &mut shared.server.reads.clone();
    let first = shared.next_epoch(WITHIN).await.expect("an epoch").position() + 1;
    for (position, fields) in (first..).zip(entries.iter().chain([&good])) {
        let _: String = connection.xadd(&log, format!("{position}-1"), fields).await.expect("written");
    }
    let news = shared.news(1, Epoch(0), Duration::from_millis(1)).await.expect("news");
    assert_eq!(news.entries.len(), entries.len() + 1, "none is skipped");
    for (position, entry) in (first..).zip(&news.entries) {
        assert_eq!(entry.position, Epoch::at(position), "and none is read again");
        let Invalidation { reach, mode, epoch } = &entry.invalidation;
        if position < first + entries.len() as u64 {
            assert!(matches!(reach, Reach::Selected(_)), "everything: {entry:?}");
            assert_eq!((*mode, *epoch), (Mode::Soft, Epoch::at(position)), "of before, for stale");
        } else {
            assert_eq!((reach, *epoch), (&Reach::Group("a/blog".into()), Epoch(7)), "the next can be read");
        }
    }
}

#[tokio::test]
async fn shared_who_has_not_joined_a_data_set_has_no_part_in_it() {
    let server = Server::new().await;
    let (of_it, of_another) = (server.shared("a"), server.shared("a"));
    of_another.server.joined(2);
    let [ours, theirs] = [(); 2].map(|()| group("a/blog"));
    of_it.put(b"page", &page(&ours, "a page", 1));
    settled(&of_it).await;
    assert_eq!(found(&of_another, "a/blog", b"page").await, None);
    let terms = Terms { fence: Epoch(1), known: None, steal: false };
    assert!(of_it.claim(b"page", &ours, terms, WITHIN).await.expect("an answer").is_ours);
    assert_eq!(of_another.renew(b"page", &theirs, Epoch(1)).await, Ok(false));

    of_another.put(b"page", &page(&theirs, "of another order", 99));
    of_another.remove(b"page", &theirs);
    assert!(of_another.invalidate(invalidation(&theirs, Mode::Hard, 100)).await.is_err());
    assert!(of_another.next_epoch(WITHIN).await.is_err());
    assert!(of_another.purge_epoch("list", 1).await.is_err());
    assert!(of_another.report("one", Epoch(9)).await.is_err());
    assert!(of_another.replicas().await.is_err());
    assert_eq!(found(&of_it, "a/blog", b"page").await, fresh("a page"));
    let told = of_it.news(1, Epoch(0), Duration::from_millis(1)).await.expect("news").entries;
    assert!(told.iter().all(|entry| entry.invalidation.reach != Reach::Group("a/blog".into())), "{told:?}");
    assert_eq!(of_it.replicas().await.expect("a list").replicas, []);

    of_another.join(Epoch(0), 3, Some(2)).await.expect("joined");
    let back = async {
        while found(&of_another, "a/blog", b"page").await != fresh("a page") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), back).await.expect("it is asked again");
}
