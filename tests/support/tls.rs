//! Certificates made for one test, and TLS connections that trust only them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::wait::within_patience;

/// A self-signed certificate and its key.
pub struct Certificate {
    leaf: CertificateDer<'static>,
    chain: String,
    key: String,
}

impl Certificate {
    /// A new certificate for `host`.
    pub fn new(host: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a certificate");
        Self { leaf: made.cert.der().clone(), chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    /// Writes chain and key as PEM files, each in one step.
    pub fn write(&self, chain: &Path, key: &Path) {
        for (path, text) in [(key, &self.key), (chain, &self.chain)] {
            let staged = path.with_extension("staged");
            std::fs::write(&staged, text).expect("a staged PEM file");
            std::fs::rename(&staged, path).expect("the PEM file in its place");
        }
    }

    /// Connects and asks for these protocols (ALPN); an error when the server shows another certificate.
    pub async fn connect(
        &self,
        address: SocketAddr,
        host: &str,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.leaf.clone()).expect("a certificate to trust");
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        within_patience("a TLS connection", async {
            let stream = TcpStream::connect(address).await?;
            TlsConnector::from(Arc::new(config)).connect(name, stream).await
        })
        .await
    }
}
