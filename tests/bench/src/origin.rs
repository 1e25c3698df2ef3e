//! The application behind every server: the same pages for all, and a count of how often it was asked.
//!
//! | path | answer |
//! |---|---|
//! | `/page/SIZE/…` | a page of so many bytes, fresh for an hour |
//! | `/brief/SIZE/…` | a page that is fresh for a second and may be served stale for an hour |
//! | `/pass/down/BYTES` | so many bytes that nobody may store |
//! | `/pass/up` | reads the body and says 204 |
//!
//! Pages come as gzip or brotli to who accepts that, and 304 to who has them. All of it runs on one thread.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The sizes of pages, in bytes.
pub(crate) const SIZES: [usize; 3] = [1 << 10, 16 << 10, 128 << 10];

/// What a body that is passed through is written in, in bytes.
const PIECE: usize = 64 << 10;

/// The running application. It ends with the process.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    pages: HashMap<(usize, Coding), Bytes>,
    renders: AtomicU64,
    delay_ms: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Coding {
    Identity,
    Gzip,
    Brotli,
}

impl Origin {
    /// Starts it on a thread of its own.
    pub(crate) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("a port for the origin")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut pages = HashMap::new();
        for size in SIZES {
            let page = page(size);
            pages.insert((size, Coding::Gzip), gzip(&page)?.into());
            pages.insert((size, Coding::Brotli), brotli(&page)?.into());
            pages.insert((size, Coding::Identity), page.into());
        }
        let shared = Arc::new(Shared { pages, renders: AtomicU64::new(0), delay_ms: AtomicU64::new(0) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || runtime.block_on(accept(listener, serving)));
        Ok(Self { address, shared })
    }

    /// Requests for pages so far.
    pub(crate) fn renders(&self) -> u64 {
        self.shared.renders.load(Ordering::SeqCst)
    }

    /// Takes so long for a page from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(milliseconds, Ordering::SeqCst);
    }
}

/// Text of so many bytes that compresses about as well as HTML does.
fn page(size: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "page", "cache", "visitor", "fresh", "stale", "render", "route", "origin", "store", "entry", "blog",
        "price", "list", "image", "title", "author",
    ];
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = String::from("<!doctype html>\n<title>A page</title>\n");
    while text.len() < size {
        let (word, number) = (WORDS[random.usize(..WORDS.len())], random.u16(..));
        let _ = writeln!(text, "<li class=\"item\"><a href=\"/{word}/{number}\">{word} {number}</a></li>");
    }
    text.truncate(size);
    text.into_bytes()
}

// The levels that kube-isr compresses with, so that variants of all servers are of one size.

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(body)?;
    encoder.finish()
}

fn brotli(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &*body, &mut out, &parameters)?;
    Ok(out)
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // A connection that breaks is the server's business; it shows in what the load receives.
        tokio::spawn(async move { serve(stream, &shared).await });
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(PIECE, stream);
    let mut head = String::new();
    loop {
        head.clear();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let request = Request::parse(&head);
        match request.path.strip_prefix("/pass/down/") {
            Some(bytes) => send(&mut stream, bytes.parse().unwrap_or(0)).await?,
            None if request.path == "/pass/up" => receive(&mut stream, &request).await?,
            None => render(&mut stream, shared, &request).await?,
        }
    }
}

struct Request<'h> {
    path: &'h str,
    coding: Coding,
    has_page: bool,
    length: u64,
    expects: bool,
}

impl<'h> Request<'h> {
    fn parse(head: &'h str) -> Self {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let mut request = Self { path, coding: Coding::Identity, has_page: false, length: 0, expects: false };
        for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "accept-encoding" if value.contains("br") => request.coding = Coding::Brotli,
                "accept-encoding" if value.contains("gzip") => request.coding = Coding::Gzip,
                "if-none-match" | "if-modified-since" => request.has_page = true,
                "content-length" => request.length = value.parse().unwrap_or(0),
                "expect" => request.expects = true,
                _ => {}
            }
        }
        request
    }
}

async fn render(
    stream: &mut BufReader<TcpStream>,
    shared: &Shared,
    request: &Request<'_>,
) -> std::io::Result<()> {
    shared.renders.fetch_add(1, Ordering::SeqCst);
    let delay = shared.delay_ms.load(Ordering::SeqCst);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let mut segments = request.path.split('/').skip(1);
    let life = match segments.next() {
        Some("brief") => "public, max-age=1, stale-while-revalidate=3600",
        _ => "public, max-age=3600",
    };
    let size = segments.next().and_then(|size| size.parse().ok()).unwrap_or(0);
    let Some(body) = shared.pages.get(&(size, request.coding)) else {
        let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\ncache-control: no-store\r\n\r\n";
        return stream.get_mut().write_all(answer.as_bytes()).await;
    };
    let coding = match request.coding {
        Coding::Identity => "",
        Coding::Gzip => "content-encoding: gzip\r\n",
        Coding::Brotli => "content-encoding: br\r\n",
    };
    let validators = format!(
        "cache-control: {life}\r\nvary: accept-encoding\r\netag: \"{size}-{:?}\"\r\n\
         last-modified: Sat, 01 Nov 2025 00:00:00 GMT\r\ndate: {}\r\n",
        request.coding,
        httpdate::fmt_http_date(SystemTime::now())
    );
    if request.has_page {
        let answer = format!("HTTP/1.1 304 Not Modified\r\n{validators}\r\n");
        return stream.get_mut().write_all(answer.as_bytes()).await;
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n{coding}{validators}content-length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = head.into_bytes();
    answer.extend_from_slice(body);
    stream.get_mut().write_all(&answer).await
}

async fn send(stream: &mut BufReader<TcpStream>, mut bytes: usize) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\ncache-control: no-store\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes()).await?;
    let piece = vec![b'x'; PIECE];
    while bytes > 0 {
        let length = bytes.min(PIECE);
        stream.get_mut().write_all(&piece[..length]).await?;
        bytes -= length;
    }
    Ok(())
}

async fn receive(stream: &mut BufReader<TcpStream>, request: &Request<'_>) -> std::io::Result<()> {
    if request.expects {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    tokio::io::copy(&mut (&mut *stream).take(request.length), &mut tokio::io::sink()).await?;
    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\ncache-control: no-store\r\n\r\n").await
}
