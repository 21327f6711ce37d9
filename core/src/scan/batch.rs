//! Keys taken from the cursor ahead of their entries, so that the memory they lead to is on its way when it is needed.
//!
//! For each entry two places must be looked at that are most likely in no cache: a line of the index, and behind it a
//! record. One after the other they would be waited for in vain; for a batch of keys they are asked for at once. This
//! only prepares: an entry is looked up when it is its turn, with the same answer as without.

use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::keys::split_ordered_key;
use crate::order::Cursor;
use crate::store::Store;

/// Keys of the first batch. Each batch is twice the one before, up to [`KEYS_MAX`], so that a scan that ends early has
/// not asked for much more than it gave. A scan that wants no more than twice as many gets them at once.
const KEYS_MIN: usize = 8;
const KEYS_MAX: usize = 64;
/// Bytes of keys at which a batch is full, however few they are.
const KEY_BYTES_MAX: usize = 64 << 10;
/// What is asked for of a record: the header and a short key, and a value of a few lines.
const RECORD_BYTES: usize = 64;
const RECORD_AND_VALUE_BYTES: usize = 256;

/// Some keys in the order of the cursor.
#[derive(Default)]
pub(super) struct Batch {
    /// The keys, one behind the other.
    arena: Vec<u8>,
    keys: Vec<Key>,
    /// Keys already taken.
    taken: usize,
    /// Keys of the next batch.
    size: usize,
    /// What the cursor failed with, to be told when its turn comes.
    failure: Option<Error>,
}

struct Key {
    hash: u64,
    end: usize,
}

impl Batch {
    /// The next key with its hash.
    #[inline]
    pub(super) fn take(&mut self) -> Option<(u64, &[u8])> {
        let key = self.keys.get(self.taken)?;
        let start =
            self.taken.checked_sub(1).and_then(|before| self.keys.get(before)).map_or(0, |key| key.end);
        self.taken += 1;
        Some((key.hash, self.arena.get(start..key.end).unwrap_or_default()))
    }

    /// Takes the next keys from the cursor, at most `most`, and begins to load what they lead to. False at the end.
    pub(super) fn fill(
        &mut self,
        cursor: &mut Cursor,
        store: &Store,
        guard: &Guard,
        most: u64,
        keys_only: bool,
    ) -> Result<bool> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.arena.clear();
        self.keys.clear();
        self.taken = 0;
        self.size = (self.size * 2).clamp(KEYS_MIN, KEYS_MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let size = if most <= 2 * self.size { most } else { self.size };
        while self.keys.len() < size && self.arena.len() < KEY_BYTES_MAX {
            match cursor.next() {
                Ok(Some(ordered)) => self.push(ordered, store),
                Ok(None) => break,
                // What came before is still to be given.
                Err(error) if !self.keys.is_empty() => {
                    self.failure = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let bytes = if keys_only { RECORD_BYTES } else { RECORD_AND_VALUE_BYTES };
        for key in &self.keys {
            // Mostly there is one; where there are more, one of them is a good guess. An index that cannot be read is told
            // when the key's turn comes.
            let found = store.keys.index.candidates(key.hash).ok();
            if let Some(location) = found.and_then(|mut found| found.next()) {
                store.log.prefetch(location, bytes, guard);
            }
        }
        Ok(!self.keys.is_empty())
    }

    fn push(&mut self, ordered: &[u8], store: &Store) {
        let Some((keyspace, key)) = split_ordered_key(ordered) else { return };
        let hash = store.keys.hash(keyspace, key);
        store.keys.index.prefetch(hash);
        self.arena.extend_from_slice(ordered);
        self.keys.push(Key { hash, end: self.arena.len() });
    }
}
