//! What renders bring to those who wait for them.

use std::sync::Arc;

use isr_cache::{Outcome, StoredResponse, TierError};
use tokio::sync::watch;

use crate::pages::Certain;
use crate::upstream::OriginError;

/// The render that landed last.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    /// Its number; zero before any.
    pub(crate) number: u64,
    pub(crate) result: Rendered,
    /// Of a render on demand: whether what it replaced can come back.
    pub(crate) certain: Certainty,
}

/// What a render brought to those who wait.
#[derive(Clone, Debug)]
pub(crate) enum Rendered {
    /// A response, stored or not.
    Response { response: Arc<StoredResponse>, outcome: Outcome, detail: Option<Arc<str>> },
    /// A response too long to keep for anybody but its first visitor.
    TooLong,
    /// Nothing.
    Failed(OriginError),
}

impl Landing {
    pub(crate) fn none() -> Self {
        Self { number: 0, result: Rendered::TooLong, certain: Certainty::default() }
    }
}

/// Whether something survives a restart, for all who wait to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certainty(Option<watch::Receiver<Option<Result<(), TierError>>>>);

impl Certainty {
    pub(crate) fn of(certain: Certain) -> Self {
        let (tell, told) = watch::channel(None);
        tokio::spawn(async move { tell.send(Some(certain.await)) });
        Self(Some(told))
    }

    /// Waits until it is known.
    pub(crate) async fn known(self) -> Result<(), TierError> {
        let Some(mut told) = self.0 else { return Ok(()) };
        let known = told.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        known.unwrap_or_else(|| Err(TierError("the process is ending".into())))
    }
}
