//! Content codings: variants of a stored page, made when the first visitor asks who can read them (RFC 9110 §8.4, §12.5.3).

use crate::support::{
    Answer, HOST, Origin, PATIENCE, Proxy, Response, eventually, get, head, let_the_interval_end, route,
};

/// A page of text that compresses well (bytes: 48 KiB).
fn long_text() -> String {
    "<p>All work and no play makes Jack a dull boy.</p>\n".repeat(960)
}

async fn stored(body: &str) -> (Origin, Proxy, Response) {
    let text = body.to_owned();
    let origin = Origin::start(move |_| Answer::page(text.clone())).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let page = proxy.get("/page").await;
    (origin, proxy, page)
}

/// The codings in which a page is stored.
async fn codings(proxy: &Proxy, path: &str) -> Vec<String> {
    let answer = proxy.admin_json(&format!("/cache?url=http://{HOST}{path}")).await;
    let codings = answer["stored"][0]["codings"].as_array().cloned().unwrap_or_default();
    codings.iter().filter_map(|coding| coding.as_str().map(ToOwned::to_owned)).collect()
}

#[tokio::test]
async fn a_variant_is_made_when_it_is_asked_for() {
    let (_origin, proxy, _) = stored(&long_text()).await;
    let gzip = get("/page").header("Accept-Encoding", "gzip");
    assert_eq!(codings(&proxy, "/page").await, ["identity"], "nobody has asked for more");
    let first = proxy.send(&gzip).await;
    first.is(200, "HIT", &long_text(), "nobody waits for a variant");
    eventually("the variant", PATIENCE, async || {
        (codings(&proxy, "/page").await == ["identity", "gzip"]).then_some(())
    })
    .await;
    proxy.send(&gzip).await;
    proxy.get("/page").await;
    assert_eq!(codings(&proxy, "/page").await, ["identity", "gzip"], "and no other one");
}

#[tokio::test]
async fn a_page_that_is_rendered_anew_has_the_variants_that_it_had() {
    let origin = Origin::start(|request| Answer::page(format!("{} {}", request.nth, long_text()))).await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("1s")]).await;
    let brotli = get("/page").header("Accept-Encoding", "br");
    eventually("the variant", PATIENCE, async || {
        (proxy.send(&brotli).await.header("content-encoding") == "br").then_some(())
    })
    .await;
    let before = proxy.get("/page").await.header("etag").to_owned();
    let_the_interval_end().await;
    // Only visitors who ask for none come meanwhile.
    eventually("a new page with its variant", PATIENCE, async || {
        let is_new = proxy.get("/page").await.header("etag") != before;
        (is_new && codings(&proxy, "/page").await == ["identity", "br"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn encoded_variants_appear_and_are_right() {
    let text = long_text();
    let (origin, proxy, identity) = stored(&text).await;
    assert!(identity.text() == text, "who accepts no encoding gets none");
    assert_eq!(identity.headers.get("content-encoding"), None, "who accepts no encoding gets none");
    let mut client = proxy.client().await;
    let gzip = eventually("a gzip variant", PATIENCE, async || {
        let answer = client.send(&get("/page").header("Accept-Encoding", "gzip")).await;
        assert_eq!(answer.status, 200, "before there is one, the page comes as it is");
        (answer.header("content-encoding") == "gzip").then_some(answer)
    })
    .await;
    assert_eq!(gzip.cache(), "HIT", "the variant is made from the store");
    assert!(gzip.body.len() < text.len() / 4, "it is smaller: {} bytes", gzip.body.len());
    assert_eq!(&gzip.body[..2], b"\x1f\x8b", "it is gzip (RFC 1952)");
    let trailer = [crc32(text.as_bytes()), u32::try_from(text.len()).expect("a short page")];
    let trailer = trailer.map(u32::to_le_bytes).concat();
    assert!(gzip.body.ends_with(&trailer), "its checksum and length are those of exactly this page");
    assert!(gzip.headers.lists("vary", "accept-encoding"), "caches downstream are told: {:?}", gzip.headers);
    let plain = client.get("/page").await;
    assert!(plain.headers.lists("vary", "accept-encoding"), "also with the plain page: {:?}", plain.headers);
    assert_ne!(gzip.header("etag"), plain.header("etag"), "each variant has a strong tag of its own");
    assert_eq!(plain.header("etag"), identity.header("etag"), "the plain page keeps its tag");

    let cases = [
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
        ("gzip;q=0, identity;q=1", None),
        ("xz", None),
        ("GZIP", Some("gzip")),
        ("deflate, gzip;q=0.5", Some("gzip")),
    ];
    for (accept, encoding) in cases {
        let answer = client.send(&get("/page").header("Accept-Encoding", accept)).await;
        assert_eq!(answer.headers.get("content-encoding"), encoding, "Accept-Encoding: {accept:?}");
    }
    let best = client.send(&get("/page").header("Accept-Encoding", "gzip, br, zstd")).await;
    assert!(matches!(best.header("content-encoding"), "br" | "zstd" | "gzip"), "browsers get some encoding");
    assert!(best.body.len() <= gzip.body.len(), "and no worse a one than gzip");

    let tag = gzip.header("etag").to_owned();
    let same = client
        .send(&get("/page").header("Accept-Encoding", "gzip").header("If-None-Match", tag.clone()))
        .await;
    assert_eq!(
        (same.status, same.header("etag")),
        (304, tag.as_str()),
        "each variant is validated by its own tag"
    );
    let whole = client.send(&head("/page").header("Accept-Encoding", "gzip")).await;
    assert_eq!(whole.header("content-length"), gzip.body.len().to_string(), "HEAD of the variant");
    let part =
        client.send(&get("/page").header("Accept-Encoding", "gzip").header("Range", "bytes=0-1")).await;
    let expected =
        if part.header("content-encoding") == "gzip" { &gzip.body[..2] } else { &text.as_bytes()[..2] };
    assert_eq!(
        (part.status, &part.body[..]),
        (206, expected),
        "a range is cut from the variant that is named"
    );
    assert_eq!(origin.count(), 1, "no encoding costs a render");
    assert!(
        origin.last().headers.get("accept-encoding").is_none_or(|v| v == "identity"),
        "renders are plain"
    );
}

#[tokio::test]
async fn what_does_not_compress_is_left_alone() {
    let noise: Vec<u8> = {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        });
        next.take(20_000).collect()
    };
    let bytes = noise.clone();
    let origin = Origin::start(move |request| match request.target.as_str() {
        "/image" => Answer::status(200).header("content-type", "image/png").body(bytes.clone()),
        "/text" => Answer::page(long_text()),
        _ => Answer::page("tiny"),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let mut client = proxy.client().await;
    for target in ["/image", "/tiny", "/text"] {
        for _ in 0..2 {
            client.send(&get(target).header("Accept-Encoding", "gzip, br")).await;
        }
    }
    let what = "the text has its variant, so the others had their chance";
    eventually(what, PATIENCE, async || {
        let text = client.send(&get("/text").header("Accept-Encoding", "gzip")).await;
        (text.header("content-encoding") == "gzip").then_some(())
    })
    .await;
    let image = client.send(&get("/image").header("Accept-Encoding", "gzip, br")).await;
    assert_eq!(image.headers.get("content-encoding"), None, "an image is not compressed again");
    assert!(image.body == noise, "byte for byte");
    let tiny = client.send(&get("/tiny").header("Accept-Encoding", "gzip, br")).await;
    assert_eq!(
        (tiny.headers.get("content-encoding"), tiny.text().as_str()),
        (None, "tiny"),
        "four bytes stay four"
    );
}

/// CRC-32 as gzip has it (RFC 1952 §8).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(!0, step)
}
