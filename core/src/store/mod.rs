//! The store: the only place where log, keys, cache and versions meet.
//!
//! # Order of things
//! A commit goes through [`Store::commit`] and nothing else: prepare, append, publish, and, where it was asked for, sync.
//! A read asks the index where the newest record is, and the cache or the log what it says.
//!
//! # What a reader sees
//! A reader sees commits in the order of their sequences. A commit that waits for the device is *hidden* until it is
//! there: it is in the log and in the index, but readers read as of the last sequence before it, by way of the version
//! table, as a snapshot would. While nothing is hidden, which is always so with buffered commits alone, that costs a
//! reader one load. A commit of many records is hidden in the same way while it is published.
//!
//! # Locks
//! The commit lock orders appending, publishing and the beginning of snapshots. It is never held while the device is
//! waited for; who syncs takes it for a moment, inside of the turn to sync. Readers of keys do not take it.

mod background;
mod commit;
mod hidden;
mod read;
mod recent;
mod versions;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::cache::Cache;
use crate::disk::generation;
use crate::error::Result;
use crate::keys::{Change, Keys, Old};
use crate::log::{Appender, Log, LogConfig};
use crate::manifest::Manifest;
use crate::record::Kind;
use crate::recovery::{self, Recovery};

pub(crate) use background::Background;
pub(crate) use commit::{Commit, Operations, inline_bytes};
pub(crate) use hidden::Pin;
pub(crate) use read::{Found, OpenedValue};
pub(crate) use recent::KeyRange;

use hidden::Hidden;
use recent::Recent;
use versions::Versions;

/// What only the holder of the commit lock touches.
#[derive(Debug)]
struct Committer {
    appender: Appender,
    /// Reused, so that publishing a key allocates nothing.
    ordered_key: Vec<u8>,
}

/// One open database.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) log: Log,
    pub(crate) keys: Keys,
    pub(crate) cache: Cache,
    pub(crate) recovery: Recovery,
    committer: Mutex<Committer>,
    versions: Versions,
    pub(crate) recent: Recent,
    /// Readers see commits up to this one.
    visible: AtomicU64,
    /// Whether any commit is in the index but not yet visible.
    is_hiding: AtomicBool,
    hidden: Mutex<Hidden>,
    /// Whether reads are timed, because some have lately waited for storage.
    times_reads: AtomicBool,
    /// The process that opened it, in the line of forks.
    generation: u64,
    /// This store itself, for pins, which may outlive it.
    own: Weak<Store>,
    /// Wakes the background.
    wake: background::Wake,
}

impl Store {
    /// Opens the segments of a manifest and rebuilds everything else from them.
    pub(crate) fn open(
        config: LogConfig,
        manifest: Manifest,
        read_damaged: bool,
        cache_bytes: u64,
    ) -> Result<Arc<Store>> {
        let keys = Keys::new(manifest.hash_seed);
        let mut ordered_key = Vec::new();
        let mut replayed = 0_u64;
        let (log, recovery) =
            recovery::open(config, manifest, read_damaged, &mut |log, location, record| {
                let (kind, keyspace, key) = (record.shape.kind, record.shape.keyspace, record.key);
                if kind == Kind::Keyspace {
                    let place = (log.serial(location)?, location.offset());
                    return keys.learn_keyspace(place, record, read_damaged);
                }
                let hash = keys.hash(keyspace, key);
                let old = keys.find(log, hash, keyspace, key)?.map(|old| Old::of(&old));
                let stored_bytes = record.stored_bytes() as u64;
                keys.publish(
                    &Change { kind, keyspace, key, hash, location, stored_bytes, old },
                    &mut ordered_key,
                );
                replayed += 1;
                if replayed.is_multiple_of(MAINTAIN_EVERY_RECORDS) {
                    while keys.order.maintain(&|_| true) {}
                }
                Ok(())
            })?;
        let (appender, visible) = (log.appender(), log.appended());
        Ok(Arc::new_cyclic(|own| Store {
            log,
            keys,
            cache: Cache::new(cache_bytes),
            recovery,
            committer: Mutex::new(Committer { appender, ordered_key }),
            versions: Versions::default(),
            recent: Recent::default(),
            visible: AtomicU64::new(visible),
            is_hiding: AtomicBool::new(false),
            hidden: Mutex::new(Hidden::default()),
            times_reads: AtomicBool::new(true),
            generation: generation(),
            own: Weak::clone(own),
            wake: background::Wake::default(),
        }))
    }

    /// Sequence of the newest commit that readers see.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Live snapshots and old versions kept for them.
    pub(crate) fn snapshot_counts(&self) -> (u64, u64) {
        self.versions.counts()
    }
}

/// While the log is replayed, the order is maintained after this many records.
const MAINTAIN_EVERY_RECORDS: u64 = 32 << 10;
