//! Running what hyper answers HTTP/2 streams with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;

/// Goes on with a future where it is made, for as long as it waits for nothing, and gives it a task only then: a hit waits for
/// nothing, and would take the half of its time again to be put in a queue and found there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eager;

impl<F> Executor<F> for Eager
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut future = Box::pin(future);
        if let Some(Poll::Pending) = begin(future.as_mut()) {
            tokio::spawn(future);
        }
    }
}

/// How far a future gets at once; none if it panics, which ends it alone, as it would a task. Nobody is to be woken for what it
/// waits for then: a task polls it again as soon as it has one.
fn begin<F: Future>(future: Pin<&mut F>) -> Option<Poll<F::Output>> {
    let mut context = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| future.poll(&mut context))).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_waits_gets_a_task_and_what_panics_ends_alone() {
        let done = Arc::new(AtomicUsize::new(0));
        let count = |done: &Arc<AtomicUsize>| done.fetch_add(1, Ordering::Relaxed);
        let at_once = Arc::clone(&done);
        Eager.execute(async move {
            count(&at_once);
        });
        assert_eq!(done.load(Ordering::Relaxed), 1, "it is done when execute returns");

        let (go, gone) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        Eager.execute(async move {
            let _ = gone.await;
            let _ = end.send("woken");
        });
        go.send(()).expect("it waits");
        assert_eq!(ended.await, Ok("woken"));

        Eager.execute(async { assert!(std::hint::black_box(false), "one request") });
        let after = Arc::clone(&done);
        Eager.execute(async move {
            count(&after);
        });
        assert_eq!(done.load(Ordering::Relaxed), 2, "others go on");
    }
}
