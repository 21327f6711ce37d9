//! Entries read ahead, some at a time, so that the memory they lead to is on its way when it is needed.
//!
//! For each entry two places must be looked at that are most likely in no cache: a line of the index, and behind it a
//! record. One after the other they would be waited for in vain, so a batch is read in steps, each for all of its keys:
//! the index is asked for, then looked at, then the records are asked for, then read. Nothing that makes the processor
//! wait for what was asked for before, as a lock does, may stand between two askings.
//!
//! What has to come from the device is asked of the system in the same way, for a whole batch at once, as soon as a batch has
//! waited for it. That costs calls, so it ends where batches come from memory again.
//!
//! A batch is read under one guard, so a location that the index gave leads to the same record until the batch is read.
//! Entries wait in it as the snapshot sees them, whatever is committed meanwhile.

use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::follow::Course;
use super::walk::{Entry, EntryRef};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::keys::split_ordered_key;
use crate::location::Location;
use crate::log::RecordAt;
use crate::order::Cursor;
use crate::store::Store;

/// Entries of the first batch: of a scan without a limit, which may end with its first entry while each one may have to be
/// fetched from the device, and of others. Each batch is twice the one before, up to [`KEYS_MAX`], so that a scan that ends
/// early has not read much more than it gave. A scan that wants no more than twice as many gets them at once.
const KEYS_MIN_UNLIMITED: usize = 2;
const KEYS_MIN: usize = 8;
const KEYS_MAX: usize = 64;
/// Bytes of keys at which a batch is full, however few they are.
const KEY_BYTES_MAX: usize = 64 << 10;
/// Bytes of values that wait to be taken, at which no more are read.
pub(super) const VALUE_BYTES_MAX: usize = 64 << 10;
/// The longest value that is copied twice, rather than to have memory of its own while it waits.
const SMALL_VALUE_BYTES: usize = 1 << 10;
/// What is asked for of a record at first: its header and the beginning of its key.
const HEAD_BYTES: usize = 64;
/// And then, where values are wanted: one of a few lines.
const RECORD_BYTES: usize = 256;

/// A batch that took so long, and this for each key more, has waited for the device. From memory a record takes some hundred
/// nanoseconds, the touch of a page that is there and not in the map about one microsecond.
const SLOW: Duration = Duration::from_micros(50);
const SLOW_KEY: Duration = Duration::from_micros(2);
/// For so many batches after such a one the system is asked ahead.
const ASKED_BATCHES: u32 = 4;
/// What a scan wants of each key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) keyspace: u16,
    pub(super) sequence: u64,
    pub(super) keys_only: bool,
}

/// Some keys in the order of the cursor, and the entries of the first of them.
pub(super) struct Batch {
    pub(super) buffers: Buffers,
    /// Keys already read.
    pub(super) read: usize,
    /// Keys of the next batch.
    size: usize,
    /// Entries that were taken of those that were read.
    taken: usize,
    /// What came behind them: to be told when its turn comes.
    failure: Option<Error>,
    /// Batches for which the system is asked ahead.
    asked_batches: u32,
    /// Where the records of the next keys may stand.
    pub(super) course: Course,
}

/// What a batch is kept in. A thread that scans often has it for its next scan: to make it anew, some allocations of which several
/// are large, takes as long as to read some entries.
#[derive(Default)]
pub(super) struct Buffers {
    /// The keys, one behind the other, and the small values in the same way.
    pub(super) arena: Vec<u8>,
    pub(super) values: Vec<u8>,
    pub(super) keys: Vec<Key>,
    /// Entries that were read.
    ready: Vec<Ready>,
}

thread_local!(static SPARE: Cell<Option<Buffers>> = const { Cell::new(None) });

/// Bytes of keys and of values for which a thread keeps room.
const SPARE_BYTES_MAX: usize = 16 << 10;

impl Buffers {
    /// Those that this thread has left over, or new ones.
    fn take() -> Buffers {
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    /// Leaves them to the next scan of this thread, without what is in them.
    fn leave(mut self) {
        if self.arena.capacity() > SPARE_BYTES_MAX || self.values.capacity() > SPARE_BYTES_MAX {
            return;
        }
        self.arena.clear();
        self.values.clear();
        self.keys.clear();
        self.ready.clear();
        // A thread that is ending keeps nothing.
        let _kept = SPARE.try_with(|spare| spare.set(Some(self)));
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        std::mem::take(&mut self.buffers).leave();
    }
}

pub(super) struct Key {
    /// Under which the index has it. Looked at only where the index is asked.
    pub(super) hash: Option<u64>,
    start: usize,
    end: usize,
    /// Where its record is, if nothing else comes into question.
    location: Option<Location>,
    /// What was found behind the record before, without asking the index.
    pub(super) followed: Option<Value>,
}

impl Key {
    /// Where it is in the arena.
    #[inline]
    pub(super) fn place(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Slot and offset of its record.
    fn record(&self) -> Option<(u16, u64)> {
        self.location.map(|location| (location.slot(), location.offset()))
    }
}

/// An entry that was read. Memory of its own is made for it when it is taken: what is given back before the next one is
/// asked for can then be used again for that, which is several times cheaper than new memory for many at once.
struct Ready {
    key: Range<usize>,
    value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Small(Range<usize>),
    Owned(Vec<u8>),
}

impl Value {
    #[inline]
    pub(super) fn length(&self) -> usize {
        match self {
            Value::Small(place) => place.len(),
            Value::Owned(value) => value.len(),
        }
    }
}

impl Wanted {
    /// What is wanted of a record, after its checksum was found to be right, if that is looked at. Short values are put behind
    /// those in `small`.
    #[inline]
    pub(super) fn value_of(
        self,
        store: &Store,
        record: &mut RecordAt<'_>,
        small: &mut Vec<u8>,
    ) -> Result<Value> {
        let start = small.len();
        let owned = match self.keys_only {
            true => None,
            false => record.copy_value_behind(&store.log, small, SMALL_VALUE_BYTES)?,
        };
        Ok(owned.map_or(Value::Small(start..small.len()), Value::Owned))
    }
}

/// Begins to load what the index has of a key, and gives the hash under which it has it.
#[inline]
pub(super) fn ask_index(store: &Store, keyspace: u16, name: &[u8]) -> u64 {
    let hash = store.keys.hash(keyspace, name);
    store.keys.index.prefetch(hash);
    hash
}

impl Batch {
    pub(super) fn new(course: Course) -> Batch {
        Batch {
            buffers: Buffers::take(),
            read: 0,
            size: 0,
            taken: 0,
            failure: None,
            asked_batches: 0,
            course,
        }
    }

    /// Goes to the next entry, if it was read already.
    #[inline]
    pub(super) fn advance(&mut self) -> bool {
        let is_there = self.taken < self.buffers.ready.len();
        self.taken += usize::from(is_there);
        is_there
    }

    /// The entry that it was gone to last, where it stands.
    #[inline]
    pub(super) fn current(&self) -> Option<EntryRef<'_>> {
        let ready = self.buffers.ready.get(self.taken.checked_sub(1)?)?;
        let (_, key) = split_ordered_key(self.buffers.arena.get(ready.key.clone())?)?;
        let value = match &ready.value {
            Value::Small(place) => self.buffers.values.get(place.clone())?,
            Value::Owned(value) => value,
        };
        Some((key, value))
    }

    /// The same in memory of its own. A long value is moved there, and is empty where it was.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Entry> {
        let ready = self.buffers.ready.get_mut(self.taken.checked_sub(1)?)?;
        let (_, key) = split_ordered_key(self.buffers.arena.get(ready.key.clone())?)?;
        let value = match &mut ready.value {
            Value::Small(place) => self.buffers.values.get(place.clone())?.to_vec(),
            Value::Owned(value) => std::mem::take(value),
        };
        Some((key.to_vec(), value))
    }

    /// Reads the next entries, for when all were taken. False where no key is left of those that were taken from the
    /// cursor.
    pub(super) fn read(&mut self, store: &Store, wanted: Wanted, guard: &Guard) -> Result<bool> {
        self.buffers.ready.clear();
        self.buffers.values.clear();
        self.taken = 0;
        if self.read == self.buffers.keys.len() {
            return Ok(false);
        }
        let before = self.read;
        self.course.begin();
        let begin = self.course.follows().then(Instant::now);
        let until = self.follow(store, wanted, guard);
        let followed = begin.map_or(Duration::ZERO, |begin| begin.elapsed());
        self.find(store, until);
        if self.asked_batches > 0 {
            self.asked_batches -= 1;
            self.ask_system(store, guard);
        }
        self.ask(store, wanted, guard);
        let begin = Instant::now();
        self.read_found(store, wanted, guard, until)?;
        if followed + begin.elapsed() > SLOW + SLOW_KEY * (self.read - before) as u32 {
            self.asked_batches = ASKED_BATCHES;
        }
        self.course.end(store, self.read - before);
        if self.read < until {
            // Not many at a time are so long.
            self.buffers.keys.iter_mut().for_each(|key| key.followed = None);
            self.course.lose();
        }
        Ok(true)
    }

    /// Reads the keys up to number `until`, or until there is enough.
    fn read_found(&mut self, store: &Store, wanted: Wanted, guard: &Guard, until: usize) -> Result<()> {
        let mut bytes = 0;
        while self.read < until && bytes < VALUE_BYTES_MAX {
            match self.read_one(store, wanted, guard) {
                Ok(value_bytes) => bytes += value_bytes,
                Err(error) => {
                    self.read = self.buffers.keys.len();
                    // What came before is still to be given.
                    if self.buffers.ready.is_empty() {
                        return Err(error);
                    }
                    self.failure = Some(error);
                }
            }
        }
        Ok(())
    }

    /// Reads the entry of the next key, if the snapshot sees one, and gives the bytes of its value.
    #[inline]
    fn read_one(&mut self, store: &Store, wanted: Wanted, guard: &Guard) -> Result<usize> {
        let Some(key) = self.buffers.keys.get_mut(self.read) else { return Ok(0) };
        self.read += 1;
        let place = key.place();
        if let Some(value) = key.followed.take() {
            let bytes = value.length();
            self.buffers.ready.push(Ready { key: place, value });
            return Ok(bytes);
        }
        let Some((_, name)) = self.buffers.arena.get(place.clone()).and_then(split_ordered_key) else {
            return Ok(0);
        };
        let named = (key.hash.unwrap_or_default(), wanted.keyspace, name);
        let record = store.scan_record(named, key.location, wanted.sequence, guard)?;
        let Some(mut record) = record else { return Ok(0) };
        self.course.note(store, &record);
        let value = wanted.value_of(store, &mut record, &mut self.buffers.values)?;
        let bytes = value.length();
        self.buffers.ready.push(Ready { key: place, value });
        Ok(bytes)
    }

    /// Asks the index where the records are that are not known yet, of the keys up to number `until`.
    fn find(&mut self, store: &Store, until: usize) {
        let keys = self.buffers.keys.get_mut(self.read..until).unwrap_or_default();
        for key in keys.iter_mut().filter(|key| key.hash.is_none() && key.followed.is_none()) {
            let name = self.buffers.arena.get(key.place()).and_then(split_ordered_key);
            key.hash = name.map(|(keyspace, name)| ask_index(store, keyspace, name));
        }
        for key in keys.iter_mut().filter(|key| key.followed.is_none()) {
            // An index that cannot be read is told when the key's turn comes.
            let found = key.hash.and_then(|hash| store.keys.candidates(&store.log, hash).ok());
            key.location = found.filter(|found| found.len() == 1).and_then(|mut found| found.next());
        }
    }

    /// Begins to load the records.
    fn ask(&self, store: &Store, wanted: Wanted, guard: &Guard) {
        let locations = || self.buffers.keys.iter().skip(self.read).filter_map(|key| key.location);
        locations().for_each(|location| store.log.prefetch(location, 0..HEAD_BYTES, guard));
        if !wanted.keys_only {
            locations().for_each(|location| store.log.prefetch(location, HEAD_BYTES..RECORD_BYTES, guard));
        }
        // What was asked for first has come by now, or is waited for here as well as there.
        locations().for_each(|location| store.log.prefetch_sequence(location, wanted.sequence, guard));
    }

    /// Whether the system is asked ahead.
    pub(super) fn is_asking(&self) -> bool {
        self.asked_batches > 0
    }

    /// Asks the system for the pages of the records.
    fn ask_system(&self, store: &Store, guard: &Guard) {
        let places = self.buffers.keys.iter().skip(self.read).filter_map(Key::record).collect();
        store.log.read_soon_near(places, guard);
    }

    /// Takes the next keys from the cursor, at most `most`, and begins to load what the index has of them. False at the
    /// end.
    pub(super) fn fill(
        &mut self,
        cursor: &mut Cursor,
        store: &Store,
        most: u64,
        guard: &Guard,
    ) -> Result<bool> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.course.ask_ahead(store, guard);
        self.buffers.arena.clear();
        self.buffers.keys.clear();
        self.read = 0;
        let size_min = if most == u64::MAX { KEYS_MIN_UNLIMITED } else { KEYS_MIN };
        self.size = (self.size * 2).clamp(size_min, KEYS_MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let size = if most <= 2 * self.size { most } else { self.size };
        while self.buffers.keys.len() < size && self.buffers.arena.len() < KEY_BYTES_MAX {
            match cursor.next() {
                Ok(Some(ordered)) => self.push(ordered, store),
                Ok(None) => break,
                Err(error) if !self.buffers.keys.is_empty() => {
                    self.failure = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(!self.buffers.keys.is_empty())
    }

    fn push(&mut self, ordered: &[u8], store: &Store) {
        let Some((keyspace, key)) = split_ordered_key(ordered) else { return };
        let asks = self.course.asks_index(self.buffers.keys.is_empty());
        let hash = asks.then(|| ask_index(store, keyspace, key));
        let start = self.buffers.arena.len();
        self.buffers.arena.extend_from_slice(ordered);
        self.buffers.keys.push(Key {
            hash,
            start,
            end: self.buffers.arena.len(),
            location: None,
            followed: None,
        });
    }
}
