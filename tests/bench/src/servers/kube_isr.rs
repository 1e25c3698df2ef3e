use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::{Kind, Ports, Server, Setting, free_port};

/// The folder of its manifests.
const ROUTES: &str = "routes";

pub(super) fn start(setting: &Setting) -> Result<Server> {
    let root = tempfile::tempdir()?;
    let (plain, tls) = (free_port()?, free_port()?);
    let (chain, key) = (root.path().join("chain.pem"), root.path().join("key.pem"));
    setting.certificate.write(&chain, &key)?;
    let routes = root.path().join(ROUTES);
    fs::create_dir(&routes)?;
    let manifests = include_str!("../../peers/kube-isr.yaml");
    super::write(
        &routes.join("routes.yaml"),
        manifests,
        &[
            ("origin_host", &setting.origin.ip().to_string()),
            ("origin_port", &setting.origin.port().to_string()),
        ],
    )?;
    let mut command = setting.cores.server(&setting.kube_isr);
    command
        .args(["proxy", "--listen", &format!("127.0.0.1:{plain}"), "--admin", "127.0.0.1:0"])
        .args(["--tls-listen", &format!("127.0.0.1:{tls}")])
        .arg("--tls-cert")
        .arg(chain)
        .arg("--tls-key")
        .arg(key)
        .arg("--routes")
        .arg(routes)
        .arg("--state-dir")
        .arg(root.path().join("state"))
        // As much as every peer has.
        .args(["--max-memory-bytes", "1073741824", "--public-scheme", "http"])
        .env_remove("RUST_LOG");
    let ports = Ports { plain, h2c: Some(plain), tls: Some(tls) };
    Server::spawn(Kind::KubeIsr, command, ports, root, None)
}

/// The file that further routes are written to.
pub(crate) fn table(server: &Server) -> PathBuf {
    server.root().join(ROUTES).join("more.yaml")
}
