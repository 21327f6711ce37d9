//! Keys that changed lately: what a transaction's scanned ranges are checked against.
//!
//! Kept only while transactions are alive, and only back to the oldest of them. It is bounded: when it overflows, the
//! oldest entries go, and a transaction that would have needed them is told that it conflicts.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::keys::ordered_key;

/// Most memory that is spent on keys that changed, in bytes.
const RECENT_BYTES_MAX: usize = 64 << 20;
/// What an entry costs beside its key.
const ENTRY_OVERHEAD_BYTES: usize = 40;

/// A range of keys as the order has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) lower: Bound<Vec<u8>>,
    pub(crate) upper: Bound<Vec<u8>>,
}

impl KeyRange {
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let above = match &self.lower {
            Bound::Included(lower) => key >= lower.as_slice(),
            Bound::Excluded(lower) => key > lower.as_slice(),
            Bound::Unbounded => true,
        };
        let below = match &self.upper {
            Bound::Included(upper) => key <= upper.as_slice(),
            Bound::Excluded(upper) => key < upper.as_slice(),
            Bound::Unbounded => true,
        };
        above && below
    }
}

#[derive(Debug, Default)]
struct Changes {
    /// Live transactions by the sequence of their snapshot.
    live: BTreeMap<u64, usize>,
    /// Sequence and key of each change, oldest first.
    changes: VecDeque<(u64, Box<[u8]>)>,
    bytes: usize,
    /// Changes up to this sequence are not known any more.
    forgotten: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    changes: Mutex<Changes>,
    /// Live transactions. Grows only under the commit lock.
    live: AtomicU64,
}

impl Recent {
    /// A transaction begins at this snapshot. Called under the commit lock.
    pub(crate) fn begin(&self, sequence: u64) {
        *self.changes.lock().live.entry(sequence).or_default() += 1;
        self.live.fetch_add(1, Ordering::Release);
    }

    /// A transaction that began at this snapshot ends.
    pub(crate) fn end(&self, sequence: u64) {
        let mut changes = self.changes.lock();
        if let Some(count) = changes.live.get_mut(&sequence) {
            *count -= 1;
            if *count == 0 {
                changes.live.remove(&sequence);
            }
        }
        self.live.fetch_sub(1, Ordering::Release);
        changes.forget_unneeded();
    }

    /// Remembers that a key changes. Called under the commit lock.
    #[inline]
    pub(super) fn note(&self, sequence: u64, keyspace: u16, key: &[u8]) {
        if self.live.load(Ordering::Acquire) > 0 {
            self.changes.lock().push(sequence, keyspace, key);
        }
    }

    /// Whether a key that `is_read` changed after `sequence`, as far as is known; `true` where it is not known.
    pub(crate) fn any_since(&self, sequence: u64, is_read: impl Fn(&[u8]) -> bool) -> bool {
        let changes = self.changes.lock();
        let after = changes.changes.partition_point(|(at, _)| *at <= sequence);
        changes.forgotten > sequence || changes.changes.range(after..).any(|(_, key)| is_read(key))
    }
}

impl Changes {
    fn push(&mut self, sequence: u64, keyspace: u16, key: &[u8]) {
        let mut entry = Vec::with_capacity(key.len() + 2);
        ordered_key(&mut entry, keyspace, key);
        self.bytes += entry.len() + ENTRY_OVERHEAD_BYTES;
        self.changes.push_back((sequence, entry.into_boxed_slice()));
        while self.bytes > RECENT_BYTES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((sequence, key)) = self.changes.pop_front() {
            self.bytes -= key.len() + ENTRY_OVERHEAD_BYTES;
            self.forgotten = sequence;
        }
    }

    fn forget_unneeded(&mut self) {
        let needed_after = self.live.first_key_value().map_or(u64::MAX, |(sequence, _)| *sequence);
        while self.changes.front().is_some_and(|(sequence, _)| *sequence <= needed_after) {
            self.forget_oldest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether any of these keys of keyspace 0 changed.
    fn changed(recent: &Recent, sequence: u64, keys: &[&[u8]]) -> bool {
        recent.any_since(sequence, |ordered| keys.iter().any(|key| ordered == [&[0, 0], *key].concat()))
    }

    #[test]
    fn changes_are_kept_only_while_a_transaction_needs_them() {
        let recent = Recent::default();
        recent.note(1, 0, b"b");
        assert!(!changed(&recent, 0, &[b"b"]), "nobody was there to need it");
        recent.begin(1);
        recent.begin(2);
        recent.note(2, 0, b"b");
        recent.note(3, 0, b"x");
        assert!(changed(&recent, 1, &[b"b"]));
        assert!(!changed(&recent, 2, &[b"b"]) && !changed(&recent, 1, &[]));
        assert!(changed(&recent, 2, &[b"b", b"x"]));
        recent.end(1);
        assert_eq!(recent.changes.lock().changes.len(), 1);
        recent.end(2);
        let left = recent.changes.lock();
        assert_eq!((left.changes.len(), left.bytes), (0, 0));
    }

    #[test]
    fn other_keyspaces_do_not_count() {
        let recent = Recent::default();
        recent.begin(0);
        recent.note(1, 1, b"b");
        assert!(!changed(&recent, 0, &[b"b"]));
    }

    #[test]
    fn what_was_forgotten_counts_as_changed() {
        let recent = Recent::default();
        recent.begin(0);
        let key = vec![0; 60 << 10];
        for sequence in 1..2000 {
            recent.note(sequence, 0, &key);
        }
        assert!(recent.changes.lock().bytes <= RECENT_BYTES_MAX);
        assert!(changed(&recent, 0, &[]));
        assert!(!changed(&recent, 1900, &[]));
    }
}
