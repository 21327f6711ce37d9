//! Serializable optimistic transactions: reads at one snapshot, writes kept aside, both checked and applied at once.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::conflict::ReadSet;
use crate::error::{Error, Result};
use crate::keys::ordered_key;
use crate::log::frame_bytes_max;
use crate::options::Durability;
use crate::scan::{Entry, OwnWrite, Scan, Walk};
use crate::store::{Commit, KeyRange, Operations, Pin, Store};

/// What a write costs in the log beside its key and value, at most.
const WRITE_OVERHEAD_BYTES: usize = 44;

/// A transaction under way. Dropping it rolls it back.
pub(crate) struct Work {
    pin: Arc<Pin>,
    reads: Arc<Mutex<ReadSet>>,
    /// By the key as the order has it, so that scans can mix them in.
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    written_bytes: usize,
}

impl Work {
    pub(crate) fn begin(store: &Arc<Store>) -> Work {
        Work {
            pin: Arc::new(store.pin(true)),
            reads: Arc::default(),
            writes: BTreeMap::new(),
            written_bytes: 0,
        }
    }

    fn own(&self, keyspace: u16, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        if self.writes.is_empty() {
            return None;
        }
        let mut ordered = Vec::new();
        ordered_key(&mut ordered, keyspace, key);
        self.writes.get(&ordered)
    }

    /// The transaction's own write, or else the value at its snapshot.
    pub(crate) fn get(&self, keyspace: u16, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(own) = self.own(keyspace, key) {
            return Ok(own.clone());
        }
        let value = self.pin.store().get(keyspace, key, Some(self.pin.sequence))?;
        self.reads.lock().add_point(keyspace, key, value.is_some());
        Ok(value)
    }

    pub(crate) fn exists(&self, keyspace: u16, key: &[u8]) -> Result<bool> {
        if let Some(own) = self.own(keyspace, key) {
            return Ok(own.is_some());
        }
        let exists = self.pin.store().exists(keyspace, key, Some(self.pin.sequence))?;
        self.reads.lock().add_point(keyspace, key, exists);
        Ok(exists)
    }

    /// Keeps a write aside; `None` deletes.
    pub(crate) fn write(&mut self, keyspace: u16, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let inline = value.map_or(0, <[u8]>::len).min(crate::record::INLINE_VALUE_BYTES_MAX);
        let more = key.len() + inline + WRITE_OVERHEAD_BYTES;
        if (self.written_bytes + more) as u64 > frame_bytes_max() {
            return Err(too_large());
        }
        self.written_bytes += more;
        let mut ordered = Vec::with_capacity(key.len() + 2);
        ordered_key(&mut ordered, keyspace, key);
        self.writes.insert(ordered, value.map(<[u8]>::to_vec));
        Ok(())
    }

    /// A scan of the snapshot with the writes made so far.
    pub(crate) fn walk(&self, keyspace: u16, scan: &Scan, keys_only: bool) -> TrackedWalk {
        let Some(range) = scan.key_range(keyspace) else {
            return TrackedWalk {
                walk: Walk::new(Arc::clone(&self.pin), keyspace, scan, keys_only, vec![]),
                track: None,
            };
        };
        let bounds = (range.lower.clone(), range.upper.clone());
        let own = self.writes.range::<Vec<u8>, _>(bounds).map(|(key, value)| (key.clone(), value.clone()));
        let mut own: Vec<OwnWrite> = own.collect();
        if scan.is_reverse() {
            own.reverse();
        }
        let number = self.reads.lock().add_range(range.clone());
        let track = Track {
            reads: Arc::clone(&self.reads),
            number,
            range,
            reverse: scan.is_reverse(),
            keyspace,
            last: None,
        };
        TrackedWalk {
            walk: Walk::new(Arc::clone(&self.pin), keyspace, scan, keys_only, own),
            track: Some(track),
        }
    }

    /// Applies all writes as one commit, or nothing of it: [`Error::Transaction`] if anything that was read has changed.
    /// Without writes there is nothing to apply and nothing that could conflict.
    pub(crate) fn commit(self, durability: Durability) -> Result<()> {
        if self.writes.is_empty() {
            return Ok(());
        }
        let store = Arc::clone(self.pin.store());
        let mut operations = Operations::default();
        for (ordered, value) in &self.writes {
            let Some((keyspace, key)) = crate::keys::split_ordered_key(ordered) else { continue };
            let hash = store.keys.hash(keyspace, key);
            match value {
                Some(value) => operations.put(hash, keyspace, key, value),
                None => operations.delete(hash, keyspace, key),
            }
        }
        let (reads, sequence) = (Arc::clone(&self.reads), self.pin.sequence);
        let committed = store
            .commit(Commit::Many(operations), durability, &mut |store| reads.lock().check(store, sequence));
        if matches!(committed, Err(Error::Transaction(_))) && store.is_hiding() {
            // It may have conflicted with a commit that nobody sees yet; seen, it is not met again.
            let _told_by_the_writer = store.flush();
        }
        committed
    }
}

/// The error of a commit that does not fit the largest segment.
pub(crate) fn too_large() -> Error {
    Error::InvalidArgument(format!(
        "the commit would take more than {} bytes in the log; split it into several",
        frame_bytes_max()
    ))
}

/// A scan whose range is in a read set.
pub(crate) struct TrackedWalk {
    walk: Walk,
    track: Option<Track>,
}

struct Track {
    reads: Arc<Mutex<ReadSet>>,
    number: usize,
    range: KeyRange,
    reverse: bool,
    keyspace: u16,
    /// The key that was given last, as the order has it.
    last: Option<Vec<u8>>,
}

impl TrackedWalk {
    /// A scan outside of a transaction.
    pub(crate) fn untracked(walk: Walk) -> TrackedWalk {
        TrackedWalk { walk, track: None }
    }

    pub(crate) fn step(&mut self) -> Result<Option<Entry>> {
        let entry = self.walk.step()?;
        if let (Some(track), Some((key, _))) = (&mut self.track, &entry) {
            ordered_key(track.last.get_or_insert_default(), track.keyspace, key);
        }
        Ok(entry)
    }
}

impl Drop for TrackedWalk {
    /// A scan that was left early has observed only what lies before the last key it gave.
    fn drop(&mut self) {
        let Some(track) = self.track.take().filter(|_| !self.walk.is_exhausted()) else { return };
        let KeyRange { lower, upper } = track.range;
        let seen = track.last.map(|last| match track.reverse {
            false => KeyRange { lower, upper: Bound::Included(last) },
            true => KeyRange { lower: Bound::Included(last), upper },
        });
        track.reads.lock().narrow_range(track.number, seen);
    }
}
