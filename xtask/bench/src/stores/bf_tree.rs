//! Bf-Tree: a tree in memory and a file. It cannot be opened again without a snapshot, and its log not be read back.

use std::cell::RefCell;

use anyhow::{Result, ensure};
use bf_tree::{BfTree, Config, LeafInsertResult, LeafReadResult, ScanReturnField};
use opendb_measure::workload::{KEY_BYTES, Seen};

use super::{OwnEntry, Setup, Store, Visit, Work, show_collected};

/// The buffer holds the data of most runs, as the caches of other stores do.
const BUFFER_BYTES: usize = 1 << 30;
/// A page takes at least two of the longest records.
const LEAF_BYTES: usize = 8 << 10;
const RECORD_BYTES_MAX: usize = 2 << 10;

struct Opened(BfTree);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; LEAF_BYTES]);
}

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let mut config = Config::new(setup.directory.join("bf-tree"), BUFFER_BYTES);
    config.cb_max_key_len(KEY_BYTES).max_fence_len(2 * KEY_BYTES);
    config.cb_max_record_size(RECORD_BYTES_MAX).leaf_page_size(LEAF_BYTES);
    let tree = BfTree::with_config(config, None);
    work(&mut Opened(tree.map_err(|error| anyhow::anyhow!("opening Bf-Tree: {error:?}"))?))
}

impl Opened {
    fn read(&self, key: &[u8]) -> Option<Seen> {
        BUFFER.with_borrow_mut(|buffer| match self.0.read(key, buffer) {
            LeafReadResult::Found(length) => buffer.get(..length as usize).map(Seen::of),
            LeafReadResult::Deleted | LeafReadResult::NotFound | LeafReadResult::InvalidKey => None,
        })
    }
}

impl Store for Opened {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let inserted = self.0.insert(key, value);
        ensure!(inserted == LeafInsertResult::Success, "an insert was refused");
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.read(key))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.0.delete(key);
        Ok(())
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let iterator = self.0.scan_with_count(start, limit, ScanReturnField::KeyAndValue);
        let mut iterator = iterator.map_err(|error| anyhow::anyhow!("scanning Bf-Tree: {error:?}"))?;
        let mut buffer = vec![0; LEAF_BYTES];
        let split = |buffer: &[u8], (key, value): (usize, usize)| -> OwnEntry {
            let (key, rest) = buffer.split_at(key);
            (key.to_vec(), rest.get(..value).unwrap_or_default().to_vec())
        };
        if collected {
            let own =
                std::iter::from_fn(|| iterator.next(&mut buffer).map(|lengths| Ok(split(&buffer, lengths))));
            return show_collected(own, visit);
        }
        while let Some((key, value)) = iterator.next(&mut buffer) {
            let (key, rest) = buffer.split_at(key);
            visit(key, rest.get(..value).unwrap_or_default());
        }
        Ok(())
    }
}
