use std::path::Path;

use anyhow::Result;

use super::{Kind, Ports, Server, Setting, free_port, peer, write};

pub(super) fn start(setting: &Setting) -> Result<Server> {
    let root = tempfile::tempdir()?;
    let ports = Ports { plain: free_port()?, h2c: Some(free_port()?), tls: Some(free_port()?) };
    configure(setting, root.path(), ports, "")?;
    let mut command = peer(setting, "usr/sbin/nginx");
    command.arg("-c").arg(root.path().join("nginx.conf")).arg("-p").arg(root.path());
    command.args(["-e", "stderr"]);
    Server::spawn(Kind::Nginx, command, ports, root, None)
}

/// Writes its configuration, with `more` servers.
pub(crate) fn configure(setting: &Setting, root: &Path, ports: Ports, more: &str) -> Result<()> {
    let (chain, key) = (root.join("chain.pem"), root.join("key.pem"));
    setting.certificate.write(&chain, &key)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let port = |port: Option<u16>| port.unwrap_or_default().to_string();
    let values = [
        // First: it has placeholders of its own.
        ("more", more.to_owned()),
        ("root", text(root)),
        ("plain", ports.plain.to_string()),
        ("h2c", port(ports.h2c)),
        ("tls", port(ports.tls)),
        ("origin", setting.origin.to_string()),
        ("chain", text(&chain)),
        ("key", text(&key)),
    ];
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    write(&root.join("nginx.conf"), include_str!("../../peers/nginx.conf"), &values)
}
