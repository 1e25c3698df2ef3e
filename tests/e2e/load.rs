//! Visitors: a constant load through Traefik that waits for nobody, and what became of each request.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::cluster::traefik;
use crate::support::{Client, Request, Response, get};

/// Between two requests: a hundred a second, whatever becomes of those before.
const EVERY: Duration = Duration::from_millis(10);
/// A visitor who has waited for longer has left. The table tells the longest wait; here it is the machine that takes long.
const DEADLINE: Duration = Duration::from_secs(10);
/// How many failures a line tells; the first ones say what it was.
const TOLD: usize = 5;

/// A page that visitors ask for, with what must be in it.
#[derive(Clone, Debug)]
pub struct Page {
    request: Request,
    holds: String,
}

impl Page {
    /// A page of the example application, which shows its own path as its title.
    pub fn of_the_example(host: &str, path: &str) -> Self {
        Self { request: get(path).host(host), holds: format!("<title>{path}</title>") }
    }

    fn wrong(&self, response: &Response) -> Option<String> {
        let text = response.text();
        if response.status == 200 && text.contains(&self.holds) && text.ends_with("</html>\n") {
            return None;
        }
        let shown: String = text.chars().take(200).collect();
        Some(format!("{} {} {shown:?}", response.status, response.cache()))
    }
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub requests: usize,
    /// How many were answered with a stored page that was past its interval.
    pub stale: usize,
    /// The longest that anybody waited, from when the request was due.
    pub slowest: Duration,
    /// What was wrong with the others.
    pub failed: Vec<String>,
}

impl Tally {
    fn count(&mut self, page: &Page, waited: Duration, answer: std::io::Result<Response>) {
        self.requests += 1;
        self.slowest = self.slowest.max(waited);
        let wrong = match &answer {
            Ok(response) => page.wrong(response),
            Err(error) => Some(error.to_string()),
        };
        if let Some(wrong) = wrong {
            let Request { host, target, .. } = &page.request;
            self.failed.push(format!("{host}{target} after {waited:.0?}: {wrong}"));
        }
        self.stale += usize::from(answer.is_ok_and(|response| response.cache() == "STALE"));
    }
}

/// A line of the table: requests, failed, slowest, and then the first failures.
impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>9} {:>7} {:>9.0?}", self.requests, self.failed.len(), self.slowest)?;
        self.failed.iter().take(TOLD).try_for_each(|failure| write!(out, "\n    {failure}"))
    }
}

/// A load that goes on until it is ended.
pub struct Load {
    end: oneshot::Sender<()>,
    task: JoinHandle<Tally>,
}

impl Load {
    /// Visitors of these pages, from now on. Needs a runtime with threads beside the test's own.
    pub fn begin(pages: &[Page]) -> Self {
        let (end, ended) = oneshot::channel();
        Self { end, task: tokio::spawn(visit(pages.to_vec(), ended)) }
    }

    /// Waits for the last answers, and tells all of them.
    pub async fn end(self) -> Tally {
        // A load that has ended by itself has panicked, and its task says so.
        let _ = self.end.send(());
        self.task.await.expect("the load")
    }
}

async fn visit(pages: Vec<Page>, mut ended: oneshot::Receiver<()>) -> Tally {
    let tally = Arc::new(Mutex::new(Tally::default()));
    // Connections that wait for the next request. There are as many as there were ever requests at a time.
    let idle: Arc<Mutex<Vec<Client>>> = Arc::default();
    let mut under_way = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        let due = tokio::select! {
            due = ticks.tick() => due.into_std(),
            _ = &mut ended => break,
        };
        // At random: in turn, one page could meet one proxy for ever.
        let page = pages[fastrand::usize(..pages.len())].clone();
        let (tally, idle) = (Arc::clone(&tally), Arc::clone(&idle));
        under_way.spawn(async move {
            let answer = tokio::time::timeout(DEADLINE, ask(&idle, &page.request)).await;
            let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            tally.lock().expect("the tally").count(&page, due.elapsed(), answer);
        });
        while under_way.try_join_next().is_some() {}
    }
    under_way.join_all().await;
    let tally = tally.lock().expect("the tally");
    tally.clone()
}

/// Asks on a connection that is idle, or on a new one. One that broke is not used again.
async fn ask(idle: &Mutex<Vec<Client>>, request: &Request) -> std::io::Result<Response> {
    let found = idle.lock().expect("the connections").pop();
    let mut client = if let Some(client) = found {
        client
    } else {
        let stream = TcpStream::connect(traefik()).await?;
        stream.set_nodelay(true)?;
        Client::over(Box::new(stream))
    };
    let response = client.try_send(request).await?;
    if !response.headers.lists("connection", "close") {
        idle.lock().expect("the connections").push(client);
    }
    Ok(response)
}

/// A table of loads: what went on meanwhile, and what became of the requests.
#[derive(Default)]
pub struct Table(Vec<(String, Tally)>);

impl Table {
    /// Adds a line and prints it at once, the first time under a head.
    pub fn add(&mut self, what: &str, tally: Tally) {
        if self.0.is_empty() {
            eprintln!("{:<34} {:>9} {:>7} {:>9}", "", "requests", "failed", "slowest");
        }
        eprintln!("{what:<34} {tally}");
        self.0.push((what.to_owned(), tally));
    }

    /// Panics unless each request of each line was answered.
    pub fn assert_nothing_lost(&self) {
        let total: usize = self.0.iter().map(|(_, tally)| tally.requests).sum();
        let lost: Vec<String> = self
            .0
            .iter()
            .filter(|(_, tally)| !tally.failed.is_empty())
            .map(|(what, tally)| format!("{what}: {} of {}", tally.failed.len(), tally.requests))
            .collect();
        assert!(lost.is_empty(), "requests were lost: {}", lost.join(", "));
        eprintln!("0 of {total} requests failed");
    }

    /// Runs `disturbance` under a load of these pages, adds its line, and returns what became of the requests.
    pub async fn during(
        &mut self,
        what: &str,
        pages: &[Page],
        disturbance: impl Future<Output = ()>,
    ) -> Tally {
        let load = Load::begin(pages);
        let began = Instant::now();
        disturbance.await;
        let tally = load.end().await;
        // So that nobody takes a load that stood still for one that was answered.
        let least = began.elapsed().as_millis() / EVERY.as_millis() * 9 / 10;
        assert!(tally.requests as u128 >= least, "{what}: {} of {least} requests were made", tally.requests);
        self.add(what, tally.clone());
        tally
    }
}
