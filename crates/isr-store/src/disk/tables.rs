//! What is in the file: four tables and a few numbers, changed by whole transactions.
//!
//! | table | key | value |
//! |---|---|---|
//! | `heads` | place: digest of the group, digest of the key | number in the order, weight, record head |
//! | `bodies` | place, coding | the bytes |
//! | `order` | number | place; the oldest is the first to go |
//! | `marks` | selector | the epochs of its invalidations |
//!
//! The members of a group stand together, so that invalidating it touches them and nothing else.

use bytes::Bytes;
use isr_cache::{Epoch, Group, Mode, StoredResponse, Watermark};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition,
    WriteTransaction,
};
use std::sync::Arc;

use super::Followed;
use crate::record::{self, Damaged, Digest, Head};

/// Digest of the group, digest of the key.
pub(super) type Place = [u8; 32];

const HEADS: TableDefinition<'_, &Place, &[u8]> = TableDefinition::new("heads");
const BODIES: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("bodies");
const ORDER: TableDefinition<'_, u64, &Place> = TableDefinition::new("order");
const MARKS: TableDefinition<'_, &[u8], &[u8; 32]> = TableDefinition::new("marks");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The version of the tables and of the records in them.
const FORMAT: &str = "format";
/// The epoch at the last commit: no record or mark has a later one.
const EPOCH: &str = "epoch";
/// The next number in the order.
const NEXT: &str = "next";
/// The weights of all records together.
const WEIGHT: &str = "weight";
/// How many marks there are. One that is missing would bring back what it invalidated.
const MARKS_COUNT: &str = "marks";

/// Number of the data set of the shared log that the file has followed, and how far. Without a shared tier there is neither.
const LOG_DATA_SET: &str = "log data set";
const LOG_POSITION: &str = "log position";

/// What a record takes beside its bytes: its rows in three tables (measured with records of 1 KiB).
const OVERHEAD: u64 = 512;

/// Bytes before the head in a row: number in the order, weight.
const PREFIX: usize = 16;

/// Why a transaction did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Engine(Box<redb::Error>),
    /// The rows contradict each other.
    #[error("the file is damaged: {0}")]
    Inconsistent(&'static str),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Engine(Box::new(error.into()))
    }
}

impl Failure {
    /// Whether the file holds something that cannot be right, and is of no use any more.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Engine(error) => matches!(
                **error,
                redb::Error::Corrupted(_)
                    | redb::Error::UpgradeRequired(_)
                    | redb::Error::TableTypeMismatch { .. }
                    | redb::Error::TypeDefinitionChanged { .. }
                    | redb::Error::TableIsMultimap(_)
            ),
            Self::Inconsistent(_) => true,
        }
    }
}

/// What a file knows when it is opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) epoch: Epoch,
    pub(super) followed: Option<Followed>,
    pub(super) marks: Vec<(Box<[u8]>, Watermark)>,
}

/// Where a record is.
pub(super) fn place(group: &str, key: &[u8]) -> Place {
    let mut place = [0; 32];
    place[..16].copy_from_slice(&record::digest(group.as_bytes()));
    place[16..].copy_from_slice(&record::digest(key));
    place
}

fn body_place(place: &Place, coding: u8) -> [u8; 33] {
    let mut of = [0; 33];
    of[..32].copy_from_slice(place);
    of[32] = coding;
    of
}

/// Reads what is known, and makes the tables if there are none.
pub(super) fn open(database: &Database) -> Result<Known, Failure> {
    let transaction = begin(database)?;
    let known = {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let format = numbers.get(FORMAT)?.map(|format| format.value());
        match format {
            Some(format) if format == u64::from(record::FORMAT) => {}
            Some(_) => return Err(Failure::Inconsistent("it is of another version")),
            None => {
                numbers.insert(FORMAT, u64::from(record::FORMAT))?;
            }
        }
        transaction.open_table(HEADS)?;
        transaction.open_table(BODIES)?;
        transaction.open_table(ORDER)?;
        let marks = transaction.open_table(MARKS)?;
        let data_set = numbers.get(LOG_DATA_SET)?.map(|number| number.value());
        let followed = match data_set {
            Some(data_set) => Some(Followed { data_set, position: Epoch(number(&numbers, LOG_POSITION)?) }),
            None => None,
        };
        let mut known = Known { epoch: Epoch(number(&numbers, EPOCH)?), followed, marks: Vec::new() };
        for row in marks.iter()? {
            let (selector, mark) = row?;
            let mark = decode_mark(selector.value(), mark.value())
                .ok_or(Failure::Inconsistent("a mark of an invalidation cannot be read"))?;
            known.marks.push((selector.value().into(), mark));
        }
        if known.marks.len() as u64 != number(&numbers, MARKS_COUNT)? {
            return Err(Failure::Inconsistent("a mark of an invalidation is missing"));
        }
        known
    };
    transaction.commit()?;
    Ok(known)
}

/// Reads a stored response. `Err(Damaged)` within when there is something under the key that is not its record.
pub(super) fn read(
    database: &Database,
    key: &[u8],
    group: &Arc<Group>,
) -> Result<Result<Option<StoredResponse>, Damaged>, Failure> {
    let transaction = database.begin_read()?;
    let place = place(group.name(), key);
    let heads = transaction.open_table(HEADS)?;
    let Some(row) = heads.get(&place)? else { return Ok(Ok(None)) };
    let Some(head) = row.value().get(PREFIX..).and_then(|head| Head::from_bytes(head).ok()) else {
        return Ok(Err(Damaged));
    };
    let table = transaction.open_table(BODIES)?;
    let mut bodies = Vec::with_capacity(head.bodies.len());
    for described in &head.bodies {
        let Some(body) = table.get(&body_place(&place, described.coding))? else { return Ok(Err(Damaged)) };
        bodies.push(Bytes::copy_from_slice(body.value()));
    }
    Ok(head.into_response(key, group, bodies).map(Some))
}

/// Number and weight of all records.
pub(super) fn usage(database: &Database) -> Result<(u64, u64), Failure> {
    let transaction = database.begin_read()?;
    let entries = transaction.open_table(HEADS)?.len()?;
    let weight = transaction.open_table(NUMBERS)?.get(WEIGHT)?.map_or(0, |weight| weight.value());
    Ok((entries, weight))
}

fn begin(database: &Database) -> Result<WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    // Without it a start after a crash walks the whole file: 23 s for a million pages instead of 16 ms.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn number(numbers: &impl redb::ReadableTable<&'static str, u64>, name: &'static str) -> Result<u64, Failure> {
    Ok(numbers.get(name)?.map_or(0, |number| number.value()))
}

/// A batch of changes that become true together.
pub(super) struct Batch {
    transaction: WriteTransaction,
    next: u64,
    weight: u64,
    pub(super) marks: u64,
    /// Records that went for others.
    pub(super) evictions: u64,
}

impl Batch {
    pub(super) fn begin(database: &Database) -> Result<Self, Failure> {
        let transaction = begin(database)?;
        let (next, weight, marks) = {
            let numbers = transaction.open_table(NUMBERS)?;
            (number(&numbers, NEXT)?, number(&numbers, WEIGHT)?, number(&numbers, MARKS_COUNT)?)
        };
        Ok(Self { transaction, next, weight, marks, evictions: 0 })
    }

    /// Stores a response in place of what is there. Bodies that are there already are not written again.
    pub(super) fn put(&mut self, key: &[u8], response: &StoredResponse) -> Result<(), Failure> {
        let head = Head::of(key, response);
        let place = place(&head.group, key);
        let before = self.take_head(&place)?;
        let kept = before.as_ref().map_or(&[][..], |head| &head.bodies);
        {
            let mut bodies = self.transaction.open_table(BODIES)?;
            for (described, representation) in head.bodies.iter().zip(response.representations()) {
                let is_there = kept.iter().any(|kept| {
                    (kept.coding, kept.digest, kept.length)
                        == (described.coding, described.digest, described.length)
                });
                if !is_there {
                    bodies.insert(&body_place(&place, described.coding), &**representation.body)?;
                }
            }
            for gone in kept.iter().filter(|kept| !head.bodies.iter().any(|body| body.coding == kept.coding))
            {
                bodies.remove(&body_place(&place, gone.coding))?;
            }
        }
        self.insert_head(&place, &head)
    }

    /// Forgets a record.
    pub(super) fn remove(&mut self, place: &Place) -> Result<(), Failure> {
        let head = self.take_head(place)?;
        self.remove_bodies(place, head.as_ref())
    }

    /// Invalidates the members of a group that began before an epoch.
    pub(super) fn invalidate(&mut self, group: &str, mode: Mode, epoch: Epoch) -> Result<(), Failure> {
        let (mut first, mut last) = ([0; 32], [0xFF; 32]);
        let of: Digest = record::digest(group.as_bytes());
        first[..16].copy_from_slice(&of);
        last[..16].copy_from_slice(&of);
        let mut reached = Vec::new();
        {
            let heads = self.transaction.open_table(HEADS)?;
            for row in heads.range::<&Place>(&first..=&last)? {
                let (place, row) = row?;
                // What cannot be read is of no use, and would not be served.
                match row.value().get(PREFIX..).map(Head::from_bytes) {
                    Some(Ok(head)) if head.began >= epoch.0 => {}
                    Some(Ok(head)) => reached.push((*place.value(), Some(head))),
                    _ => reached.push((*place.value(), None)),
                }
            }
        }
        for (place, head) in reached {
            match (mode, head) {
                (Mode::Soft, Some(mut head)) => {
                    self.take_head(&place)?;
                    head.soft = head.soft.max(epoch.0);
                    self.insert_head(&place, &head)?;
                }
                _ => self.remove(&place)?,
            }
        }
        Ok(())
    }

    /// Notes an invalidation of what a selector covers.
    pub(super) fn mark(&mut self, selector: &[u8], mode: Mode, epoch: Epoch) -> Result<(), Failure> {
        let mut marks = self.transaction.open_table(MARKS)?;
        let before = match marks.get(selector)? {
            Some(row) => Some(
                decode_mark(selector, row.value())
                    .ok_or(Failure::Inconsistent("a mark of an invalidation cannot be read"))?,
            ),
            None => None,
        };
        let mark = match mode {
            Mode::Soft => Watermark { soft: epoch, ..Watermark::default() },
            Mode::Hard => Watermark { hard: epoch, ..Watermark::default() },
        };
        let mark = before.unwrap_or_default().later(mark);
        marks.insert(selector, &encode_mark(selector, mark))?;
        self.marks += u64::from(before.is_none());
        Ok(())
    }

    /// Puts these marks in the place of all that there are.
    pub(super) fn replace_marks(&mut self, marks: &[(Box<[u8]>, Watermark)]) -> Result<(), Failure> {
        self.transaction.delete_table(MARKS)?;
        let mut table = self.transaction.open_table(MARKS)?;
        for (selector, mark) in marks {
            table.insert(&**selector, &encode_mark(selector, *mark))?;
        }
        self.marks = marks.len() as u64;
        Ok(())
    }

    /// Removes records until they weigh no more than `capacity`, the oldest first; those that `is_hot` says are in use get
    /// another turn.
    pub(super) fn evict(&mut self, capacity: u64, is_hot: &dyn Fn(&[u8]) -> bool) -> Result<(), Failure> {
        let mut turns = TURNS;
        while self.weight > capacity {
            let oldest = {
                let mut order = self.transaction.open_table(ORDER)?;
                order.pop_first()?.map(|(number, place)| (number.value(), *place.value()))
            };
            let Some((number, place)) = oldest else {
                return Err(Failure::Inconsistent("records weigh something and there are none"));
            };
            let Some((stored, head)) = self.head(&place)? else { continue };
            if stored != number {
                // Left over: the record has a later number.
                continue;
            }
            if turns > 0 && head.as_ref().is_some_and(|head| is_hot(&head.key)) {
                turns -= 1;
                if let Some(head) = self.take_head(&place)? {
                    self.insert_head(&place, &head)?;
                }
                continue;
            }
            self.remove(&place)?;
            self.evictions += 1;
        }
        Ok(())
    }

    /// Makes all of it true, in this epoch and after the log was followed so far.
    pub(super) fn commit(self, epoch: Epoch, followed: Option<Followed>) -> Result<(), Failure> {
        {
            let mut numbers = self.transaction.open_table(NUMBERS)?;
            numbers.insert(NEXT, self.next)?;
            numbers.insert(WEIGHT, self.weight)?;
            numbers.insert(MARKS_COUNT, self.marks)?;
            let before = number(&numbers, EPOCH)?;
            numbers.insert(EPOCH, before.max(epoch.0))?;
            if let Some(Followed { data_set, position }) = followed {
                numbers.insert(LOG_DATA_SET, data_set)?;
                numbers.insert(LOG_POSITION, position.0)?;
            } else {
                numbers.remove(LOG_DATA_SET)?;
                numbers.remove(LOG_POSITION)?;
            }
        }
        Ok(self.transaction.commit()?)
    }

    /// A record's number in the order, and its head if that can be read.
    fn head(&self, place: &Place) -> Result<Option<(u64, Option<Head>)>, Failure> {
        let heads = self.transaction.open_table(HEADS)?;
        let Some(row) = heads.get(place)? else { return Ok(None) };
        let (number, _) = prefix(row.value());
        Ok(Some((number, row.value().get(PREFIX..).and_then(|head| Head::from_bytes(head).ok()))))
    }

    /// Removes a record's row and its place in the order, and gives its head if that can be read.
    fn take_head(&mut self, place: &Place) -> Result<Option<Head>, Failure> {
        let mut heads = self.transaction.open_table(HEADS)?;
        let taken = heads.remove(place)?.map(|row| {
            let head = row.value().get(PREFIX..).and_then(|head| Head::from_bytes(head).ok());
            (prefix(row.value()), head)
        });
        let Some(((number, weight), head)) = taken else { return Ok(None) };
        self.weight = self.weight.saturating_sub(weight);
        let mut order = self.transaction.open_table(ORDER)?;
        let is_own = order.get(number)?.is_some_and(|of| of.value() == place);
        if is_own {
            order.remove(number)?;
        }
        if head.is_none() {
            // What it described is unknown, so nothing of it may stay.
            remove_codings(&mut self.transaction.open_table(BODIES)?, place)?;
        }
        Ok(head)
    }

    fn insert_head(&mut self, place: &Place, head: &Head) -> Result<(), Failure> {
        let bytes = head.to_bytes();
        let bodies: u64 = head.bodies.iter().map(|body| body.length).sum();
        let weight = OVERHEAD + bytes.len() as u64 + bodies;
        let mut row = Vec::with_capacity(PREFIX + bytes.len());
        row.extend_from_slice(&self.next.to_le_bytes());
        row.extend_from_slice(&weight.to_le_bytes());
        row.extend_from_slice(&bytes);
        self.transaction.open_table(HEADS)?.insert(place, &*row)?;
        self.transaction.open_table(ORDER)?.insert(self.next, place)?;
        self.next += 1;
        self.weight += weight;
        Ok(())
    }

    fn remove_bodies(&mut self, place: &Place, head: Option<&Head>) -> Result<(), Failure> {
        let mut bodies = self.transaction.open_table(BODIES)?;
        for body in head.map_or(&[][..], |head| &head.bodies) {
            bodies.remove(&body_place(place, body.coding))?;
        }
        Ok(())
    }
}

/// Records in use that get another turn in one batch: a batch must end even when all of them are.
const TURNS: u32 = 256;

fn remove_codings(
    bodies: &mut Table<'_, &'static [u8; 33], &'static [u8]>,
    place: &Place,
) -> Result<(), Failure> {
    for coding in 0..3 {
        bodies.remove(&body_place(place, coding))?;
    }
    Ok(())
}

/// Number in the order and weight of a row; zeros if it is too short to tell.
fn prefix(row: &[u8]) -> (u64, u64) {
    let at = |from: usize| {
        let bytes = row.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    (at(0), at(8))
}

/// Two epochs, and a digest of them and of whose they are.
fn encode_mark(selector: &[u8], mark: Watermark) -> [u8; 32] {
    let mut row = [0; 32];
    row[..8].copy_from_slice(&mark.hard.0.to_le_bytes());
    row[8..16].copy_from_slice(&mark.soft.0.to_le_bytes());
    let sum = record::digest(&[&row[..16], selector].concat());
    row[16..].copy_from_slice(&sum);
    row
}

fn decode_mark(selector: &[u8], row: &[u8; 32]) -> Option<Watermark> {
    let (hard, soft) = prefix(row);
    let mark = Watermark { hard: Epoch(hard), soft: Epoch(soft) };
    (encode_mark(selector, mark) == *row).then_some(mark)
}
