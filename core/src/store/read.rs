//! Reading one key: the index, then the cache or the log.

use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Store;
use crate::cache::Entry;
use crate::epoch::Guard;
use crate::error::Result;
use crate::location::Location;
use crate::log::{LargeRead, Log, RecordAt, Value};

/// A read that took this long has waited for storage; one from memory takes a tenth of it.
const SLOW_READ: Duration = Duration::from_micros(4);

/// A key's record, where it was found.
#[derive(Debug)]
enum Hit<'a> {
    Cached(Entry),
    Logged(RecordAt<'a>),
}

impl Hit<'_> {
    fn was_there_at(&self, sequence: u64, log: &Log) -> Result<bool> {
        match self {
            Hit::Cached(entry) => Ok(entry.sequence() <= sequence),
            Hit::Logged(record) => record.was_there_at(sequence, log),
        }
    }
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
        match self.look(keyspace, key, at, guard)? {
            None => Ok(None),
            Some(Hit::Cached(entry)) => Ok(Some(entry.value().to_vec())),
            Some(Hit::Logged(mut record)) => {
                let value = record.copy_value(&self.log)?;
                self.admit_if_costly(started, &record, keyspace, key, &value)?;
                Ok(Some(value))
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
        match self.look(keyspace, key, at, guard)? {
            None => Ok(None),
            Some(Hit::Cached(entry)) => Ok(Some(Found::Cached(entry))),
            Some(Hit::Logged(record)) => self.take_value(started, record, keyspace, key).map(Some),
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

    fn take_value(
        &self,
        started: Option<Instant>,
        record: RecordAt<'_>,
        keyspace: u16,
        key: &[u8],
    ) -> Result<Found> {
        let (place, is_mapped, is_compressed) = (record.place(), record.is_mapped(), record.is_compressed());
        // Of a record of a batch it stands elsewhere, which is not looked at in vain.
        let may_be_costly = is_compressed || !is_mapped || started.is_some();
        let sequence = if may_be_costly { Some(record.sequence(&self.log)?) } else { None };
        let value = record.value(&self.log)?;
        if let Some(sequence) = sequence
            && (is_compressed || self.was_slow(started, is_mapped))
        {
            self.cache.admit(place, (keyspace, key, &value, sequence));
        }
        Ok(Found::Logged(value))
    }

    /// Whether a key is there. Never reads its value.
    pub(crate) fn exists(&self, keyspace: u16, key: &[u8], at: Option<u64>, guard: &Guard) -> Result<bool> {
        Ok(self.look(keyspace, key, at, guard)?.is_some())
    }

    /// The record of a key for a scan, which neither asks the cache nor fills it. A location, if there is one, is what the
    /// index has given for the key under this guard, and all of it.
    #[inline]
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

    #[inline]
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

    #[inline]
    fn look_newest<'g>(
        &'g self,
        hash: u64,
        keyspace: u16,
        key: &[u8],
        guard: &'g Guard,
    ) -> Result<Option<Hit<'g>>> {
        let cache_may_know = self.cache.is_occupied();
        for location in self.keys.candidates(&self.log, hash)? {
            if cache_may_know {
                let place = (self.log.serial(location, guard)?, location.offset());
                if let Some(entry) = self.cache.get(place, keyspace, key) {
                    return Ok(Some(Hit::Cached(entry)));
                }
            }
            self.log.prefetch_rest(location, guard);
            if let Some(record) = self.log.find(location, keyspace, key, guard)? {
                return Ok(Some(Hit::Logged(record)));
            }
        }
        Ok(None)
    }

    fn look_at<'g>(
        &'g self,
        hash: u64,
        keyspace: u16,
        key: &[u8],
        at: u64,
        guard: &'g Guard,
    ) -> Result<Option<Hit<'g>>> {
        if let Some(hit) = self.look_newest(hash, keyspace, key, guard)?
            && hit.was_there_at(at, &self.log)?
        {
            return Ok(Some(hit));
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

    #[inline]
    fn begins_read(&self) -> Option<Instant> {
        self.times_reads.load(Ordering::Relaxed).then(Instant::now)
    }

    #[inline]
    fn was_slow(&self, started: Option<Instant>, is_mapped: bool) -> bool {
        !is_mapped || started.is_some_and(|started| started.elapsed() >= SLOW_READ)
    }

    /// Keeps a value that had to be waited for or unpacked.
    #[inline]
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
            self.cache.admit(record.place(), (keyspace, key, value, record.sequence(&self.log)?));
        }
        Ok(())
    }
}
