//! The cache of records: values that had to wait for storage, kept within a bound.
//!
//! A hit here is no cheaper than a mapped record that is in memory, so only what was slow to read is admitted; the
//! caller decides that. Entries are named by the place of the record in the log (serial of its segment, offset). A
//! written byte never changes, so what is cached under a place is never stale, and a slow reader can never bring an
//! old value back: the index no longer leads to that place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;

use crate::record::{u16_at, u64_at};

/// The place of a record: serial of its segment, and offset.
pub(crate) type Place = (u64, u64);

/// What an entry takes besides its bytes: the cache's own slot, the reference count and the allocation.
const ENTRY_OVERHEAD_BYTES: u64 = 96;
/// A value over this part of the bound is not admitted.
const LARGEST_PART: u64 = 64;

/// A record as it is offered: keyspace, key, value, and a sequence that its commit's is not above.
pub(crate) type Offer<'a> = (u16, &'a [u8], &'a [u8], u64);

/// A cached record, in one allocation that those who have it share: a bound of its commit's sequence, its keyspace, the length of its key, its
/// key, and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry(Arc<[u8]>);

/// Bytes before the key.
const KEYSPACE_AT: usize = size_of::<u64>();
const KEY_BYTES_AT: usize = KEYSPACE_AT + size_of::<u16>();
const KEY_AT: usize = KEY_BYTES_AT + size_of::<u16>();

impl Entry {
    /// `None` for a key longer than any.
    fn new((keyspace, key, value, sequence): Offer<'_>) -> Option<Entry> {
        let key_bytes = u16::try_from(key.len()).ok()?;
        let (sequence, keyspace) = (sequence.to_le_bytes(), keyspace.to_le_bytes());
        Some(Entry(Arc::from([&sequence[..], &keyspace, &key_bytes.to_le_bytes(), key, value].concat())))
    }

    fn value_at(&self) -> usize {
        KEY_AT + usize::from(u16_at(&self.0, KEY_BYTES_AT).unwrap_or_default())
    }

    /// A sequence that its commit's is not above.
    pub(crate) fn last_sequence(&self) -> u64 {
        u64_at(&self.0, 0).unwrap_or_default()
    }

    /// Whether this is the record of that key. Two keys may look alike in the index, so a hit is compared.
    pub(crate) fn is_of(&self, keyspace: u16, key: &[u8]) -> bool {
        u16_at(&self.0, KEYSPACE_AT) == Some(keyspace) && self.0.get(KEY_AT..self.value_at()) == Some(key)
    }

    /// The value.
    pub(crate) fn value(&self) -> &[u8] {
        self.0.get(self.value_at()..).unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<Place, Entry> for Weigh {
    fn weight(&self, _: &Place, entry: &Entry) -> u64 {
        entry.0.len() as u64 + ENTRY_OVERHEAD_BYTES
    }
}

/// What the cache did so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CacheStats {
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) admissions: u64,
}

/// A bounded cache of records, safe from any number of threads.
#[derive(Debug)]
pub(crate) struct Cache {
    /// `None` where the bound is 0.
    entries: Option<Entries<Place, Entry, Weigh>>,
    /// Whether anything was ever admitted: while not, a lookup is this one load.
    occupied: AtomicBool,
    value_bytes_max: u64,
    hits: AtomicU64,
    misses: AtomicU64,
    admissions: AtomicU64,
}

impl Cache {
    /// A cache that takes at most about `cache_bytes` of memory; 0 turns it off.
    pub(crate) fn new(cache_bytes: u64) -> Cache {
        // The estimate of entries only sizes the first tables; it is kept small, since most caches stay empty.
        let estimate = (cache_bytes / 1024).min(1 << 12) as usize;
        Cache {
            entries: (cache_bytes > 0).then(|| Entries::with_weighter(estimate, cache_bytes, Weigh)),
            occupied: AtomicBool::new(false),
            value_bytes_max: cache_bytes / LARGEST_PART,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            admissions: AtomicU64::new(0),
        }
    }

    /// Whether a lookup can find anything.
    #[inline]
    pub(crate) fn is_occupied(&self) -> bool {
        self.occupied.load(Ordering::Relaxed)
    }

    /// Whether a value of this length would be admitted.
    pub(crate) fn admits(&self, value_bytes: usize) -> bool {
        self.entries.is_some() && value_bytes as u64 <= self.value_bytes_max
    }

    /// The record at a place, if it is cached and is of this key.
    pub(crate) fn get(&self, place: Place, keyspace: u16, key: &[u8]) -> Option<Entry> {
        if !self.is_occupied() {
            return None;
        }
        let found = self.entries.as_ref()?.get(&place).filter(|entry| entry.is_of(keyspace, key));
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Takes in a record that was slow to read. Values over a part of the bound are left out.
    pub(crate) fn admit(&self, place: Place, record: Offer<'_>) {
        let (_, _, value, _) = record;
        let Some(entries) = self.entries.as_ref().filter(|_| self.admits(value.len())) else { return };
        let Some(entry) = Entry::new(record) else { return };
        entries.insert(place, entry);
        self.admissions.fetch_add(1, Ordering::Relaxed);
        self.occupied.store(true, Ordering::Relaxed);
    }

    /// Follows an overwrite of a key whose record was at `old`: if that was cached, the new record takes its place.
    pub(crate) fn overwrite(&self, old: Place, new: Place, record: Offer<'_>) {
        if self.remove(old) {
            self.admit(new, record);
        }
    }

    /// Follows a record to the place that compaction has given it.
    pub(crate) fn relocate(&self, old: Place, new: Place) {
        let Some(entries) = self.entries.as_ref().filter(|_| self.is_occupied()) else { return };
        if let Some((_, entry)) = entries.remove(&old) {
            entries.insert(new, entry);
        }
    }

    /// Follows a delete. Tells whether the record had been cached.
    pub(crate) fn remove(&self, place: Place) -> bool {
        self.is_occupied() && self.entries.as_ref().is_some_and(|entries| entries.remove(&place).is_some())
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            bytes: self.entries.as_ref().map_or(0, Entries::weight),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            admissions: self.admissions.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_before_something_is_admitted() {
        let cache = Cache::new(1 << 20);
        assert!(!cache.is_occupied());
        assert!(cache.get((1, 64), 0, b"k").is_none());
        assert_eq!(cache.stats().misses, 0);
    }

    #[test]
    fn a_hit_is_of_the_same_place_keyspace_and_key() {
        let cache = Cache::new(1 << 20);
        cache.admit((1, 64), (0, b"k", b"v", 9));
        assert_eq!(cache.get((1, 64), 0, b"k").unwrap().value(), b"v");
        assert!(cache.get((2, 64), 0, b"k").is_none());
        assert!(cache.get((1, 64), 1, b"k").is_none());
        assert!(cache.get((1, 64), 0, b"kv").is_none());
        assert_eq!((cache.stats().hits, cache.stats().misses, cache.stats().admissions), (1, 3, 1));
    }

    #[test]
    fn an_overwrite_follows_only_what_was_cached_and_a_delete_removes() {
        let cache = Cache::new(1 << 20);
        cache.admit((1, 64), (0, b"k", b"v", 9));
        cache.overwrite((1, 64), (1, 128), (0, b"k", b"w", 9));
        cache.overwrite((1, 72), (1, 136), (0, b"x", b"y", 9));
        assert!(cache.get((1, 64), 0, b"k").is_none());
        assert!(cache.get((1, 136), 0, b"x").is_none());
        assert_eq!(cache.get((1, 128), 0, b"k").unwrap().value(), b"w");
        assert!(cache.remove((1, 128)) && !cache.remove((1, 128)));
    }

    #[test]
    fn the_bound_holds_and_zero_turns_it_off() {
        let cache = Cache::new(64 << 10);
        for n in 0..10_000 {
            cache.admit((1, n), (0, b"key", &[0; 100], 9));
            assert!(cache.stats().bytes <= 64 << 10);
        }
        assert!(cache.admits(1 << 10) && !cache.admits((1 << 10) + 1));
        let off = Cache::new(0);
        off.admit((1, 64), (0, b"k", b"v", 9));
        assert!(!off.is_occupied() && !off.admits(0));
    }
}
