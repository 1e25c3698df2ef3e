//! Threads that serve visitors, one for each processor.
//!
//! Each has a runtime of its own: a connection stays where it is, and a hit is read, found and written without a word to
//! another thread. What may keep a thread busy for longer than a hit does not run here but in the background
//! ([`crate::state::Proxy::background`]): renders, connections to backends, disk, shared tier, compression, tables, admin. The
//! threads there get the processor when no visitor's thread wants it, and a tenth of it if one always does ([`background`]).
//! What does run here besides hits are the steps by which a request is passed on and its answer passed back, and TLS: the
//! longest is a handshake with an RSA key, a millisecond.
//!
//! Connections are accepted in one place and go to the thread with the fewest. Several listening sockets (`SO_REUSEPORT`)
//! would save that step, but the kernel deals connections out by their hash: the few that an ingress keeps open may all
//! meet on one thread; and a socket that is closed at the end of the process takes with it whatever waits in its queue.

use std::io::Result;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use isr_store::step_back;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// The runtime for everything behind the visitors' backs: its threads stand back where a processor cannot do all at once. A
/// [`Server`](crate::Server) is bound and run by its `block_on`, because whatever its threads start stands back as well.
pub fn background() -> Result<Runtime> {
    Builder::new_multi_thread().enable_all().on_thread_start(step_back).build()
}

/// All of them. They end when this is dropped, and cut what is still open.
pub(crate) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    _until_dropped: oneshot::Sender<()>,
}

impl Workers {
    /// Starts them.
    pub(crate) fn start() -> Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        (0..count).map(Worker::start).collect::<Result<_>>().map(Self)
    }

    /// Serves a connection on the thread that has the fewest.
    pub(crate) fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed))
        else {
            return;
        };
        let counted = Counted::new(&worker.connections);
        worker.runtime.spawn(async move {
            let _counted = counted;
            connection.await;
        });
    }
}

impl Worker {
    fn start(number: usize) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (until_dropped, dropped) = oneshot::channel();
        thread::Builder::new().name(format!("visitors-{number}")).spawn(move || {
            // An error says that the sender is gone, which is what is waited for.
            let _ = runtime.block_on(dropped);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), _until_dropped: until_dropped })
    }
}

/// A connection, as long as it is open.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
