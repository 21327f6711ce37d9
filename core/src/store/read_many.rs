//! Reading many keys with one call.
//!
//! As a scan reads its entries (`scan/batch.rs`), some keys at a time, in steps: the lines of the index are asked for, then looked at,
//! then the records are asked for, then read. So the places of all of them are on their way while the first is waited for.
//! Those are read under one guard and all as of one snapshot, so a location that the index gave leads to the same record until it
//! is read, and what has been overwritten meanwhile is still what the snapshot means. Others wait for no guard of a long call.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Store;
use super::read::{Found, Hit};
use crate::epoch::Guard;
use crate::error::Result;
use crate::location::Location;

/// Keys that are asked for together: their lines and records fit well into a processor's nearest cache.
const KEYS_AT_ONCE: usize = 32;
/// What is asked for of a record: one of a few lines.
const RECORD_BYTES: usize = 256;
/// Keys that took longer, each on average, have waited for the device; from memory one takes some hundred nanoseconds.
const SLOW_KEY: Duration = Duration::from_micros(4);
/// For so many times [`KEYS_AT_ONCE`] after such ones the system is asked ahead.
const ASKED_TIMES: u32 = 4;

/// A key that is looked for.
struct Sought<'k> {
    key: &'k [u8],
    hash: u64,
    /// Where its record is, if nothing else comes into question.
    location: Option<Location>,
}

/// Makes what is given for a key of what was found.
type Take<T> = fn(&Store, Option<Instant>, Hit<'_>, (u16, &[u8])) -> Result<T>;

impl Store {
    /// The values of many keys at a snapshot, in the order of the keys.
    pub(crate) fn get_many<'k>(
        &self,
        keyspace: u16,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        at: u64,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.read_many(keyspace, keys, at, Store::copy_hit)
    }

    /// [`Store::get_many`] without copies, where that can be.
    pub(crate) fn get_many_ref<'k>(
        &self,
        keyspace: u16,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        at: u64,
    ) -> Result<Vec<Option<Found>>> {
        self.read_many(keyspace, keys, at, Store::take_hit)
    }

    fn read_many<'k, T>(
        &self,
        keyspace: u16,
        mut keys: impl ExactSizeIterator<Item = &'k [u8]>,
        at: u64,
        take: Take<T>,
    ) -> Result<Vec<Option<T>>> {
        let mut values = Vec::with_capacity(keys.len());
        let mut sought = Vec::with_capacity(keys.len().min(KEYS_AT_ONCE));
        loop {
            sought.extend(keys.by_ref().take(KEYS_AT_ONCE).map(|key| self.seek(keyspace, key)));
            if sought.is_empty() {
                return Ok(values);
            }
            let guard = self.log.pin();
            self.ask_for(&mut sought, at, &guard);
            let began = Instant::now();
            for Sought { key, hash, location } in &sought {
                let started = self.begins_read();
                let hit = self.look_found((*hash, keyspace, key), *location, at, &guard)?;
                let value = hit.map(|hit| take(self, started, hit, (keyspace, key))).transpose()?;
                values.push(value);
            }
            if began.elapsed() > SLOW_KEY * sought.len() as u32 {
                self.asks_ahead.store(ASKED_TIMES, Ordering::Relaxed);
            }
            sought.clear();
        }
    }

    /// Begins to load what the index has of a key.
    fn seek<'k>(&self, keyspace: u16, key: &'k [u8]) -> Sought<'k> {
        let hash = self.keys.hash(keyspace, key);
        self.keys.index.prefetch(hash);
        Sought { key, hash, location: None }
    }

    /// Asks the index where the records are, and begins to load them.
    fn ask_for(&self, sought: &mut [Sought<'_>], at: u64, guard: &Guard) {
        for one in &mut *sought {
            // An index that cannot be read is told when the key's turn comes.
            let found = self.keys.candidates(&self.log, one.hash).ok();
            one.location = found.filter(|found| found.len() == 1).and_then(|mut found| found.next());
        }
        let locations = || sought.iter().filter_map(|one| one.location);
        let asked = self.asks_ahead.load(Ordering::Relaxed);
        if asked > 0 {
            self.asks_ahead.store(asked - 1, Ordering::Relaxed);
            self.log.read_soon_near(locations().map(|at| (at.slot(), at.offset())).collect(), guard);
        }
        locations().for_each(|location| self.log.prefetch(location, 0..RECORD_BYTES, guard));
        // What was asked for first has come by now, or is waited for here as well as there.
        locations().for_each(|location| self.log.prefetch_sequence(location, at, guard));
    }
}
