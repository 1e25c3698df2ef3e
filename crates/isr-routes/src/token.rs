//! Secrets of a route: compared in constant time, printed never.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 digest of a secret.
pub(crate) type SecretDigest = [u8; 32];

/// The bypass tokens of a route: the one in use and possibly the one before it. Only their digests are kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    digests: Vec<SecretDigest>,
}

impl Tokens {
    /// Whether the route refuses all revalidation on demand.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether `presented` is one of the tokens. Takes the same time for every value of the same length.
    pub fn accepts(&self, presented: &[u8]) -> bool {
        let presented = digest(presented);
        let none = Choice::from(0);
        bool::from(self.digests.iter().fold(none, |found, token| found | token.ct_eq(&presented)))
    }

    pub(crate) fn digests(&self) -> &[SecretDigest] {
        &self.digests
    }

    pub(crate) fn from_digests(digests: Vec<SecretDigest>) -> Self {
        Self { digests }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({} redacted)", self.digests.len())
    }
}

/// The secret that makes the origin render anew.
#[derive(Clone, PartialEq, Eq)]
pub struct OriginToken {
    value: String,
}

impl OriginToken {
    /// The token of this value, if a header can carry it: printable ASCII without spaces.
    pub fn new(value: String) -> Option<Self> {
        let is_sendable = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
        is_sendable.then_some(Self { value })
    }

    /// The value to send. Printable ASCII without spaces, hence a valid header value.
    pub fn expose(&self) -> &str {
        &self.value
    }

    pub(crate) fn digest(&self) -> SecretDigest {
        digest(self.value.as_bytes())
    }

    /// Whether `presented` is this token. Takes the same time for every value of the same length.
    pub(crate) fn accepts(&self, presented: &[u8]) -> bool {
        bool::from(self.digest().ct_eq(&digest(presented)))
    }
}

impl fmt::Debug for OriginToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginToken(redacted)")
    }
}

pub(crate) fn digest(secret: &[u8]) -> SecretDigest {
    Sha256::digest(secret).into()
}
