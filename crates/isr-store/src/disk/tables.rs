//! What is in the file: five tables, changed by whole transactions.
//!
//! | table | key | value |
//! |---|---|---|
//! | `heads` | place: digest of the group, digest of the key | what [`row`] says |
//! | `bodies` | number, coding, piece | the bytes |
//! | `order` | number | place; the oldest is the first to go |
//! | `marks` | selector | the epochs of its invalidations |
//! | `numbers` | name | what counts for the whole file |
//!
//! The members of a group stand together, so that invalidating it touches them and nothing else. Bodies stand in the order in
//! which they were written: a new one is put behind the last, and none that was there before is read or written for it.

use bytes::Bytes;
use isr_cache::{Epoch, Group, Mode, StoredResponse, Watermark};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition,
    WriteTransaction,
};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Followed;
use super::row::{self, Row};
use crate::record::{self, Damaged, Digest, Head};

/// Digest of the group, digest of the key.
pub(super) type Place = [u8; 32];

/// Number of the bodies of a record, coding, number of the piece.
type Piece = (u64, u8, u8);

const HEADS: TableDefinition<'_, &Place, &[u8]> = TableDefinition::new("heads");
const BODIES: TableDefinition<'_, Piece, &[u8]> = TableDefinition::new("bodies");
const ORDER: TableDefinition<'_, u64, &Place> = TableDefinition::new("order");
const MARKS: TableDefinition<'_, &[u8], &[u8; 32]> = TableDefinition::new("marks");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The version of the tables and of the records in them.
const FORMAT: &str = "format";
/// The present one: the second form of the tables. A file of another one is emptied.
const FORMAT_NOW: u64 = 0x200 | record::FORMAT as u64;
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

/// Reads what is known, and makes the tables if there are none.
pub(super) fn open(database: &Database) -> Result<Known, Failure> {
    let transaction = begin(database)?;
    let known = {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let format = numbers.get(FORMAT)?.map(|format| format.value());
        match format {
            Some(FORMAT_NOW) => {}
            Some(_) => return Err(Failure::Inconsistent("it is of another version")),
            None => {
                numbers.insert(FORMAT, FORMAT_NOW)?;
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
    let Some(found) = heads.get(&place)? else { return Ok(Ok(None)) };
    let Row { bodies: number, head: Some(head), mut rests, .. } = Row::parse(found.value()) else {
        return Ok(Err(Damaged));
    };
    let table = transaction.open_table(BODIES)?;
    let mut bodies = Vec::with_capacity(head.bodies.len());
    for described in &head.bodies {
        let (pieces, rest) = row::cut(described.length());
        let mut body = Vec::with_capacity(described.length());
        for (piece, _) in (0..).zip(pieces) {
            let Some(bytes) = table.get((number, described.coding, piece))? else { return Ok(Err(Damaged)) };
            body.extend_from_slice(bytes.value());
        }
        let Some((rest, others)) = rests.split_at_checked(rest.len()) else { return Ok(Err(Damaged)) };
        body.extend_from_slice(rest);
        rests = others;
        bodies.push(Bytes::from(body));
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

/// Has changes become true together, or none of them. They end with [`Batch::seal`].
pub(super) fn change<T>(
    database: &Database,
    changes: impl FnOnce(&mut Batch<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = begin(database)?;
    let mut batch = Batch::of(&transaction)?;
    let result = changes(&mut batch)?;
    drop(batch);
    transaction.commit()?;
    Ok(result)
}

/// Changes that become true together.
pub(super) struct Batch<'t> {
    heads: Table<'t, &'static Place, &'static [u8]>,
    bodies: Table<'t, Piece, &'static [u8]>,
    order: Table<'t, u64, &'static Place>,
    marks: Table<'t, &'static [u8], &'static [u8; 32]>,
    numbers: Table<'t, &'static str, u64>,
    next: u64,
    weight: u64,
    pub(super) marks_count: u64,
    /// Records that went for others.
    pub(super) evictions: u64,
}

impl<'t> Batch<'t> {
    fn of(transaction: &'t WriteTransaction) -> Result<Self, Failure> {
        let numbers = transaction.open_table(NUMBERS)?;
        Ok(Self {
            heads: transaction.open_table(HEADS)?,
            bodies: transaction.open_table(BODIES)?,
            order: transaction.open_table(ORDER)?,
            marks: transaction.open_table(MARKS)?,
            next: number(&numbers, NEXT)?,
            weight: number(&numbers, WEIGHT)?,
            marks_count: number(&numbers, MARKS_COUNT)?,
            evictions: 0,
            numbers,
        })
    }

    /// Stores a response in place of what is there. Bodies that are there already are not written again.
    pub(super) fn put(&mut self, key: &[u8], response: &StoredResponse) -> Result<(), Failure> {
        let head = Head::of(key, response);
        let place = place(&head.group, key);
        let before = self.row(&place)?;
        let before = before.as_deref().map(Row::parse);
        let there = before.as_ref().and_then(|row| row.head.as_ref()).map_or(&[][..], |head| &head.bodies);
        let number = match &before {
            Some(row) if there.iter().any(|body| head.bodies.iter().any(|new| new.is(body))) => {
                for gone in there.iter().filter(|body| !head.bodies.iter().any(|new| new.is(body))) {
                    self.remove_bodies(row.bodies, gone.coding..=gone.coding)?;
                }
                row.bodies
            }
            Some(row) => {
                self.remove_bodies(row.bodies, 0..=u8::MAX)?;
                self.next
            }
            None => self.next,
        };
        let mut rests = Vec::new();
        for (described, representation) in head.bodies.iter().zip(response.representations()) {
            let body = representation.body;
            let (pieces, rest) = row::cut(body.len());
            rests.extend_from_slice(&body[rest]);
            if there.iter().any(|body| body.is(described)) {
                continue;
            }
            for (at, piece) in (0..).zip(pieces) {
                self.bodies.insert((number, described.coding, at), &body[piece])?;
            }
        }
        self.write(&place, before.as_ref(), number, &head, &rests)
    }

    /// Forgets a record.
    pub(super) fn remove(&mut self, place: &Place) -> Result<(), Failure> {
        let Some(row) = self.heads.remove(place)?.map(|row| row.value().to_vec()) else { return Ok(()) };
        let row = Row::parse(&row);
        self.forget(place, &row)?;
        self.remove_bodies(row.bodies, 0..=u8::MAX)
    }

    /// Invalidates the members of a group that began before an epoch.
    pub(super) fn invalidate(&mut self, group: &str, mode: Mode, epoch: Epoch) -> Result<(), Failure> {
        let (mut first, mut last) = ([0; 32], [0xFF; 32]);
        let of: Digest = record::digest(group.as_bytes());
        first[..16].copy_from_slice(&of);
        last[..16].copy_from_slice(&of);
        let mut reached = Vec::new();
        for row in self.heads.range::<&Place>(&first..=&last)? {
            let (place, row) = row?;
            // What cannot be read is of no use, and would not be served.
            if Row::parse(row.value()).head.is_none_or(|head| head.began < epoch.0) {
                reached.push((*place.value(), row.value().to_vec()));
            }
        }
        for (place, row) in reached {
            let mut row = Row::parse(&row);
            match (mode, row.head.take()) {
                (Mode::Soft, Some(mut head)) => {
                    head.soft = head.soft.max(epoch.0);
                    self.write(&place, Some(&row), row.bodies, &head, row.rests)?;
                }
                _ => self.remove(&place)?,
            }
        }
        Ok(())
    }

    /// Notes an invalidation of what a selector covers.
    pub(super) fn mark(&mut self, selector: &[u8], mode: Mode, epoch: Epoch) -> Result<(), Failure> {
        let before = match self.marks.get(selector)? {
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
        self.marks.insert(selector, &encode_mark(selector, mark))?;
        self.marks_count += u64::from(before.is_none());
        Ok(())
    }

    /// Puts these marks in the place of all that there are.
    pub(super) fn replace_marks(&mut self, marks: &[(Box<[u8]>, Watermark)]) -> Result<(), Failure> {
        self.marks.retain(|_, _| false)?;
        for (selector, mark) in marks {
            self.marks.insert(&**selector, &encode_mark(selector, *mark))?;
        }
        self.marks_count = marks.len() as u64;
        Ok(())
    }

    /// Removes records until they weigh no more than `capacity`, the oldest first; those that `is_hot` says are in use get
    /// another turn.
    pub(super) fn evict(&mut self, capacity: u64, is_hot: &dyn Fn(&[u8]) -> bool) -> Result<(), Failure> {
        let mut turns = TURNS;
        while self.weight > capacity {
            let oldest = self.order.pop_first()?.map(|(number, place)| (number.value(), *place.value()));
            let Some((number, place)) = oldest else {
                return Err(Failure::Inconsistent("records weigh something and there are none"));
            };
            let Some(row) = self.row(&place)? else { continue };
            let row = Row::parse(&row);
            if row.order != number {
                // Left over: the record has a later number.
                continue;
            }
            match &row.head {
                Some(head) if turns > 0 && is_hot(&head.key) => {
                    turns -= 1;
                    self.write(&place, Some(&row), row.bodies, head, row.rests)?;
                }
                _ => {
                    self.remove(&place)?;
                    self.evictions += 1;
                }
            }
        }
        Ok(())
    }

    /// The last change: in which epoch all of it becomes true, and after the log was followed how far.
    pub(super) fn seal(&mut self, epoch: Epoch, followed: Option<Followed>) -> Result<(), Failure> {
        let numbers = &mut self.numbers;
        numbers.insert(NEXT, self.next)?;
        numbers.insert(WEIGHT, self.weight)?;
        numbers.insert(MARKS_COUNT, self.marks_count)?;
        let before = number(numbers, EPOCH)?;
        numbers.insert(EPOCH, before.max(epoch.0))?;
        if let Some(Followed { data_set, position }) = followed {
            numbers.insert(LOG_DATA_SET, data_set)?;
            numbers.insert(LOG_POSITION, position.0)?;
        } else {
            numbers.remove(LOG_DATA_SET)?;
            numbers.remove(LOG_POSITION)?;
        }
        Ok(())
    }

    fn row(&self, place: &Place) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.heads.get(place)?.map(|row| row.value().to_vec()))
    }

    /// Writes a record's row in place of the one before, as the latest in the order.
    fn write(
        &mut self,
        place: &Place,
        before: Option<&Row<'_>>,
        bodies: u64,
        head: &Head,
        rests: &[u8],
    ) -> Result<(), Failure> {
        if let Some(before) = before {
            self.forget(place, before)?;
        }
        let bytes = head.to_bytes();
        let weight = OVERHEAD + bytes.len() as u64 + head.bodies.iter().map(|body| body.length).sum::<u64>();
        let row = row::write(self.next, weight, bodies, &bytes, rests);
        self.heads.insert(place, &*row)?;
        self.order.insert(self.next, place)?;
        self.next += 1;
        self.weight += weight;
        Ok(())
    }

    /// A record's row is no more: neither is its place in the order, nor its weight.
    fn forget(&mut self, place: &Place, row: &Row<'_>) -> Result<(), Failure> {
        self.weight = self.weight.saturating_sub(row.weight);
        let is_own = self.order.get(row.order)?.is_some_and(|of| of.value() == place);
        if is_own {
            self.order.remove(row.order)?;
        }
        Ok(())
    }

    fn remove_bodies(&mut self, number: u64, codings: RangeInclusive<u8>) -> Result<(), Failure> {
        let (first, last) = codings.into_inner();
        Ok(self.bodies.retain_in((number, first, 0)..=(number, last, u8::MAX), |_, _| false)?)
    }
}

/// Records in use that get another turn in one batch: a batch must end even when all of them are.
const TURNS: u32 = 256;

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
    let (hard, soft) = row.split_first_chunk().map(|(hard, rest)| (hard, rest.first_chunk()))?;
    let (hard, soft) = (u64::from_le_bytes(*hard), u64::from_le_bytes(*soft?));
    let mark = Watermark { hard: Epoch(hard), soft: Epoch(soft) };
    (encode_mark(selector, mark) == *row).then_some(mark)
}

#[cfg(test)]
mod tests;
