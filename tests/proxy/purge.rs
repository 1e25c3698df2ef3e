//! `kube-isr purge`: what it says is done is done on every replica, and who has not done it is named.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Answer, Folder, HOST, Origin, Proxy, TOKEN, route};

/// What a run of the command printed, and how it ended.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `kube-isr purge` with these arguments, and with the token in the environment.
async fn purge(arguments: &[&str]) -> Run {
    run(arguments, Some(TOKEN)).await
}

async fn run(arguments: &[&str], token: Option<&str>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kube-isr"));
    command
        .arg("purge")
        .args(arguments)
        .env_remove("KUBE_ISR_TOKEN")
        .envs(token.map(|it| ("KUBE_ISR_TOKEN", it)));
    // Scripted replicas answer on this test's own thread.
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("an end");
    let output = output.expect("kube-isr runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let run = Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    for stream in [&run.stdout, &run.stderr] {
        assert!(!stream.contains(TOKEN), "the token is not printed: {stream}");
    }
    run
}

/// Two replicas of a site with the routes /blog/[slug] and /shop, all of whose pages have been rendered once.
async fn site() -> (Origin, [Proxy; 2]) {
    let origin = Origin::start(|request| Answer::page(format!("v{}", request.nth))).await;
    let replica = async || {
        let routes = [
            route("/blog/[slug]").named("blog").interval("1h").token(TOKEN).set("tags", json!(["posts"])),
            route("/shop").interval("1h").token(TOKEN),
        ];
        let proxy = Proxy::with(Folder::of(&origin, routes)).start().await;
        for page in PAGES {
            assert_eq!(proxy.get(page).await.cache(), "MISS", "{page}");
        }
        proxy
    };
    let replicas = [replica().await, replica().await];
    (origin, replicas)
}

const PAGES: [&str; 3] = ["/blog/1", "/blog/2", "/shop"];

fn admin(proxy: &Proxy) -> String {
    format!("http://{}", proxy.admin_address())
}

/// How a proxy has each page.
async fn found(proxy: &Proxy) -> [String; 3] {
    let mut found = [const { String::new() }; 3];
    for (found, page) in found.iter_mut().zip(PAGES) {
        proxy.get(page).await.cache().clone_into(found);
    }
    found
}

#[tokio::test]
async fn every_replica_drops_what_is_named_and_says_so() {
    let url = format!("https://{HOST}/blog/1");
    for (arguments, left, counts) in [
        (vec!["--path", url.as_str()], ["STALE", "HIT", "HIT"], "soft, 1 page, 0 marks"),
        (
            vec!["--path", "/blog/1", "--host", HOST, "--soft"],
            ["STALE", "HIT", "HIT"],
            "soft, 1 page, 0 marks",
        ),
        (vec!["--prefix", "/blog", "--hard"], ["MISS", "MISS", "HIT"], "hard, 0 pages, 2 marks"),
        (vec!["--tag", "posts", "--path", &url, "--hard"], ["MISS", "MISS", "HIT"], "hard, 1 page, 2 marks"),
        (vec!["--host", HOST, "--hard"], ["MISS", "MISS", "MISS"], "hard, 0 pages, 2 marks"),
        (vec!["--everything"], ["STALE", "STALE", "STALE"], "soft, 0 pages, 2 marks"),
    ] {
        let (_origin, replicas) = site().await;
        let [one, other] = replicas.each_ref().map(admin);
        let run =
            purge(&[&*arguments, &["--admin", &one, "--admin", &other, "--admin", &one]].concat()).await;
        let lines: Vec<String> = replicas
            .iter()
            .map(|proxy| format!("{} done: {counts}, of shop/blog, shop/shop\n", proxy.admin_address()))
            .collect();
        assert_eq!((run.code, run.stdout), (Some(0), lines.concat()), "{arguments:?}: {}", run.stderr);
        for proxy in &replicas {
            assert_eq!(found(proxy).await, left, "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn who_is_away_is_named_and_the_others_are_done() {
    let (_origin, [one, other]) = site().await;
    let (up, down) = (admin(&one), admin(&other));
    let address = other.admin_address();
    drop(other);
    let arguments = ["--everything", "--hard", "--admin", &down, "--admin", &up];
    let run = purge(&arguments).await;
    let expected = format!(
        "{address} not done: Connection refused (os error 111). It may still serve the old pages: purge again once it answers."
    );
    assert_eq!(run.stdout.lines().next(), Some(&*expected));
    assert_eq!(run.code, Some(1), "one of two is not all: {}", run.stderr);
    assert_eq!(found(&one).await, ["MISS", "MISS", "MISS"], "the other one is done");

    let run = purge(&[&arguments[..], &["--output", "json"]].concat()).await;
    let said: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((run.code, &said["done"]), (Some(1), &json!(false)));
    assert_eq!(said["replicas"][0]["address"], json!(address.to_string()));
    assert_eq!((&said["replicas"][0]["done"], &said["replicas"][0]["status"]), (&json!(false), &Value::Null));
    assert_eq!(said["replicas"][1]["answer"]["routes"], json!(["shop/blog", "shop/shop"]));

    let run = purge(&["--everything", "--admin", "http://nowhere.invalid:9090", "--admin", &up]).await;
    assert_eq!(run.code, Some(1), "a name that leads nowhere may stand for many: {}", run.stdout);
    assert!(
        run.stdout.starts_with("nowhere.invalid:9090 not done: The name leads nowhere"),
        "{}",
        run.stdout
    );
}

#[tokio::test]
async fn one_that_hangs_is_not_waited_for() {
    let (_origin, [one, other]) = site().await;
    other.signal("STOP");
    let (one_url, other_url) = (admin(&one), admin(&other));
    let run =
        purge(&["--everything", "--admin", &one_url, "--admin", &other_url, "--timeout", "500ms"]).await;
    other.signal("CONT");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let expected = format!("{} not done: No answer within 500ms. It may", other.admin_address());
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("{} done: soft", one.admin_address())), "{}", run.stdout);
}

/// Whatever listens on the port: only a proxy's own words count.
#[tokio::test]
async fn another_server_is_no_replica() {
    let stranger = Origin::start(|_| Answer::page("<p>Welcome to the default page!</p>")).await;
    let run = purge(&["--everything", "--admin", &format!("http://{}", stranger.address())]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("not done: It answers 200 OK, and not as a proxy does"), "{}", run.stdout);
    let asked = stranger.last();
    assert_eq!((&*asked.method, &*asked.target), ("POST", "/v1/invalidate"));
}

#[tokio::test]
async fn what_a_replica_refuses_is_said_with_its_reason() {
    let (_origin, [one, _other]) = site().await;
    let (folder, url) = (tempfile::tempdir().expect("a folder"), admin(&one));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a plain path").to_owned()
    };
    let wrong = file("wrong", "example-token-that-nobody-has-00\n");
    let right = file("right", &format!("{TOKEN}\n"));
    let with_file = async |file: &str, more: &[&str]| {
        // The file goes before the environment.
        run(&[more, &["--admin", &url, "--token-file", file]].concat(), Some("another-token")).await
    };
    let run = with_file(&wrong, &["--everything", "--hard"]).await;
    assert_eq!(run.code, Some(1));
    let expected = format!(
        "The token in x-prerender-revalidate is no route's. Nothing was rendered and nothing changed. The token is that of {wrong}."
    );
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
    let run = with_file(&right, &["--path", &format!("https://{HOST}/elsewhere")]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("/elsewhere` is no page of an IsrRoute"), "{}", run.stdout);
    assert_eq!(found(&one).await, ["HIT", "HIT", "HIT"], "nothing changed");
    assert_eq!(with_file(&right, &["--everything"]).await.code, Some(0), "the token of the file");
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_explained() {
    let absent = Path::new("/absent/token").display().to_string();
    let table: [(&[&str], Option<&str>, i32, &str); 12] = [
        (&[], Some(TOKEN), 64, "nothing is named: write --path, --prefix, --tag, --host, or --everything"),
        (&["--everything"], None, 64, "no token: write --token-file FILE, or set KUBE_ISR_TOKEN"),
        (&["--everything"], Some(""), 1, "KUBE_ISR_TOKEN is empty"),
        (&["--everything"], Some("not a token"), 1, "KUBE_ISR_TOKEN holds no token"),
        (&["--everything", "--token-file", &absent], Some(TOKEN), 1, "/absent/token cannot be read"),
        (&["--everything", "--token", TOKEN], None, 64, "unexpected argument '--token' found"),
        (&["--everything", "--tag", "a"], Some(TOKEN), 64, "cannot be used with '--tag <TAG>'"),
        (&["--everything", "--soft", "--hard"], Some(TOKEN), 64, "'--soft' cannot be used with '--hard'"),
        (&["--path", "blog"], Some(TOKEN), 64, "write a path, such as /blog, or a URL"),
        (&["--path", "/blog"], Some(TOKEN), 64, "Write --host shop.example.com, or the URL"),
        (&["--host", "https://a.example.com/"], Some(TOKEN), 64, "without a scheme: shop.example.com"),
        (&["--everything", "--admin", "127.0.0.1:9090"], Some(TOKEN), 64, "write http://HOST:PORT"),
    ];
    for (arguments, token, code, expected) in table {
        let run = run(arguments, token).await;
        assert_eq!((run.code, &*run.stdout), (Some(code), ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
    }
}
