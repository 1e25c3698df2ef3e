//! What is to be written, and what is true of it already.
//!
//! Nobody waits for the disk to be told of a page, so what is queued counts as stored: whoever reads looks here first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use isr_cache::{Group, Invalidation, Mode, Reach, StoredResponse, TierError, Watermark};
use tokio::sync::oneshot;

/// Bytes of responses that wait to be written, at most. A disk that is slower than this for long is too slow to keep up;
/// what does not fit is not stored, and the page on the disk stays what it was.
const BYTES_MOST: usize = 64 << 20;

/// Invalidations that wait to be written, at most: as many as a disk that is away for long may collect. One more, and
/// everything on the disk is given up when it is back.
const INVALIDATIONS_MOST: usize = 100_000;

/// So many bytes are written without waiting for more: there is to be room for what comes meanwhile.
const BYTES_ENOUGH: usize = BYTES_MOST / 4;

/// How changes are put together into transactions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathering {
    /// Changes in one transaction, at most: what waits for its end waits for no more than these.
    pub(super) most: usize,
    /// How long changes for which nobody waits are gathered. A transaction takes as much of the processor as eight pages, and
    /// two waits for the disk, so few of them are to be made for what a crash may as well cost a moment earlier: what is lost
    /// by it was rendered in this time, and is rendered again.
    pub(super) within: Duration,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { most: 256, within: Duration::from_millis(200) }
    }
}

/// Tells that something is certain.
pub(super) type Receipt = oneshot::Sender<Result<(), TierError>>;

/// One change.
pub(super) enum Operation {
    /// Writes, or removes, what `Queue::pending` says of the key.
    Record(Arc<[u8]>),
    Invalidate(Invalidation, Option<Receipt>),
}

/// What is to be written, in order.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) gathering: Gathering,
    pub(super) operations: VecDeque<(u64, Operation)>,
    /// The latest of each key, and the number of the operation that writes it. `None`: nothing is stored.
    pending: HashMap<Arc<[u8]>, (u64, Pending)>,
    /// Invalidations of groups that are not written yet, and the number of the latest of them.
    groups: HashMap<Arc<str>, (u64, Watermark)>,
    bytes: usize,
    invalidations: usize,
    next: u64,
    /// Invalidations were lost: nothing that is on the disk may be served.
    pub(super) must_empty: bool,
    pub(super) is_closed: bool,
}

/// What is to be under a key.
#[derive(Clone)]
pub(super) enum Pending {
    Response(Arc<StoredResponse>),
    /// Nothing; the group is needed to find what is there.
    Nothing(Arc<Group>),
}

impl Pending {
    fn is_of(&self, group: &Group) -> bool {
        match self {
            Self::Response(response) => response.group.name() == group.name(),
            Self::Nothing(of) => of.name() == group.name(),
        }
    }
}

impl Queue {
    /// An empty one, for a disk that has to be emptied before it is used or not.
    pub(super) fn new(gathering: Gathering, must_empty: bool) -> Self {
        Self { gathering, must_empty, ..Self::default() }
    }

    /// Queues a response, unless what is known of its group says that it is gone. `false` if there is no room.
    pub(super) fn put(&mut self, key: &[u8], response: &Arc<StoredResponse>) -> bool {
        // Whoever invalidates marks the group before it takes this queue: either the mark is seen here, or the
        // invalidation is queued behind this response.
        let is_gone = response.group.watermark().judge(response.render.began) == Some(Mode::Hard);
        if is_gone {
            return true;
        }
        let weight = response.weight();
        if self.bytes + weight > BYTES_MOST {
            return false;
        }
        self.bytes += weight;
        self.record(key, Pending::Response(Arc::clone(response)));
        true
    }

    pub(super) fn remove(&mut self, key: &[u8], group: &Arc<Group>) {
        self.record(key, Pending::Nothing(Arc::clone(group)));
    }

    fn record(&mut self, key: &[u8], pending: Pending) {
        let key: Arc<[u8]> = key.into();
        let number = self.push(Operation::Record(Arc::clone(&key)));
        if let Some((_, Pending::Response(before))) = self.pending.insert(key, (number, pending)) {
            self.bytes = self.bytes.saturating_sub(before.weight());
        }
    }

    pub(super) fn invalidate(&mut self, invalidation: Invalidation, receipt: Option<Receipt>) {
        if self.invalidations >= INVALIDATIONS_MOST {
            self.must_empty = true;
            return;
        }
        self.invalidations += 1;
        let Invalidation { reach, mode, epoch } = &invalidation;
        let (reach, mode, epoch) = (reach.clone(), *mode, *epoch);
        let number = self.push(Operation::Invalidate(invalidation, receipt));
        if let Reach::Group(group) = reach {
            let (latest, watermark) = self.groups.entry(group).or_default();
            *latest = number;
            let mark = match mode {
                Mode::Hard => Watermark { hard: epoch, ..Watermark::default() },
                Mode::Soft => Watermark { soft: epoch, ..Watermark::default() },
            };
            *watermark = watermark.later(mark);
        }
    }

    fn push(&mut self, operation: Operation) -> u64 {
        self.next += 1;
        self.operations.push_back((self.next, operation));
        self.next
    }

    /// What is queued of a key, whose group takes over what is queued of it.
    pub(super) fn find(&self, key: &[u8], group: &Group) -> Option<Pending> {
        if let Some((_, watermark)) = self.groups.get(group.name()) {
            group.cover(*watermark);
        }
        self.pending.get(key).map(|(_, pending)| pending).filter(|pending| pending.is_of(group)).cloned()
    }

    /// What an operation is to write: the latest of its key, even if that was queued later; `None` if one of the same
    /// transaction, which ends with `last`, writes it. Nobody may be told that a page is certain when what was written
    /// in its place is not.
    pub(super) fn latest(&self, number: u64, key: &[u8], last: u64) -> Option<Pending> {
        let (latest, pending) = self.pending.get(key)?;
        (*latest == number || *latest > last).then(|| pending.clone())
    }

    /// Forgets what is true on the disk: everything up to this operation.
    pub(super) fn written(&mut self, operations: &[(u64, Operation)]) {
        for (number, operation) in operations {
            match operation {
                Operation::Record(key) => {
                    if self.pending.get(key).is_some_and(|(latest, _)| latest == number)
                        && let Some((_, Pending::Response(response))) = self.pending.remove(key)
                    {
                        self.bytes = self.bytes.saturating_sub(response.weight());
                    }
                }
                Operation::Invalidate(Invalidation { reach, .. }, _) => {
                    self.invalidations = self.invalidations.saturating_sub(1);
                    if let Reach::Group(group) = reach
                        && self.groups.get(group).is_some_and(|(latest, _)| latest == number)
                    {
                        self.groups.remove(group);
                    }
                }
            }
        }
    }

    /// Puts back what could not be written, in its place at the front.
    pub(super) fn put_back(&mut self, operations: Vec<(u64, Operation)>) {
        for operation in operations.into_iter().rev() {
            self.operations.push_front(operation);
        }
    }

    /// Takes the receipts of all who wait.
    pub(super) fn receipts(&mut self) -> Vec<Receipt> {
        let waiting = self.operations.iter_mut().filter_map(|(_, operation)| match operation {
            Operation::Invalidate(_, receipt) => receipt.take(),
            Operation::Record(_) => None,
        });
        waiting.collect()
    }

    /// Whether anything waits to be written under a key.
    pub(super) fn has_records(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there is no reason to wait for more: somebody waits for what is queued, or it makes a transaction.
    pub(super) fn is_due(&self) -> bool {
        let is_enough = self.operations.len() >= self.gathering.most || self.bytes >= BYTES_ENOUGH;
        is_enough || self.invalidations > 0 || self.must_empty || self.is_closed
    }

    /// Whether this is news to who waits for a first change, or for what is due.
    pub(super) fn is_news(&self) -> bool {
        self.operations.len() == 1 || self.is_due()
    }

    /// Takes the operations of a transaction.
    pub(super) fn take(&mut self) -> Vec<(u64, Operation)> {
        let most = self.gathering.most.min(self.operations.len());
        self.operations.drain(..most).collect()
    }
}
