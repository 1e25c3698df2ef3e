use std::fs;

use anyhow::Result;

use super::{Kind, Ports, Server, Setting, free_port, peer, write};

/// The files it reads, besides those that may be absent.
const FILES: [(&str, &str); 6] = [
    ("records.config", include_str!("../../peers/trafficserver/records.config")),
    ("remap.config", include_str!("../../peers/trafficserver/remap.config")),
    ("storage.config", "{{root}}/cache 4G\n"),
    ("ssl_multicert.config", "dest_ip=* ssl_cert_name=chain.pem ssl_key_name=key.pem\n"),
    ("plugin.config", ""),
    ("ip_allow.yaml", "ip_allow: [{ apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL }]\n"),
];

pub(super) fn start(setting: &Setting) -> Result<Server> {
    let root = tempfile::tempdir()?;
    let folder = root.path().to_string_lossy().into_owned();
    let (plain, tls) = (free_port()?, free_port()?);
    setting.certificate.write(&root.path().join("chain.pem"), &root.path().join("key.pem"))?;
    for name in ["config", "cache", "log", "run"] {
        fs::create_dir(root.path().join(name))?;
    }
    let values = [
        ("root", folder.clone()),
        ("peers", setting.peers.to_string_lossy().into_owned()),
        ("plain", plain.to_string()),
        ("tls", tls.to_string()),
        ("origin", setting.origin.to_string()),
    ];
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (name, template) in FILES {
        write(&root.path().join("config").join(name), template, &values)?;
    }
    let layout = format!(
        "prefix: {folder}\nexec_prefix: {peers}/usr\nbindir: {peers}/usr/bin\nsbindir: {peers}/usr/sbin\n\
         sysconfdir: {folder}/config\ndatadir: {folder}\nlibdir: {peers}/usr/lib/trafficserver\n\
         libexecdir: {peers}/usr/lib/trafficserver/modules\nlocalstatedir: {folder}\nruntimedir: {folder}/run\n\
         logdir: {folder}/log\ncachedir: {folder}/cache\nincludedir: {folder}\nmandir: {folder}\ninfodir: {folder}\n",
        peers = setting.peers.display()
    );
    let layout_file = root.path().join("runroot.yaml");
    fs::write(&layout_file, layout)?;
    let mut command = peer(setting, "usr/bin/traffic_server");
    command.arg(format!("--run-root={}", layout_file.display()));
    let ports = Ports { plain, h2c: None, tls: Some(tls) };
    Server::spawn(Kind::TrafficServer, command, ports, root, None)
}
