//! What a transaction has read, and whether it still holds when the transaction commits.
//!
//! *Invariant:* a transaction commits only if everything that it observed - values, absent keys, and which keys a range
//! has - is at its commit what it was at its snapshot. So all committed transactions have the effect of running one
//! after the other, in the order of their commits (backward validation, after Kung and Robinson, 1981).

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::store::{KeyRange, Store};

/// The read set.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    /// Keys that were read by name, and whether they were there.
    points: HashMap<(u16, Vec<u8>), bool>,
    /// Ranges that were scanned, by number.
    ranges: Vec<Option<KeyRange>>,
}

impl ReadSet {
    /// A key was read.
    pub(crate) fn add_point(&mut self, keyspace: u16, key: &[u8], was_there: bool) {
        self.points.insert((keyspace, key.to_vec()), was_there);
    }

    /// A range is being scanned. Returns its number.
    pub(crate) fn add_range(&mut self, range: KeyRange) -> usize {
        self.ranges.push(Some(range));
        self.ranges.len() - 1
    }

    /// A scan ended early: only this much of its range was seen.
    pub(crate) fn narrow_range(&mut self, number: usize, range: Option<KeyRange>) {
        if let Some(slot) = self.ranges.get_mut(number) {
            *slot = range;
        }
    }

    /// Refuses if anything that was read at `sequence` has changed since. Called under the commit lock.
    pub(crate) fn check(&self, store: &Store, sequence: u64) -> Result<()> {
        for ((keyspace, key), was_there) in &self.points {
            let newest = store.newest_sequence(*keyspace, key)?;
            let is_as_it_was = match newest {
                Some(newest) => *was_there && newest <= sequence,
                None => !was_there,
            };
            if !is_as_it_was {
                return Err(conflict("a key that it read"));
            }
        }
        let ranges: Vec<KeyRange> = self.ranges.iter().flatten().cloned().collect();
        if store.recent.has_changed(&ranges, sequence) {
            return Err(conflict("a range that it scanned"));
        }
        Ok(())
    }
}

fn conflict(what: &str) -> Error {
    Error::Transaction(format!("{what} was changed by another commit; nothing was applied, run it again"))
}
