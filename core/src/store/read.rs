//! Reading one key: the index, then the cache or the log.
//!
//! What the functions on this way hand each other is several words long. Called, they put it into memory word by word and read it
//! back by two words at once, before it has come there, which the processor waits for; it was a third of a get of a hot key. So
//! these are always part of who calls them.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Store;
use crate::cache::Entry;
use crate::epoch::Guard;
use crate::error::Result;
use crate::location::Location;
use crate::log::{LargeRead, RecordAt, Value};

/// A read that took this long may have waited for storage; one from memory takes a tenth of it, unless its thread was interrupted.
const SLOW_READ: Duration = Duration::from_micros(4);

thread_local! {
    /// How often this thread had waited for storage when it was asked last, for whatever store.
    static WAITS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A key's record, where it was found.
#[derive(Debug)]
pub(super) enum Hit<'a> {
    Cached(Entry),
    Logged(RecordAt<'a>),
}

/// A value, for as long as one likes, without a copy where that can be.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Cached(Entry),
    Logged(Value),
}

impl Deref for Found {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Found::Cached(entry) => entry.value(),
            Found::Logged(value) => value,
        }
    }
}

/// A value that is to be read piece by piece.
#[derive(Debug)]
pub(crate) enum OpenedValue {
    /// One that stood in a record.
    Whole(Found),
    /// One that stands in a large-value segment.
    Large(LargeRead),
}

impl Store {
    /// The value of a key: the newest that readers see, or the one at a snapshot.
    pub(crate) fn get(
        &self,
        keyspace: u16,
        key: &[u8],
        at: Option<u64>,
        guard: &Guard,
    ) -> Result<Option<Vec<u8>>> {
        let started = self.begins_read();
        let hit = self.look(keyspace, key, at, guard)?;
        hit.map(|hit| self.copy_hit(started, hit, (keyspace, key))).transpose()
    }

    /// The value that was found, owned.
    #[inline(always)]
    pub(super) fn copy_hit(
        &self,
        started: Option<Instant>,
        hit: Hit<'_>,
        (keyspace, key): (u16, &[u8]),
    ) -> Result<Vec<u8>> {
        match hit {
            Hit::Cached(entry) => Ok(entry.value().to_vec()),
            Hit::Logged(mut record) => {
                let value = record.copy_value(&self.log)?;
                self.admit_if_costly(started, &record, keyspace, key, &value)?;
                Ok(value)
            }
        }
    }

    /// The value of a key without a copy, where that can be.
    pub(crate) fn get_ref(
        &self,
        keyspace: u16,
        key: &[u8],
        at: Option<u64>,
        guard: &Guard,
    ) -> Result<Option<Found>> {
        let started = self.begins_read();
        let hit = self.look(keyspace, key, at, guard)?;
        hit.map(|hit| self.take_hit(started, hit, (keyspace, key))).transpose()
    }

    /// The value that was found, without a copy, where that can be.
    #[inline(always)]
    pub(super) fn take_hit(
        &self,
        started: Option<Instant>,
        hit: Hit<'_>,
        (keyspace, key): (u16, &[u8]),
    ) -> Result<Found> {
        match hit {
            Hit::Cached(entry) => Ok(Found::Cached(entry)),
            Hit::Logged(record) => self.take_value(started, record, keyspace, key),
        }
    }

    /// The value of a key, to be read piece by piece.
    pub(crate) fn open_value(
        &self,
        keyspace: u16,
        key: &[u8],
        at: Option<u64>,
        guard: &Guard,
    ) -> Result<Option<OpenedValue>> {
        let started = self.begins_read();
        match self.look(keyspace, key, at, guard)? {
            None => Ok(None),
            Some(Hit::Cached(entry)) => Ok(Some(OpenedValue::Whole(Found::Cached(entry)))),
            Some(Hit::Logged(mut record)) => match record.open_large(&self.log)? {
                Some(large) => Ok(Some(OpenedValue::Large(large))),
                None => {
                    let value = self.take_value(started, record, keyspace, key)?;
                    Ok(Some(OpenedValue::Whole(value)))
                }
            },
        }
    }

    #[inline(always)]
    fn take_value(
        &self,
        started: Option<Instant>,
        record: RecordAt<'_>,
        keyspace: u16,
        key: &[u8],
    ) -> Result<Found> {
        let (place, is_mapped, is_compressed) = (record.place(), record.is_mapped(), record.is_compressed());
        let sequence = record.sequence_at();
        let value = record.value(&self.log)?;
        let is_costly = is_compressed || self.was_slow(started, is_mapped);
        // Where it stands elsewhere that may have to be waited for, so it is not read in vain.
        if is_costly && self.cache.admits(value.len()) {
            self.cache.admit(place, (keyspace, key, &value, sequence.bound(&self.log)?));
        }
        Ok(Found::Logged(value))
    }

    /// Whether a key is there. Never reads its value.
    pub(crate) fn exists(&self, keyspace: u16, key: &[u8], at: Option<u64>, guard: &Guard) -> Result<bool> {
        Ok(self.look(keyspace, key, at, guard)?.is_some())
    }

    /// The record of a key for a scan, which neither asks the cache nor fills it. A location, if there is one, is what the
    /// index has given for the key under this guard, and all of it.
    #[inline(always)]
    pub(crate) fn scan_record<'g>(
        &'g self,
        (hash, keyspace, key): (u64, u16, &[u8]),
        location: Option<Location>,
        at: u64,
        guard: &'g Guard,
    ) -> Result<Option<RecordAt<'g>>> {
        let newest = match location {
            Some(location) => self.log.find(location, keyspace, key, guard)?,
            None => self.keys.find(&self.log, hash, keyspace, key, guard)?,
        };
        if let Some(record) = newest
            && record.was_there_at(at, &self.log)?
        {
            return Ok(Some(record));
        }
        self.old_version(hash, keyspace, key, at, guard)
    }

    /// Whether a key's newest record, be it one that readers do not see yet, was committed at `sequence` or before; `None` where the
    /// key is not there.
    pub(crate) fn newest_was_there_at(
        &self,
        keyspace: u16,
        key: &[u8],
        sequence: u64,
    ) -> Result<Option<bool>> {
        let hash = self.keys.hash(keyspace, key);
        let guard = self.log.pin();
        let newest = self.keys.find(&self.log, hash, keyspace, key, &guard)?;
        newest.map(|record| record.was_there_at(sequence, &self.log)).transpose()
    }

    #[inline(always)]
    fn look<'g>(
        &'g self,
        keyspace: u16,
        key: &[u8],
        at: Option<u64>,
        guard: &'g Guard,
    ) -> Result<Option<Hit<'g>>> {
        let hash = self.keys.hash(keyspace, key);
        if let Some(at) = at {
            return self.look_at(hash, keyspace, key, at, guard);
        }
        loop {
            let hit = self.look_newest(hash, keyspace, key, guard)?;
            // Asked after the index: whoever found something hidden there also finds this flag.
            if !self.is_hiding() {
                return Ok(hit);
            }
            let visible = self.visible();
            let hit = self.look_at(hash, keyspace, key, visible, guard)?;
            // The version table keeps what is visible readable only while something is hidden.
            if self.is_hiding() && self.visible() == visible {
                return Ok(hit);
            }
        }
    }

    #[inline(always)]
    fn look_newest<'g>(
        &'g self,
        hash: u64,
        keyspace: u16,
        key: &[u8],
        guard: &'g Guard,
    ) -> Result<Option<Hit<'g>>> {
        let cache_may_know = self.cache.is_occupied();
        for location in self.keys.candidates(&self.log, hash)? {
            if cache_may_know && let Some(entry) = self.cached(location, keyspace, key, guard)? {
                return Ok(Some(Hit::Cached(entry)));
            }
            self.log.prefetch_rest(location, guard);
            if let Some(record) = self.log.find(location, keyspace, key, guard)? {
                return Ok(Some(Hit::Logged(record)));
            }
        }
        Ok(None)
    }

    #[inline]
    fn cached(&self, location: Location, keyspace: u16, key: &[u8], guard: &Guard) -> Result<Option<Entry>> {
        let place = (self.log.serial(location, guard)?, location.offset());
        Ok(self.cache.get(place, keyspace, key))
    }

    /// A key at a snapshot. A location, if there is one, is what the index has given for the key under this guard, and all of it.
    #[inline]
    pub(super) fn look_found<'g>(
        &'g self,
        (hash, keyspace, key): (u64, u16, &[u8]),
        location: Option<Location>,
        at: u64,
        guard: &'g Guard,
    ) -> Result<Option<Hit<'g>>> {
        let Some(location) = location else { return self.look_at(hash, keyspace, key, at, guard) };
        let cached = match self.cache.is_occupied() {
            true => self.cached(location, keyspace, key, guard)?,
            false => None,
        };
        let hit = match cached {
            Some(entry) => Some(Hit::Cached(entry)),
            None => self.log.find(location, keyspace, key, guard)?.map(Hit::Logged),
        };
        self.hit_at(hit, (hash, keyspace, key), at, guard)
    }

    #[inline(always)]
    fn look_at<'g>(
        &'g self,
        hash: u64,
        keyspace: u16,
        key: &[u8],
        at: u64,
        guard: &'g Guard,
    ) -> Result<Option<Hit<'g>>> {
        let newest = self.look_newest(hash, keyspace, key, guard)?;
        self.hit_at(newest, (hash, keyspace, key), at, guard)
    }

    /// The newest record of a key, if it was there at a snapshot, or else the version that the snapshot means.
    #[inline(always)]
    fn hit_at<'g>(
        &'g self,
        newest: Option<Hit<'g>>,
        (hash, keyspace, key): (u64, u16, &[u8]),
        at: u64,
        guard: &'g Guard,
    ) -> Result<Option<Hit<'g>>> {
        let newest = match newest {
            Some(Hit::Cached(entry)) if entry.last_sequence() <= at => return Ok(Some(Hit::Cached(entry))),
            // It may all the same be as old as that: the log tells.
            Some(Hit::Cached(_)) => self.keys.find(&self.log, hash, keyspace, key, guard)?,
            Some(Hit::Logged(record)) => Some(record),
            None => None,
        };
        if let Some(record) = newest
            && record.was_there_at(at, &self.log)?
        {
            return Ok(Some(Hit::Logged(record)));
        }
        Ok(self.old_version(hash, keyspace, key, at, guard)?.map(Hit::Logged))
    }

    /// The version of a key that a live snapshot means and that is not the newest.
    fn old_version<'g>(
        &'g self,
        hash: u64,
        keyspace: u16,
        key: &[u8],
        at: u64,
        guard: &'g Guard,
    ) -> Result<Option<RecordAt<'g>>> {
        for location in self.versions.at(hash, at) {
            if let Some(record) = self.log.find(location, keyspace, key, guard)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Has reads timed, for the cache, while the process has to wait for storage at all: whether it had to since the last judgement.
    pub(crate) fn judge_reads(&self) {
        let waits = self.log.storage_waits();
        let before = self.storage_waits.swap(waits, Ordering::Relaxed);
        self.times_reads.store(waits != before, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn begins_read(&self) -> Option<Instant> {
        self.times_reads.load(Ordering::Relaxed).then(Instant::now)
    }

    #[inline]
    fn was_slow(&self, started: Option<Instant>, is_mapped: bool) -> bool {
        !is_mapped || started.is_some_and(|started| started.elapsed() >= SLOW_READ) && self.has_waited()
    }

    /// Whether this thread has waited for storage since it was asked last, as far as the system tells. A thread that was never asked has
    /// not.
    #[cold]
    fn has_waited(&self) -> bool {
        let Some(waits) = self.log.storage_waits_here() else { return true };
        WAITS.with(|before| before.replace(Some(waits))).is_some_and(|before| before != waits)
    }

    /// Keeps a value that had to be waited for or unpacked.
    #[inline(always)]
    fn admit_if_costly(
        &self,
        started: Option<Instant>,
        record: &RecordAt<'_>,
        keyspace: u16,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        let is_costly = record.is_compressed() || self.was_slow(started, record.is_mapped());
        if is_costly && self.cache.admits(value.len()) {
            self.cache.admit(record.place(), (keyspace, key, value, record.sequence_at().bound(&self.log)?));
        }
        Ok(())
    }
}
