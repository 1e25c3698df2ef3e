//! The store that replicas share, as its port describes it: naive, in memory, one step after the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use isr_cache::{
    Claim, Epoch, Group, Invalidation, LOCK_FOR, LogEntry, Mode, News, REPLICA_GONE_AFTER, Reach, Replica,
    Roll, StoredResponse, Terms, TierError, Watermark,
};
use tokio::time::Instant;

/// Entries that are read at a time.
const STEP: usize = 7;

/// Everything that the store holds.
#[derive(Default)]
pub(crate) struct Store {
    data_set: Option<u64>,
    /// It is in the place of another one.
    is_another: bool,
    /// When who joined first knew nothing of the one before.
    founded_blindly: Option<Instant>,
    /// When another data set was found to be lost.
    lost: Option<Instant>,
    position: u64,
    log: Vec<LogEntry>,
    trimmed: bool,
    replicas: BTreeMap<String, (Epoch, Instant)>,
    groups: HashMap<Arc<str>, Members>,
    locks: HashMap<Box<[u8]>, (Epoch, Instant)>,
}

#[derive(Default)]
struct Members {
    marks: Watermark,
    records: HashMap<Box<[u8]>, Record>,
}

struct Record {
    response: Arc<StoredResponse>,
    /// The soft mark of its group where it was stored.
    soft: Epoch,
}

impl Record {
    fn as_member_of(&self, group: &Arc<Group>) -> Arc<StoredResponse> {
        group.invalidate(Mode::Soft, self.soft);
        group.tag(self.response.tags());
        Arc::new(StoredResponse { group: Arc::clone(group), ..(*self.response).clone() })
    }
}

fn lost<T>() -> Result<T, TierError> {
    Err(TierError("the store has lost its data".into()))
}

impl Store {
    fn next(&mut self, time: u64) -> Epoch {
        self.position = time.max(self.position + 1);
        Epoch::at(self.position)
    }

    /// One that has lost everything.
    pub(super) fn in_place_of_another() -> Self {
        Self { is_another: true, ..Self::default() }
    }

    /// Whether this is the data set of this number.
    pub(super) fn is(&self, data_set: u64) -> bool {
        self.data_set == Some(data_set)
    }

    /// Whether replicas may be there that nobody knows of: nobody has said that there was another data set before.
    pub(super) fn is_blind(&self, now: Instant) -> bool {
        self.lost.is_none() && self.founded_blindly.is_some_and(|founded| now - founded <= REPLICA_GONE_AFTER)
    }

    pub(crate) fn next_epoch(&mut self, time: u64) -> Result<Epoch, TierError> {
        if self.data_set.is_none() {
            return lost();
        }
        Ok(self.next(time))
    }

    pub(crate) fn join(&mut self, own: Epoch, new: u64, knew: Option<u64>, now: Instant) -> (Epoch, u64) {
        if self.data_set.is_none() && self.is_another && knew.is_none() {
            self.founded_blindly = Some(now);
        }
        let data_set = *self.data_set.get_or_insert(new);
        if knew.is_some_and(|knew| knew != data_set) {
            self.lost.get_or_insert(now);
        }
        self.position = self.position.max(own.position_after());
        (Epoch::at(self.position), data_set)
    }

    /// Appends to the log, of which `kept` entries are kept.
    pub(crate) fn append(
        &mut self,
        invalidation: Invalidation,
        time: u64,
        kept: usize,
    ) -> Result<Epoch, TierError> {
        if self.data_set.is_none() {
            return lost();
        }
        let position = self.next(time);
        self.log.push(LogEntry { position, invalidation });
        if self.log.len() > kept {
            self.log.remove(0);
            self.trimmed = true;
        }
        Ok(position)
    }

    pub(crate) fn mark(&mut self, invalidation: &Invalidation) {
        let Invalidation { reach: Reach::Group(name), mode, epoch } = invalidation else { return };
        let members = self.groups.entry(Arc::clone(name)).or_default();
        match mode {
            Mode::Soft => members.marks.soft = members.marks.soft.max(*epoch),
            Mode::Hard => {
                members.marks.hard = members.marks.hard.max(*epoch);
                members.records.retain(|_, record| record.response.render.began >= *epoch);
            }
        }
    }

    pub(crate) fn news(&self, data_set: u64, after: Epoch) -> Result<News, TierError> {
        if self.data_set != Some(data_set) {
            return lost();
        }
        let later: Vec<_> = self.log.iter().filter(|entry| entry.position > after).cloned().collect();
        let oldest = self.log.first().map(|entry| entry.position);
        let gap = oldest.filter(|oldest| self.trimmed && *oldest > after);
        Ok(News { is_part: later.len() > STEP, entries: later.into_iter().take(STEP).collect(), gap })
    }

    pub(crate) fn report(&mut self, name: &str, position: Epoch, now: Instant) {
        self.replicas.insert(name.to_owned(), (position, now));
    }

    pub(crate) fn leave(&mut self, name: &str) {
        self.replicas.remove(name);
    }

    pub(crate) fn replicas(&mut self, now: Instant) -> Roll {
        self.replicas.retain(|_, (_, seen)| now - *seen <= REPLICA_GONE_AFTER);
        let replica = |(name, (position, _)): (&String, &(Epoch, Instant))| Replica {
            name: name.clone(),
            position: *position,
        };
        let replicas = self.replicas.iter().map(replica).collect();
        Roll { replicas, may_lack: self.lost.is_some_and(|lost| now - lost <= REPLICA_GONE_AFTER) }
    }

    pub(crate) fn put(&mut self, key: &[u8], response: &Arc<StoredResponse>) {
        let members = self.groups.entry(response.group.name().into()).or_default();
        let began = response.render.began;
        let is_newer = |record: &Record| record.response.render.began > began;
        if began >= members.marks.hard && !members.records.get(key).is_some_and(is_newer) {
            let soft = response.group.watermark().soft;
            members.records.insert(key.into(), Record { response: Arc::clone(response), soft });
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8], group: &str) {
        if let Some(members) = self.groups.get_mut(group) {
            members.records.remove(key);
        }
    }

    pub(crate) fn fetch(&self, key: &[u8], group: &Arc<Group>) -> Option<Arc<StoredResponse>> {
        let members = self.groups.get(group.name())?;
        group.cover(members.marks);
        members.records.get(key).map(|record| record.as_member_of(group))
    }

    pub(crate) fn claim(
        &mut self,
        key: &[u8],
        group: &Arc<Group>,
        Terms { fence, known, steal }: Terms,
        now: Instant,
    ) -> Claim {
        let is_held = self.locks.get(key).is_some_and(|(holder, until)| *until > now && *holder != fence);
        let is_ours = steal || !is_held;
        if is_ours {
            self.locks.insert(key.into(), (fence, now + LOCK_FOR));
        }
        let found =
            self.fetch(key, group).filter(|found| known.is_none_or(|known| found.render.began > known));
        Claim { is_ours, found }
    }

    pub(crate) fn renew(&mut self, key: &[u8], fence: Epoch, now: Instant) -> bool {
        let lock = self.locks.get_mut(key).filter(|(holder, until)| *holder == fence && *until > now);
        lock.map(|(_, until)| *until = now + LOCK_FOR).is_some()
    }

    pub(crate) fn release(&mut self, key: &[u8], fence: Epoch) {
        if self.locks.get(key).is_some_and(|(holder, _)| *holder == fence) {
            self.locks.remove(key);
        }
    }
}
