//! Requests that publishing consists of, and why a table is not published.

use std::time::Duration;

use crate::Context;
use crate::failure::{self, Class};
use crate::owner::OwnerError;

/// Longer than an API server that works takes for the largest object that is written.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why a table is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The Lease is not ours, or not for long enough.
    #[error("this replica does not hold the Lease")]
    NotLeading,
    /// The index belongs to a newer version.
    #[error(
        "the index {name} has format {format}, which a newer version of the operator wrote: run that version, or delete the ConfigMap to go back to this one"
    )]
    NewerFormat {
        /// Namespace and name of the index.
        name: String,
        /// Its format.
        format: u32,
    },
    /// A request failed.
    #[error("cannot {what}: {}", failure::describe(cause))]
    Request {
        /// What was to be done, as in `create the ConfigMap kube-isr-system/kube-isr-routes`.
        what: String,
        /// What came of it.
        cause: kube::Error,
    },
    /// A request got no answer.
    #[error("cannot {what}: no answer within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// What was to be done.
        what: String,
    },
    /// Nothing is made without its owner.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The operating system gives no random numbers.
    #[error("cannot make a salt for the origin tokens: {0}")]
    Random(getrandom::Error),
}

impl PublishError {
    /// As a label of metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NotLeading => "not_leading",
            Self::NewerFormat { .. } => "newer_format",
            Self::Request { cause, .. } | Self::Owner(OwnerError { cause, .. }) => Class::of(cause).label(),
            Self::Timeout { .. } => "timeout",
            Self::Random(_) => "random",
        }
    }
}

impl Context {
    /// A request that changes something: only while this process leads, and not for longer than it should take.
    pub(crate) async fn write<T>(
        &self,
        what: String,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PublishError> {
        if !self.leadership.is_leader() {
            return Err(PublishError::NotLeading);
        }
        self.ask(what, request).await
    }

    /// A request that changes nothing.
    pub(crate) async fn ask<T>(
        &self,
        what: String,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PublishError> {
        match tokio::time::timeout(TIMEOUT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(PublishError::Request { what, cause }),
            Err(_) => Err(PublishError::Timeout { what }),
        }
    }
}
