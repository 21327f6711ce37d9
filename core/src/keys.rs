//! What is known of the keys: where the newest record of each lies, their order, their keyspaces, and how much of the log
//! is still of use. All of it is rebuilt from the log.
//!
//! *Invariant:* a key is in the index if and only if its newest record is not a tombstone; whatever is in the index is in
//! the order as well, and is counted in its keyspace.

use std::sync::OnceLock;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::checksum::halves;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::{Candidates, Index, shard_of};
use crate::keyspace::{KeyspaceEntry, Keyspaces};
use crate::location::Location;
use crate::log::{Log, RecordAt};
use crate::order::Order;
use crate::record::{Kind, LargePointer, Record};
use crate::settings::parse_settings;

/// Bytes that stand for the keyspace before each key in the order.
pub(crate) const KEYSPACE_PREFIX_BYTES: usize = 2;

/// A key as the order has it: the keyspace, big endian, and the key.
pub(crate) fn ordered_key(out: &mut Vec<u8>, keyspace: u16, key: &[u8]) {
    out.clear();
    push_ordered_key(out, keyspace, key);
}

/// Puts a key as the order has it behind what is there.
pub(crate) fn push_ordered_key(out: &mut Vec<u8>, keyspace: u16, key: &[u8]) {
    out.extend_from_slice(&keyspace.to_be_bytes());
    out.extend_from_slice(key);
}

/// Takes a key of the order apart.
pub(crate) fn split_ordered_key(ordered: &[u8]) -> Option<(u16, &[u8])> {
    let (keyspace, key) = ordered.split_first_chunk::<KEYSPACE_PREFIX_BYTES>()?;
    Some((u16::from_be_bytes(*keyspace), key))
}

/// The record that a change makes old.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Old {
    pub(crate) location: Location,
    pub(crate) stored_bytes: u64,
    /// Where its value stands, if it is a large one.
    pub(crate) large: Option<LargePointer>,
}

impl Old {
    pub(crate) fn of(record: &mut RecordAt<'_>) -> Result<Old> {
        let large = record.large_pointer()?;
        Ok(Old { location: record.location, stored_bytes: record.stored_bytes(), large })
    }
}

/// One record of a commit that is in the log, about to be made known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) kind: Kind,
    pub(crate) keyspace: u16,
    pub(crate) key: &'a [u8],
    pub(crate) hash: u64,
    pub(crate) location: Location,
    pub(crate) stored_bytes: u64,
    /// Where its value stands, if it is a large one.
    pub(crate) large: Option<LargePointer>,
    /// The key's record so far, as found under the same commit lock.
    pub(crate) old: Option<Old>,
}

impl Change<'_> {
    /// Makes it known to an index.
    pub(crate) fn enter(&self, index: &Index) {
        match (self.kind.is_put(), self.old) {
            (true, Some(old)) => {
                let replaced = index.replace(self.hash, old.location, self.location);
                debug_assert!(replaced, "the index changed under the commit lock");
            }
            (true, None) => index.insert(self.hash, self.location),
            (false, Some(old)) if self.kind == Kind::Tombstone => {
                let removed = index.remove(self.hash, old.location);
                debug_assert!(removed, "the index changed under the commit lock");
            }
            (false, _) => {}
        }
    }
}

/// What is in the log and not known yet, by shard of the index. Those shards are held.
pub(crate) trait Unknown: Send + Sync {
    /// Makes known what is of a shard, unless somebody else has. After an error it is as before.
    fn make_known(&self, log: &Log, keys: &Keys, shard: usize) -> Result<()>;

    /// Makes all of it known, beside others who may be at it. When this returns all is known.
    fn make_all_known(&self, log: &Log, keys: &Keys) -> Result<()>;
}

/// Index, order and keyspaces of one database.
pub(crate) struct Keys {
    pub(crate) index: Index,
    pub(crate) order: Order,
    pub(crate) keyspaces: Keyspaces,
    secrets: RapidSecrets,
    unknown: OnceLock<Box<dyn Unknown>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("keyspaces", &self.keyspaces.len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys of this index and order. The seed is secret and random, so that nobody can choose keys that collide.
    pub(crate) fn from_parts(hash_seed: [u8; 16], index: Index, order: Order) -> Keys {
        let [low, high] = halves(hash_seed);
        let secrets =
            RapidSecrets { seed: RapidSecrets::seed(high).seed, secrets: RapidSecrets::seed(low).secrets };
        Keys { index, order, keyspaces: Keyspaces::new(), secrets, unknown: OnceLock::new() }
    }

    /// The hash under which the index has a key (rapidhash V3; the keyspace is added as a multiple of an odd number).
    #[inline]
    pub(crate) fn hash(&self, keyspace: u16, key: &[u8]) -> u64 {
        let spread = u64::from(keyspace).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        rapidhash_v3_seeded(key, &self.secrets).wrapping_add(spread)
    }

    /// From here on something is in the log and not known: it is made known when it is looked for. Before anybody looks.
    pub(crate) fn wait_for(&self, unknown: Box<dyn Unknown>) -> Result<()> {
        let set = self.unknown.set(unknown);
        set.map_err(|_| Error::Internal("the log was read behind a checkpoint twice".to_owned()))
    }

    /// Sees to it that all of the log is known. Beside the index nothing is whole before: order, counts, what is live.
    pub(crate) fn know_all(&self, log: &Log) -> Result<()> {
        self.unknown.get().map_or(Ok(()), |unknown| unknown.make_all_known(log, self))
    }

    /// Where the newest record of a key may be. The one way to look into the index: what is in the log and not known yet is
    /// made known first.
    #[inline(always)]
    pub(crate) fn candidates(&self, log: &Log, hash: u64) -> Result<Candidates> {
        if self.index.is_absent(hash) {
            self.make_known(log, hash)?;
        }
        self.index.candidates(hash)
    }

    #[cold]
    fn make_known(&self, log: &Log, hash: u64) -> Result<()> {
        self.unknown.get().map_or(Ok(()), |unknown| unknown.make_known(log, self, shard_of(hash)))
    }

    /// The newest record of a key. What only looks like the key in the index is told apart in the log.
    #[inline]
    pub(crate) fn find<'g>(
        &self,
        log: &'g Log,
        hash: u64,
        keyspace: u16,
        key: &[u8],
        guard: &'g Guard,
    ) -> Result<Option<RecordAt<'g>>> {
        for location in self.candidates(log, hash)? {
            if let Some(record) = log.find(location, keyspace, key, guard)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Makes a change known: from here on every reader finds it. Cannot fail, so no commit is ever half visible.
    pub(crate) fn publish(&self, log: &Log, change: &Change<'_>, scratch: &mut Vec<u8>) {
        change.enter(&self.index);
        self.enter_order(change, scratch);
        self.account(log, change);
    }

    /// Counts a change: the keys of its keyspace, and what is live in the segments.
    pub(crate) fn account(&self, log: &Log, change: &Change<'_>) {
        let is_put = change.kind.is_put();
        if !is_put && change.old.is_none() {
            return;
        }
        let guard = log.pin();
        if is_put {
            log.count_live(change.location, change.stored_bytes, change.large.as_ref(), &guard);
        }
        if let Some(old) = change.old {
            log.count_dead(old.location, old.stored_bytes, old.large.as_ref(), &guard);
        }
        match (is_put, change.old.is_some()) {
            (true, false) => drop(self.keyspaces.with(change.keyspace, KeyspaceEntry::key_added)),
            (false, true) => drop(self.keyspaces.with(change.keyspace, KeyspaceEntry::key_removed)),
            _ => {}
        }
    }

    /// Makes a change known to the order, when the index knows it already: a merge drops a key that the index does not know. A
    /// scan begins with a snapshot, under the commit lock, and so never comes between the two.
    pub(crate) fn enter_order(&self, change: &Change<'_>, scratch: &mut Vec<u8>) {
        match (change.kind.is_put(), change.old) {
            (true, None) => {
                ordered_key(scratch, change.keyspace, change.key);
                self.order.insert(scratch);
            }
            (false, Some(_)) if change.kind == Kind::Tombstone => self.order.note_deleted(1),
            _ => {}
        }
    }

    /// Takes in a keyspace that the log has at this place, or its new settings. In a damaged log others before it may be
    /// lost.
    pub(crate) fn learn_keyspace(
        &self,
        (serial, offset): (u64, u64),
        record: &Record<'_>,
        is_damaged: bool,
    ) -> Result<()> {
        let number = record.shape.keyspace;
        let add = if is_damaged { Keyspaces::add_with_gaps } else { Keyspaces::add };
        let known = std::str::from_utf8(record.key).is_ok_and(|name| add(&self.keyspaces, number, name));
        let settings = parse_settings(record.value).filter(|_| known).ok_or_else(|| {
            let reason = format!("keyspace {number} contradicts the ones before it, or has unknown settings");
            Error::corruption(serial, offset, reason)
        })?;
        self.keyspaces.with(number, |entry| entry.set(settings));
        Ok(())
    }
}
