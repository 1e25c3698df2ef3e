//! The token: from where others on the machine cannot read it, and printed nowhere.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use http::HeaderValue;

use crate::usage::Usage;

/// The environment variable that holds a token.
pub(super) const VARIABLE: &str = "KUBE_ISR_TOKEN";

/// Bytes of a token, at most: the whole head of a request has to fit where it is read.
const MOST: usize = 4 << 10;

/// A token that a header can carry.
pub(super) struct Token {
    /// Marked as sensitive, so that whatever logs headers leaves it out.
    value: HeaderValue,
    /// Where it came from, for who has to look there.
    source: String,
}

impl Token {
    /// The token of the file, or else of the environment variable, if there is either.
    pub(super) fn typed(file: Option<&Path>, variable: Option<OsString>) -> anyhow::Result<Option<Self>> {
        if let Some(path) = file {
            let source = path.display().to_string();
            let mut bytes = Vec::new();
            let longest = u64::try_from(MOST).unwrap_or(u64::MAX);
            let read = File::open(path).and_then(|file| file.take(longest + 1).read_to_end(&mut bytes));
            read.with_context(|| format!("--token-file {source} cannot be read"))?;
            return Self::new(&bytes, source).map(Some);
        }
        variable.map(|value| Self::new(value.as_encoded_bytes(), VARIABLE.to_owned())).transpose()
    }

    /// These bytes without the line end that editors and `echo` leave behind, as the proxies take those of a Secret.
    pub(super) fn new(bytes: &[u8], source: String) -> anyhow::Result<Self> {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            bail!("{source} is empty: write the route's bypass token into it");
        }
        if bytes.len() > MOST || !bytes.iter().all(u8::is_ascii_graphic) {
            bail!(
                "{source} holds no token: write the value of the route's bypass token alone, printable ASCII without spaces"
            );
        }
        let mut value = HeaderValue::from_bytes(bytes).with_context(|| format!("{source} holds no token"))?;
        value.set_sensitive(true);
        Ok(Self { value, source })
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.value.clone()
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }
}

/// What to do about there being none.
pub(super) fn missing() -> Usage {
    Usage::new(format!(
        "no token: write --token-file FILE, or set {VARIABLE}; it is the value of the Secret that spec.bypassToken of the route names"
    ))
}
