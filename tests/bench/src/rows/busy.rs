//! Hits while the server has something else to do: every page is revalidated, or 100,000 routes are loaded.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, HTTP1, Outcome, Spoken, Work};
use crate::load::{Answered, Ask, Load, Pace, Protocol, Target, reachable};
use crate::machine::{self, spent};
use crate::results::{Metric, Values};
use crate::servers::{self, Kind, Server};

const SIZE: usize = 16 << 10;

/// Pages that are revalidated every second.
const PAGES: usize = 500;
/// What the application takes for one of them.
const RENDER: Duration = Duration::from_millis(10);

/// Routes that are loaded: so many for each of so many hosts.
const HOSTS: usize = 10_000;
const ROUTES_PER_HOST: usize = 10;
/// A reload that takes longer is a failure.
const RELOAD_WITHIN: Duration = Duration::from_mins(1);

/// The load, as a part of what the server answers at most: half of the core is left for what it has to do besides.
const LOAD: f64 = 0.5;

pub(super) fn all() -> [Work; 2] {
    [
        Work::new("revalidating", "16 KiB while each of 500 pages is revalidated every second", revalidating),
        Work::new("reload", "16 KiB while 100,000 routes are loaded", reload),
    ]
}

fn revalidating(bench: &mut Bench, kind: Kind) -> Result<Outcome> {
    if kind == Kind::Bare {
        return Ok(Outcome::NotOffered("no cache"));
    }
    let (target, connections) = match bench.target(kind, Spoken::Http1)? {
        Ok(target) => target,
        Err(why) => return Ok(Outcome::NotOffered(why)),
    };
    let window = bench.window() * 3;
    let asks = |life: &str| -> Vec<Ask> {
        (0..PAGES).map(|page| Ask::page(format!("/{life}/{SIZE}/busy-{page}"), SIZE)).collect()
    };
    let mut quiet = Load::connect(&target, connections, asks("page"))?;
    quiet.once()?;
    let (pace, quiet) = half(&mut quiet, window)?;
    let mut busy = Load::connect(&target, connections, asks("brief"))?;
    busy.once()?;
    bench.origin.delay(RENDER);
    let renders = bench.origin.renders();
    let before = bench.server(kind)?.cpu();
    let answered = busy.run(pace, window);
    bench.origin.delay(Duration::ZERO);
    let answered = answered?;
    let cpu = spent(before, bench.server(kind)?.cpu());
    let mut values = compare(&quiet, &answered);
    values.insert(Metric::Cpu, answered.each(cpu));
    values.insert(Metric::Renders, super::float(bench.origin.renders() - renders));
    Ok(Outcome::Measured(values))
}

/// Half of what the server answers at most, and how it answers that.
fn half(load: &mut Load, window: Duration) -> Result<(Pace, Answered)> {
    let most = load.run(Pace::Closed, window / 3)?;
    let pace = Pace::Open { per_second: most.per_second() * LOAD };
    Ok((pace, load.run(pace, window)?))
}

fn compare(quiet: &Answered, busy: &Answered) -> Values {
    Values::from([
        (Metric::QuietP99, quiet.quantile(0.99)),
        (Metric::BusyP99, busy.quantile(0.99)),
        (Metric::BusyP999, busy.quantile(0.999)),
        (Metric::Lost, super::float(busy.lost)),
    ])
}

fn reload(bench: &mut Bench, kind: Kind) -> Result<Outcome> {
    match kind {
        Kind::KubeIsr | Kind::Nginx => {}
        Kind::Bare => return Ok(Outcome::NotOffered("no routes")),
        Kind::Haproxy => return Ok(Outcome::NotOffered("a reload is another process, with an empty cache")),
        Kind::Varnish => return Ok(Outcome::NotOffered("routes are compiled as C code")),
        Kind::TrafficServer => return Ok(Outcome::NotOffered("not compared")),
    }
    // One of its own: the routes stay.
    let server = Server::start(kind, &bench.setting)?;
    let address = SocketAddr::from(([127, 0, 0, 1], server.ports.plain));
    let target = Target { address, protocol: Protocol::Http1, tls: None };
    let mut load = Load::connect(&target, HTTP1.1, vec![Ask::page(format!("/page/{SIZE}/hot"), SIZE)])?;
    let (pace, quiet) = half(&mut load, bench.window() * 3)?;
    load.reconnects(target.clone());

    let in_force = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let loading = Loading { server: &server, bench, in_force: Arc::clone(&in_force), address };
    let took = loading.begin()?;
    let busy =
        load.run_while(pace, |_| !in_force.load(Ordering::SeqCst) && begun.elapsed() < RELOAD_WITHIN)?;
    ensure!(in_force.load(Ordering::SeqCst), "the routes are not in force after {RELOAD_WITHIN:?}");
    let mut values = compare(&quiet, &busy);
    values.insert(Metric::InForce, took.join().unwrap_or(f64::NAN));
    Ok(Outcome::Measured(values))
}

struct Loading<'a> {
    server: &'a Server,
    bench: &'a Bench,
    in_force: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Loading<'_> {
    /// Writes the routes and tells the server; a thread that looks when they are in force, and how many milliseconds it took.
    fn begin(self) -> Result<std::thread::JoinHandle<f64>> {
        let port = self.bench.setting.origin.port();
        if self.server.kind == Kind::Nginx {
            let more = nginx_servers();
            let (root, ports) = (self.server.root(), self.server.ports);
            servers::configure_nginx(&self.bench.setting, root, ports, &more)?;
            machine::signal(self.server.process(), "HUP");
        } else {
            let staged = self.server.root().join("staged");
            fs::write(&staged, manifests(port))?;
            fs::rename(&staged, servers::table(self.server))?;
        }
        let Self { in_force, address, .. } = self;
        Ok(std::thread::spawn(move || {
            let begun = Instant::now();
            // The last host, and a path that its routes have.
            let host = format!("host-{}.example.com", HOSTS - 1);
            while begun.elapsed() < RELOAD_WITHIN {
                if reachable(address, &host, &format!("/r0/{SIZE}")) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            in_force.store(true, Ordering::SeqCst);
            begun.elapsed().as_secs_f64() * 1e3
        }))
    }
}

fn manifests(port: u16) -> String {
    let mut text = String::new();
    for host in 0..HOSTS {
        for route in 0..ROUTES_PER_HOST {
            let _ = write!(
                text,
                "apiVersion: kube-isr.dev/v1alpha1\nkind: IsrRoute\n\
                 metadata: {{ name: host-{host}-{route}, namespace: bench }}\n\
                 spec: {{ hostnames: [host-{host}.example.com], path: \"/r{route}/[slug]\", interval: 10s, \
                 backendRef: {{ name: application, port: {port} }} }}\n---\n"
            );
        }
    }
    text
}

fn nginx_servers() -> String {
    let mut text = String::new();
    for host in 0..HOSTS {
        let _ =
            writeln!(text, "server {{ listen 127.0.0.1:{{{{plain}}}}; server_name host-{host}.example.com;");
        for route in 0..ROUTES_PER_HOST {
            let _ = writeln!(text, "location /r{route}/ {{ proxy_pass http://application; }}");
        }
        text.push_str("}\n");
    }
    text
}
