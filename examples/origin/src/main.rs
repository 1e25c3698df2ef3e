//! A small web application to put behind kube-isr. Every page shows a counter and the time it was rendered, so that
//! one sees which answers come from a cache; `POST /control/fail` and `/control/slow` show what a cache is for.
//!
//! `main` is the server, `app` decides the answer to a request, `page` is the HTML.

mod app;
mod page;

use std::{convert::Infallible, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::{conn::auto, graceful::GracefulShutdown};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;

const USAGE: &str = "usage: example-origin [--listen ADDRESS:PORT]   (default 127.0.0.1:3000)";

/// How long answers under way may take after a signal. Longer than a slow page; an event stream never ends by itself.
const DRAIN: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    let address = match listen_address(std::env::args().skip(1)) {
        Ok(address) => address,
        Err(sentence) => {
            eprintln!("{sentence}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    match serve(address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("example-origin cannot listen on {address}: {error}. Choose another with --listen.");
            ExitCode::FAILURE
        }
    }
}

fn listen_address(mut arguments: impl Iterator<Item = String>) -> Result<SocketAddr, String> {
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Ok(SocketAddr::from(([127, 0, 0, 1], 3000))),
        (Some("--listen"), Some(address), None) => address
            .parse()
            .map_err(|_| format!("--listen {address} is not an address; write 127.0.0.1:3000.")),
        (Some(argument), ..) => Err(format!("{argument} is not understood here.")),
    }
}

async fn serve(address: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    println!("example origin listening on http://{}", listener.local_addr()?);

    let app = Arc::new(App::default());
    let server = auto::Builder::new(TokioExecutor::new());
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, usually: others free them, so wait instead of spinning.
                    eprintln!("accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        let app = Arc::clone(&app);
        let service = service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.answer(&request).await) }
        });
        let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = connections.watch(connection);
        // A connection that breaks is the visitor's affair; there is nobody left to tell.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, connections.shutdown()).await;
    Ok(())
}
