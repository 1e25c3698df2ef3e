//! Which answer a request gets.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame};
use tokio::time::{Interval, interval, sleep};

use crate::page;

/// What a slow page takes: long enough to feel, short enough to wait for.
const SLOW: Duration = Duration::from_secs(2);

/// Time between two events of `/events`.
const TICK: Duration = Duration::from_secs(1);

const FAST: u8 = 0;
const SLOWLY: u8 = 1;
const FAILING: u8 = 2;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// The application: how often it rendered, and how it was told to behave.
#[derive(Default)]
pub(crate) struct App {
    renders: AtomicU64,
    mode: AtomicU8,
}

impl App {
    /// The answer to `request`; its body is not read. Every answer is a line on standard output.
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        let path = request.uri().path();
        let answer = match path.strip_prefix("/control/") {
            Some(mode) => self.control(request.method(), mode),
            None if request.method() == Method::GET || request.method() == Method::HEAD => {
                self.page(request).await
            }
            None => with(
                text(StatusCode::METHOD_NOT_ALLOWED, "Pages are read with GET."),
                header::ALLOW,
                "GET, HEAD",
            ),
        };
        println!("{} {} {}", answer.status().as_u16(), request.method(), request.uri());
        answer
    }

    fn control(&self, method: &Method, mode: &str) -> Answer {
        if method != Method::POST {
            return with(
                text(StatusCode::METHOD_NOT_ALLOWED, "Write POST /control/…"),
                header::ALLOW,
                "POST",
            );
        }
        let (mode, now) = match mode {
            "ok" => (FAST, "Every page is rendered at once."),
            "slow" => (SLOWLY, "Every page takes two seconds."),
            "fail" => (FAILING, "Every page answers 500."),
            _ => return text(StatusCode::NOT_FOUND, "Write /control/ok, /control/slow or /control/fail."),
        };
        self.mode.store(mode, Relaxed);
        text(StatusCode::OK, now)
    }

    async fn page<B>(&self, request: &Request<B>) -> Answer {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let mode = self.mode.load(Relaxed);
        if mode == SLOWLY || path == "/slow" {
            sleep(SLOW).await;
        }
        if mode == FAILING {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "This application was told to fail.");
        }
        let html = |body: &str| html(StatusCode::OK, path, body, self.renders.fetch_add(1, Relaxed) + 1);
        match path {
            "/" => html(page::INDEX),
            "/blog-posts" => html(&page::blog_posts()),
            "/clock" => {
                with(html(page::CLOCK), header::CACHE_CONTROL, "public, max-age=5, stale-while-revalidate=60")
            }
            "/search" => html(&page::search(parameter(query, "page").unwrap_or("1"))),
            "/slow" => html(page::SLOW),
            "/account" => {
                let name = cookie(request, "name").unwrap_or("stranger");
                with(html(&page::account(name)), header::CACHE_CONTROL, "private, no-store")
            }
            "/redirect" => with(text(StatusCode::TEMPORARY_REDIRECT, ""), header::LOCATION, "/blog-posts"),
            "/events" => events(),
            _ => match path.strip_prefix("/blog-posts/").and_then(page::blog_post) {
                Some(body) => html(&body),
                None => self::html(
                    StatusCode::NOT_FOUND,
                    path,
                    page::MISSING,
                    self.renders.fetch_add(1, Relaxed) + 1,
                ),
            },
        }
    }
}

fn html(status: StatusCode, path: &str, body: &str, render: u64) -> Answer {
    with(full(status, page::layout(path, body, render)), header::CONTENT_TYPE, "text/html; charset=utf-8")
}

fn text(status: StatusCode, body: &str) -> Answer {
    with(full(status, format!("{body}\n")), header::CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn full(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)).boxed());
    *answer.status_mut() = status;
    answer
}

fn with(mut answer: Answer, name: http::HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
    answer
}

/// The first value of a query parameter, as it was sent.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn cookie<'r, B>(request: &'r Request<B>, name: &str) -> Option<&'r str> {
    let cookies = request.headers().get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn events() -> Answer {
    let answer = Response::new(Events { ticks: interval(TICK), sent: 0 }.boxed());
    let answer = with(answer, header::CONTENT_TYPE, "text/event-stream");
    with(answer, header::CACHE_CONTROL, "no-store")
}

/// An endless stream of server-sent events, one per tick.
struct Events {
    ticks: Interval,
    sent: u64,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.ticks.poll_tick(task));
        self.sent += 1;
        let event = format!("data: event {} at {}\n\n", self.sent, page::now());
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(app: &App, method: &str, target: &str, cookie: &str) -> (u16, String) {
        let request =
            Request::builder().method(method).uri(target).header("cookie", cookie).body(()).unwrap();
        let answer = app.answer(&request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn each_request_gets_its_answer() {
        let app = App::default();
        for (method, target, status, shown) in [
            ("GET", "/", 200, "Example origin"),
            ("HEAD", "/blog-posts", 200, "Blog posts"),
            ("GET", "/blog-posts/2", 200, "never wrong"),
            ("GET", "/blog-posts/9", 404, "Not found"),
            ("GET", "/search?utm_source=x&page=7", 200, "page 7"),
            ("GET", "/account", 200, "Hello, Ada."),
            ("GET", "/redirect", 307, ""),
            ("GET", "/missing", 404, "Not found"),
            ("POST", "/", 405, "read with GET"),
            ("GET", "/control/fail", 405, "POST"),
            ("POST", "/control/nothing", 404, "/control/slow"),
        ] {
            let (got, body) = ask(&app, method, target, "theme=dark; name=Ada").await;
            assert_eq!(got, status, "{method} {target}");
            assert!(body.contains(shown), "{method} {target}: {body}");
        }
    }

    #[tokio::test]
    async fn failing_ends_when_told_and_counts_no_render() {
        let app = App::default();
        assert!(ask(&app, "GET", "/clock", "").await.1.contains("Render 1,"));
        assert_eq!(ask(&app, "POST", "/control/fail", "").await.0, 200);
        assert_eq!(ask(&app, "GET", "/clock", "").await.0, 500);
        assert_eq!(ask(&app, "POST", "/control/ok", "").await.0, 200);
        assert!(ask(&app, "GET", "/clock", "").await.1.contains("Render 2,"));
    }

    #[tokio::test]
    async fn slow_pages_make_their_visitor_wait() {
        let app = App::default();
        for (mode, target, waits) in [
            ("/control/ok", "/clock", false),
            ("/control/ok", "/slow", true),
            ("/control/slow", "/clock", true),
        ] {
            ask(&app, "POST", mode, "").await;
            let answer = tokio::time::timeout(SLOW / 10, ask(&app, "GET", target, "")).await;
            assert_eq!(answer.is_err(), waits, "{mode} {target}");
        }
    }
}
