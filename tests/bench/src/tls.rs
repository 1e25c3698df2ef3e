//! One certificate for all servers, and what the load trusts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls_pki_types::CertificateDer;
use tokio_rustls::rustls::crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version::TLS13};

use crate::load::HOST;

/// A self-signed certificate (ECDSA, P-256) and its key.
pub(crate) struct Certificate {
    leaf: CertificateDer<'static>,
    chain: String,
    key: String,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        Ok(Self {
            leaf: made.cert.der().clone(),
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        })
    }

    /// Writes chain and key as PEM.
    pub(crate) fn write(&self, chain: &Path, key: &Path) -> Result<()> {
        fs::write(chain, &self.chain)?;
        Ok(fs::write(key, &self.key)?)
    }

    /// Writes both as one file.
    pub(crate) fn write_together(&self, file: &Path) -> Result<()> {
        Ok(fs::write(file, format!("{}{}", self.chain, self.key))?)
    }

    /// TLS 1.3 as the load speaks it: one cipher, so that no server encrypts with a cheaper one than another.
    pub(crate) fn client(&self, protocol: &str) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.leaf.clone())?;
        let mut provider = default_provider();
        provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .context("TLS 1.3")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Arc::new(config))
    }
}
