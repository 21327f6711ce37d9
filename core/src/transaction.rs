//! Serializable optimistic transactions: reads at one snapshot, writes kept aside, both checked and applied at once.

use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::conflict::ReadSet;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::keys::{ordered_key, split_ordered_key};
use crate::options::Durability;
use crate::record::{Kind, NewRecord};
use crate::scan::{Entry, EntryRef, OwnWrites, Scan, Walk};
use crate::store::{Commit, CommitBytes, KeyRange, Operations, Pin, Store};

/// A transaction under way. Dropping it rolls it back.
pub(crate) struct Work {
    pin: Arc<Pin>,
    reads: Arc<Mutex<ReadSet>>,
    writes: Arc<OwnWrites>,
    written: CommitBytes,
}

impl Work {
    pub(crate) fn begin(store: &Store) -> Work {
        Work {
            pin: Arc::new(store.pin(true)),
            reads: Arc::default(),
            writes: Arc::default(),
            written: CommitBytes::default(),
        }
    }

    /// The moment that it reads.
    pub(crate) fn pin(&self) -> &Pin {
        &self.pin
    }

    fn own(&self, keyspace: u16, key: &[u8]) -> Option<&Option<Arc<[u8]>>> {
        if self.writes.is_empty() {
            return None;
        }
        let mut ordered = Vec::new();
        ordered_key(&mut ordered, keyspace, key);
        self.writes.get(&ordered)
    }

    /// The transaction's own write, or else the value at its snapshot.
    pub(crate) fn get(
        &self,
        store: &Store,
        keyspace: u16,
        key: &[u8],
        guard: &Guard,
    ) -> Result<Option<Vec<u8>>> {
        if let Some(own) = self.own(keyspace, key) {
            return Ok(own.as_deref().map(<[u8]>::to_vec));
        }
        let value = store.get(keyspace, key, Some(self.pin.sequence), guard)?;
        self.reads.lock().add_point(keyspace, key, value.is_some());
        Ok(value)
    }

    /// [`Work::get`] of many keys, in their order.
    pub(crate) fn get_many<K: AsRef<[u8]>>(
        &self,
        store: &Store,
        keyspace: u16,
        keys: &[K],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let own: Vec<_> = keys.iter().map(|key| self.own(keyspace, key.as_ref())).collect();
        let asked: Vec<&[u8]> =
            keys.iter().zip(&own).filter(|(_, own)| own.is_none()).map(|(key, _)| key.as_ref()).collect();
        let found = store.get_many(keyspace, asked.iter().copied(), self.pin.sequence)?;
        let mut reads = self.reads.lock();
        asked.iter().zip(&found).for_each(|(key, value)| reads.add_point(keyspace, key, value.is_some()));
        let mut found = found.into_iter();
        let value = |own: Option<&Option<Arc<[u8]>>>| match own {
            Some(own) => own.as_deref().map(<[u8]>::to_vec),
            None => found.next().flatten(),
        };
        Ok(own.into_iter().map(value).collect())
    }

    pub(crate) fn exists(&self, store: &Store, keyspace: u16, key: &[u8], guard: &Guard) -> Result<bool> {
        if let Some(own) = self.own(keyspace, key) {
            return Ok(own.is_some());
        }
        let exists = store.exists(keyspace, key, Some(self.pin.sequence), guard)?;
        self.reads.lock().add_point(keyspace, key, exists);
        Ok(exists)
    }

    /// Keeps a write back; `None` deletes.
    pub(crate) fn write(
        &mut self,
        store: &Store,
        keyspace: u16,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<()> {
        let mut ordered = Vec::with_capacity(key.len() + 2);
        ordered_key(&mut ordered, keyspace, key);
        let replaced = self.writes.get(&ordered).map(Option::as_deref);
        self.written = self.written.with(store.log.commit_bytes_kept(), key, value, replaced)?;
        // Copies the writes only where a scan of this transaction is still looking at them.
        Arc::make_mut(&mut self.writes).insert(ordered, value.map(Arc::from));
        Ok(())
    }

    /// A scan of the snapshot with the writes made so far.
    pub(crate) fn walk(
        &self,
        store: &Store,
        keyspace: u16,
        scan: &Scan,
        keys_only: bool,
    ) -> Result<TrackedWalk> {
        let walk = Walk::new(
            store,
            Arc::clone(&self.pin),
            keyspace,
            scan,
            keys_only,
            Some(Arc::clone(&self.writes)),
        )?;
        let track = scan.key_range(keyspace).map(|range| Track {
            reads: Arc::clone(&self.reads),
            number: self.reads.lock().begin_scan(range.clone()),
            range,
            reverse: scan.is_reverse(),
            keyspace,
            last: None,
        });
        Ok(TrackedWalk { walk, track })
    }

    /// Applies all writes as one commit, or nothing of it: [`Error::Transaction`] if anything that was read has changed.
    /// Without writes there is nothing to apply and nothing that could conflict.
    pub(crate) fn commit(self, store: &Store, durability: Durability) -> Result<()> {
        if self.writes.is_empty() {
            return Ok(());
        }
        let Work { pin, reads, writes, .. } = self;
        let committed = check_and_commit(store, pin, &reads.lock(), &writes, durability);
        if matches!(committed, Err(Error::Transaction(_))) && store.is_hiding() {
            // It may have conflicted with a commit that nobody sees yet; seen, it is not met again.
            let _told_by_the_writer = store.flush();
        }
        committed
    }
}

/// Checks what was read and applies what was written. The pin is given up as soon as both have come true under the commit lock.
fn check_and_commit(
    store: &Store,
    pin: Arc<Pin>,
    reads: &ReadSet,
    writes: &OwnWrites,
    durability: Durability,
) -> Result<()> {
    let checked = reads.check(store, pin.sequence)?;
    let mut pin = Some(pin);
    let mut verdict = |store: &Store| {
        checked.check_since(store)?;
        // It has read all that it will. With its snapshot gone, what it overwrites need not be kept for it; a scan that is
        // still there has the pin as well.
        pin = None;
        Ok(())
    };
    if let (1, Some((ordered, value))) = (writes.len(), writes.first_key_value())
        && let Some((keyspace, key)) = split_ordered_key(ordered)
    {
        // One record is there or not: nothing has to be hidden until all of them are.
        let kind = if value.is_some() { Kind::Put } else { Kind::Tombstone };
        let record = NewRecord { kind, keyspace, key, value: value.as_deref().unwrap_or_default() };
        let (hash, compression) =
            (store.keys.hash(keyspace, key), store.keys.keyspaces.compression(keyspace));
        return store.commit(Commit::One(record, hash, compression), durability, &mut verdict);
    }
    let mut operations = Operations::default();
    for (ordered, value) in writes {
        let Some((keyspace, key)) = split_ordered_key(ordered) else { continue };
        let hash = store.keys.hash(keyspace, key);
        match value {
            Some(value) => {
                let compression = store.keys.keyspaces.compression(keyspace);
                operations.put(store, hash, (keyspace, compression), key, value)?;
            }
            None => operations.delete(hash, keyspace, key)?,
        }
    }
    store.commit(Commit::Many(operations), durability, &mut verdict)
}

/// A scan whose range is in a read set.
pub(crate) struct TrackedWalk {
    walk: Walk,
    track: Option<Track>,
}

struct Track {
    reads: Arc<Mutex<ReadSet>>,
    number: u64,
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

    /// The moment that it reads.
    pub(crate) fn pin(&self) -> &Pin {
        self.walk.pin()
    }

    /// Goes to the next entry, if it was read before.
    #[inline]
    pub(crate) fn advance_read(&mut self) -> bool {
        let is_there = self.walk.advance_read();
        self.note(is_there);
        is_there
    }

    /// Goes to the next entry. False at the end.
    pub(crate) fn advance(&mut self, store: &Store) -> Result<bool> {
        let is_there = self.walk.advance(store)?;
        self.note(is_there);
        Ok(is_there)
    }

    /// The entry that it was gone to last, where it stands.
    #[inline]
    pub(crate) fn current(&self) -> Option<EntryRef<'_>> {
        self.walk.current()
    }

    /// The same in memory of its own. A long value is moved there, and is empty where it was.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Entry> {
        self.walk.take()
    }

    /// Remembers which entry was given.
    #[inline]
    fn note(&mut self, is_there: bool) {
        if let Some(track) = self.track.as_mut().filter(|_| is_there)
            && let Some((key, _)) = self.walk.current()
        {
            ordered_key(track.last.get_or_insert_default(), track.keyspace, key);
        }
    }
}

impl Drop for TrackedWalk {
    /// A scan that was left early has observed only what lies before the last key it gave.
    fn drop(&mut self) {
        let Some(track) = self.track.take().filter(|_| !self.walk.is_of_the_parent()) else { return };
        let KeyRange { lower, upper } = track.range;
        let seen = match (self.walk.is_exhausted(), track.last) {
            (true, _) => Some(KeyRange { lower, upper }),
            (false, None) => None,
            (false, Some(last)) if track.reverse => Some(KeyRange { lower: Bound::Included(last), upper }),
            (false, Some(last)) => Some(KeyRange { lower, upper: Bound::Included(last) }),
        };
        track.reads.lock().end_scan(track.number, seen);
    }
}
