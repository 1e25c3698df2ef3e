//! One replica, and what it says.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// A proxy that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    /// Its pod.
    pub(super) name: Option<String>,
    /// Where its admin listener is.
    pub(super) address: String,
}

/// What became of asking it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) replica: Replica,
    pub(super) outcome: Result<Done, NotDone>,
}

/// What a proxy answers when what was asked for is done, and survives its restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    /// `soft` or `hard`.
    pub(super) mode: String,
    /// The routes whose pages were meant, as `namespace/name`.
    pub(super) routes: Vec<String>,
    /// Pages that were named one by one.
    pub(super) pages: u64,
    /// Marks that cover many pages each.
    pub(super) selectors: u64,
}

/// Why it may still serve the old pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotDone {
    /// What it answered, if it did.
    pub(super) status: Option<StatusCode>,
    /// What is the matter and what to do, in sentences.
    pub(super) message: String,
}

/// What a proxy says when it does not do as it is asked (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.address),
            None => f.write_str(&self.address),
        }
    }
}

impl NotDone {
    /// Nobody answered.
    pub(super) fn silent(why: impl fmt::Display) -> Self {
        let message = format!("{why}. It may still serve the old pages: purge again once it answers.");
        Self { status: None, message }
    }
}

/// Reads what came from an admin port. Only a proxy's own words count as done: anything may listen on a port.
pub(super) fn read(status: StatusCode, body: &[u8], token_source: &str) -> Result<Done, NotDone> {
    if status == StatusCode::OK
        && let Ok(done) = serde_json::from_slice::<Done>(body)
    {
        return Ok(done);
    }
    let message = match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { detail }) if status == StatusCode::UNAUTHORIZED => {
            format!("{detail} The token is that of {token_source}.")
        }
        Ok(Problem { detail }) => detail,
        Err(_) => format!("It answers {status}, and not as a proxy does: is this the admin port of one?"),
    };
    Err(NotDone { status: Some(status), message })
}
