use std::path::Path;

use anyhow::Result;

use super::{Kind, Ports, Server, Setting, free_port, peer, write};

/// Its documentation advises to keep the working folder, with the log in shared memory, off the disk.
const MEMORY: &str = "/dev/shm";

pub(super) fn start(setting: &Setting) -> Result<Server> {
    let root = tempfile::tempdir()?;
    let work = if Path::new(MEMORY).is_dir() { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() }?;
    let plain = free_port()?;
    let config = root.path().join("default.vcl");
    let values = [
        ("origin_host", setting.origin.ip().to_string()),
        ("origin_port", setting.origin.port().to_string()),
    ];
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    write(&config, include_str!("../../peers/varnish.vcl"), &values)?;
    let mut command = peer(setting, "usr/sbin/varnishd");
    command
        .args(["-F", "-j", "none", "-a", &format!("127.0.0.1:{plain},HTTP")])
        .arg("-f")
        .arg(config)
        .arg("-n")
        .arg(work.path())
        // Pages in memory.
        .args(["-s", "malloc,1g"])
        // Threads are at hand before they are needed; its documentation advises so for benchmarks.
        .args(["-p", "thread_pool_min=500", "-p", "thread_pool_max=2000", "-p", "listen_depth=4096"])
        .args(["-p", "feature=+http2"])
        // Variants as the application sends them: by default it would keep gzip and know no brotli.
        .args(["-p", "http_gzip_support=off"])
        // Connections of visitors stay open.
        .args(["-p", "timeout_idle=3600"])
        // Only over HTTP/2 by prior knowledge; it has no TLS.
        .args(["-p", "h2_max_concurrent_streams=1024", "-p", "default_grace=3600"]);
    let ports = Ports { plain, h2c: Some(plain), tls: None };
    Server::spawn(Kind::Varnish, command, ports, root, Some(work))
}
