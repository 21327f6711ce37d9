//! Loads that are not measured.

use std::ops::Range;

use anyhow::Result;

use crate::data::Data;
use crate::stores::{Entry, Store};

/// Entries of one batch.
pub(super) const ENTRIES_PER_BATCH: u64 = 1000;

/// Entries in the version given.
pub(super) fn entries(data: &Data, numbers: impl Iterator<Item = u64>, version: u64) -> Vec<Entry> {
    let mut values = data.values();
    let entry = |number| {
        let key = data.key(number);
        Entry { key, value: values.value(&key, version).to_vec() }
    };
    numbers.map(entry).collect()
}

/// Puts the entries with these numbers in version 0, in batches.
pub(super) fn load(store: &dyn Store, data: &Data, numbers: Range<u64>) -> Result<()> {
    let mut begin = numbers.start;
    while begin < numbers.end {
        let end = numbers.end.min(begin + ENTRIES_PER_BATCH);
        store.batch(&entries(data, begin..end, 0))?;
        begin = end;
    }
    Ok(())
}
