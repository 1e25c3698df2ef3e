//! How long a visitor's connection may be idle, or take to send a head.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// An idle connection is kept longer than ingresses keep theirs (nginx 60 s, Traefik 90 s), so that it is they who close
/// it: a request that meets our closing would be lost. A head that takes longer to arrive is an attack.
pub(crate) const HEAD_WITHIN: Duration = Duration::from_mins(2);

/// A time limit that costs a hit nothing but a flag. So it ends no sooner than [`HEAD_WITHIN`] after the last answer, and
/// before twice that.
pub(super) struct Patience {
    timer: Pin<Box<Sleep>>,
    /// The timer knows whom to wake.
    is_armed: bool,
    /// A request was answered since the timer was set.
    is_renewed: bool,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { timer: Box::pin(sleep(HEAD_WITHIN)), is_armed: false, is_renewed: false }
    }

    /// Takes note of an answer.
    pub(super) fn renew(&mut self) {
        self.is_renewed = true;
    }

    /// An error if the visitor has waited for too long; otherwise the task is woken when it is time to look again. All
    /// calls come from one task, so the timer is asked once and then only when it is over.
    pub(super) fn check(&mut self, context: &mut Context<'_>) -> Result<()> {
        while (!self.is_armed || self.timer.is_elapsed()) && self.timer.as_mut().poll(context).is_ready() {
            if !self.is_renewed {
                return Err(Error::new(ErrorKind::TimedOut, "no request for too long"));
            }
            self.is_renewed = false;
            self.timer.as_mut().reset(Instant::now() + HEAD_WITHIN);
            self.is_armed = false;
        }
        self.is_armed = true;
        Ok(())
    }
}
