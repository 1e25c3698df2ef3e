use anyhow::Result;

use super::{Kind, Ports, Server, Setting, free_port, peer, write};

pub(super) fn start(setting: &Setting) -> Result<Server> {
    let root = tempfile::tempdir()?;
    let (plain, tls) = (free_port()?, free_port()?);
    let pem = root.path().join("tls.pem");
    setting.certificate.write_together(&pem)?;
    let config = root.path().join("haproxy.cfg");
    let values = [
        ("plain", plain.to_string()),
        ("tls", tls.to_string()),
        ("origin", setting.origin.to_string()),
        ("pem", pem.to_string_lossy().into_owned()),
    ];
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    write(&config, include_str!("../../peers/haproxy.cfg"), &values)?;
    let mut command = peer(setting, "usr/sbin/haproxy");
    command.arg("-f").arg(config);
    // It tells HTTP/2 from HTTP/1.1 by the first bytes.
    let ports = Ports { plain, h2c: Some(plain), tls: Some(tls) };
    Server::spawn(Kind::Haproxy, command, ports, root, None)
}
