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

mod aside;
mod background;
mod backup;
mod beside;
mod bulk;
#[cfg(test)]
mod bulk_tests;
mod checkpoint;
mod commit;
mod compaction;
mod compaction_large;
mod figures;
mod gather;
mod hidden;
mod hints;
mod job;
mod maintenance;
mod moves;
mod operations;
mod read;
mod read_many;
mod rebuild;
mod recent;
mod replay;
mod salvage;
mod sources;
mod verify;
mod versions;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::cache::Cache;
use crate::disk::{DiskFile, generation};
use crate::error::Result;
use crate::index::Index;
use crate::keys::Keys;
use crate::log::{Appender, Log, LogConfig};
use crate::manifest::Manifest;
use crate::order::{Order, RunFiles};
use crate::recovery::{self, Recovery};

pub(crate) use background::Background;
pub use backup::Backup;
pub(crate) use backup::prepare_empty;
pub(crate) use beside::Followed;
#[cfg(test)]
pub(crate) use bulk_tests::{Rebuilt, rebuilt};
pub(crate) use commit::Commit;
pub use compaction::{Compaction, CompactionProgress};
pub(crate) use hidden::Pin;
pub(crate) use operations::{CommitBytes, Operations};
pub(crate) use read::{Found, OpenedValue};
pub(crate) use recent::KeyRange;
pub use verify::{Verification, Violation};
pub(crate) use versions::VERSION_BYTES;

use beside::Follower;
use checkpoint::Base;
use compaction::Compactor;
use figures::Figures;
use hidden::Hidden;
use hints::Hinted;
use maintenance::Pace;
use rebuild::Rebuild;
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
    /// How often the process had waited for storage when that was judged.
    storage_waits: AtomicU64,
    /// How many times readers of many keys still ask the system ahead, because such reads have just waited for storage.
    asks_ahead: AtomicU32,
    /// The process that opened it, in the line of forks.
    generation: u64,
    /// This store itself, for pins, which may outlive it.
    own: Weak<Store>,
    /// Whoever compacts or makes a checkpoint has it.
    compactor: Mutex<Compactor>,
    /// The thread that is being told the progress of a compaction; 0 for none.
    told: AtomicUsize,
    pub(crate) figures: Figures,
    /// Holds writers back while compaction does not keep up.
    pace: Pace,
    hinted: Hinted,
    /// Whether it was found out in which of the segments that were opened nothing is dead.
    has_judged: AtomicBool,
    /// Whether the last scans found their records in the order of their keys.
    pub(crate) is_in_order: AtomicBool,
    /// Wakes the background.
    wake: background::Wake,
    /// How far the log of another process was read, where this store follows one.
    follower: Option<Mutex<Follower>>,
}

/// How a store is opened.
#[derive(Debug)]
pub(crate) enum Opening {
    /// To be written to: what a crash has left unfinished is dropped.
    InOrder,
    /// For reading what is left of it. Nothing is changed.
    Damaged,
    /// For reading, perhaps beside a process that writes. Nothing is changed. With the file of the manifest.
    Beside(Arc<dyn DiskFile>),
}

impl Opening {
    fn is_damaged(&self) -> bool {
        matches!(self, Opening::Damaged)
    }
}

impl Store {
    /// Opens the segments of a manifest and rebuilds everything else from them.
    pub(crate) fn open(
        config: LogConfig,
        manifest: Manifest,
        opening: Opening,
        cache_bytes: u64,
    ) -> Result<Arc<Store>> {
        let read_damaged = opening.is_damaged();
        let followed = matches!(opening, Opening::Beside(_)).then(|| manifest.clone());
        let (keys, base, manifest) = keys_of(&config, manifest, &opening)?;
        let base = base.as_ref();
        let mut rebuild = Rebuild::new(&keys, base, read_damaged);
        let start = base.map(|base| &base.start);
        let (log, recovery) = match &opening {
            Opening::Beside(_) => recovery::open_beside(config, manifest, start, &mut rebuild)?,
            _ => recovery::open(config, manifest, start, read_damaged, &mut rebuild)?,
        };
        if let Some(number) = keys.keyspaces.nameless().filter(|_| !read_damaged) {
            let reason = format!("keyspace {number} has no name any more");
            return Err(crate::error::Error::corruption(0, 0, reason));
        }
        let compactor = match base {
            Some(base) => Compactor::behind(base.number, base.start.sequence, &base.kept, base.reach.clone()),
            None => Compactor::default(),
        };
        let (appender, visible, storage_waits) = (log.appender(), log.appended(), log.storage_waits());
        let follower = match (opening, followed) {
            (Opening::Beside(file), Some(manifest)) => Some(Mutex::new(Follower::new(manifest, file, &log))),
            _ => None,
        };
        Ok(Arc::new_cyclic(|own| Store {
            log,
            keys,
            cache: Cache::new(cache_bytes),
            recovery,
            committer: Mutex::new(Committer { appender, ordered_key: Vec::new() }),
            versions: Versions::default(),
            recent: Recent::default(),
            visible: AtomicU64::new(visible),
            is_hiding: AtomicBool::new(false),
            hidden: Mutex::new(Hidden::default()),
            times_reads: AtomicBool::new(true),
            storage_waits: AtomicU64::new(storage_waits),
            asks_ahead: AtomicU32::new(0),
            generation: generation(),
            own: Weak::clone(own),
            compactor: Mutex::new(compactor),
            told: AtomicUsize::new(0),
            figures: Figures::default(),
            pace: Pace::default(),
            hinted: Hinted::default(),
            // Of a damaged log nothing is sure.
            has_judged: AtomicBool::new(read_damaged),
            is_in_order: AtomicBool::new(false),
            wake: background::Wake::default(),
            follower,
        }))
    }

    /// Sequence of the newest commit that readers see.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// How long the oldest live snapshot has lived.
    pub(crate) fn oldest_snapshot(&self) -> std::time::Duration {
        self.versions.oldest()
    }

    /// Live snapshots and old versions kept for them.
    pub(crate) fn snapshot_counts(&self) -> (u64, u64) {
        self.versions.counts()
    }
}

/// The keys as the last checkpoint knows them, or none yet. Where the checkpoint is of no use the manifest no longer names it.
fn keys_of(
    config: &LogConfig,
    mut manifest: Manifest,
    opening: &Opening,
) -> Result<(Keys, Option<Base>, Manifest)> {
    let read_damaged = opening.is_damaged();
    let files = || RunFiles {
        disk: Arc::clone(&config.disk),
        directory: config.directory.clone(),
        identity: config.identity,
        mapped: config.access.mapped_reads,
        written: Arc::default(),
    };
    let opened = if read_damaged { None } else { checkpoint::open(config, &manifest) };
    let opened = opened.and_then(|(base, index)| {
        let order = Order::open(files(), &base.order).ok()?;
        let keys = Keys::from_parts(manifest.hash_seed, index, order);
        keys.keyspaces.restore(&base.keyspaces).then_some((keys, base))
    });
    if matches!(opening, Opening::InOrder) {
        checkpoint::remove_others(
            &*config.disk,
            &config.directory,
            opened.as_ref().map(|(_, base)| base.number),
        );
    }
    match opened {
        Some((keys, base)) => {
            if matches!(opening, Opening::InOrder) {
                keys.order.release(&base.runs());
            }
            Ok((keys, Some(base), manifest))
        }
        // It was there a moment ago, and the next manifest has another one: that is read, and not all of the log.
        None if matches!(opening, Opening::Beside(_)) && beside::has_changed(config, &manifest)? => {
            Err(crate::error::Error::Storage("the database has changed while it was opened".to_owned()))
        }
        None => {
            (manifest.checkpoint, manifest.moves_bytes) = (None, 0);
            let order = match opening {
                Opening::InOrder => Order::anew(files()),
                Opening::Damaged | Opening::Beside(_) => Order::in_memory(),
            };
            Ok((Keys::from_parts(manifest.hash_seed, Index::new(), order), None, manifest))
        }
    }
}
