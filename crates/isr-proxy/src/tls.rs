//! TLS by certificate files that are read again when they change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::config::Tls;

/// How often the files are looked at. cert-manager replaces them weeks before the old ones expire.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of the certificate chain.
    #[error("the certificate file {file} cannot be read: {cause}")]
    Certificate {
        /// Its path.
        file: String,
        /// What is the matter with it.
        cause: String,
    },
    /// The file of the private key.
    #[error("the key file {file} cannot be read: {cause}")]
    Key {
        /// Its path.
        file: String,
        /// What is the matter with it.
        cause: String,
    },
    /// The two together.
    #[error("the certificate and the key do not go together: {0}")]
    Pair(String),
}

/// The configuration for new connections; open ones keep theirs.
pub(crate) type Current = Arc<ArcSwap<ServerConfig>>;

/// Reads the files once.
pub(crate) fn load(files: &Tls) -> Result<ServerConfig, TlsError> {
    let certificate = |cause: String| TlsError::Certificate { file: name(&files.certificate), cause };
    let key = |cause: String| TlsError::Key { file: name(&files.key), cause };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(certificate("it holds no certificate in PEM form".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| key(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Pair(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| TlsError::Pair(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the files again whenever their content has changed. Files that cannot be used leave the last good ones in use.
pub(crate) async fn follow(files: Tls, current: Current) {
    let mut last = content(&files);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = content(&files);
        if now == last {
            continue;
        }
        match load(&files) {
            Ok(config) => {
                current.store(Arc::new(config));
                tracing::info!(certificate = name(&files.certificate), "the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the new certificate is not used; the last good one stays"),
        }
        last = now;
    }
}

fn content(files: &Tls) -> [Option<Vec<u8>>; 2] {
    [&files.certificate, &files.key].map(|file| std::fs::read(file).ok())
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
