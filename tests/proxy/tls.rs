//! TLS from certificate files: both protocols, and new certificates without a restart.

use crate::support::tls::Certificate;
use crate::support::{Answer, Client, Folder, HOST, Origin, PATIENCE, Proxy, eventually, get, h2::H2, route};

async fn start(origin: &Origin, certificate: &Certificate) -> Proxy {
    let folder = Folder::of(origin, [route("/isr").interval("60s")]);
    let (chain, key) = (folder.beside("tls.crt"), folder.beside("tls.key"));
    certificate.write(&chain, &key);
    Proxy::with(folder)
        .option("--tls-listen", "127.0.0.1:0")
        .option("--tls-cert", chain)
        .option("--tls-key", key)
        .start()
        .await
}

#[tokio::test]
async fn http1_and_http2_over_tls() {
    let origin = Origin::start(|request| {
        Answer::page(request.headers.get("x-forwarded-proto").unwrap_or("unsaid").to_owned())
    })
    .await;
    let certificate = Certificate::new(HOST);
    let proxy = start(&origin, &certificate).await;
    let stream =
        certificate.connect(proxy.tls_address(), HOST, &["http/1.1"]).await.expect("a TLS connection");
    let mut client = Client::over(Box::new(stream));
    assert_eq!(client.get("/pass").await.text(), "https", "the origin is told that visitors use https");
    assert_eq!(client.get("/isr").await.cache(), "MISS", "a page over TLS");
    assert_eq!(client.get("/isr").await.cache(), "HIT", "a hit over TLS, on the same connection");

    let stream =
        certificate.connect(proxy.tls_address(), HOST, &["h2", "http/1.1"]).await.expect("a TLS connection");
    assert_eq!(
        stream.get_ref().1.alpn_protocol(),
        Some(&b"h2"[..]),
        "HTTP/2 is agreed by ALPN (RFC 9113 §3.2)"
    );
    let h2 = H2::over(Box::new(stream)).await;
    assert_eq!(h2.send(&get("/isr")).await.cache(), "HIT", "the same page over HTTP/2");
    assert_eq!(h2.send(&get("/pass")).await.text(), "https", "also over HTTP/2");

    let stream = certificate.connect(proxy.tls_address(), HOST, &[]).await.expect("a TLS connection");
    assert_eq!(
        Client::over(Box::new(stream)).get("/isr").await.cache(),
        "HIT",
        "a client without ALPN speaks HTTP/1.1"
    );
    assert_eq!(proxy.get("/isr").await.status, 200, "the plain listener serves beside it");
}

#[tokio::test]
async fn who_does_not_speak_tls_harms_nobody() {
    let origin = Origin::counting().await;
    let certificate = Certificate::new(HOST);
    let proxy = start(&origin, &certificate).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(Client::connect(proxy.tls_address()).await);
    }
    let mut plain = Client::connect(proxy.tls_address()).await;
    plain.write_if_open(&get("/isr").bytes()).await;
    let answer = plain.read_to_end().await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "plain HTTP is no TLS");
    let stream = certificate.connect(proxy.tls_address(), HOST, &[]).await.expect("a TLS connection");
    assert_eq!(Client::over(Box::new(stream)).get("/isr").await.status, 200, "others are served meanwhile");
    assert_eq!(origin.count(), 1, "nothing else reached the origin");
}

#[tokio::test]
async fn new_certificate_files_are_used_without_a_restart() {
    let origin = Origin::counting().await;
    let (old, new) = (Certificate::new(HOST), Certificate::new(HOST));
    let proxy = start(&origin, &old).await;
    let stream = old.connect(proxy.tls_address(), HOST, &[]).await.expect("the first certificate");
    let mut before = Client::over(Box::new(stream));
    assert_eq!(before.get("/isr").await.status, 200, "served with the first certificate");
    assert!(new.connect(proxy.tls_address(), HOST, &[]).await.is_err(), "the second is not in use yet");

    new.write(&proxy.folder().beside("tls.crt"), &proxy.folder().beside("tls.key"));
    let stream = eventually("the new certificate is in use", PATIENCE, async || {
        new.connect(proxy.tls_address(), HOST, &[]).await.ok()
    })
    .await;
    assert_eq!(
        Client::over(Box::new(stream)).get("/isr").await.cache(),
        "HIT",
        "served with the new certificate"
    );
    assert_eq!(before.get("/isr").await.cache(), "HIT", "a connection made before goes on");

    let said = proxy.log().len();
    std::fs::write(proxy.folder().beside("tls.crt"), "not a certificate").expect("a broken file");
    let what = "the log tells of the broken file";
    eventually(what, PATIENCE, async || proxy.log()[said..].contains("tls.crt").then_some(())).await;
    let stream =
        new.connect(proxy.tls_address(), HOST, &[]).await.expect("the last good certificate stays in use");
    assert_eq!(Client::over(Box::new(stream)).get("/isr").await.status, 200, "a broken file ends nothing");
}
